import type { ComputeCore } from '../hcs/compute-core.ts';
import type { ComputeStorage } from '../hcs/compute-storage.ts';
import type { HdvBinding } from '../hdv/hdv-binding.ts';

/** Names of the hosts. */
export const HOST_NAMES = ['simulated', 'linux', 'windows'] as const;

/** A platform that runs machines and devices. */
export type HostName = (typeof HOST_NAMES)[number];

/** A host exists, and this machine cannot have it: the message names the remedy. */
export class HostUnavailableError extends Error {
  override readonly name = 'HostUnavailableError';
  readonly host: HostName;

  constructor(host: HostName, reason: string, options?: ErrorOptions) {
    super(`Cannot use the host ${host} on ${process.platform}: ${reason}`, options);
    this.host = host;
  }
}

/** The contracts of one host. Making one starts nothing: what it needs is looked for on first use. */
export interface HostBinding {
  readonly name: HostName;
  readonly computeCore: ComputeCore;
  readonly computeStorage: ComputeStorage;
  readonly hdv: HdvBinding;
  /**
   * Ends what the host holds: devices on workers, device hosts, files, and machines that their owners left running. Under
   * Windows the handles of machines are closed, and those end that are to end with their last handle. Safe to call twice.
   */
  close(): Promise<void>;
}
