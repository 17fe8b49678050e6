import { INFINITE } from '../core/constants.ts';

/**
 * A native handle that calls on other threads may be using. After {@link close} no new use begins, and the handle is
 * given back once the last use has ended: to touch it later would end the process.
 */
export class OpenHandle {
  /** The handle, as native functions take it. */
  readonly native: bigint;
  /** Called when the handle is closed. */
  readonly closeListeners = new Set<() => void>();
  #isOpen = true;
  #uses = 0;
  #giveBack: (() => void) | undefined;

  constructor(native: bigint) {
    this.native = native;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Begins a use, after which the handle is not given back until {@link endUse}. */
  beginUse(): void {
    this.#uses++;
  }

  endUse(): void {
    this.#uses--;
    if (this.#uses > 0) return;
    // A wait that learns of the close only now may begin and end another use.
    const giveBack = this.#giveBack;
    this.#giveBack = undefined;
    giveBack?.();
  }

  /** Makes a call on another thread, which is a use. */
  async use<T>(call: () => Promise<T>): Promise<T> {
    this.beginUse();
    try {
      return await call();
    } finally {
      this.endUse();
    }
  }

  /**
   * Closes it for everyone.
   * @param giveBack called once, now or when the last use has ended
   */
  close(giveBack: () => void): void {
    this.#isOpen = false;
    for (const listener of this.closeListeners) listener();
    this.closeListeners.clear();
    if (this.#uses > 0) this.#giveBack = giveBack;
    else giveBack();
  }
}

/** How a wait ended: by its own call, because the time was over, or because the handle was closed. */
export type WaitOutcome<T> = { readonly value: T } | 'elapsed' | 'closed';

/**
 * Waits by calls that each wait a little, as a thread that waits for long is one that nobody else has.
 * @param timeoutMs milliseconds as the API has them: unsigned, INFINITE never elapses
 * @param slice makes one call, which waits at most so many milliseconds, and frees what it does not return; undefined:
 *   not yet
 * @param discard gives back what a call has returned after the handle was closed, when nobody is there to take it
 */
export function waitInSlices<T>(
  handle: OpenHandle,
  timeoutMs: number,
  slice: (remaining: number) => Promise<T | undefined>,
  discard: (value: T) => void = () => {},
): Promise<WaitOutcome<T>> {
  const milliseconds = timeoutMs >>> 0;
  const end =
    milliseconds === INFINITE ? Number.POSITIVE_INFINITY : performance.now() + milliseconds;
  const wait = async (): Promise<WaitOutcome<T>> => {
    for (;;) {
      const remaining = Math.max(0, Math.ceil(end - performance.now()));
      const value = await slice(remaining);
      if (value !== undefined) return { value };
      if (remaining === 0) return 'elapsed';
      if (!handle.isOpen) return 'closed';
    }
  };
  return untilClosed(handle, wait(), discard);
}

/** What a promise resolves to, or `closed` as soon as the handle is. */
function untilClosed<T>(
  handle: OpenHandle,
  outcome: Promise<WaitOutcome<T>>,
  discard: (value: T) => void,
): Promise<WaitOutcome<T>> {
  return new Promise((resolve, reject) => {
    let isClosed = false;
    const closed = (): void => {
      isClosed = true;
      resolve('closed');
    };
    const ended = (last: WaitOutcome<T>): void => {
      if (isClosed && typeof last === 'object') discard(last.value);
      else resolve(last);
    };
    handle.closeListeners.add(closed);
    void outcome.then(ended, reject).finally(() => handle.closeListeners.delete(closed));
  });
}
