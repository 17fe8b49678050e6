// One line per function of computecore.dll, in the order of the contract: long because the library is.
import type { ComputeCore } from './compute-core.ts';
import { selectedComputeCore as core } from './selected-core.ts';

/** {@link ComputeCore.HcsCreateOperation} of the selected host. */
export const HcsCreateOperation: ComputeCore['HcsCreateOperation'] = (...args) =>
  core().HcsCreateOperation(...args);

/** {@link ComputeCore.HcsCreateOperationWithNotifications} of the selected host. */
export const HcsCreateOperationWithNotifications: ComputeCore['HcsCreateOperationWithNotifications'] =
  (...args) => core().HcsCreateOperationWithNotifications(...args);

/** {@link ComputeCore.HcsCloseOperation} of the selected host. */
export const HcsCloseOperation: ComputeCore['HcsCloseOperation'] = (...args) =>
  core().HcsCloseOperation(...args);

/** {@link ComputeCore.HcsGetOperationContext} of the selected host. */
export const HcsGetOperationContext: ComputeCore['HcsGetOperationContext'] = (...args) =>
  core().HcsGetOperationContext(...args);

/** {@link ComputeCore.HcsSetOperationContext} of the selected host. */
export const HcsSetOperationContext: ComputeCore['HcsSetOperationContext'] = (...args) =>
  core().HcsSetOperationContext(...args);

/** {@link ComputeCore.HcsSetOperationCallback} of the selected host. */
export const HcsSetOperationCallback: ComputeCore['HcsSetOperationCallback'] = (...args) =>
  core().HcsSetOperationCallback(...args);

/** {@link ComputeCore.HcsGetComputeSystemFromOperation} of the selected host. */
export const HcsGetComputeSystemFromOperation: ComputeCore['HcsGetComputeSystemFromOperation'] = (
  ...args
) => core().HcsGetComputeSystemFromOperation(...args);

/** {@link ComputeCore.HcsGetProcessFromOperation} of the selected host. */
export const HcsGetProcessFromOperation: ComputeCore['HcsGetProcessFromOperation'] = (...args) =>
  core().HcsGetProcessFromOperation(...args);

/** {@link ComputeCore.HcsGetOperationType} of the selected host. */
export const HcsGetOperationType: ComputeCore['HcsGetOperationType'] = (...args) =>
  core().HcsGetOperationType(...args);

/** {@link ComputeCore.HcsGetOperationId} of the selected host. */
export const HcsGetOperationId: ComputeCore['HcsGetOperationId'] = (...args) =>
  core().HcsGetOperationId(...args);

/** {@link ComputeCore.HcsGetOperationResult} of the selected host. */
export const HcsGetOperationResult: ComputeCore['HcsGetOperationResult'] = (...args) =>
  core().HcsGetOperationResult(...args);

/** {@link ComputeCore.HcsGetOperationResultAndProcessInfo} of the selected host. */
export const HcsGetOperationResultAndProcessInfo: ComputeCore['HcsGetOperationResultAndProcessInfo'] =
  (...args) => core().HcsGetOperationResultAndProcessInfo(...args);

/** {@link ComputeCore.HcsWaitForOperationResult} of the selected host. */
export const HcsWaitForOperationResult: ComputeCore['HcsWaitForOperationResult'] = (...args) =>
  core().HcsWaitForOperationResult(...args);

/** {@link ComputeCore.HcsWaitForOperationResultAndProcessInfo} of the selected host. */
export const HcsWaitForOperationResultAndProcessInfo: ComputeCore['HcsWaitForOperationResultAndProcessInfo'] =
  (...args) => core().HcsWaitForOperationResultAndProcessInfo(...args);

/** {@link ComputeCore.HcsCancelOperation} of the selected host. */
export const HcsCancelOperation: ComputeCore['HcsCancelOperation'] = (...args) =>
  core().HcsCancelOperation(...args);

/** {@link ComputeCore.HcsGetOperationProperties} of the selected host. */
export const HcsGetOperationProperties: ComputeCore['HcsGetOperationProperties'] = (...args) =>
  core().HcsGetOperationProperties(...args);

/** {@link ComputeCore.HcsAddResourceToOperation} of the selected host. */
export const HcsAddResourceToOperation: ComputeCore['HcsAddResourceToOperation'] = (...args) =>
  core().HcsAddResourceToOperation(...args);

/** {@link ComputeCore.HcsEnumerateComputeSystems} of the selected host. */
export const HcsEnumerateComputeSystems: ComputeCore['HcsEnumerateComputeSystems'] = (...args) =>
  core().HcsEnumerateComputeSystems(...args);

/** {@link ComputeCore.HcsEnumerateComputeSystemsInNamespace} of the selected host. */
export const HcsEnumerateComputeSystemsInNamespace: ComputeCore['HcsEnumerateComputeSystemsInNamespace'] =
  (...args) => core().HcsEnumerateComputeSystemsInNamespace(...args);

/** {@link ComputeCore.HcsCreateComputeSystem} of the selected host. */
export const HcsCreateComputeSystem: ComputeCore['HcsCreateComputeSystem'] = (...args) =>
  core().HcsCreateComputeSystem(...args);

/** {@link ComputeCore.HcsCreateComputeSystemInNamespace} of the selected host. */
export const HcsCreateComputeSystemInNamespace: ComputeCore['HcsCreateComputeSystemInNamespace'] = (
  ...args
) => core().HcsCreateComputeSystemInNamespace(...args);

/** {@link ComputeCore.HcsOpenComputeSystem} of the selected host. */
export const HcsOpenComputeSystem: ComputeCore['HcsOpenComputeSystem'] = (...args) =>
  core().HcsOpenComputeSystem(...args);

/** {@link ComputeCore.HcsOpenComputeSystemInNamespace} of the selected host. */
export const HcsOpenComputeSystemInNamespace: ComputeCore['HcsOpenComputeSystemInNamespace'] = (
  ...args
) => core().HcsOpenComputeSystemInNamespace(...args);

/** {@link ComputeCore.HcsCloseComputeSystem} of the selected host. */
export const HcsCloseComputeSystem: ComputeCore['HcsCloseComputeSystem'] = (...args) =>
  core().HcsCloseComputeSystem(...args);

/** {@link ComputeCore.HcsStartComputeSystem} of the selected host. */
export const HcsStartComputeSystem: ComputeCore['HcsStartComputeSystem'] = (...args) =>
  core().HcsStartComputeSystem(...args);

/** {@link ComputeCore.HcsShutDownComputeSystem} of the selected host. */
export const HcsShutDownComputeSystem: ComputeCore['HcsShutDownComputeSystem'] = (...args) =>
  core().HcsShutDownComputeSystem(...args);

/** {@link ComputeCore.HcsTerminateComputeSystem} of the selected host. */
export const HcsTerminateComputeSystem: ComputeCore['HcsTerminateComputeSystem'] = (...args) =>
  core().HcsTerminateComputeSystem(...args);

/** {@link ComputeCore.HcsCrashComputeSystem} of the selected host. */
export const HcsCrashComputeSystem: ComputeCore['HcsCrashComputeSystem'] = (...args) =>
  core().HcsCrashComputeSystem(...args);

/** {@link ComputeCore.HcsPauseComputeSystem} of the selected host. */
export const HcsPauseComputeSystem: ComputeCore['HcsPauseComputeSystem'] = (...args) =>
  core().HcsPauseComputeSystem(...args);

/** {@link ComputeCore.HcsResumeComputeSystem} of the selected host. */
export const HcsResumeComputeSystem: ComputeCore['HcsResumeComputeSystem'] = (...args) =>
  core().HcsResumeComputeSystem(...args);

/** {@link ComputeCore.HcsSaveComputeSystem} of the selected host. */
export const HcsSaveComputeSystem: ComputeCore['HcsSaveComputeSystem'] = (...args) =>
  core().HcsSaveComputeSystem(...args);

/** {@link ComputeCore.HcsGetComputeSystemProperties} of the selected host. */
export const HcsGetComputeSystemProperties: ComputeCore['HcsGetComputeSystemProperties'] = (
  ...args
) => core().HcsGetComputeSystemProperties(...args);

/** {@link ComputeCore.HcsModifyComputeSystem} of the selected host. */
export const HcsModifyComputeSystem: ComputeCore['HcsModifyComputeSystem'] = (...args) =>
  core().HcsModifyComputeSystem(...args);

/** {@link ComputeCore.HcsWaitForComputeSystemExit} of the selected host. */
export const HcsWaitForComputeSystemExit: ComputeCore['HcsWaitForComputeSystemExit'] = (...args) =>
  core().HcsWaitForComputeSystemExit(...args);

/** {@link ComputeCore.HcsSetComputeSystemCallback} of the selected host. */
export const HcsSetComputeSystemCallback: ComputeCore['HcsSetComputeSystemCallback'] = (...args) =>
  core().HcsSetComputeSystemCallback(...args);

/** {@link ComputeCore.HcsInitializeLiveMigrationOnSource} of the selected host. */
export const HcsInitializeLiveMigrationOnSource: ComputeCore['HcsInitializeLiveMigrationOnSource'] =
  (...args) => core().HcsInitializeLiveMigrationOnSource(...args);

/** {@link ComputeCore.HcsStartLiveMigrationOnSource} of the selected host. */
export const HcsStartLiveMigrationOnSource: ComputeCore['HcsStartLiveMigrationOnSource'] = (
  ...args
) => core().HcsStartLiveMigrationOnSource(...args);

/** {@link ComputeCore.HcsStartLiveMigrationTransfer} of the selected host. */
export const HcsStartLiveMigrationTransfer: ComputeCore['HcsStartLiveMigrationTransfer'] = (
  ...args
) => core().HcsStartLiveMigrationTransfer(...args);

/** {@link ComputeCore.HcsFinalizeLiveMigration} of the selected host. */
export const HcsFinalizeLiveMigration: ComputeCore['HcsFinalizeLiveMigration'] = (...args) =>
  core().HcsFinalizeLiveMigration(...args);

/** {@link ComputeCore.HcsCancelLiveMigration} of the selected host. */
export const HcsCancelLiveMigration: ComputeCore['HcsCancelLiveMigration'] = (...args) =>
  core().HcsCancelLiveMigration(...args);

/** {@link ComputeCore.HcsCreateProcess} of the selected host. */
export const HcsCreateProcess: ComputeCore['HcsCreateProcess'] = (...args) =>
  core().HcsCreateProcess(...args);

/** {@link ComputeCore.HcsOpenProcess} of the selected host. */
export const HcsOpenProcess: ComputeCore['HcsOpenProcess'] = (...args) =>
  core().HcsOpenProcess(...args);

/** {@link ComputeCore.HcsCloseProcess} of the selected host. */
export const HcsCloseProcess: ComputeCore['HcsCloseProcess'] = (...args) =>
  core().HcsCloseProcess(...args);

/** {@link ComputeCore.HcsTerminateProcess} of the selected host. */
export const HcsTerminateProcess: ComputeCore['HcsTerminateProcess'] = (...args) =>
  core().HcsTerminateProcess(...args);

/** {@link ComputeCore.HcsSignalProcess} of the selected host. */
export const HcsSignalProcess: ComputeCore['HcsSignalProcess'] = (...args) =>
  core().HcsSignalProcess(...args);

/** {@link ComputeCore.HcsGetProcessInfo} of the selected host. */
export const HcsGetProcessInfo: ComputeCore['HcsGetProcessInfo'] = (...args) =>
  core().HcsGetProcessInfo(...args);

/** {@link ComputeCore.HcsGetProcessProperties} of the selected host. */
export const HcsGetProcessProperties: ComputeCore['HcsGetProcessProperties'] = (...args) =>
  core().HcsGetProcessProperties(...args);

/** {@link ComputeCore.HcsModifyProcess} of the selected host. */
export const HcsModifyProcess: ComputeCore['HcsModifyProcess'] = (...args) =>
  core().HcsModifyProcess(...args);

/** {@link ComputeCore.HcsSetProcessCallback} of the selected host. */
export const HcsSetProcessCallback: ComputeCore['HcsSetProcessCallback'] = (...args) =>
  core().HcsSetProcessCallback(...args);

/** {@link ComputeCore.HcsWaitForProcessExit} of the selected host. */
export const HcsWaitForProcessExit: ComputeCore['HcsWaitForProcessExit'] = (...args) =>
  core().HcsWaitForProcessExit(...args);

/** {@link ComputeCore.HcsGetServiceProperties} of the selected host. */
export const HcsGetServiceProperties: ComputeCore['HcsGetServiceProperties'] = (...args) =>
  core().HcsGetServiceProperties(...args);

/** {@link ComputeCore.HcsModifyServiceSettings} of the selected host. */
export const HcsModifyServiceSettings: ComputeCore['HcsModifyServiceSettings'] = (...args) =>
  core().HcsModifyServiceSettings(...args);

/** {@link ComputeCore.HcsSubmitWerReport} of the selected host. */
export const HcsSubmitWerReport: ComputeCore['HcsSubmitWerReport'] = (...args) =>
  core().HcsSubmitWerReport(...args);

/** {@link ComputeCore.HcsCreateEmptyGuestStateFile} of the selected host. */
export const HcsCreateEmptyGuestStateFile: ComputeCore['HcsCreateEmptyGuestStateFile'] = (
  ...args
) => core().HcsCreateEmptyGuestStateFile(...args);

/** {@link ComputeCore.HcsCreateEmptyRuntimeStateFile} of the selected host. */
export const HcsCreateEmptyRuntimeStateFile: ComputeCore['HcsCreateEmptyRuntimeStateFile'] = (
  ...args
) => core().HcsCreateEmptyRuntimeStateFile(...args);

/** {@link ComputeCore.HcsGetProcessorCompatibilityFromSavedState} of the selected host. */
export const HcsGetProcessorCompatibilityFromSavedState: ComputeCore['HcsGetProcessorCompatibilityFromSavedState'] =
  (...args) => core().HcsGetProcessorCompatibilityFromSavedState(...args);

/** {@link ComputeCore.HcsGrantVmAccess} of the selected host. */
export const HcsGrantVmAccess: ComputeCore['HcsGrantVmAccess'] = (...args) =>
  core().HcsGrantVmAccess(...args);

/** {@link ComputeCore.HcsRevokeVmAccess} of the selected host. */
export const HcsRevokeVmAccess: ComputeCore['HcsRevokeVmAccess'] = (...args) =>
  core().HcsRevokeVmAccess(...args);

/** {@link ComputeCore.HcsGrantVmGroupAccess} of the selected host. */
export const HcsGrantVmGroupAccess: ComputeCore['HcsGrantVmGroupAccess'] = (...args) =>
  core().HcsGrantVmGroupAccess(...args);

/** {@link ComputeCore.HcsRevokeVmGroupAccess} of the selected host. */
export const HcsRevokeVmGroupAccess: ComputeCore['HcsRevokeVmGroupAccess'] = (...args) =>
  core().HcsRevokeVmGroupAccess(...args);
