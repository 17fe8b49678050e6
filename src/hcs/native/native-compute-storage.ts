import type { OutCell } from '../../ffi/abi.ts';
import { NativeLibrary } from '../../ffi/native-library.ts';
import { windowsSystem } from '../../ffi/windows-system.ts';
import type { ComputeStorage } from '../compute-storage.ts';
import type { HANDLE } from '../core/handles.ts';
import { blockingCalls } from './blocking-calls.ts';
import { COMPUTE_STORAGE_ABI } from './compute-storage-abi.ts';
import type { NativeLibraryOptions } from './native-libraries.ts';
import { check, take } from './native-result.ts';

type StorageFunctions = (typeof COMPUTE_STORAGE_ABI)['functions'];

/** computestorage.dll behind the contract; loaded by the first call. All calls may take minutes: one runs at a time. */
export class NativeComputeStorage implements ComputeStorage {
  readonly #library: NativeLibrary<typeof COMPUTE_STORAGE_ABI>;
  readonly #system: string | undefined;

  constructor({ path, system }: NativeLibraryOptions) {
    this.#library = NativeLibrary.open(path, COMPUTE_STORAGE_ABI);
    this.#system = system;
  }

  async HcsImportLayer(
    layerPath: string,
    sourceFolderPath: string,
    layerData: string,
  ): Promise<void> {
    const name = 'HcsImportLayer';
    const call = this.#library.function(name);
    await this.#run(name, () => call.async(layerPath, sourceFolderPath, layerData));
  }

  async HcsExportLayer(
    layerPath: string,
    exportFolderPath: string,
    layerData: string,
    options: string,
  ): Promise<void> {
    const name = 'HcsExportLayer';
    const call = this.#library.function(name);
    await this.#run(name, () => call.async(layerPath, exportFolderPath, layerData, options));
  }

  async HcsExportLegacyWritableLayer(
    writableLayerMountPath: string,
    writableLayerFolderPath: string,
    exportFolderPath: string,
    layerData: string,
  ): Promise<void> {
    const name = 'HcsExportLegacyWritableLayer';
    const call = this.#library.function(name);
    await this.#run(name, () =>
      call.async(writableLayerMountPath, writableLayerFolderPath, exportFolderPath, layerData),
    );
  }

  async HcsDestroyLayer(layerPath: string): Promise<void> {
    const name = 'HcsDestroyLayer';
    const call = this.#library.function(name);
    await this.#run(name, () => call.async(layerPath));
  }

  async HcsSetupBaseOSLayer(layerPath: string, vhdHandle: HANDLE, options: string): Promise<void> {
    const name = 'HcsSetupBaseOSLayer';
    const call = this.#library.function(name);
    await this.#run(name, () => call.async(layerPath, vhdHandle, options));
  }

  async HcsSetupBaseOSVolume(
    layerPath: string,
    volumePath: string,
    options: string,
  ): Promise<void> {
    const name = 'HcsSetupBaseOSVolume';
    const call = this.#library.function(name);
    await this.#run(name, () => call.async(layerPath, volumePath, options));
  }

  async HcsInitializeWritableLayer(
    writableLayerPath: string,
    layerData: string,
    options: string | null,
  ): Promise<void> {
    const name = 'HcsInitializeWritableLayer';
    const call = this.#library.function(name);
    await this.#run(name, () => call.async(writableLayerPath, layerData, options));
  }

  async HcsInitializeLegacyWritableLayer(
    writableLayerMountPath: string,
    writableLayerFolderPath: string,
    layerData: string,
    options: string | null,
  ): Promise<void> {
    const name = 'HcsInitializeLegacyWritableLayer';
    const call = this.#library.function(name);
    await this.#run(name, () =>
      call.async(writableLayerMountPath, writableLayerFolderPath, layerData, options),
    );
  }

  async HcsAttachLayerStorageFilter(layerPath: string, layerData: string): Promise<void> {
    const name = 'HcsAttachLayerStorageFilter';
    const call = this.#library.function(name);
    await this.#run(name, () => call.async(layerPath, layerData));
  }

  async HcsDetachLayerStorageFilter(layerPath: string): Promise<void> {
    const name = 'HcsDetachLayerStorageFilter';
    const call = this.#library.function(name);
    await this.#run(name, () => call.async(layerPath));
  }

  async HcsFormatWritableLayerVhd(vhdHandle: HANDLE): Promise<void> {
    const name = 'HcsFormatWritableLayerVhd';
    const call = this.#library.function(name);
    await this.#run(name, () => call.async(vhdHandle));
  }

  async HcsGetLayerVhdMountPath(vhdHandle: HANDLE): Promise<string> {
    const name = 'HcsGetLayerVhdMountPath';
    const call = this.#library.function(name);
    const path: OutCell = [0];
    const hresult = await blockingCalls.runSlow(() => call.async(vhdHandle, path));
    return take(windowsSystem(this.#system), name, hresult, path) ?? '';
  }

  async HcsAttachOverlayFilter(VolumeMountPoint: string, LayerData: string): Promise<void> {
    const name = 'HcsAttachOverlayFilter';
    const call = this.#library.function(name);
    await this.#run(name, () => call.async(VolumeMountPoint, LayerData));
  }

  async HcsDetachOverlayFilter(VolumeMountPoint: string, LayerData: string): Promise<void> {
    const name = 'HcsDetachOverlayFilter';
    const call = this.#library.function(name);
    await this.#run(name, () => call.async(VolumeMountPoint, LayerData));
  }

  async #run(name: keyof StorageFunctions, call: () => Promise<number>): Promise<void> {
    check(name, await blockingCalls.runSlow(call));
  }
}
