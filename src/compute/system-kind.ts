/** The fields of a ComputeSystem document that say what it describes: it has one of them. */
export const SYSTEM_KINDS = ['VirtualMachine', 'Container', 'HostedSystem'] as const;

/** What a document describes. */
export type SystemKind = (typeof SYSTEM_KINDS)[number];
