import type { ServiceExtras } from '../../compute/service-access.ts';
import type { DeviceNews } from '../../daemon/announced-devices.ts';
import type { StopAnswer } from '../../daemon/protocol.ts';
import type { ComputeCore } from '../../hcs/compute-core.ts';
import type { HdvBinding } from '../../hdv/hdv-binding.ts';
import type { HostName } from '../../hosts/host.ts';

/** Where the commands of `hcs` find compute systems: one service, in this process or elsewhere. */
export interface ServiceHost {
  readonly name: HostName;
  readonly core: ComputeCore;
  /** Systems go on when the command ends. */
  readonly outlivesCommand: boolean;
  /** What gives devices of this process to its systems; there when the options ask for devices. */
  readonly hdv?: HdvBinding | undefined;
  /** What a daemon says of itself; absent for a service of this process, and under Windows. */
  readonly daemon?: { readonly version: string; readonly pid: number };
  /**
   * Grants a file to the machine of a system for as long as there is one of that id. Absent where only HcsGrantVmAccess
   * does that: for good.
   */
  readonly grantUntilEnd?: ServiceExtras['grantUntilEnd'] | undefined;
  /** Leaves the service; a service of this process ends, with its systems. Safe to call twice. */
  close(): Promise<void>;
}

/** The options by which a command says which service it means. */
export interface ServiceOptions {
  readonly host?: string;
  readonly embedded?: boolean;
  readonly socket?: string;
  /** Only a service that runs already: none is started. */
  readonly running?: boolean;
  /** Devices of this process are to be given to its systems; hears what becomes of them when a daemon has ended. */
  readonly devices?: (news: DeviceNews) => void;
}

/** Finds the service that the options mean, and starts it where it has to be started. */
export type Connect = (options: ServiceOptions) => Promise<ServiceHost>;

/** What the commands are made with. */
export interface HcsContext {
  readonly connect: Connect;
  /** Asks the daemon that the options mean to end; undefined where there is none to ask. */
  readonly stop?: ((options: ServiceOptions, isSure: boolean) => Promise<StopAnswer>) | undefined;
}
