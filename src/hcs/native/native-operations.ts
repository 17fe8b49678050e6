// Longer than most files: one class has all seventeen operation functions of the contract.
import type { OutCell } from '../../ffi/abi.ts';
import { readStruct, structBytes, structLayout } from '../../ffi/struct-layout.ts';
import {
  HCS_INVALID_OPERATION_ID,
  type HCS_OPERATION_TYPE,
  type HCS_RESOURCE_TYPE,
} from '../core/constants.ts';
import type {
  HANDLE,
  HCS_EVENT,
  HCS_EVENT_CALLBACK,
  HCS_OPERATION,
  HCS_OPERATION_COMPLETION,
  HCS_PROCESS,
  HCS_PROCESS_INFORMATION,
  HCS_SYSTEM,
} from '../core/handles.ts';
import type {
  HCS_OPERATION_PROCESS_RESULT,
  OperationFunctions,
} from '../core/operation-functions.ts';
import { HcsError } from '../hcs-error.ts';
import { HRESULT } from '../hresult.ts';
import { blockingCalls } from './blocking-calls.ts';
import { COMPUTE_CORE_ABI } from './compute-core-abi.ts';
import {
  forgetContext,
  nextContext,
  receiveCompletions,
  receiveEvents,
} from './native-callbacks.ts';
import type { ComputeCoreLibrary } from './native-libraries.ts';
import { NativeOperation, type OperationCallbacks } from './native-operation.ts';
import {
  check,
  checkCallback,
  invalid,
  isFailure,
  nativeFailure,
  notOpen,
  resultOf,
  take,
} from './native-result.ts';
import { waitInSlices } from './open-handle.ts';

const INFORMATION = structLayout(COMPUTE_CORE_ABI, 'HCS_PROCESS_INFORMATION');
/** INVALID_HANDLE_VALUE: what a pipe that was not asked for may be as well as 0. */
const INVALID_HANDLE_VALUE = 0xffff_ffff_ffff_ffffn;

/** Results that are about the asking, not about the tracked call. */
const OF_THE_QUESTION: readonly number[] = [
  HRESULT.HCS_E_OPERATION_NOT_STARTED,
  HRESULT.HCS_E_OPERATION_PENDING,
  HRESULT.HCS_E_OPERATION_TIMEOUT,
];

/** The calls whose operations have process information. */
const WITH_PROCESS: readonly (string | undefined)[] = ['HcsCreateProcess', 'HcsGetProcessInfo'];

/** What a wait was told. */
interface Results {
  readonly hresult: number;
  readonly document: string | null;
  readonly information: Uint8Array;
}

/** Which handles of systems and processes this process has open. */
export interface OpenHandles {
  isOpenSystem(handle: bigint): boolean;
  isOpenProcess(handle: bigint): boolean;
}

/** Operations of the compute service, and the functions on them. */
export class NativeOperations implements OperationFunctions {
  readonly #library: ComputeCoreLibrary;
  readonly #handles: OpenHandles;
  readonly #open = new Map<bigint, NativeOperation>();

  constructor(library: ComputeCoreLibrary, handles: OpenHandles) {
    this.#library = library;
    this.#handles = handles;
  }

  /**
   * Makes an asynchronous call. In flight is said before it is made, as the callback may come before it has returned.
   * @param call makes the native call
   * @throws HcsError of the call, with the result document that the operation may have
   */
  track(name: string, handle: HCS_OPERATION, call: (operation: bigint) => number): void {
    const operation = this.#find(name, handle);
    const hresult = operation.begin(name, () => call(operation.native));
    if (isFailure(hresult)) throw this.#refusal(name, hresult, operation);
  }

  /** Closes what is open. Who waits for a callback gets it still, and closes its operation then. */
  closeAll(): void {
    for (const { handle, isAwaited } of [...this.#open.values()]) {
      if (!isAwaited) this.HcsCloseOperation(handle);
    }
  }

  /** Whether an event may name the operation: it is open, or there is none. */
  mayBeNamed(operation: bigint): boolean {
    return operation === 0n || this.#open.has(operation);
  }

  HcsCreateOperation(context: unknown, callback: HCS_OPERATION_COMPLETION | null): HCS_OPERATION {
    const name = 'HcsCreateOperation';
    const completion = checkCallback(name, callback);
    const create = this.#library.core.function(name);
    return this.#add(name, context, { completion, event: null }, (number, operation) => {
      const address =
        completion === null ? 0 : receiveCompletions(name, number, () => operation()?.completed());
      return create(number, address);
    });
  }

  HcsCreateOperationWithNotifications(
    eventTypes: number,
    context: unknown,
    callback: HCS_EVENT_CALLBACK,
  ): HCS_OPERATION {
    const name = 'HcsCreateOperationWithNotifications';
    const event = checkCallback(name, callback);
    if (event === null) throw invalid(name, 'the callback is required');
    const create = this.#library.core.function(name);
    return this.#add(name, context, { completion: null, event }, (number, operation) => {
      const address = receiveEvents(name, number, (raw) => notify(operation(), raw));
      return create(eventTypes, number, address);
    });
  }

  HcsCloseOperation(operation: HCS_OPERATION): void {
    const name = 'HcsCloseOperation';
    const entry = this.#find(name, operation);
    const close = this.#library.core.function(name);
    this.#open.delete(operation);
    entry.close(() => {
      forgetContext(entry.number);
      // The close of what has events waits for callbacks that run, and they wait for this thread.
      if (entry.callbacks.event === null) close(entry.native);
      else void blockingCalls.run(() => close.async(entry.native));
    });
  }

  HcsGetOperationContext(operation: HCS_OPERATION): unknown {
    const name = 'HcsGetOperationContext';
    const { native, number, context } = this.#find(name, operation);
    const stored = Number(this.#library.core.function(name)(native));
    if (stored === number) return context;
    throw new HcsError({
      function: name,
      hresult: HRESULT.E_UNEXPECTED,
      message: `the operation has the context ${stored}, which is not of this package`,
    });
  }

  HcsSetOperationContext(operation: HCS_OPERATION, context: unknown): void {
    const name = 'HcsSetOperationContext';
    const entry = this.#find(name, operation);
    check(name, this.#library.core.function(name)(entry.native, entry.number));
    entry.context = context;
  }

  HcsSetOperationCallback(
    operation: HCS_OPERATION,
    context: unknown,
    callback: HCS_OPERATION_COMPLETION,
  ): void {
    const name = 'HcsSetOperationCallback';
    const entry = this.#find(name, operation);
    const completion = checkCallback(name, callback);
    if (completion === null) throw invalid(name, 'the callback is required');
    if (entry.isInFlight || this.#isPending(entry)) throw this.#inFlight(name, entry);
    const address = receiveCompletions(name, entry.number, () => entry.completed());
    check(name, this.#library.core.function(name)(entry.native, entry.number, address));
    entry.callbacks = { ...entry.callbacks, completion };
    entry.context = context;
  }

  HcsGetComputeSystemFromOperation(operation: HCS_OPERATION): HCS_SYSTEM {
    const name = 'HcsGetComputeSystemFromOperation';
    const { native } = this.#find(name, operation);
    const system = BigInt(this.#library.core.function(name)(native));
    return (this.#handles.isOpenSystem(system) ? system : 0n) as HCS_SYSTEM;
  }

  HcsGetProcessFromOperation(operation: HCS_OPERATION): HCS_PROCESS {
    const name = 'HcsGetProcessFromOperation';
    const { native } = this.#find(name, operation);
    const process = BigInt(this.#library.core.function(name)(native));
    return (this.#handles.isOpenProcess(process) ? process : 0n) as HCS_PROCESS;
  }

  HcsGetOperationType(operation: HCS_OPERATION): HCS_OPERATION_TYPE {
    const name = 'HcsGetOperationType';
    const { native } = this.#find(name, operation);
    return Number(this.#library.core.function(name)(native)) as HCS_OPERATION_TYPE;
  }

  HcsGetOperationId(operation: HCS_OPERATION): bigint {
    const entry = this.#open.get(operation);
    if (entry === undefined) return HCS_INVALID_OPERATION_ID;
    return BigInt(this.#library.core.function('HcsGetOperationId')(entry.native));
  }

  HcsGetOperationResult(operation: HCS_OPERATION): string | null {
    const name = 'HcsGetOperationResult';
    const entry = this.#find(name, operation);
    const cell: OutCell = [0];
    const hresult = this.#library.core.function(name)(entry.native, cell);
    return this.#resultOf(name, entry, hresult, this.#library.system().takeString(cell[0]));
  }

  HcsGetOperationResultAndProcessInfo(operation: HCS_OPERATION): HCS_OPERATION_PROCESS_RESULT {
    const name = 'HcsGetOperationResultAndProcessInfo';
    const entry = this.#find(name, operation);
    const cell: OutCell = [0];
    const information = structBytes(INFORMATION, {});
    const hresult = this.#library.core.function(name)(entry.native, information, cell);
    const document = this.#library.system().takeString(cell[0]);
    const resultDocument = this.#resultOf(name, entry, hresult, document);
    entry.hasGivenPipes = true;
    return { processInformation: readInformation(information), resultDocument };
  }

  async HcsWaitForOperationResult(
    operation: HCS_OPERATION,
    timeoutMs: number,
  ): Promise<string | null> {
    const name = 'HcsWaitForOperationResult';
    const entry = this.#find(name, operation);
    const wait = this.#library.core.function(name);
    const { document } = await this.#wait(name, entry, timeoutMs, (ms, cell) =>
      wait.async(entry.native, ms, cell),
    );
    return document;
  }

  async HcsWaitForOperationResultAndProcessInfo(
    operation: HCS_OPERATION,
    timeoutMs: number,
  ): Promise<HCS_OPERATION_PROCESS_RESULT> {
    const name = 'HcsWaitForOperationResultAndProcessInfo';
    const entry = this.#find(name, operation);
    const wait = this.#library.core.function(name);
    const { document, information } = await this.#wait(name, entry, timeoutMs, (ms, cell, bytes) =>
      wait.async(entry.native, ms, bytes, cell),
    );
    return { processInformation: readInformation(information), resultDocument: document };
  }

  HcsCancelOperation(operation: HCS_OPERATION): void {
    const name = 'HcsCancelOperation';
    const { native } = this.#find(name, operation);
    check(name, this.#library.core.function(name)(native));
  }

  HcsGetOperationProperties(operation: HCS_OPERATION, options: string | null): string {
    const name = 'HcsGetOperationProperties';
    const { native } = this.#find(name, operation);
    const document: OutCell = [0];
    const hresult = this.#library.core.function(name)(native, options, document);
    return take(this.#library.system(), name, hresult, document) ?? '';
  }

  HcsAddResourceToOperation(
    operation: HCS_OPERATION,
    type: HCS_RESOURCE_TYPE,
    uri: string,
    handle: HANDLE,
  ): void {
    const name = 'HcsAddResourceToOperation';
    const { native } = this.#find(name, operation);
    check(name, this.#library.core.function(name)(native, type, uri, handle));
  }

  /** The failure of a call that was not accepted. */
  #refusal(name: string, hresult: number, operation: NativeOperation): HcsError {
    if (hresult === HRESULT.HCS_E_OPERATION_ALREADY_STARTED) return this.#inFlight(name, operation);
    const cell: OutCell = [0];
    const kept = this.#library.core.function('HcsGetOperationResult')(operation.native, cell);
    const document = this.#library.system().takeString(cell[0]);
    // What belongs to an earlier call is not about this one.
    const own = kept === hresult ? document : null;
    if (hresult !== HRESULT.HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET || own !== null) {
      return nativeFailure(name, hresult, own);
    }
    return new HcsError({
      function: name,
      hresult,
      message:
        'the event callback of the handle has HcsEventOptionEnableOperationCallbacks: use an operation without a callback',
    });
  }

  #inFlight(name: string, { tracked }: NativeOperation): HcsError {
    return new HcsError({
      function: name,
      hresult: HRESULT.HCS_E_OPERATION_ALREADY_STARTED,
      message: `the operation still tracks ${tracked}: wait for it, or use another operation`,
    });
  }

  #isPending({ native, tracked }: NativeOperation): boolean {
    if (tracked === undefined) return false;
    const cell: OutCell = [0];
    const hresult = this.#library.core.function('HcsGetOperationResult')(native, cell);
    this.#library.system().takeString(cell[0]);
    return hresult === HRESULT.HCS_E_OPERATION_PENDING;
  }

  /**
   * Waits by calls of a native function, or for the callback where there is one: that costs no thread, and the callback
   * has returned when the wait ends.
   */
  async #wait(
    name: string,
    operation: NativeOperation,
    timeoutMs: number,
    call: (milliseconds: number, document: OutCell, information: Uint8Array) => Promise<number>,
  ): Promise<{ readonly document: string | null; readonly information: Uint8Array }> {
    const slice = async (remaining: number): Promise<Results | undefined> => {
      const isToldByCallback = operation.isAwaited;
      if (isToldByCallback) await operation.reported(remaining);
      const cell: OutCell = [0];
      const information = structBytes(INFORMATION, {});
      const hresult = await operation.use(() =>
        blockingCalls.run(async () => {
          if (!operation.isOpen) return HRESULT.HCS_E_OPERATION_TIMEOUT;
          const longest = isToldByCallback ? 0 : Math.min(remaining, blockingCalls.slice);
          return await call(longest, cell, information);
        }),
      );
      // Taken at once: the operation may be closed by now, and then nobody asks for it.
      const document = this.#library.system().takeString(cell[0]);
      if (hresult === HRESULT.HCS_E_OPERATION_TIMEOUT) return undefined;
      return { hresult, document, information };
    };
    const outcome = await waitInSlices(operation, timeoutMs, slice, ({ information }) =>
      this.#closePipes(operation, information),
    );
    if (outcome === 'closed') throw notOpen(name, 'operation', operation.handle);
    if (outcome === 'elapsed') {
      throw nativeFailure(name, HRESULT.HCS_E_OPERATION_TIMEOUT, null);
    }
    const { hresult, document, information } = outcome.value;
    const resultDocument = this.#resultOf(name, operation, hresult, document);
    if (name.endsWith('AndProcessInfo')) operation.hasGivenPipes = true;
    return { document: resultDocument, information };
  }

  /** Closes the pipes of a process, which are the caller's, where there is no caller any more, and was none before. */
  #closePipes(operation: NativeOperation, information: Uint8Array): void {
    if (operation.hasGivenPipes) return;
    operation.hasGivenPipes = true;
    const { StdInput, StdOutput, StdError } = readInformation(information);
    for (const pipe of [StdInput, StdOutput, StdError]) {
      if (pipe !== 0n) this.#library.system().CloseHandle(pipe);
    }
  }

  /** The result document; a failure is that of the tracked call, unless the question was wrong. */
  #resultOf(
    name: string,
    { tracked = name }: NativeOperation,
    hresult: number,
    document: string | null,
  ): string | null {
    const isWrongQuestion =
      OF_THE_QUESTION.includes(hresult) ||
      (name.endsWith('AndProcessInfo') && !WITH_PROCESS.includes(tracked));
    return resultOf(isWrongQuestion ? name : tracked, hresult, document);
  }

  #add(
    name: string,
    context: unknown,
    callbacks: OperationCallbacks,
    create: (number: number, operation: () => NativeOperation | undefined) => number | bigint,
  ): HCS_OPERATION {
    const number = nextContext();
    let operation: NativeOperation | undefined;
    const handle = BigInt(create(number, () => operation)) as HCS_OPERATION;
    if (handle === 0n) {
      forgetContext(number);
      throw nativeFailure(name, HRESULT.E_OUTOFMEMORY, null);
    }
    operation = new NativeOperation(handle, number, context, callbacks);
    this.#open.set(handle, operation);
    return handle;
  }

  #find(name: string, handle: HCS_OPERATION): NativeOperation {
    const operation = this.#open.get(handle);
    if (operation === undefined) throw notOpen(name, 'operation', handle);
    return operation;
  }
}

function notify(operation: NativeOperation | undefined, event: HCS_EVENT): void {
  if (operation?.isOpen) operation.callbacks.event?.(event, operation.context);
}

function readInformation(bytes: Uint8Array): HCS_PROCESS_INFORMATION {
  const fields = readStruct(INFORMATION, new DataView(bytes.buffer, bytes.byteOffset));
  const pipe = (name: string): HANDLE => {
    const handle = BigInt(fields[name] ?? 0);
    return handle === INVALID_HANDLE_VALUE ? 0n : handle;
  };
  return {
    ProcessId: Number(fields.ProcessId),
    StdInput: pipe('StdInput'),
    StdOutput: pipe('StdOutput'),
    StdError: pipe('StdError'),
  };
}
