import type { SystemState } from '../../compute/system-state.ts';
import type { SystemExitStatus } from '../../hcs/schema/documents.ts';

/** What names a system. */
export interface SystemKey {
  /** The id space; `''` is the one of functions that name none. */
  readonly space: string;
  readonly id: string;
}

/** One compute system, as it is found again after the daemon has ended in whatever way. */
export interface SystemRecord extends SystemKey {
  /** Properties.RuntimeId. */
  readonly runtimeId: string;
  /** uid of who created it. */
  readonly owner: number;
  /** Security descriptor in the string format: who may open it. */
  readonly sddl: string;
  /** JSON text of the ComputeSystem document that it was created from. */
  readonly createdDocument: string;
  /** The same with what was changed since. */
  readonly document: string;
  /** {@link Engine.name} of what runs it. */
  readonly engine: string;
  /** `Creating` from before the engine is asked until it has answered. */
  readonly state: SystemState | 'Creating';
  /** How it ended, once it has. */
  readonly exit?: SystemExitStatus | undefined;
  /** What its service needs to take it over, with what the engine finds it by: JSON that nobody else reads. */
  readonly engineRecord?: unknown;
}

/** What of a system may change; a key that is there with `undefined` is cleared. */
export type SystemChanges = Partial<
  Pick<SystemRecord, 'sddl' | 'document' | 'state' | 'exit' | 'engineRecord'>
>;

/** Something that was begun and has not ended: after a crash it is finished or rolled back. */
export interface OperationRecord {
  /** Grows with time; never given twice. */
  readonly number: number;
  readonly system: SystemKey;
  /** Function that began it: `'HcsSaveComputeSystem'`. */
  readonly function: string;
  /** Milliseconds since 1970. */
  readonly begunAt: number;
  /** What finishing or rolling back has to know: JSON of whoever began it. */
  readonly details: unknown;
}

/**
 * Something outside the daemon that has to be removed some day. Processes, and folders of machines, are none: their engine
 * finds them by marks that they bear from their first moment on, while the id of a process is known only after that.
 */
export interface ResourceRecord {
  /** What it is, in a word that says how it is removed: `'file'`, `'controlGroup'`. */
  readonly kind: string;
  /** Names it among those of its kind: a path. */
  readonly name: string;
  /** Whose it is. The record outlives that of the system, as the resource may. */
  readonly system: SystemKey;
}
