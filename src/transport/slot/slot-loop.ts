import { performance } from 'node:perf_hooks';
import type { SlotResponder, SlotTarget } from './slot-responder.ts';

/** The longest that the event loop goes without a turn while accesses come, give or take one look at the clock. */
const LONGEST_ABSENCE_MS = 5;

/** Accesses between looks at the clock. */
const ACCESSES_PER_LOOK = 64;

/** What {@link serveSlots} needs. */
export interface SlotLoopOptions {
  readonly responder: SlotResponder;
  readonly target: SlotTarget;
  /** Shall the loop return? Asked whenever nothing is to be done, and at each turn. */
  readonly over: () => boolean;
  /** Gives the event loop a turn. */
  readonly turn: () => Promise<void>;
  /** A command has come. */
  readonly called: () => void;
  /** Before and after a wait, during which the event loop runs. */
  readonly resting: (rests: boolean) => void;
  /** Milliseconds, for tests. */
  readonly now?: () => number;
}

/**
 * What a device thread does all day: it answers accesses, looks for the next one as long as that has lately been worth
 * it, then waits in its event loop, where timers and promises of devices run. The caller keeps the event loop alive.
 *
 * Neither accesses nor timers starve. While accesses come, the event loop has a turn every {@link LONGEST_ABSENCE_MS},
 * looked at after {@link ACCESSES_PER_LOOK} accesses and one more pass over the slots. A turn runs each timer that is
 * due once, and what a timer adds waits for the next turn; between two turns every requester is served at least once. So
 * an access waits for one slice of each device of the thread at most, and for one pass over the slots.
 */
export async function serveSlots(options: SlotLoopOptions): Promise<void> {
  const { responder, target, over, turn, called, resting, now = () => performance.now() } = options;
  let turnedAt = now();
  let accesses = 0;
  while (!responder.closed) {
    const served = responder.spin(target);
    if (responder.takeCall()) {
      called();
    } else if (served > 0) {
      accesses += served;
      if (accesses < ACCESSES_PER_LOOK) continue;
      accesses = 0;
      if (now() - turnedAt < LONGEST_ABSENCE_MS) continue;
    } else if (!over()) {
      resting(true);
      await responder.sleepAsync();
      resting(false);
      turnedAt = now();
      continue;
    }
    if (over()) return;
    await turn();
    turnedAt = now();
    accesses = 0;
  }
}
