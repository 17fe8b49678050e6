import {
  HCS_EVENT_TYPE,
  HCS_OPERATION_OPTIONS,
  HCS_OPERATION_TYPE,
} from '../hcs/core/constants.ts';
import type {
  HCS_EVENT_CALLBACK,
  HCS_OPERATION,
  HCS_OPERATION_COMPLETION,
} from '../hcs/core/handles.ts';
import { HcsError } from '../hcs/hcs-error.ts';
import { HRESULT, signedHresult } from '../hcs/hresult.ts';
import type { OperationInfo, OperationType } from '../hcs/schema/documents.ts';
import { Cancellation } from './cancellation.ts';
import { OperationResources } from './operation-resources.ts';
import type { SystemHandle } from './system-handle.ts';

/** How a call ended: S_OK with its document, or a failure. */
export type CallResult = { readonly document: string | null } | { readonly error: HcsError };

/** The call that an operation tracks, or tracked last. */
export interface TrackedCall {
  /** Name of the function. */
  readonly function: string;
  readonly type: HCS_OPERATION_TYPE;
  readonly cancellation: Cancellation;
  /** The handle that the call was made on, if it has one. */
  readonly system: SystemHandle | undefined;
  readonly startedAt: Date;
  endedAt: Date | undefined;
  result: CallResult | undefined;
  /** Called when the call has ended and its callback has returned, or its operation was closed. */
  readonly waiters: Set<() => void>;
  /** Whether that is behind it: nobody has to wait any more. */
  isReleased: boolean;
}

/**
 * One operation: idle, then in flight, then completed, and so on.
 *
 * When a call ends, its result can be read at once; the completion callback follows on a turn of its own, and whoever
 * waits continues after it. A call that is cancelled ends with ERROR_CANCELLED ({@link Cancellation}); its callback
 * comes all the same.
 */
export class Operation {
  readonly handle: HCS_OPERATION;
  readonly id: bigint;
  context: unknown;
  callback: HCS_OPERATION_COMPLETION | null;
  call: TrackedCall | undefined;
  /** For its next call. */
  readonly resources = new OperationResources();
  isOpen = true;
  readonly #notify:
    | { readonly eventTypes: number; readonly callback: HCS_EVENT_CALLBACK }
    | undefined;

  constructor(
    handle: HCS_OPERATION,
    id: bigint,
    context: unknown,
    callback: HCS_OPERATION_COMPLETION | null,
    notify?: { readonly eventTypes: number; readonly callback: HCS_EVENT_CALLBACK },
  ) {
    this.handle = handle;
    this.id = id;
    this.context = context;
    this.callback = callback;
    this.#notify = notify;
  }

  /** Whether the end of its calls may be told by events of a system handle: its own callback excludes them. */
  get isReportedByHandle(): boolean {
    return this.isOpen && this.callback === null;
  }

  get isInFlight(): boolean {
    return this.call !== undefined && this.call.result === undefined;
  }

  /** Tracks a call from now on. The caller has checked that none is in flight. */
  begin(name: string, type: HCS_OPERATION_TYPE, system: SystemHandle | undefined): TrackedCall {
    this.call = newCall(name, type, system);
    this.#report(this.call);
    return this.call;
  }

  /** Keeps the failure of a call that was not accepted, for its document: no callback follows. */
  refuse(
    name: string,
    type: HCS_OPERATION_TYPE,
    system: SystemHandle | undefined,
    error: HcsError,
  ): void {
    this.call = newCall(name, type, system);
    this.call.endedAt = this.call.startedAt;
    this.call.result = { error };
    this.call.isReleased = true;
  }

  /** Ends a call. An operation that was closed meanwhile stays silent. */
  complete(call: TrackedCall, result: CallResult): void {
    call.endedAt = new Date();
    call.result = result;
    if (!this.isOpen) return;
    this.#report(call);
    if (this.callback === null) {
      release(call);
      return;
    }
    setImmediate(() => {
      try {
        if (this.isOpen) this.callback?.(this.handle, this.context);
      } finally {
        release(call);
      }
    });
  }

  close(): void {
    this.isOpen = false;
    if (this.call !== undefined) release(this.call);
  }

  #report(call: TrackedCall): void {
    const notify = this.#notify;
    if (notify === undefined) return;
    if (!(notify.eventTypes & HCS_OPERATION_OPTIONS.HcsOperationOptionProgressUpdate)) return;
    const event = {
      Type: HCS_EVENT_TYPE.HcsEventGroupOperationInfo,
      EventData: JSON.stringify(operationInfo(call)),
      Operation: this.handle,
    };
    setImmediate(() => {
      if (this.isOpen) notify.callback(event, this.context);
    });
  }
}

function newCall(
  name: string,
  type: HCS_OPERATION_TYPE,
  system: SystemHandle | undefined,
): TrackedCall {
  return {
    function: name,
    type,
    cancellation: new Cancellation(name),
    system,
    startedAt: new Date(),
    endedAt: undefined,
    result: undefined,
    waiters: new Set(),
    isReleased: false,
  };
}

function release(call: TrackedCall): void {
  call.isReleased = true;
  for (const waiter of call.waiters) waiter();
  call.waiters.clear();
}

/** The result of a call, or its failure thrown as the failure of the function it tracks. */
export function unwrap(call: TrackedCall, result: CallResult): string | null {
  if (!('error' in result)) return result.document;
  const { hresult, document, cause } = result.error;
  throw new HcsError({ function: call.function, hresult, document, cause });
}

const schemaNames: Readonly<Record<number, OperationType>> = {
  [HCS_OPERATION_TYPE.HcsOperationTypeCreate]: 'Construct',
  [HCS_OPERATION_TYPE.HcsOperationTypeStart]: 'Start',
  [HCS_OPERATION_TYPE.HcsOperationTypeShutdown]: 'Shutdown',
  [HCS_OPERATION_TYPE.HcsOperationTypePause]: 'Pause',
  [HCS_OPERATION_TYPE.HcsOperationTypeResume]: 'Resume',
  [HCS_OPERATION_TYPE.HcsOperationTypeSave]: 'Save',
  [HCS_OPERATION_TYPE.HcsOperationTypeTerminate]: 'Terminate',
  [HCS_OPERATION_TYPE.HcsOperationTypeModify]: 'Modify',
  [HCS_OPERATION_TYPE.HcsOperationTypeGetProperties]: 'GetProperties',
};

/** The OperationInfo document of a call. Calls that the schema has no name for are `None`. */
export function operationInfo(call: TrackedCall): OperationInfo {
  const { result } = call;
  return {
    Operation: schemaNames[call.type] ?? 'None',
    StartTimestamp: call.startedAt.toISOString(),
    ...(call.endedAt === undefined ? {} : { EndTimestamp: call.endedAt.toISOString() }),
    ...(result !== undefined && 'error' in result
      ? { FailureInfo: { Result: signedHresult(result.error.hresult) } }
      : {}),
  };
}

/** The error for an operation handle that is not open. */
export function unknownOperation(name: string, operation: bigint): HcsError {
  return new HcsError({
    function: name,
    hresult: HRESULT.ERROR_INVALID_HANDLE,
    message: `operation ${String(operation)} is not open: it was closed, or is of another host`,
  });
}
