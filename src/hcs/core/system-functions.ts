import type {
  HANDLE,
  HCS_CREATE_OPTIONS_1,
  HCS_EVENT_CALLBACK,
  HCS_OPERATION,
  HCS_SYSTEM,
  SECURITY_DESCRIPTOR,
} from './handles.ts';

/**
 * The functions of computecore.dll on compute systems. A failure comes from the call itself or through the
 * operation: handle both.
 */
export interface SystemFunctions {
  /**
   * Lists the compute systems. The result is an array of Properties.
   * Completes through `operation`, type HcsOperationTypeEnumerate. Since: Windows 10 1809 / Windows Server 2019.
   * @param query SystemQuery: its fields combine by and, the entries of a list by or; null or `""` is all
   * @throws HcsError HCS_E_ACCESS_DENIED, HCS_E_INVALID_JSON
   */
  HcsEnumerateComputeSystems(query: string | null, operation: HCS_OPERATION): void;

  /**
   * {@link HcsEnumerateComputeSystems} within one id space.
   * Completes through `operation`, type HcsOperationTypeEnumerate. Since: first build not documented; in the
   * current SDK header.
   * @param idNamespace name of the id space; its rules are not published
   */
  HcsEnumerateComputeSystemsInNamespace(
    idNamespace: string,
    query: string | null,
    operation: HCS_OPERATION,
  ): void;

  /**
   * Creates a compute system and does not start it. The handle is returned at once, while creation is pending, and
   * must be closed even when creation then fails.
   * Completes through `operation`, type HcsOperationTypeCreate. Since: Windows 10 1809 / Windows Server 2019.
   * @param id any text that no other system has; need not be a GUID
   * @param configuration ComputeSystem document with exactly one of VirtualMachine, Container, HostedSystem
   * @param securityDescriptor who may do what with it; Windows reserves it: null. Default: its owner may do all
   * @returns a handle; the caller closes it
   * @throws HcsError HCS_E_SYSTEM_ALREADY_EXISTS, HCS_E_INVALID_JSON, E_INVALIDARG, HCS_E_ACCESS_DENIED,
   * HCS_E_HYPERV_NOT_INSTALLED, HCS_E_SERVICE_NOT_AVAILABLE, HCS_E_OPERATION_ALREADY_STARTED
   */
  HcsCreateComputeSystem(
    id: string,
    configuration: string,
    operation: HCS_OPERATION,
    securityDescriptor: SECURITY_DESCRIPTOR | null,
  ): HCS_SYSTEM;

  /**
   * {@link HcsCreateComputeSystem} within one id space, with an event callback that is active from the start.
   * Completes through `operation`, type HcsOperationTypeCreate. Since: first build not documented; in the current
   * SDK header.
   * @param options user token, security descriptor and event callback, or null
   * @returns a handle; the caller closes it
   * @throws HcsError as HcsCreateComputeSystem
   */
  HcsCreateComputeSystemInNamespace(
    idNamespace: string,
    id: string,
    configuration: string,
    operation: HCS_OPERATION,
    options: HCS_CREATE_OPTIONS_1 | null,
  ): HCS_SYSTEM;

  /**
   * Opens a compute system that exists. One system may have several handles, each with its own event callback.
   * Since: Windows 10 1809 / Windows Server 2019.
   * @param requestedAccess reserved: GENERIC_ALL
   * @returns a handle; the caller closes it
   * @throws HcsError HCS_E_SYSTEM_NOT_FOUND, HCS_E_ACCESS_DENIED, E_INVALIDARG
   */
  HcsOpenComputeSystem(id: string, requestedAccess: number): Promise<HCS_SYSTEM>;

  /**
   * {@link HcsOpenComputeSystem} within one id space.
   * Since: first build not documented; in the current SDK header.
   * @param requestedAccess reserved: GENERIC_ALL
   * @returns a handle; the caller closes it
   * @throws HcsError as HcsOpenComputeSystem
   */
  HcsOpenComputeSystemInNamespace(
    idNamespace: string,
    id: string,
    requestedAccess: number,
  ): Promise<HCS_SYSTEM>;

  /**
   * Closes a handle: unregisters its event callback, waits for callbacks that run, and frees it; no event is
   * delivered from the call on. With ShouldTerminateOnLastHandleClosed, closing the last handle terminates the
   * system. A promise, because the callbacks that it waits for run on this thread.
   * Since: Windows 10 1809 / Windows Server 2019.
   * @throws HcsError ERROR_INVALID_HANDLE when it is not open: the library does not check, this package does
   */
  HcsCloseComputeSystem(computeSystem: HCS_SYSTEM): Promise<void>;

  /**
   * Starts a created system; it cannot be started a second time after it has stopped. With
   * VirtualMachine.GuestConnection it also waits for the guest's agent. Every FlexibleIov entry needs a device host
   * that answers for it by now.
   * Completes through `operation`, type HcsOperationTypeStart. Since: Windows 10 1809 / Windows Server 2019.
   * @param options null, or StartOptions on newer Windows
   * @throws HcsError HCS_E_INVALID_STATE, HCS_E_TERMINATED_DURING_START, HCS_E_UNEXPECTED_EXIT,
   * HCS_E_CONNECTION_TIMEOUT, E_UNEXPECTED (no device host answers for a device), E_ACCESSDENIED (no right to a
   * file)
   */
  HcsStartComputeSystem(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    options: string | null,
  ): void;

  /**
   * Asks the guest to shut down. Completes when it was asked; the exit is an event. Needs something in the guest
   * that listens: GuestConnection, or Services.Shutdown (schema 2.5).
   * Completes through `operation`, type HcsOperationTypeShutdown. Since: Windows 10 1809 / Windows Server 2019.
   * @param options ShutdownOptions (schema 2.5), or null
   * @throws HcsError HCS_E_SYSTEM_ALREADY_STOPPED (also when it is being shut down already), HCS_E_INVALID_STATE,
   * HCS_E_SYSTEM_NOT_CONFIGURED_FOR_OPERATION
   */
  HcsShutDownComputeSystem(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    options: string | null,
  ): void;

  /**
   * Ends the system as if its power were cut. The exit event may follow the completion.
   * Completes through `operation`, type HcsOperationTypeTerminate. Since: Windows 10 1809 / Windows Server 2019.
   * @param options null
   * @throws HcsError HCS_E_SYSTEM_ALREADY_STOPPED, HCS_E_SYSTEM_NOT_FOUND
   */
  HcsTerminateComputeSystem(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    options: string | null,
  ): void;

  /**
   * Injects a non-maskable interrupt, so that the guest crashes.
   * Completes through `operation`, type HcsOperationTypeCrash. Since: Windows 10 1809 / Windows Server 2019.
   * @param options CrashOptions (schema 2.3)
   * @throws HcsError HCS_E_INVALID_STATE, E_INVALIDARG
   */
  HcsCrashComputeSystem(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    options: string | null,
  ): void;

  /**
   * Stops the virtual processors of a running system.
   * Completes through `operation`, type HcsOperationTypePause. Since: Windows 10 1809 / Windows Server 2019.
   * @param options PauseOptions, or null
   * @throws HcsError HCS_E_INVALID_STATE
   */
  HcsPauseComputeSystem(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    options: string | null,
  ): void;

  /**
   * Lets a paused system run on.
   * Completes through `operation`, type HcsOperationTypeResume. Since: Windows 10 1809 / Windows Server 2019.
   * @param options reserved: null
   * @throws HcsError HCS_E_INVALID_STATE
   */
  HcsResumeComputeSystem(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    options: string | null,
  ): void;

  /**
   * Writes the state of a paused system to a file, from which the same document plus RestoreState starts again. The
   * system stays paused.
   * Completes through `operation`, type HcsOperationTypeSave. Since: Windows 10 1809 / Windows Server 2019.
   * @param options SaveOptions
   * @throws HcsError HCS_E_INVALID_STATE when it is not paused
   */
  HcsSaveComputeSystem(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    options: string | null,
  ): void;

  /**
   * Asks for properties. The result is a Properties document.
   * Completes through `operation`, type HcsOperationTypeGetProperties. Since: Windows 10 1809 / Windows Server
   * 2019.
   * @param propertyQuery System_PropertyQuery; null, `""` or `{}` is the basic properties
   * @throws HcsError HCS_E_INVALID_STATE, HCS_E_SYSTEM_ALREADY_STOPPED, E_INVALIDARG or HCS_E_INVALID_JSON for an
   * unknown type
   */
  HcsGetComputeSystemProperties(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    propertyQuery: string | null,
  ): void;

  /**
   * Changes one setting of a system: adds or removes a device, for example.
   * Completes through `operation`, type HcsOperationTypeModify. Since: Windows 10 1809 / Windows Server 2019.
   * @param configuration ModifySettingRequest
   * @param identity token used while the change is applied, or null
   * @throws HcsError HCS_E_INVALID_STATE, HCS_E_INVALID_JSON, E_INVALIDARG, ERROR_NOT_SUPPORTED,
   * HCS_E_SYSTEM_ALREADY_STOPPED
   */
  HcsModifyComputeSystem(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    configuration: string,
    identity: HANDLE | null,
  ): void;

  /**
   * Waits until the system has stopped, also when it had before the call.
   * Since: Windows 10 2104 / Windows Server 2022.
   * @param timeoutMs 0 polls, INFINITE never elapses
   * @returns SystemExitStatus
   * @throws HcsError HCS_E_OPERATION_TIMEOUT; ERROR_INVALID_HANDLE when the handle is closed meanwhile
   */
  HcsWaitForComputeSystemExit(computeSystem: HCS_SYSTEM, timeoutMs: number): Promise<string | null>;

  /**
   * Sets the one event callback of a handle. Null takes it off. Events from before the call are not delivered. The
   * process stays alive for a callback until its system's exit was delivered or the handle is closed.
   * Since: Windows 10 1809 / Windows Server 2019.
   * @param callbackOptions bits of HCS_EVENT_OPTIONS; under Windows the same each time that a handle's callback is set
   * @throws HcsError HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET; ERROR_NOT_SUPPORTED under Windows on a worker thread
   */
  HcsSetComputeSystemCallback(
    computeSystem: HCS_SYSTEM,
    callbackOptions: number,
    context: unknown,
    callback: HCS_EVENT_CALLBACK | null,
  ): void;
}
