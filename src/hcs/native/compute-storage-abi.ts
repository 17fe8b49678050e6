import { hresult, type LibraryAbi } from '../../ffi/abi.ts';
import { UNDOCUMENTED, WINDOWS_10_1809, WINDOWS_11 } from './windows-versions.ts';

/** computestorage.dll, after ComputeStorage.h of the Windows SDK. */
export const COMPUTE_STORAGE_ABI = {
  file: 'computestorage.dll',
  feature:
    'the Windows feature Containers (Enable-WindowsOptionalFeature -Online -FeatureName Containers -All) and restart',
  handles: [],
  enums: {},
  structs: {},
  callbacks: {},
  functions: {
    HcsImportLayer: hresult(
      WINDOWS_10_1809,
      ['PCWSTR', 'layerPath'],
      ['PCWSTR', 'sourceFolderPath'],
      ['PCWSTR', 'layerData'],
    ),
    HcsExportLayer: hresult(
      WINDOWS_10_1809,
      ['PCWSTR', 'layerPath'],
      ['PCWSTR', 'exportFolderPath'],
      ['PCWSTR', 'layerData'],
      ['PCWSTR', 'options'],
    ),
    HcsExportLegacyWritableLayer: hresult(
      WINDOWS_10_1809,
      ['PCWSTR', 'writableLayerMountPath'],
      ['PCWSTR', 'writableLayerFolderPath'],
      ['PCWSTR', 'exportFolderPath'],
      ['PCWSTR', 'layerData'],
    ),
    HcsDestroyLayer: hresult(WINDOWS_10_1809, ['PCWSTR', 'layerPath']),
    HcsSetupBaseOSLayer: hresult(
      WINDOWS_10_1809,
      ['PCWSTR', 'layerPath'],
      ['HANDLE', 'vhdHandle'],
      ['PCWSTR', 'options'],
    ),
    HcsSetupBaseOSVolume: hresult(
      WINDOWS_11,
      ['PCWSTR', 'layerPath'],
      ['PCWSTR', 'volumePath'],
      ['PCWSTR', 'options'],
    ),
    HcsInitializeWritableLayer: hresult(
      WINDOWS_10_1809,
      ['PCWSTR', 'writableLayerPath'],
      ['PCWSTR', 'layerData'],
      ['PCWSTR', 'options'],
    ),
    HcsInitializeLegacyWritableLayer: hresult(
      WINDOWS_10_1809,
      ['PCWSTR', 'writableLayerMountPath'],
      ['PCWSTR', 'writableLayerFolderPath'],
      ['PCWSTR', 'layerData'],
      ['PCWSTR', 'options'],
    ),
    HcsAttachLayerStorageFilter: hresult(
      WINDOWS_10_1809,
      ['PCWSTR', 'layerPath'],
      ['PCWSTR', 'layerData'],
    ),
    HcsDetachLayerStorageFilter: hresult(WINDOWS_10_1809, ['PCWSTR', 'layerPath']),
    HcsFormatWritableLayerVhd: hresult(WINDOWS_10_1809, ['HANDLE', 'vhdHandle']),
    HcsGetLayerVhdMountPath: hresult(
      WINDOWS_10_1809,
      ['HANDLE', 'vhdHandle'],
      ['PWSTR *', 'mountPath'],
    ),
    HcsAttachOverlayFilter: hresult(
      UNDOCUMENTED,
      ['PCWSTR', 'VolumeMountPoint'],
      ['PCWSTR', 'LayerData'],
    ),
    HcsDetachOverlayFilter: hresult(
      UNDOCUMENTED,
      ['PCWSTR', 'VolumeMountPoint'],
      ['PCWSTR', 'LayerData'],
    ),
  },
  unbound: {},
} as const satisfies LibraryAbi;
