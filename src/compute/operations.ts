// Longer than most files: one class has all seventeen operation functions of the contract.
import {
  HCS_INVALID_OPERATION_ID,
  HCS_OPERATION_TYPE,
  type HCS_RESOURCE_TYPE,
  INFINITE,
} from '../hcs/core/constants.ts';
import type {
  HANDLE,
  HCS_EVENT_CALLBACK,
  HCS_OPERATION,
  HCS_OPERATION_COMPLETION,
  HCS_PROCESS,
  HCS_SYSTEM,
} from '../hcs/core/handles.ts';
import type {
  HCS_OPERATION_PROCESS_RESULT,
  OperationFunctions,
} from '../hcs/core/operation-functions.ts';
import { HcsError } from '../hcs/hcs-error.ts';
import { HRESULT } from '../hcs/hresult.ts';
import type { Cancellation } from './cancellation.ts';
import { failure, failureFrom } from './failure.ts';
import { nextHandleNumber } from './handle-numbers.ts';
import {
  Operation,
  operationInfo,
  type TrackedCall,
  unknownOperation,
  unwrap,
} from './operation.ts';
import type { SystemHandle } from './system-handle.ts';

const NO_SYSTEM = 0n as HCS_SYSTEM;
const NO_PROCESS = 0n as HCS_PROCESS;

let lastId = 0n;

/** The operations of one service, and the functions on them. */
export class Operations implements OperationFunctions {
  readonly #open = new Map<bigint, Operation>();

  /**
   * Makes an asynchronous call: `prepare` checks its arguments now and throws what the call itself fails with; the work
   * that it returns runs later and ends the operation.
   * @param system the handle that the call is made on, or undefined
   * @throws HcsError of `prepare`; or because the operation is busy, not open, or has resources without a use
   */
  track(
    name: string,
    type: HCS_OPERATION_TYPE,
    handle: HCS_OPERATION,
    system: SystemHandle | undefined,
    prepare: () => (cancellation: Cancellation) => Promise<string | null>,
  ): void {
    const operation = this.#find(name, handle);
    if (operation.isInFlight) {
      throw new HcsError({
        function: name,
        hresult: HRESULT.HCS_E_OPERATION_ALREADY_STARTED,
        message: `the operation still tracks ${operation.call?.function}: wait for it, or use another operation`,
      });
    }
    if (operation.callback !== null && system?.deliversCompletions === true) {
      throw new HcsError({
        function: name,
        hresult: HRESULT.HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET,
        message:
          'the event callback of the system handle has HcsEventOptionEnableOperationCallbacks: use an operation without a callback',
      });
    }
    let work: (cancellation: Cancellation) => Promise<string | null>;
    try {
      operation.resources.use(name);
      work = prepare();
    } catch (error) {
      const refusal = failureFrom(name, error);
      operation.refuse(name, type, system, refusal);
      throw refusal;
    }
    const call = operation.begin(name, type, system);
    void this.#run(operation, call, work);
  }

  HcsCreateOperation(context: unknown, callback: HCS_OPERATION_COMPLETION | null): HCS_OPERATION {
    return this.#add(
      (handle, id) =>
        new Operation(handle, id, context, checkCallback('HcsCreateOperation', callback)),
    );
  }

  HcsCreateOperationWithNotifications(
    eventTypes: number,
    context: unknown,
    callback: HCS_EVENT_CALLBACK,
  ): HCS_OPERATION {
    const name = 'HcsCreateOperationWithNotifications';
    if (checkCallback(name, callback) === null) {
      throw failure(name, 'E_INVALIDARG', 'the callback is required');
    }
    return this.#add(
      (handle, id) => new Operation(handle, id, context, null, { eventTypes, callback }),
    );
  }

  HcsCloseOperation(operation: HCS_OPERATION): void {
    this.#find('HcsCloseOperation', operation).close();
    this.#open.delete(operation);
  }

  HcsGetOperationContext(operation: HCS_OPERATION): unknown {
    return this.#find('HcsGetOperationContext', operation).context;
  }

  HcsSetOperationContext(operation: HCS_OPERATION, context: unknown): void {
    this.#find('HcsSetOperationContext', operation).context = context;
  }

  HcsSetOperationCallback(
    operation: HCS_OPERATION,
    context: unknown,
    callback: HCS_OPERATION_COMPLETION,
  ): void {
    const name = 'HcsSetOperationCallback';
    const entry = this.#find(name, operation);
    if (entry.isInFlight) throw failure(name, 'HCS_E_OPERATION_ALREADY_STARTED', inFlight(entry));
    entry.callback = checkCallback(name, callback);
    entry.context = context;
  }

  HcsGetComputeSystemFromOperation(operation: HCS_OPERATION): HCS_SYSTEM {
    const system = this.#find('HcsGetComputeSystemFromOperation', operation).call?.system;
    return system?.isOpen ? system.handle : NO_SYSTEM;
  }

  HcsGetProcessFromOperation(operation: HCS_OPERATION): HCS_PROCESS {
    this.#find('HcsGetProcessFromOperation', operation);
    return NO_PROCESS;
  }

  HcsGetOperationType(operation: HCS_OPERATION): HCS_OPERATION_TYPE {
    const { call } = this.#find('HcsGetOperationType', operation);
    return call?.type ?? HCS_OPERATION_TYPE.HcsOperationTypeNone;
  }

  HcsGetOperationId(operation: HCS_OPERATION): bigint {
    return this.#open.get(operation)?.id ?? HCS_INVALID_OPERATION_ID;
  }

  HcsGetOperationResult(operation: HCS_OPERATION): string | null {
    const name = 'HcsGetOperationResult';
    return this.#result(name, this.#started(name, operation));
  }

  HcsGetOperationResultAndProcessInfo(operation: HCS_OPERATION): HCS_OPERATION_PROCESS_RESULT {
    const name = 'HcsGetOperationResultAndProcessInfo';
    throw noProcessInfo(name, this.#started(name, operation));
  }

  async HcsWaitForOperationResult(
    operation: HCS_OPERATION,
    timeoutMs: number,
  ): Promise<string | null> {
    const name = 'HcsWaitForOperationResult';
    const call = this.#started(name, operation);
    if (!call.isReleased) await this.#wait(name, operation, call, timeoutMs);
    return this.#result(name, call);
  }

  async HcsWaitForOperationResultAndProcessInfo(
    operation: HCS_OPERATION,
    _timeoutMs: number,
  ): Promise<HCS_OPERATION_PROCESS_RESULT> {
    const name = 'HcsWaitForOperationResultAndProcessInfo';
    throw noProcessInfo(name, this.#started(name, operation));
  }

  HcsCancelOperation(operation: HCS_OPERATION): void {
    const name = 'HcsCancelOperation';
    const call = this.#started(name, operation);
    if (call.result !== undefined && !call.cancellation.isCancelled) {
      throw failure(
        name,
        'HCS_E_INVALID_STATE',
        `${call.function} has completed: there is nothing to cancel`,
      );
    }
    call.cancellation.cancel(name);
  }

  HcsGetOperationProperties(operation: HCS_OPERATION, options: string | null): string {
    const name = 'HcsGetOperationProperties';
    const call = this.#started(name, operation);
    if (options !== null && options !== '' && options.trim() !== '{}') {
      throw failure(name, 'HCS_E_INVALID_JSON', `options are ${options}: use null, "" or {}`);
    }
    return JSON.stringify(operationInfo(call));
  }

  HcsAddResourceToOperation(
    operation: HCS_OPERATION,
    type: HCS_RESOURCE_TYPE,
    uri: string,
    handle: HANDLE,
  ): void {
    const name = 'HcsAddResourceToOperation';
    const entry = this.#find(name, operation);
    if (entry.isInFlight) throw failure(name, 'HCS_E_OPERATION_ALREADY_STARTED', inFlight(entry));
    entry.resources.add(name, type, uri, handle);
  }

  async #run(
    operation: Operation,
    call: TrackedCall,
    work: (cancellation: Cancellation) => Promise<string | null>,
  ): Promise<void> {
    try {
      const document = await call.cancellation.race(work(call.cancellation));
      operation.complete(call, { document });
    } catch (error) {
      operation.complete(call, { error: failureFrom(call.function, error) });
    }
    if (operation.isReportedByHandle) call.system?.operationCompleted(operation.handle);
  }

  #add(make: (handle: HCS_OPERATION, id: bigint) => Operation): HCS_OPERATION {
    const handle = nextHandleNumber() as HCS_OPERATION;
    lastId += 1n;
    this.#open.set(handle, make(handle, lastId));
    return handle;
  }

  #find(name: string, handle: HCS_OPERATION): Operation {
    const operation = this.#open.get(handle);
    if (operation === undefined) throw unknownOperation(name, handle);
    return operation;
  }

  #started(name: string, handle: HCS_OPERATION): TrackedCall {
    const { call } = this.#find(name, handle);
    if (call !== undefined) return call;
    throw new HcsError({ function: name, hresult: HRESULT.HCS_E_OPERATION_NOT_STARTED });
  }

  #result(name: string, call: TrackedCall): string | null {
    if (call.result !== undefined) return unwrap(call, call.result);
    throw new HcsError({ function: name, hresult: HRESULT.HCS_E_OPERATION_PENDING });
  }

  async #wait(
    name: string,
    handle: HCS_OPERATION,
    call: TrackedCall,
    timeoutMs: number,
  ): Promise<void> {
    const inTime = await settles(call.waiters, timeoutMs);
    if (call.result !== undefined) return;
    if (!inTime) throw new HcsError({ function: name, hresult: HRESULT.HCS_E_OPERATION_TIMEOUT });
    throw unknownOperation(name, handle);
  }
}

/**
 * Waits until one of the waiters in `waiters` is called.
 * @param timeoutMs milliseconds as the API has them: unsigned, INFINITE never elapses
 * @returns false when the time elapsed first
 */
export function settles(waiters: Set<() => void>, timeoutMs: number): Promise<boolean> {
  const milliseconds = timeoutMs >>> 0;
  if (milliseconds === 0) return Promise.resolve(false);
  return new Promise((resolve) => {
    let timer: NodeJS.Timeout | undefined;
    const waiter = (): void => {
      clearTimeout(timer);
      resolve(true);
    };
    waiters.add(waiter);
    if (milliseconds === INFINITE) return;
    const end = performance.now() + milliseconds;
    // A timer of Node holds 31 bits, a timeout of the API 32.
    const elapse = (): void => {
      const left = end - performance.now();
      if (left > 0) {
        timer = setTimeout(elapse, Math.min(Math.ceil(left), 0x7fff_ffff));
        return;
      }
      waiters.delete(waiter);
      resolve(false);
    };
    elapse();
  });
}

/** The callback, or null for none. @throws HcsError E_INVALIDARG when it is anything but a function */
export function checkCallback<T>(name: string, callback: T | null): T | null {
  if (callback === null || callback === undefined) return null;
  if (typeof callback === 'function') return callback;
  throw failure(name, 'E_INVALIDARG', `the callback is ${typeof callback}, not a function`);
}

function inFlight(operation: Operation): string {
  return `the operation tracks ${operation.call?.function}, which has not completed`;
}

function noProcessInfo(name: string, call: TrackedCall): HcsError {
  return failure(
    name,
    'E_INVALIDARG',
    `the operation tracks ${call.function}: only HcsCreateProcess and HcsGetProcessInfo have process information`,
  );
}
