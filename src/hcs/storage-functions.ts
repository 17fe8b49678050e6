import type { ComputeStorage } from './compute-storage.ts';
import { selectedComputeStorage as storage } from './selected-storage.ts';

/** {@link ComputeStorage.HcsImportLayer} of the selected host. */
export const HcsImportLayer: ComputeStorage['HcsImportLayer'] = async (...args) =>
  await storage().HcsImportLayer(...args);

/** {@link ComputeStorage.HcsExportLayer} of the selected host. */
export const HcsExportLayer: ComputeStorage['HcsExportLayer'] = async (...args) =>
  await storage().HcsExportLayer(...args);

/** {@link ComputeStorage.HcsExportLegacyWritableLayer} of the selected host. */
export const HcsExportLegacyWritableLayer: ComputeStorage['HcsExportLegacyWritableLayer'] = async (
  ...args
) => await storage().HcsExportLegacyWritableLayer(...args);

/** {@link ComputeStorage.HcsDestroyLayer} of the selected host. */
export const HcsDestroyLayer: ComputeStorage['HcsDestroyLayer'] = async (...args) =>
  await storage().HcsDestroyLayer(...args);

/** {@link ComputeStorage.HcsSetupBaseOSLayer} of the selected host. */
export const HcsSetupBaseOSLayer: ComputeStorage['HcsSetupBaseOSLayer'] = async (...args) =>
  await storage().HcsSetupBaseOSLayer(...args);

/** {@link ComputeStorage.HcsSetupBaseOSVolume} of the selected host. */
export const HcsSetupBaseOSVolume: ComputeStorage['HcsSetupBaseOSVolume'] = async (...args) =>
  await storage().HcsSetupBaseOSVolume(...args);

/** {@link ComputeStorage.HcsInitializeWritableLayer} of the selected host. */
export const HcsInitializeWritableLayer: ComputeStorage['HcsInitializeWritableLayer'] = async (
  ...args
) => await storage().HcsInitializeWritableLayer(...args);

/** {@link ComputeStorage.HcsInitializeLegacyWritableLayer} of the selected host. */
export const HcsInitializeLegacyWritableLayer: ComputeStorage['HcsInitializeLegacyWritableLayer'] =
  async (...args) => await storage().HcsInitializeLegacyWritableLayer(...args);

/** {@link ComputeStorage.HcsAttachLayerStorageFilter} of the selected host. */
export const HcsAttachLayerStorageFilter: ComputeStorage['HcsAttachLayerStorageFilter'] = async (
  ...args
) => await storage().HcsAttachLayerStorageFilter(...args);

/** {@link ComputeStorage.HcsDetachLayerStorageFilter} of the selected host. */
export const HcsDetachLayerStorageFilter: ComputeStorage['HcsDetachLayerStorageFilter'] = async (
  ...args
) => await storage().HcsDetachLayerStorageFilter(...args);

/** {@link ComputeStorage.HcsFormatWritableLayerVhd} of the selected host. */
export const HcsFormatWritableLayerVhd: ComputeStorage['HcsFormatWritableLayerVhd'] = async (
  ...args
) => await storage().HcsFormatWritableLayerVhd(...args);

/** {@link ComputeStorage.HcsGetLayerVhdMountPath} of the selected host. */
export const HcsGetLayerVhdMountPath: ComputeStorage['HcsGetLayerVhdMountPath'] = async (...args) =>
  await storage().HcsGetLayerVhdMountPath(...args);

/** {@link ComputeStorage.HcsAttachOverlayFilter} of the selected host. */
export const HcsAttachOverlayFilter: ComputeStorage['HcsAttachOverlayFilter'] = async (...args) =>
  await storage().HcsAttachOverlayFilter(...args);

/** {@link ComputeStorage.HcsDetachOverlayFilter} of the selected host. */
export const HcsDetachOverlayFilter: ComputeStorage['HcsDetachOverlayFilter'] = async (...args) =>
  await storage().HcsDetachOverlayFilter(...args);
