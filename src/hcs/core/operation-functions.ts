import type { HCS_OPERATION_TYPE, HCS_RESOURCE_TYPE } from './constants.ts';
import type {
  HANDLE,
  HCS_EVENT_CALLBACK,
  HCS_OPERATION,
  HCS_OPERATION_COMPLETION,
  HCS_PROCESS,
  HCS_PROCESS_INFORMATION,
  HCS_SYSTEM,
} from './handles.ts';

/** What the *AndProcessInfo functions return: both out-parameters of the C functions. */
export interface HCS_OPERATION_PROCESS_RESULT {
  readonly processInformation: HCS_PROCESS_INFORMATION;
  readonly resultDocument: string | null;
}

/**
 * The functions of computecore.dll that make, watch and close operations. An operation is idle, then in flight,
 * then completed, and may then be used for the next call.
 */
export interface OperationFunctions {
  /**
   * Makes an operation, which tracks one asynchronous call at a time. Without a callback it is waited on; with one,
   * completion is pushed; both together are allowed.
   * Since: Windows 10 1809 / Windows Server 2019.
   * @param context any value; the callback gets it back
   * @returns an idle operation; the caller closes it
   * @throws HcsError ERROR_NOT_SUPPORTED under Windows for a callback on a worker thread
   */
  HcsCreateOperation(context: unknown, callback: HCS_OPERATION_COMPLETION | null): HCS_OPERATION;

  /**
   * Makes an operation whose progress is reported through an event callback, as HcsEventGroupOperationInfo while
   * the call runs. The document of that event is not published; hosts of this package send an OperationInfo when
   * the call starts and when it ends.
   * Since: first build not documented; in the current SDK header.
   * @param eventTypes bits of HCS_OPERATION_OPTIONS
   * @returns an idle operation; the caller closes it
   * @throws HcsError ERROR_NOT_SUPPORTED under Windows on a worker thread
   */
  HcsCreateOperationWithNotifications(
    eventTypes: number,
    context: unknown,
    callback: HCS_EVENT_CALLBACK,
  ): HCS_OPERATION;

  /**
   * Frees an operation. Allowed in its completion callback, and while its call is in flight: the call goes on, its
   * result is dropped and its callback is not called. Closing does not cancel. Under Windows the operation itself is
   * given back once its call has completed and nobody waits for it any more.
   * Since: Windows 10 1809 / Windows Server 2019.
   * @throws HcsError ERROR_INVALID_HANDLE when it is not open: the library does not check, this package does
   */
  HcsCloseOperation(operation: HCS_OPERATION): void;

  /**
   * The context given at creation or set since.
   * Since: Windows 10 1809 / Windows Server 2019.
   */
  HcsGetOperationContext(operation: HCS_OPERATION): unknown;

  /**
   * Replaces the context that the callback gets. The completion of a call in flight already sees the new one.
   * Since: Windows 10 1809 / Windows Server 2019.
   */
  HcsSetOperationContext(operation: HCS_OPERATION, context: unknown): void;

  /**
   * Sets context and completion callback of an idle or completed operation.
   * Since: Windows 10 1809 / Windows Server 2019.
   * @throws HcsError HCS_E_OPERATION_ALREADY_STARTED while a call is in flight; ERROR_NOT_SUPPORTED under Windows on a
   * worker thread
   */
  HcsSetOperationCallback(
    operation: HCS_OPERATION,
    context: unknown,
    callback: HCS_OPERATION_COMPLETION,
  ): void;

  /**
   * The system handle that the tracked call was made on. Borrowed: do not close it for the operation's sake.
   * Since: Windows 10 1809 / Windows Server 2019.
   * @returns `0n` when no call was tracked, the call has no system, or the handle is closed
   */
  HcsGetComputeSystemFromOperation(operation: HCS_OPERATION): HCS_SYSTEM;

  /**
   * The process handle that the tracked call was made on. Borrowed, like {@link HcsGetComputeSystemFromOperation}.
   * Since: Windows 10 1809 / Windows Server 2019.
   * @returns `0n` when the call has no process
   */
  HcsGetProcessFromOperation(operation: HCS_OPERATION): HCS_PROCESS;

  /**
   * The call that the operation tracks or tracked last.
   * Since: Windows 10 1809 / Windows Server 2019.
   * @returns HcsOperationTypeNone until first use
   */
  HcsGetOperationType(operation: HCS_OPERATION): HCS_OPERATION_TYPE;

  /**
   * The number of the operation, unique in this process while the process lives.
   * Since: Windows 10 1809 / Windows Server 2019.
   * @returns HCS_INVALID_OPERATION_ID for a handle that is not an open operation
   */
  HcsGetOperationId(operation: HCS_OPERATION): bigint;

  /**
   * The result document of the tracked call. Never waits; repeatable until the operation is used again.
   * Since: Windows 10 1809 / Windows Server 2019.
   * @returns the document of the call, or null where it has none
   * @throws HcsError HCS_E_OPERATION_NOT_STARTED, HCS_E_OPERATION_PENDING, or the failure of the tracked call
   */
  HcsGetOperationResult(operation: HCS_OPERATION): string | null;

  /**
   * {@link HcsGetOperationResult} with the process information of CreateProcess or GetProcessInfo.
   * Since: Windows 10 1809 / Windows Server 2019.
   * @throws HcsError E_INVALIDARG when the tracked call was another one; otherwise as HcsGetOperationResult
   */
  HcsGetOperationResultAndProcessInfo(operation: HCS_OPERATION): HCS_OPERATION_PROCESS_RESULT;

  /**
   * Waits for the tracked call. A timeout does not cancel: the call goes on and the wait can be repeated.
   * Since: Windows 10 1809 / Windows Server 2019.
   * @param timeoutMs 0 polls, INFINITE never elapses
   * @returns the document of the call, or null where it has none
   * @throws HcsError HCS_E_OPERATION_NOT_STARTED, HCS_E_OPERATION_TIMEOUT, or the failure of the tracked call
   */
  HcsWaitForOperationResult(operation: HCS_OPERATION, timeoutMs: number): Promise<string | null>;

  /**
   * {@link HcsWaitForOperationResult} with the process information of CreateProcess or GetProcessInfo.
   * Since: Windows 10 1809 / Windows Server 2019.
   * @param timeoutMs 0 polls, INFINITE never elapses
   * @throws HcsError E_INVALIDARG when the tracked call was another one; otherwise as HcsWaitForOperationResult
   */
  HcsWaitForOperationResultAndProcessInfo(
    operation: HCS_OPERATION,
    timeoutMs: number,
  ): Promise<HCS_OPERATION_PROCESS_RESULT>;

  /**
   * Asks for the cancellation of the tracked call. The reference says that it is not implemented and newer
   * libraries have a body: never depend on it.
   * Since: Windows 10 1809 / Windows Server 2019.
   * @throws HcsError E_NOTIMPL, HCS_E_OPERATION_ALREADY_CANCELLED
   */
  HcsCancelOperation(operation: HCS_OPERATION): void;

  /**
   * Properties of the operation. Neither document is published; hosts of this package take null, `""` or `{}` and
   * answer an OperationInfo (schema 2.6).
   * Since: first build not documented; in the current SDK header.
   * @throws HcsError HCS_E_OPERATION_NOT_STARTED, HCS_E_INVALID_JSON
   */
  HcsGetOperationProperties(operation: HCS_OPERATION, options: string | null): string;

  /**
   * Attaches an object of the host to an idle operation, for the call that it is used for next. Who owns the handle
   * afterwards is not documented.
   * Since: first build not documented; in the current SDK header.
   * @param uri slot that the object fills: `hcs:/VirtualMachine/LiveMigrationSocket`, `…/VmmemJob`, `…/WorkerJob`
   */
  HcsAddResourceToOperation(
    operation: HCS_OPERATION,
    type: HCS_RESOURCE_TYPE,
    uri: string,
    handle: HANDLE,
  ): void;
}
