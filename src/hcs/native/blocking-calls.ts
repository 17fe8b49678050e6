/** Threads of Node's pool, which has four, that may sit in calls at once. */
const THREADS = 2;

/** Longest that one wait may keep a thread, in milliseconds. */
const LONGEST_SLICE = 200;

interface QueuedCall {
  readonly isSlow: boolean;
  start(): void;
}

/**
 * Hands calls that block to Node's pool, a few at a time, so that files and names of this process never wait for the
 * compute service. Calls that may take minutes occupy one thread at most; waits are cut into slices and take turns.
 */
export class BlockingCalls {
  readonly #queue: QueuedCall[] = [];
  #running = 0;
  #slow = 0;

  /**
   * Makes a call when a thread is free.
   * @param call starts an asynchronous native call
   */
  run<T>(call: () => Promise<T>): Promise<T> {
    return this.#add(call, false);
  }

  /** {@link run}, for calls that may take minutes: they take turns with each other. */
  runSlow<T>(call: () => Promise<T>): Promise<T> {
    return this.#add(call, true);
  }

  /** Milliseconds that a wait may keep its thread: the less, the more others want one. */
  get slice(): number {
    return Math.ceil(LONGEST_SLICE / (1 + this.#queue.length));
  }

  #add<T>(call: () => Promise<T>, isSlow: boolean): Promise<T> {
    return new Promise((resolve, reject) => {
      const start = async (): Promise<void> => {
        try {
          resolve(await call());
        } catch (error) {
          reject(error);
        }
        this.#running--;
        if (isSlow) this.#slow--;
        this.#startNext();
      };
      this.#queue.push({ isSlow, start: () => void start() });
      this.#startNext();
    });
  }

  #startNext(): void {
    while (this.#running < THREADS) {
      const index = this.#queue.findIndex(({ isSlow }) => !isSlow || this.#slow === 0);
      if (index < 0) return;
      const [next] = this.#queue.splice(index, 1);
      this.#running++;
      if (next?.isSlow) this.#slow++;
      next?.start();
    }
  }
}

/** The one queue of this thread: the pool is the process's, whatever the library. */
export const blockingCalls: BlockingCalls = new BlockingCalls();
