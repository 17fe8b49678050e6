import { PHASE_MASK, Phase, SLOTS, WATCHED_SLOTS } from './gate-layout.ts';
import { SLOT_WORDS, slotWord, word } from './gate-memory.ts';

const POSTED_WORDS = SLOTS / 32;

/** Finds the requests of a gate that nobody has taken, for its one consumer. */
export class PostedRequests {
  /** State of the slot taken last. */
  taken = 0;
  readonly #words: Int32Array;

  constructor(words: Int32Array) {
    this.#words = words;
  }

  /** Whether there may be one: false is certain. */
  get any(): boolean {
    const words = this.#words;
    for (let slot = 0; slot < WATCHED_SLOTS; slot++) {
      const state = Atomics.load(words, slot * SLOT_WORDS + slotWord.state);
      if ((state & PHASE_MASK) === Phase.POSTED) return true;
    }
    for (let i = 0; i < POSTED_WORDS; i++) {
      if (Atomics.load(words, word.posted + i) !== 0) return true;
    }
    return false;
  }

  /** Takes the one that came first. @returns its slot, or -1 */
  take(): number {
    const words = this.#words;
    for (let slot = this.#first(); slot >= 0; slot = this.#first()) {
      const index = slot * SLOT_WORDS + slotWord.state;
      // The bit goes first: whoever posts later sets it again.
      if (slot >= WATCHED_SLOTS) {
        Atomics.and(words, word.posted + (slot >>> 5), ~(1 << (slot & 31)));
      }
      const state = Atomics.load(words, index);
      if ((state & PHASE_MASK) !== Phase.POSTED) continue;
      const taken = (state & ~PHASE_MASK) | Phase.TAKEN;
      if (Atomics.compareExchange(words, index, state, taken) !== state) continue;
      this.taken = taken;
      return slot;
    }
    return -1;
  }

  /** Slot of the request with the lowest ticket, or one whose bit has no request; -1: none. */
  #first(): number {
    const words = this.#words;
    let best = -1;
    let bestState = 0;
    for (let slot = 0; slot < WATCHED_SLOTS; slot++) {
      const state = Atomics.load(words, slot * SLOT_WORDS + slotWord.state);
      if ((state & PHASE_MASK) !== Phase.POSTED) continue;
      if (best < 0 || isBefore(state, bestState)) {
        best = slot;
        bestState = state;
      }
    }
    for (let i = 0; i < POSTED_WORDS; i++) {
      for (let bits = Atomics.load(words, word.posted + i); bits !== 0; bits &= bits - 1) {
        const slot = i * 32 + 31 - Math.clz32(bits & -bits);
        const state = Atomics.load(words, slot * SLOT_WORDS + slotWord.state);
        if (best < 0 || isBefore(state, bestState)) {
          best = slot;
          bestState = state;
        }
      }
    }
    return best;
  }
}

/** Whether one state has the older ticket. Tickets wrap around, so they compare by their distance. */
function isBefore(state: number, other: number): boolean {
  return (((state & ~PHASE_MASK) - (other & ~PHASE_MASK)) | 0) < 0;
}
