import { statSync } from 'node:fs';
import type { SaveTarget } from './engine.ts';
import type { Modification } from './modify-request.ts';

/** A call that is about to change a system, with what finishing or undoing it has to know. */
export interface CallBegun {
  /** `'HcsSaveComputeSystem'` */
  readonly function: string;
  /** Of a save. */
  readonly target?: SaveTarget;
  /** Of a modify request. */
  readonly modification?: Modification;
}

/** A call that had begun and was not over when its service ended. */
export interface UnfinishedCall extends CallBegun {
  /** Milliseconds since 1970. */
  readonly begunAt: number;
}

/** What became of an {@link UnfinishedCall}. */
export interface SettledCall {
  readonly function: string;
  /** `finished`: all of it has been done; `undone`: it is as if it had not been called. */
  readonly outcome: 'finished' | 'undone';
  /** Why it could not be finished, where that is known. */
  readonly reason?: string;
}

/** Whether a save has put its file in place, which is the last that it does. */
export function hasSaved({ target, begunAt }: UnfinishedCall): boolean {
  if (target?.kind !== 'file') return false;
  try {
    return statSync(target.path).ctimeMs >= begunAt;
  } catch {
    return false;
  }
}
