import type { HANDLE } from './core/handles.ts';

/**
 * computestorage.dll: container layers. All may take long and return promises. `_Out_` parameters are return
 * values; a failing HRESULT throws {@link HcsError}. Source: computestorage.h of the Windows SDK, and the reference pages.
 *
 * Under Windows calls run one after the other. Each may reject with `NativeLibraryError` where the library cannot be
 * used, and with `NotSupportedError` where this Windows does not have the function. Other hosts answer E_NOTIMPL.
 */
export interface ComputeStorage {
  /**
   * Turns a folder in transport format into a layer on disk.
   * Since: Windows 10 1809 / Windows Server 2019.
   * @param layerPath created when missing
   * @param layerData LayerData with the parents, nearest first
   * @throws HcsError HCS_E_INVALID_LAYER, ERROR_PATH_NOT_FOUND, ERROR_INVALID_DATA
   */
  HcsImportLayer(layerPath: string, sourceFolderPath: string, layerData: string): Promise<void>;

  /**
   * Writes a layer to a folder in transport format.
   * Since: Windows 10 1809 / Windows Server 2019.
   * @param options ExportLayerOptions
   * @throws HcsError HCS_E_INVALID_LAYER, ERROR_PATH_NOT_FOUND, ERROR_INVALID_DATA
   */
  HcsExportLayer(
    layerPath: string,
    exportFolderPath: string,
    layerData: string,
    options: string,
  ): Promise<void>;

  /**
   * Writes a mounted writable layer with its folder of registry hives to a folder in transport format.
   * Since: Windows 10 1809 / Windows Server 2019.
   */
  HcsExportLegacyWritableLayer(
    writableLayerMountPath: string,
    writableLayerFolderPath: string,
    exportFolderPath: string,
    layerData: string,
  ): Promise<void>;

  /**
   * Deletes a layer's directory tree. The path is not checked to be a layer.
   * Since: Windows 10 1809 / Windows Server 2019.
   * @throws HcsError ERROR_PATH_NOT_FOUND, ERROR_SHARING_VIOLATION while it is mounted
   */
  HcsDestroyLayer(layerPath: string): Promise<void>;

  /**
   * Prepares a base layer for containers, or the boot disk of a utility VM.
   * Since: Windows 10 1809 / Windows Server 2019.
   * @param vhdHandle `0n` for Type Container, an attached disk for Type Vm
   * @param options OsLayerOptions
   * @throws HcsError ERROR_ALREADY_EXISTS, E_INVALIDARG
   */
  HcsSetupBaseOSLayer(layerPath: string, vhdHandle: HANDLE, options: string): Promise<void>;

  /**
   * Prepares the boot disk of a utility VM on a mounted volume.
   * Since: Windows 10 2104 / Windows Server 2022; hcsshim gates on build >= 19645.
   * @param volumePath a volume path, not a handle
   * @param options OsLayerOptions
   * @throws HcsError ERROR_ALREADY_EXISTS, E_INVALIDARG
   */
  HcsSetupBaseOSVolume(layerPath: string, volumePath: string, options: string): Promise<void>;

  /**
   * Seeds a mounted writable layer for its parents.
   * Since: Windows 10 1809 / Windows Server 2019.
   * @param layerData LayerData with the parents, nearest first
   * @param options reserved: null or `""`
   * @throws HcsError HCS_E_INVALID_LAYER
   */
  HcsInitializeWritableLayer(
    writableLayerPath: string,
    layerData: string,
    options: string | null,
  ): Promise<void>;

  /**
   * Seeds a mounted writable layer that keeps its registry hives in a folder beside the mount.
   * Since: Windows 10 1809 / Windows Server 2019.
   */
  HcsInitializeLegacyWritableLayer(
    writableLayerMountPath: string,
    writableLayerFolderPath: string,
    layerData: string,
    options: string | null,
  ): Promise<void>;

  /**
   * Makes the root of a mounted writable layer show the union with its parents.
   * Since: Windows 10 1809 / Windows Server 2019.
   * @param layerData LayerData with the parents, nearest first
   */
  HcsAttachLayerStorageFilter(layerPath: string, layerData: string): Promise<void>;

  /**
   * Undoes {@link HcsAttachLayerStorageFilter}.
   * Since: Windows 10 1809 / Windows Server 2019.
   */
  HcsDetachLayerStorageFilter(layerPath: string): Promise<void>;

  /**
   * Partitions and formats the disk of a writable layer.
   * Since: Windows 10 1809 / Windows Server 2019.
   * @param vhdHandle a file handle on Windows Server 2019, a virtual disk handle later
   */
  HcsFormatWritableLayerVhd(vhdHandle: HANDLE): Promise<void>;

  /**
   * The volume path of an attached writable layer.
   * Since: Windows 10 1809 / Windows Server 2019.
   * @returns `\\?\Volume{guid}`; append `\` for Storage.Path of a container
   * @throws HcsError ERROR_NOT_FOUND when it is not mounted
   */
  HcsGetLayerVhdMountPath(vhdHandle: HANDLE): Promise<string>;

  /**
   * Attaches the union filter that the document names.
   * Since: first build not documented; in the current SDK header.
   * @param LayerData LayerData with FilterType
   */
  HcsAttachOverlayFilter(VolumeMountPoint: string, LayerData: string): Promise<void>;

  /**
   * Undoes {@link HcsAttachOverlayFilter}.
   * Since: first build not documented; in the current SDK header.
   * @param LayerData needs only FilterType
   */
  HcsDetachOverlayFilter(VolumeMountPoint: string, LayerData: string): Promise<void>;
}

/** The names of all functions of {@link ComputeStorage}, in the order of the interface. */
export const COMPUTE_STORAGE_FUNCTIONS = [
  'HcsImportLayer',
  'HcsExportLayer',
  'HcsExportLegacyWritableLayer',
  'HcsDestroyLayer',
  'HcsSetupBaseOSLayer',
  'HcsSetupBaseOSVolume',
  'HcsInitializeWritableLayer',
  'HcsInitializeLegacyWritableLayer',
  'HcsAttachLayerStorageFilter',
  'HcsDetachLayerStorageFilter',
  'HcsFormatWritableLayerVhd',
  'HcsGetLayerVhdMountPath',
  'HcsAttachOverlayFilter',
  'HcsDetachOverlayFilter',
] as const satisfies readonly (keyof ComputeStorage)[];
