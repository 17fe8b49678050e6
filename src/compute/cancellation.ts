import { HcsError } from '../hcs/hcs-error.ts';
import { HRESULT } from '../hcs/hresult.ts';
import { failure } from './failure.ts';

/**
 * How far a call can still be cancelled. One that waits for its turn ends at once, and never begins. One that has begun
 * goes on to its end, unless it said that it can be interrupted: then {@link interrupted} is called and its
 * {@link signal} aborted, and its result tells whether that came in time. Either way the result of a cancelled call is
 * ERROR_CANCELLED.
 */
export class Cancellation {
  /** Called once, when the call is cancelled. */
  interrupted: (() => void) | undefined;
  readonly #name: string;
  // Made when it is asked for, as few calls look at it: a controller costs more than the rest of a short call.
  #abort: AbortController | undefined;
  #isCancelled = false;
  #phase: 'waiting' | 'begun' | 'interruptible' = 'waiting';
  #reject: ((error: HcsError) => void) | undefined;

  /** @param name function of the call */
  constructor(name: string) {
    this.#name = name;
  }

  /** Aborted when the call was cancelled while it could be interrupted. */
  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.#isCancelled) this.#abort.abort();
    }
    return this.#abort.signal;
  }

  get isCancelled(): boolean {
    return this.#isCancelled;
  }

  /**
   * The turn of the call has come.
   * @throws HcsError ERROR_CANCELLED when it must not begin any more
   */
  begin(isInterruptible = false): void {
    if (this.#isCancelled) throw cancelled(this.#name);
    this.#phase = isInterruptible ? 'interruptible' : 'begun';
  }

  /** What a call ends with that is cancelled while it waits; otherwise, what `work` ends with. */
  race<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#reject = reject;
      work.then(resolve, (error: unknown) => {
        reject(this.#isCancelled ? cancelled(this.#name, error) : error);
      });
    });
  }

  /**
   * Cancels the call.
   * @param name function that cancels
   * @throws HcsError HCS_E_OPERATION_ALREADY_CANCELLED the second time, ERROR_NOT_SUPPORTED when it has begun
   */
  cancel(name: string): void {
    if (this.#isCancelled) {
      throw failure(
        name,
        'HCS_E_OPERATION_ALREADY_CANCELLED',
        `${this.#name} was cancelled before: its result tells how it ended`,
      );
    }
    if (this.#phase === 'begun') {
      throw failure(
        name,
        'ERROR_NOT_SUPPORTED',
        `${this.#name} has begun and goes on to its end: wait for it, or terminate the system`,
      );
    }
    this.#isCancelled = true;
    this.#abort?.abort();
    this.interrupted?.();
    if (this.#phase === 'waiting') this.#reject?.(cancelled(this.#name));
  }
}

function cancelled(name: string, cause?: unknown): HcsError {
  if (cause instanceof HcsError && cause.hresult === HRESULT.ERROR_CANCELLED) return cause;
  return failure(name, 'ERROR_CANCELLED', 'the call was cancelled', undefined, cause);
}
