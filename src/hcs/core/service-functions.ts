/**
 * The functions of computecore.dll on the service itself and on files that machines use. None takes an operation.
 */
export interface ServiceFunctions {
  /**
   * Properties of the service and its host.
   * Since: Windows 10 1809 / Windows Server 2019.
   * @param propertyQuery Service_PropertyQuery
   * @returns ServiceProperties
   * @throws HcsError E_INVALIDARG, HCS_E_INVALID_JSON, HCS_E_SERVICE_NOT_AVAILABLE
   */
  HcsGetServiceProperties(propertyQuery: string | null): Promise<string>;

  /**
   * Changes settings of the service: CPU groups, credential guard.
   * Since: Windows 10 1809 / Windows Server 2019.
   * @param settings ModificationRequest
   * @returns null
   * @throws HcsError E_INVALIDARG, HCS_E_INVALID_JSON, ERROR_HV_INVALID_CPU_GROUP_ID,
   * ERROR_HV_INVALID_CPU_GROUP_STATE
   */
  HcsModifyServiceSettings(settings: string): Promise<string | null>;

  /**
   * Hands a guest's crash to Windows Error Reporting.
   * Since: Windows 10 1809 / Windows Server 2019.
   * @param settings CrashReport, as HcsEventSystemCrashReport carries it
   * @throws HcsError HCS_E_INVALID_JSON
   */
  HcsSubmitWerReport(settings: string): Promise<void>;

  /**
   * Creates an empty file for firmware variables and TPM state (.vmgs).
   * Since: Windows 10 1809 / Windows Server 2019.
   * @param guestStateFilePath full path
   * @throws HcsError ERROR_FILE_EXISTS, ERROR_PATH_NOT_FOUND, E_ACCESSDENIED
   */
  HcsCreateEmptyGuestStateFile(guestStateFilePath: string): Promise<void>;

  /**
   * Creates an empty file for runtime state (.vmrs).
   * Since: Windows 10 1809 / Windows Server 2019.
   * @param runtimeStateFilePath full path
   * @throws HcsError ERROR_FILE_EXISTS, ERROR_PATH_NOT_FOUND, E_ACCESSDENIED
   */
  HcsCreateEmptyRuntimeStateFile(runtimeStateFilePath: string): Promise<void>;

  /**
   * The processor features that a saved state needs.
   * Since: Windows 10 2104 / Windows Server 2022.
   * @param RuntimeFileName full path of a .vmrs file
   * @returns VmProcessorRequirements
   * @throws HcsError ERROR_FILE_NOT_FOUND, ERROR_INVALID_DATA
   */
  HcsGetProcessorCompatibilityFromSavedState(RuntimeFileName: string): Promise<string>;

  /**
   * Lets the machine of a system use a file or directory. Symbolic links: grant the target too.
   * Since: Windows 10 1809 / Windows Server 2019.
   * @param vmId id of the compute system
   * @param filePath full path
   * @throws HcsError ERROR_FILE_NOT_FOUND, ERROR_PATH_NOT_FOUND, E_ACCESSDENIED
   */
  HcsGrantVmAccess(vmId: string, filePath: string): Promise<void>;

  /**
   * Takes back what {@link HcsGrantVmAccess} gave.
   * Since: Windows 10 1809 / Windows Server 2019.
   * @param filePath full path
   * @throws HcsError ERROR_FILE_NOT_FOUND, ERROR_PATH_NOT_FOUND, E_ACCESSDENIED
   */
  HcsRevokeVmAccess(vmId: string, filePath: string): Promise<void>;

  /**
   * Lets every machine read a file, or a directory and what is in it.
   * Since: Windows 10 2004 / Windows Server 2022.
   * @param filePath full path
   * @throws HcsError ERROR_FILE_NOT_FOUND, ERROR_PATH_NOT_FOUND, E_ACCESSDENIED
   */
  HcsGrantVmGroupAccess(filePath: string): Promise<void>;

  /**
   * Takes back what {@link HcsGrantVmGroupAccess} gave.
   * Since: Windows 10 2004 / Windows Server 2022.
   * @param filePath full path
   * @throws HcsError ERROR_FILE_NOT_FOUND, ERROR_PATH_NOT_FOUND, E_ACCESSDENIED
   */
  HcsRevokeVmGroupAccess(filePath: string): Promise<void>;
}
