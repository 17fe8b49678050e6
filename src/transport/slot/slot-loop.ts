import { performance } from 'node:perf_hooks';
import type { SlotResponder, SlotTarget } from './slot-responder.ts';

/** The longest that the event loop goes without a turn while accesses come. */
const LONGEST_ABSENCE_MS = 5;

/** Passes over the slots between looks at the clock. */
const PASSES_PER_LOOK = 64;

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
}

/**
 * What a device thread does all day: it answers accesses, looks for the next one as long as that has lately been worth
 * it, then waits in its event loop, where timers and promises of devices run. While accesses come, the event loop has a
 * turn every few milliseconds. The caller keeps the event loop alive.
 */
export async function serveSlots(options: SlotLoopOptions): Promise<void> {
  const { responder, target, over, turn, called, resting } = options;
  let turnedAt = performance.now();
  let passes = 0;
  while (!responder.closed) {
    if (responder.spin(target)) {
      if (responder.takeCall()) called();
      else if (++passes % PASSES_PER_LOOK > 0) continue;
      else if (performance.now() - turnedAt < LONGEST_ABSENCE_MS) continue;
    } else if (!over()) {
      resting(true);
      await responder.sleepAsync();
      resting(false);
      turnedAt = performance.now();
      continue;
    }
    if (over()) return;
    await turn();
    turnedAt = performance.now();
  }
}
