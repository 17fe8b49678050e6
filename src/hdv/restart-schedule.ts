/**
 * What is done for a device on a worker that failed. `never`: nothing, it answers as if unplugged. `on-failure`: it is
 * restarted in place, after a pause that doubles, from 50 ms on; a device that has been restarted five times within a
 * minute and fails again is given up.
 */
export type RestartPolicy = 'never' | 'on-failure';

const MOST_RESTARTS = 5;
const WITHIN_MS = 60_000;
const FIRST_PAUSE_MS = 50;

/** When a device that failed is restarted, and when it is given up. */
export class RestartSchedule {
  readonly #times: number[] = [];

  /** Restarts that count at present. */
  get count(): number {
    return this.#times.length;
  }

  /**
   * The device has failed.
   * @param now in milliseconds, as any clock has it
   * @returns milliseconds to wait before its restart; undefined when it is given up
   */
  next(now: number): number | undefined {
    while (this.#times.length > 0 && now - this.#times[0]! >= WITHIN_MS) this.#times.shift();
    if (this.#times.length >= MOST_RESTARTS) return undefined;
    const pause = FIRST_PAUSE_MS * 2 ** this.#times.length;
    this.#times.push(now);
    return pause;
  }
}
