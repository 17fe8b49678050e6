import type { MigrationFunctions } from './core/migration-functions.ts';
import type { OperationFunctions } from './core/operation-functions.ts';
import type { ProcessFunctions } from './core/process-functions.ts';
import type { ServiceFunctions } from './core/service-functions.ts';
import type { SystemFunctions } from './core/system-functions.ts';

/**
 * computecore.dll: every declared function, same name, same order of parameters. `_Out_` parameters are return values;
 * a failing HRESULT throws {@link HcsError}. Source: computecore.h of the Windows SDK, and the reference pages.
 *
 * Members that only touch handles and operations are synchronous. Members that wait, or that ask the service without
 * an operation, return a Promise on every host. No member blocks the thread: the machine may be waiting for a device
 * that lives on it.
 *
 * Under Windows the library is loaded at the first call. Each member may then throw, or reject with,
 * `NativeLibraryError` where the library cannot be used, and `NotSupportedError` where this Windows does not have the
 * function. Handles are those of this package: one that was closed is refused before Windows sees it. Callbacks can be
 * set on the main thread only; everything else works on worker threads too.
 */
export interface ComputeCore
  extends OperationFunctions,
    SystemFunctions,
    MigrationFunctions,
    ProcessFunctions,
    ServiceFunctions {}

/** The names of all functions of {@link ComputeCore}, in the order of the interfaces that declare them. */
export const COMPUTE_CORE_FUNCTIONS = [
  'HcsCreateOperation',
  'HcsCreateOperationWithNotifications',
  'HcsCloseOperation',
  'HcsGetOperationContext',
  'HcsSetOperationContext',
  'HcsSetOperationCallback',
  'HcsGetComputeSystemFromOperation',
  'HcsGetProcessFromOperation',
  'HcsGetOperationType',
  'HcsGetOperationId',
  'HcsGetOperationResult',
  'HcsGetOperationResultAndProcessInfo',
  'HcsWaitForOperationResult',
  'HcsWaitForOperationResultAndProcessInfo',
  'HcsCancelOperation',
  'HcsGetOperationProperties',
  'HcsAddResourceToOperation',
  'HcsEnumerateComputeSystems',
  'HcsEnumerateComputeSystemsInNamespace',
  'HcsCreateComputeSystem',
  'HcsCreateComputeSystemInNamespace',
  'HcsOpenComputeSystem',
  'HcsOpenComputeSystemInNamespace',
  'HcsCloseComputeSystem',
  'HcsStartComputeSystem',
  'HcsShutDownComputeSystem',
  'HcsTerminateComputeSystem',
  'HcsCrashComputeSystem',
  'HcsPauseComputeSystem',
  'HcsResumeComputeSystem',
  'HcsSaveComputeSystem',
  'HcsGetComputeSystemProperties',
  'HcsModifyComputeSystem',
  'HcsWaitForComputeSystemExit',
  'HcsSetComputeSystemCallback',
  'HcsInitializeLiveMigrationOnSource',
  'HcsStartLiveMigrationOnSource',
  'HcsStartLiveMigrationTransfer',
  'HcsFinalizeLiveMigration',
  'HcsCancelLiveMigration',
  'HcsCreateProcess',
  'HcsOpenProcess',
  'HcsCloseProcess',
  'HcsTerminateProcess',
  'HcsSignalProcess',
  'HcsGetProcessInfo',
  'HcsGetProcessProperties',
  'HcsModifyProcess',
  'HcsSetProcessCallback',
  'HcsWaitForProcessExit',
  'HcsGetServiceProperties',
  'HcsModifyServiceSettings',
  'HcsSubmitWerReport',
  'HcsCreateEmptyGuestStateFile',
  'HcsCreateEmptyRuntimeStateFile',
  'HcsGetProcessorCompatibilityFromSavedState',
  'HcsGrantVmAccess',
  'HcsRevokeVmAccess',
  'HcsGrantVmGroupAccess',
  'HcsRevokeVmGroupAccess',
] as const satisfies readonly (keyof ComputeCore)[];

/** The name of a function of {@link ComputeCore}. */
export type ComputeCoreFunction = (typeof COMPUTE_CORE_FUNCTIONS)[number];
