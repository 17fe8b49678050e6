import type { SystemState } from './system-state.ts';
import type { SettledCall } from './unfinished-call.ts';

/** What became of a system that another service has left. */
export type SystemTakenOver = {
  readonly idNamespace: string;
  readonly id: string;
} & (
  | { readonly kind: 'goesOn'; readonly state: SystemState }
  /** It has ended; who opens it next hears how. */
  | { readonly kind: 'ended'; readonly detail: string }
  /** It was being created. */
  | { readonly kind: 'dropped' }
  /** A call of it was on its way. */
  | ({ readonly kind: 'settled' } & SettledCall)
  /** It is there, cannot be taken over, and is left as it is. */
  | { readonly kind: 'left'; readonly reason: string }
);

/** One outcome of a takeover, for the log. */
export type TakenOver =
  | SystemTakenOver
  /** Machines that no record speaks of have been ended. */
  | { readonly kind: 'reaped'; readonly count: number }
  /** Those could not be told from others, and are left as they are. */
  | { readonly kind: 'notReaped'; readonly reason: string };
