import type { SystemExitStatus } from '../hcs/schema/documents.ts';
import type { FlexibleIovEntry } from './flexible-iov.ts';
import type { SystemState } from './system-state.ts';
import type { UnfinishedCall } from './unfinished-call.ts';

/** All that another service needs to take a system over: plain values for JSON. */
export interface ServedSystemRecord {
  /** `''` for none. */
  readonly idNamespace: string;
  readonly id: string;
  readonly runtimeId: string;
  /** Text of the ComputeSystem document that it was created from. */
  readonly createdDocument: string;
  /** In the string format, where one was given. */
  readonly securityDescriptor?: string;
  /** uid of who created it, where it is not the user of the service. */
  readonly owner?: number;
  /** `Engine.name` of what runs it. */
  readonly engine: string;
  /** `Creating` until the engine has built it. */
  readonly state: SystemState | 'Creating';
  /** How it ended, once it has. */
  readonly exit?: SystemExitStatus;
  /** What the engine calls the template that it is a clone of. */
  readonly template?: string;
  /** FlexibleIov entries that wait for the start, and those of devices that are plugged. */
  readonly entries: readonly FlexibleIovEntry[];
  readonly devices: readonly FlexibleIovEntry[];
  /** Whether its guest was asked to shut down. */
  readonly isShuttingDown?: true;
  /** CPU group that it runs in. */
  readonly cpuGroup?: string;
  /** Calls that had begun and were not over, the oldest first. */
  readonly unfinished?: readonly UnfinishedCall[];
  /** What the engine finds its machine again by; see `EngineSystem.record`. */
  readonly engineRecord?: unknown;
}
