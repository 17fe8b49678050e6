import type { CreateRequest } from '../compute/service-access.ts';
import type { SystemFunction } from '../compute/system-calls.ts';

/** Who is at the other end of a connection, as the kernel says. */
export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups, where they are known. */
  readonly groups?: readonly number[] | undefined;
  /** What the process runs, for the record only. */
  readonly program?: string | undefined;
}

/** What a client may do with a system that is there. */
export type AccessRight =
  /** See it in an enumeration, open it, ask for properties, hear of events. */
  | 'read'
  /** Change what it is made of, give it devices. */
  | 'write'
  /** Start, pause, save it and so on. */
  | 'execute'
  /** End it. */
  | 'delete';

/** The right that each function takes of the handle that it is called with. */
export const FUNCTION_RIGHTS: Readonly<Record<SystemFunction, AccessRight>> = {
  HcsStartComputeSystem: 'execute',
  HcsShutDownComputeSystem: 'execute',
  HcsTerminateComputeSystem: 'delete',
  HcsCrashComputeSystem: 'execute',
  HcsPauseComputeSystem: 'execute',
  HcsResumeComputeSystem: 'execute',
  HcsSaveComputeSystem: 'execute',
  HcsGetComputeSystemProperties: 'read',
  HcsModifyComputeSystem: 'write',
};

/** What names a system. */
export interface SystemName {
  readonly idNamespace: string;
  readonly id: string;
}

/**
 * Decides what clients of the daemon may do. Members are called before the service does anything, in the order of the
 * client's calls. Whatever they throw is the answer: an HcsError HCS_E_ACCESS_DENIED that names who may.
 */
export interface AccessPolicy {
  /** A client has connected. Throws unless it may use the service at all. */
  admit(peer: PeerCredentials): void;
  /**
   * Throws unless the client may create such a system. Called after the document was checked against the schema.
   * @returns the security descriptor that the system gets
   */
  create(peer: PeerCredentials, request: CreateRequest): string;
  /** What the client may do with a system; undefined where there is none of that name. */
  rights(peer: PeerCredentials, system: SystemName): ReadonlySet<AccessRight> | undefined;
  /** Throws unless the client may call a function of the service and of files (`HcsModifyServiceSettings`, ...). */
  callService(peer: PeerCredentials, name: string): void;
}
