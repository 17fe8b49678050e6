/** Failed spins in a row after which it is not tried for a while. */
const MISSES = 8;
const SHORTEST_PAUSE = 16;
const LONGEST_PAUSE = 1024;

/**
 * How long to look for something before going to sleep: as long as it has lately been worth it. A fixed time that is
 * shorter than a wake-up would keep both ends of a conversation asleep for ever; one without end would take the
 * processor from whom it waits for.
 */
export class LearnedSpin {
  readonly #limit: number;
  #average = 0;
  #misses = 0;
  #skips = 0;
  #pause = SHORTEST_PAUSE;

  /** @param limit most polls in one spin; 0: never spin */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Polls that the next spin may take; then call {@link LearnedSpin.found} or {@link LearnedSpin.missed}. */
  get budget(): number {
    if (this.#skips > 0) {
      this.#skips--;
      return 0;
    }
    return Math.min(8 * this.#average + 500, this.#limit);
  }

  /** The spin was worth it, after so many polls. */
  found(polls: number): void {
    this.#average += (polls - this.#average) / 8;
    this.#misses = 0;
    this.#pause = SHORTEST_PAUSE;
  }

  /** The spin was in vain; after a budget of 0 this changes nothing. */
  missed(budget: number): void {
    if (budget === 0) return;
    this.#average = Math.min(2 * this.#average + 64, this.#limit / 8);
    if (++this.#misses < MISSES) return;
    this.#skips = this.#pause;
    this.#pause = Math.min(4 * this.#pause, LONGEST_PAUSE);
  }
}
