import type { HdvBinding } from '../hdv/hdv-binding.ts';

/** Names of the hosts. */
export const HOST_NAMES = ['simulated', 'linux', 'windows'] as const;

/** A platform that runs machines and devices. */
export type HostName = (typeof HOST_NAMES)[number];

/** The contracts of one host. Making one starts nothing: what it needs is looked for on first use. */
export interface HostBinding {
  readonly name: HostName;
  readonly hdv: HdvBinding;
  /** Ends what the host itself holds. Machines and device hosts are their owners' to end, before. */
  close(): Promise<void>;
}
