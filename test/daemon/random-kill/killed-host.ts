import type { ComputeCore } from '../../../src/hcs/compute-core.ts';
import type { ComputeSystem } from '../../../src/hcs/schema/documents.ts';
import type { MachineState, OperationKind, Parts } from './machine-model.ts';

/** What a machine is seen to be by somebody who does not ask the service. */
export type Seen = (state: MachineState) => string | undefined;

/** The machines of one host, and what they leave. */
export interface KilledHost {
  readonly name: 'linux' | 'simulated';
  /** What its machines can be asked for. */
  readonly kinds: readonly OperationKind[];
  /** Whether machines go on when the daemon is killed; else they end with it. */
  readonly outlives: boolean;
  /** Operations that may begin before a kill: more where they take less time. */
  readonly mostSteps: number;
  /** Arguments of the daemon. */
  readonly options: readonly string[];
  readonly socket: string;
  /** Folder of the daemon's state. */
  readonly state: string;
  /** A daemon is about to begin. */
  adopt(pid: number): void;
  /** The document of a machine; with `restores`, one that goes on from the file of the id. */
  document(id: string, parts: Parts, isHeld: boolean, restores: boolean): ComputeSystem;
  /** File that the machine of an id is saved in. */
  savedFile(id: string): string;
  /** Lets the machine of an id open its files. */
  grant(core: ComputeCore, id: string): Promise<void>;
  /** What a saved file has; undefined: there is none. @throws when it is not whole */
  readSaved(id: string): Promise<Parts | undefined>;
  /**
   * Looks at the machines themselves while no daemon is there: for each id what tells whether a state is that of its
   * machine; a machine that has no process is not among them.
   */
  look(): Promise<ReadonlyMap<string, Seen>>;
  /** Kills the machine of an id behind everybody's back. */
  killMachine(id: string): Promise<void>;
  /**
   * What is there that should not be, or is not there and should.
   * @param ids those whose machines are there
   */
  leftovers(ids: readonly string[]): readonly string[];
  /** Removes all that is left. */
  close(): Promise<void>;
}
