// Longer than most files: one member for each of the sixty functions of the contract.
import type { ComputeCore } from '../hcs/compute-core.ts';
import type { HCS_OPERATION_TYPE, HCS_RESOURCE_TYPE } from '../hcs/core/constants.ts';
import type {
  HANDLE,
  HCS_CREATE_OPTIONS_1,
  HCS_EVENT_CALLBACK,
  HCS_OPERATION,
  HCS_OPERATION_COMPLETION,
  HCS_PROCESS,
  HCS_SYSTEM,
  SECURITY_DESCRIPTOR,
} from '../hcs/core/handles.ts';
import type { HCS_OPERATION_PROCESS_RESULT } from '../hcs/core/operation-functions.ts';
import { notImplementedError } from './not-implemented.ts';
import { Operations } from './operations.ts';
import type { ServiceAccess } from './service-access.ts';
import { Systems } from './systems.ts';

/**
 * The functions of {@link ComputeCore} where there is no Windows, over a service in this process or behind a socket:
 * operations, handles, and the checks of arguments and documents. What is not there yet is listed in
 * {@link notImplemented} and answers E_NOTIMPL.
 *
 * Rules that the headers leave open, as they are kept here: arguments, documents and handles are checked by the call
 * itself; states are checked when the call's turn comes, through the operation. Callbacks run on later turns of
 * the event loop, never before the function that caused them has returned. A handle that is not open is
 * ERROR_INVALID_HANDLE everywhere. A system whose start fails has ended, unless only a device host was missing.
 */
export class ComputeFunctions implements ComputeCore {
  readonly #operations = new Operations();
  readonly #systems: Systems;
  readonly #service: ServiceAccess;

  constructor(service: ServiceAccess) {
    this.#service = service;
    this.#systems = new Systems(service, this.#operations);
  }

  /**
   * What the directory of device hosts, and its engine, call the system behind an open handle; undefined when the
   * handle is not open or the system has ended. For device hosts.
   */
  systemIdOf(computeSystem: bigint): string | undefined {
    return this.#systems.directoryIdOf(computeSystem);
  }

  HcsCreateOperation(context: unknown, callback: HCS_OPERATION_COMPLETION | null): HCS_OPERATION {
    return this.#operations.HcsCreateOperation(context, callback);
  }

  HcsCreateOperationWithNotifications(
    eventTypes: number,
    context: unknown,
    callback: HCS_EVENT_CALLBACK,
  ): HCS_OPERATION {
    return this.#operations.HcsCreateOperationWithNotifications(eventTypes, context, callback);
  }

  HcsCloseOperation(operation: HCS_OPERATION): void {
    this.#operations.HcsCloseOperation(operation);
  }

  HcsGetOperationContext(operation: HCS_OPERATION): unknown {
    return this.#operations.HcsGetOperationContext(operation);
  }

  HcsSetOperationContext(operation: HCS_OPERATION, context: unknown): void {
    this.#operations.HcsSetOperationContext(operation, context);
  }

  HcsSetOperationCallback(
    operation: HCS_OPERATION,
    context: unknown,
    callback: HCS_OPERATION_COMPLETION,
  ): void {
    this.#operations.HcsSetOperationCallback(operation, context, callback);
  }

  HcsGetComputeSystemFromOperation(operation: HCS_OPERATION): HCS_SYSTEM {
    return this.#operations.HcsGetComputeSystemFromOperation(operation);
  }

  HcsGetProcessFromOperation(operation: HCS_OPERATION): HCS_PROCESS {
    return this.#operations.HcsGetProcessFromOperation(operation);
  }

  HcsGetOperationType(operation: HCS_OPERATION): HCS_OPERATION_TYPE {
    return this.#operations.HcsGetOperationType(operation);
  }

  HcsGetOperationId(operation: HCS_OPERATION): bigint {
    return this.#operations.HcsGetOperationId(operation);
  }

  HcsGetOperationResult(operation: HCS_OPERATION): string | null {
    return this.#operations.HcsGetOperationResult(operation);
  }

  HcsGetOperationResultAndProcessInfo(operation: HCS_OPERATION): HCS_OPERATION_PROCESS_RESULT {
    return this.#operations.HcsGetOperationResultAndProcessInfo(operation);
  }

  HcsWaitForOperationResult(operation: HCS_OPERATION, timeoutMs: number): Promise<string | null> {
    return this.#operations.HcsWaitForOperationResult(operation, timeoutMs);
  }

  HcsWaitForOperationResultAndProcessInfo(
    operation: HCS_OPERATION,
    timeoutMs: number,
  ): Promise<HCS_OPERATION_PROCESS_RESULT> {
    return this.#operations.HcsWaitForOperationResultAndProcessInfo(operation, timeoutMs);
  }

  HcsCancelOperation(operation: HCS_OPERATION): void {
    this.#operations.HcsCancelOperation(operation);
  }

  HcsGetOperationProperties(operation: HCS_OPERATION, options: string | null): string {
    return this.#operations.HcsGetOperationProperties(operation, options);
  }

  HcsAddResourceToOperation(
    operation: HCS_OPERATION,
    type: HCS_RESOURCE_TYPE,
    uri: string,
    handle: HANDLE,
  ): void {
    this.#operations.HcsAddResourceToOperation(operation, type, uri, handle);
  }

  HcsEnumerateComputeSystems(query: string | null, operation: HCS_OPERATION): void {
    this.#systems.HcsEnumerateComputeSystems(query, operation);
  }

  HcsEnumerateComputeSystemsInNamespace(
    idNamespace: string,
    query: string | null,
    operation: HCS_OPERATION,
  ): void {
    this.#systems.HcsEnumerateComputeSystemsInNamespace(idNamespace, query, operation);
  }

  HcsCreateComputeSystem(
    id: string,
    configuration: string,
    operation: HCS_OPERATION,
    securityDescriptor: SECURITY_DESCRIPTOR | null,
  ): HCS_SYSTEM {
    return this.#systems.HcsCreateComputeSystem(id, configuration, operation, securityDescriptor);
  }

  HcsCreateComputeSystemInNamespace(
    idNamespace: string,
    id: string,
    configuration: string,
    operation: HCS_OPERATION,
    options: HCS_CREATE_OPTIONS_1 | null,
  ): HCS_SYSTEM {
    return this.#systems.HcsCreateComputeSystemInNamespace(
      idNamespace,
      id,
      configuration,
      operation,
      options,
    );
  }

  HcsOpenComputeSystem(id: string, requestedAccess: number): Promise<HCS_SYSTEM> {
    return this.#systems.HcsOpenComputeSystem(id, requestedAccess);
  }

  HcsOpenComputeSystemInNamespace(
    idNamespace: string,
    id: string,
    requestedAccess: number,
  ): Promise<HCS_SYSTEM> {
    return this.#systems.HcsOpenComputeSystemInNamespace(idNamespace, id, requestedAccess);
  }

  HcsCloseComputeSystem(computeSystem: HCS_SYSTEM): Promise<void> {
    return this.#systems.HcsCloseComputeSystem(computeSystem);
  }

  HcsStartComputeSystem(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    options: string | null,
  ): void {
    this.#systems.HcsStartComputeSystem(computeSystem, operation, options);
  }

  HcsShutDownComputeSystem(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    options: string | null,
  ): void {
    this.#systems.HcsShutDownComputeSystem(computeSystem, operation, options);
  }

  HcsTerminateComputeSystem(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    options: string | null,
  ): void {
    this.#systems.HcsTerminateComputeSystem(computeSystem, operation, options);
  }

  HcsCrashComputeSystem(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    options: string | null,
  ): void {
    this.#systems.HcsCrashComputeSystem(computeSystem, operation, options);
  }

  HcsPauseComputeSystem(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    options: string | null,
  ): void {
    this.#systems.HcsPauseComputeSystem(computeSystem, operation, options);
  }

  HcsResumeComputeSystem(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    options: string | null,
  ): void {
    this.#systems.HcsResumeComputeSystem(computeSystem, operation, options);
  }

  HcsSaveComputeSystem(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    options: string | null,
  ): void {
    this.#systems.HcsSaveComputeSystem(computeSystem, operation, options);
  }

  HcsGetComputeSystemProperties(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    propertyQuery: string | null,
  ): void {
    this.#systems.HcsGetComputeSystemProperties(computeSystem, operation, propertyQuery);
  }

  HcsModifyComputeSystem(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    configuration: string,
    identity: HANDLE | null,
  ): void {
    this.#systems.HcsModifyComputeSystem(computeSystem, operation, configuration, identity);
  }

  HcsWaitForComputeSystemExit(
    computeSystem: HCS_SYSTEM,
    timeoutMs: number,
  ): Promise<string | null> {
    return this.#systems.HcsWaitForComputeSystemExit(computeSystem, timeoutMs);
  }

  HcsSetComputeSystemCallback(
    computeSystem: HCS_SYSTEM,
    callbackOptions: number,
    context: unknown,
    callback: HCS_EVENT_CALLBACK | null,
  ): void {
    this.#systems.HcsSetComputeSystemCallback(computeSystem, callbackOptions, context, callback);
  }

  HcsInitializeLiveMigrationOnSource(
    computeSystem: HCS_SYSTEM,
    _operation: HCS_OPERATION,
    _options: string | null,
  ): void {
    this.#systems.require('HcsInitializeLiveMigrationOnSource', computeSystem);
    throw notImplementedError('HcsInitializeLiveMigrationOnSource');
  }

  HcsStartLiveMigrationOnSource(
    computeSystem: HCS_SYSTEM,
    _operation: HCS_OPERATION,
    _options: string | null,
  ): void {
    this.#systems.require('HcsStartLiveMigrationOnSource', computeSystem);
    throw notImplementedError('HcsStartLiveMigrationOnSource');
  }

  HcsStartLiveMigrationTransfer(
    computeSystem: HCS_SYSTEM,
    _operation: HCS_OPERATION,
    _options: string | null,
  ): void {
    this.#systems.require('HcsStartLiveMigrationTransfer', computeSystem);
    throw notImplementedError('HcsStartLiveMigrationTransfer');
  }

  HcsFinalizeLiveMigration(
    computeSystem: HCS_SYSTEM,
    _operation: HCS_OPERATION,
    _options: string | null,
  ): void {
    this.#systems.require('HcsFinalizeLiveMigration', computeSystem);
    throw notImplementedError('HcsFinalizeLiveMigration');
  }

  HcsCancelLiveMigration(
    computeSystem: HCS_SYSTEM,
    _operation: HCS_OPERATION,
    _options: string | null,
  ): void {
    this.#systems.require('HcsCancelLiveMigration', computeSystem);
    throw notImplementedError('HcsCancelLiveMigration');
  }

  HcsCreateProcess(
    computeSystem: HCS_SYSTEM,
    _processParameters: string,
    _operation: HCS_OPERATION,
    _securityDescriptor: SECURITY_DESCRIPTOR | null,
  ): HCS_PROCESS {
    this.#systems.require('HcsCreateProcess', computeSystem);
    throw notImplementedError('HcsCreateProcess');
  }

  async HcsOpenProcess(
    computeSystem: HCS_SYSTEM,
    _processId: number,
    _requestedAccess: number,
  ): Promise<HCS_PROCESS> {
    this.#systems.require('HcsOpenProcess', computeSystem);
    throw notImplementedError('HcsOpenProcess');
  }

  async HcsCloseProcess(_process: HCS_PROCESS): Promise<void> {
    throw notImplementedError('HcsCloseProcess');
  }

  HcsTerminateProcess(
    _process: HCS_PROCESS,
    _operation: HCS_OPERATION,
    _options: string | null,
  ): void {
    throw notImplementedError('HcsTerminateProcess');
  }

  HcsSignalProcess(
    _process: HCS_PROCESS,
    _operation: HCS_OPERATION,
    _options: string | null,
  ): void {
    throw notImplementedError('HcsSignalProcess');
  }

  HcsGetProcessInfo(_process: HCS_PROCESS, _operation: HCS_OPERATION): void {
    throw notImplementedError('HcsGetProcessInfo');
  }

  HcsGetProcessProperties(
    _process: HCS_PROCESS,
    _operation: HCS_OPERATION,
    _propertyQuery: string | null,
  ): void {
    throw notImplementedError('HcsGetProcessProperties');
  }

  HcsModifyProcess(_process: HCS_PROCESS, _operation: HCS_OPERATION, _settings: string): void {
    throw notImplementedError('HcsModifyProcess');
  }

  HcsSetProcessCallback(
    _process: HCS_PROCESS,
    _callbackOptions: number,
    _context: unknown,
    _callback: HCS_EVENT_CALLBACK | null,
  ): void {
    throw notImplementedError('HcsSetProcessCallback');
  }

  async HcsWaitForProcessExit(_process: HCS_PROCESS, _timeoutMs: number): Promise<string | null> {
    throw notImplementedError('HcsWaitForProcessExit');
  }

  HcsGetServiceProperties(propertyQuery: string | null): Promise<string> {
    return this.#service.HcsGetServiceProperties(propertyQuery);
  }

  HcsModifyServiceSettings(settings: string): Promise<string | null> {
    return this.#service.HcsModifyServiceSettings(settings);
  }

  HcsSubmitWerReport(settings: string): Promise<void> {
    return this.#service.HcsSubmitWerReport(settings);
  }

  HcsCreateEmptyGuestStateFile(guestStateFilePath: string): Promise<void> {
    return this.#service.HcsCreateEmptyGuestStateFile(guestStateFilePath);
  }

  HcsCreateEmptyRuntimeStateFile(runtimeStateFilePath: string): Promise<void> {
    return this.#service.HcsCreateEmptyRuntimeStateFile(runtimeStateFilePath);
  }

  HcsGetProcessorCompatibilityFromSavedState(RuntimeFileName: string): Promise<string> {
    return this.#service.HcsGetProcessorCompatibilityFromSavedState(RuntimeFileName);
  }

  HcsGrantVmAccess(vmId: string, filePath: string): Promise<void> {
    return this.#service.HcsGrantVmAccess(vmId, filePath);
  }

  HcsRevokeVmAccess(vmId: string, filePath: string): Promise<void> {
    return this.#service.HcsRevokeVmAccess(vmId, filePath);
  }

  HcsGrantVmGroupAccess(filePath: string): Promise<void> {
    return this.#service.HcsGrantVmGroupAccess(filePath);
  }

  HcsRevokeVmGroupAccess(filePath: string): Promise<void> {
    return this.#service.HcsRevokeVmGroupAccess(filePath);
  }
}
