import type {
  HCS_EVENT_CALLBACK,
  HCS_OPERATION,
  HCS_PROCESS,
  HCS_SYSTEM,
  SECURITY_DESCRIPTOR,
} from './handles.ts';

/**
 * The functions of computecore.dll on processes in a compute system.
 */
export interface ProcessFunctions {
  /**
   * Starts a process in a running system. The handle is returned at once; id and pipes come from the
   * *AndProcessInfo functions.
   * Completes through `operation`, type HcsOperationTypeCreateProcess. Since: Windows 10 1809 / Windows Server
   * 2019.
   * @param processParameters ProcessParameters document
   * @param securityDescriptor reserved: null
   * @returns a handle; the caller closes it
   * @throws HcsError HCS_E_INVALID_STATE, HCS_E_CONNECTION_CLOSED, HCS_E_INVALID_JSON, E_INVALIDARG,
   * ERROR_FILE_NOT_FOUND
   */
  HcsCreateProcess(
    computeSystem: HCS_SYSTEM,
    processParameters: string,
    operation: HCS_OPERATION,
    securityDescriptor: SECURITY_DESCRIPTOR | null,
  ): HCS_PROCESS;

  /**
   * Opens a process by its id in the system.
   * Since: Windows 10 1809 / Windows Server 2019.
   * @param requestedAccess GENERIC_ALL
   * @returns a handle; the caller closes it
   * @throws HcsError ERROR_NOT_FOUND, HCS_E_PROCESS_ALREADY_STOPPED
   */
  HcsOpenProcess(
    computeSystem: HCS_SYSTEM,
    processId: number,
    requestedAccess: number,
  ): Promise<HCS_PROCESS>;

  /**
   * Closes a handle as {@link HcsCloseComputeSystem} does. The process goes on.
   * Since: Windows 10 1809 / Windows Server 2019.
   */
  HcsCloseProcess(process: HCS_PROCESS): Promise<void>;

  /**
   * Ends a process.
   * Completes through `operation`. Since: Windows 10 1809 / Windows Server 2019.
   * @param options reserved: null
   * @throws HcsError HCS_E_PROCESS_ALREADY_STOPPED, E_ACCESSDENIED on a second call, ERROR_NOT_FOUND
   */
  HcsTerminateProcess(process: HCS_PROCESS, operation: HCS_OPERATION, options: string | null): void;

  /**
   * Sends a signal to a process.
   * Completes through `operation`, type HcsOperationTypeSignalProcess. Since: Windows 10 1809 / Windows Server
   * 2019.
   * @param options SignalProcessOptions, or `{ "Signal": number }` for Linux; null is the default signal to end
   * @throws HcsError HCS_E_PROCESS_ALREADY_STOPPED, HCS_E_INVALID_STATE, ERROR_NOT_FOUND
   */
  HcsSignalProcess(process: HCS_PROCESS, operation: HCS_OPERATION, options: string | null): void;

  /**
   * Asks for id and fresh pipe handles of a process, read by the *AndProcessInfo functions.
   * Completes through `operation`, type HcsOperationTypeGetProcessInfo. Since: Windows 10 1809 / Windows Server
   * 2019.
   * @throws HcsError HCS_E_PROCESS_INFO_NOT_AVAILABLE
   */
  HcsGetProcessInfo(process: HCS_PROCESS, operation: HCS_OPERATION): void;

  /**
   * Asks for the status of a process. The result is a ProcessStatus.
   * Completes through `operation`, type HcsOperationTypeGetProcessProperties. Since: Windows 10 1809 / Windows
   * Server 2019.
   * @param propertyQuery null
   * @throws HcsError HCS_E_PROCESS_ALREADY_STOPPED
   */
  HcsGetProcessProperties(
    process: HCS_PROCESS,
    operation: HCS_OPERATION,
    propertyQuery: string | null,
  ): void;

  /**
   * Resizes the console of a process or closes one of its pipes.
   * Completes through `operation`, type HcsOperationTypeModifyProcess. Since: Windows 10 1809 / Windows Server
   * 2019.
   * @param settings ProcessModifyRequest
   */
  HcsModifyProcess(process: HCS_PROCESS, operation: HCS_OPERATION, settings: string): void;

  /**
   * Sets the one event callback of a process handle, which gets ProcessExited, ServiceDisconnect and, with option
   * 1, OperationCallback.
   * Since: Windows 10 1809 / Windows Server 2019.
   * @param callbackOptions bits of HCS_EVENT_OPTIONS
   * @throws HcsError HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET
   */
  HcsSetProcessCallback(
    process: HCS_PROCESS,
    callbackOptions: number,
    context: unknown,
    callback: HCS_EVENT_CALLBACK | null,
  ): void;

  /**
   * Waits until a process has ended.
   * Since: Windows 10 2104 / Windows Server 2022.
   * @param timeoutMs 0 polls, INFINITE never elapses
   * @returns ProcessStatus
   */
  HcsWaitForProcessExit(process: HCS_PROCESS, timeoutMs: number): Promise<string | null>;
}
