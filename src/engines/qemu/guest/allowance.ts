/** How often something may happen: as many times at once as there are in store, which fills up again with time. */
export class Allowance {
  readonly #most: number;
  readonly #perSecond: number;
  #left: number;
  #since = performance.now();

  /**
   * @param most times at once
   * @param perSecond times that come back in a second
   */
  constructor(most: number, perSecond: number) {
    this.#most = most;
    this.#perSecond = perSecond;
    this.#left = most;
  }

  /** Takes one. @returns false when there is none left */
  take(): boolean {
    const now = performance.now();
    const back = ((now - this.#since) / 1000) * this.#perSecond;
    this.#left = Math.min(this.#most, this.#left + back);
    this.#since = now;
    if (this.#left < 1) return false;
    this.#left--;
    return true;
  }
}
