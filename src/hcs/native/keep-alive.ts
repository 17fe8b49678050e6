/** As long as a timer of Node can be. */
const LONGEST_TIMER = 0x7fff_ffff;

/** Keeps the event loop, and with it the process, going while something that native code will report is outstanding. */
export class KeepAlive {
  readonly #reasons = new Set<object>();
  #timer: NodeJS.Timeout | undefined;

  /** Goes on until {@link release}; twice is once. */
  hold(reason: object): void {
    this.#reasons.add(reason);
    this.#timer ??= setInterval(() => {}, LONGEST_TIMER);
  }

  release(reason: object): void {
    this.#reasons.delete(reason);
    if (this.#reasons.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

/** Of this thread. */
export const keepAlive: KeepAlive = new KeepAlive();
