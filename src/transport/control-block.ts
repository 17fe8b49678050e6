/**
 * Words that a worker and the thread that watches it share. Each stands on lines of its own (128 bytes, as a
 * SharedArrayBuffer is only 16-byte aligned), because each has one writer:
 *
 * | word | name | writer | meaning |
 * |---|---|---|---|
 * | 0 | stop | main | 1: leave the loop and return |
 * | 32 | progress | worker | grows with each thing done |
 * | 64 | resting | worker | 1: waits in the kernel and may take its time; 0: is at work and must make progress |
 * | 96 | custody | both | see {@link Custody} |
 */
const WORDS = 128;
const STOP = 0;
const PROGRESS = 32;
const RESTING = 64;
const CUSTODY = 96;

/**
 * Who may end the worker. A worker that is ended while native code makes JavaScript objects takes the process with
 * it, so it says when it must not be ended, and both sides change this word by compare-and-exchange only.
 */
const Custody = { RELEASED: 0, PROTECTED: 1, CONDEMNED: 2 } as const;

/** The shared words of one worker, seen from either side. */
export class ControlBlock {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;

  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(WORDS * 4)) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
  }

  /** Has the worker been asked to return? */
  get stopRequested(): boolean {
    return Atomics.load(this.#words, STOP) !== 0;
  }

  requestStop(): void {
    Atomics.store(this.#words, STOP, 1);
  }

  /** A number that changes when the worker does anything. */
  get progress(): number {
    return Atomics.load(this.#words, PROGRESS);
  }

  advance(): void {
    const next = (this.#words[PROGRESS]! + 1) | 0;
    Atomics.store(this.#words, PROGRESS, next);
  }

  /** Does the worker wait in the kernel? */
  get resting(): boolean {
    return Atomics.load(this.#words, RESTING) !== 0;
  }

  set resting(value: boolean) {
    Atomics.store(this.#words, RESTING, value ? 1 : 0);
  }

  /** Worker: native code is going to be loaded. Never returns when the worker has been condemned. */
  begin(): void {
    const before = Atomics.compareExchange(
      this.#words,
      CUSTODY,
      Custody.RELEASED,
      Custody.PROTECTED,
    );
    if (before === Custody.CONDEMNED) this.#awaitTheEnd();
  }

  /** Worker: from now on I may be ended at any moment. */
  release(): void {
    Atomics.compareExchange(this.#words, CUSTODY, Custody.PROTECTED, Custody.RELEASED);
    Atomics.notify(this.#words, CUSTODY);
  }

  /** Main: blocks until the worker may be ended, or the time is over. */
  awaitRelease(limitMs: number): void {
    Atomics.wait(this.#words, CUSTODY, Custody.PROTECTED, limitMs);
  }

  /**
   * Worker: runs `fn`, which may make objects in native code, while it cannot be ended. Never returns when the worker
   * has been condemned.
   */
  protect<T>(fn: () => T): T {
    const before = Atomics.compareExchange(
      this.#words,
      CUSTODY,
      Custody.RELEASED,
      Custody.PROTECTED,
    );
    if (before === Custody.CONDEMNED) this.#awaitTheEnd();
    try {
      return fn();
    } finally {
      if (before === Custody.RELEASED) this.release();
    }
  }

  /** Main: takes the right to end the worker. False while the worker cannot be ended. */
  condemn(): boolean {
    const before = Atomics.compareExchange(
      this.#words,
      CUSTODY,
      Custody.RELEASED,
      Custody.CONDEMNED,
    );
    return before !== Custody.PROTECTED;
  }

  /** Main: as {@link ControlBlock.condemn}, but blocks until that succeeds, or the time is over. */
  condemnWithin(limitMs: number): void {
    const end = performance.now() + limitMs;
    for (let left = limitMs; left > 0 && !this.condemn(); left = end - performance.now()) {
      this.awaitRelease(left);
    }
  }

  /** Has main taken the right to end the worker? It must then touch nothing that is shared. */
  get condemned(): boolean {
    return Atomics.load(this.#words, CUSTODY) === Custody.CONDEMNED;
  }

  #awaitTheEnd(): never {
    for (;;) Atomics.wait(this.#words, CUSTODY, Custody.CONDEMNED);
  }
}
