import type { ComputeCore } from './compute-core.ts';
import { INFINITE } from './core/constants.ts';
import type { HCS_OPERATION, HCS_OPERATION_COMPLETION } from './core/handles.ts';
import { HcsError } from './hcs-error.ts';

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
  const completed = callBack(core, start) ?? waitFor(core, start);
  return { completed, awaited: abortable(completed, signal) };
}

/** Makes the call with an operation that calls back. @returns undefined on threads where none can */
function callBack(
  core: ComputeCore,
  start: (operation: HCS_OPERATION) => void,
): Promise<string | null> | undefined {
  let settle: HCS_OPERATION_COMPLETION = () => {};
  let operation: HCS_OPERATION;
  try {
    operation = core.HcsCreateOperation(null, (done, context) => settle(done, context));
  } catch (error) {
    if (error instanceof HcsError && error.code === 'ERROR_NOT_SUPPORTED') return undefined;
    return Promise.reject(error);
  }
  return new Promise((resolve, reject) => {
    settle = (done) => {
      try {
        resolve(core.HcsGetOperationResult(done));
      } catch (error) {
        reject(error);
      } finally {
        core.HcsCloseOperation(done);
      }
    };
    try {
      start(operation);
    } catch (error) {
      core.HcsCloseOperation(operation);
      reject(error);
    }
  });
}

/** Makes the call, at once, and waits for it. */
async function waitFor(
  core: ComputeCore,
  start: (operation: HCS_OPERATION) => void,
): Promise<string | null> {
  const operation = core.HcsCreateOperation(null, null);
  try {
    start(operation);
    return await core.HcsWaitForOperationResult(operation, INFINITE);
  } finally {
    core.HcsCloseOperation(operation);
  }
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
