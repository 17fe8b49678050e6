import type { ComputeCore } from './compute-core.ts';
import type { HCS_OPERATION } from './core/handles.ts';

/** Options that every asynchronous method of the idiomatic layer takes last. */
export interface CallOptions {
  /**
   * Ends the wait: the method rejects with the signal's reason. It does not undo: the call goes on in the service, and
   * its operation is closed when it has completed.
   */
  readonly signal?: AbortSignal;
}

/** A call under way. */
export interface PendingCall {
  /** The result document, or the failure; goes on after an abort. */
  readonly completed: Promise<string | null>;
  /** {@link completed}, or the signal's reason as soon as it aborts. */
  readonly awaited: Promise<string | null>;
}

/**
 * Makes an asynchronous call with an operation of its own, which is closed when the call has completed.
 * @param start makes the call; what it throws is the outcome
 */
export function beginCall(
  core: ComputeCore,
  start: (operation: HCS_OPERATION) => void,
  signal: AbortSignal | undefined,
): PendingCall {
  signal?.throwIfAborted();
  const completed = new Promise<string | null>((resolve, reject) => {
    const operation = core.HcsCreateOperation(null, (done) => {
      try {
        resolve(core.HcsGetOperationResult(done));
      } catch (error) {
        reject(error);
      } finally {
        core.HcsCloseOperation(done);
      }
    });
    try {
      start(operation);
    } catch (error) {
      core.HcsCloseOperation(operation);
      reject(error);
    }
  });
  return { completed, awaited: abortable(completed, signal) };
}

/** A promise that also rejects, with the signal's reason, as soon as the signal aborts. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
    void promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
