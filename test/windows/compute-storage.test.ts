import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { COMPUTE_STORAGE_FUNCTIONS } from '../../src/hcs/compute-storage.ts';
import { HRESULT } from '../../src/hcs/hresult.ts';
import { NativeComputeStorage } from '../../src/hcs/native/native-compute-storage.ts';
import { codeOf, errorOf } from '../compute/recording-engine.ts';
import { until } from './compute-rig.ts';
import { openStandIns, type StandIns, standInsUnavailable } from './stand-ins.ts';

if (standInsUnavailable !== undefined) console.log(`Skipped: ${standInsUnavailable}`);

const LAYER = 'C:\\layers\\Größe';
const DATA = '{"Layers":[{"Id":"x","Path":"C:\\\\base"}]}';

describe.runIf(standInsUnavailable === undefined)('computestorage.dll as bound', () => {
  let standIns: StandIns;
  let storage: NativeComputeStorage;

  beforeAll(() => {
    standIns = openStandIns();
    const { computestorage, system } = standIns.libraries;
    storage = new NativeComputeStorage({ path: computestorage, system });
  });

  afterAll(() => standIns?.close());

  test('is given every function with its arguments, byte for byte', async () => {
    const liveBefore = standIns.liveBlocks();
    standIns.clear();
    await storage.HcsImportLayer(LAYER, 'C:\\source', DATA);
    await storage.HcsExportLayer(LAYER, 'C:\\export', DATA, '{"IsWritableLayer":true}');
    await storage.HcsExportLegacyWritableLayer('C:\\mount', LAYER, 'C:\\export', DATA);
    await storage.HcsDestroyLayer(LAYER);
    await storage.HcsSetupBaseOSLayer(LAYER, 0n, '{"Type":"Container"}');
    await storage.HcsSetupBaseOSVolume(LAYER, '\\\\?\\Volume{1}\\', '{"Type":"Vm"}');
    await storage.HcsInitializeWritableLayer(LAYER, DATA, null);
    await storage.HcsInitializeLegacyWritableLayer('C:\\mount', LAYER, DATA, '');
    await storage.HcsAttachLayerStorageFilter(LAYER, DATA);
    await storage.HcsDetachLayerStorageFilter(LAYER);
    await storage.HcsFormatWritableLayerVhd(0x1_2345_6789n);
    const volume = await storage.HcsGetLayerVhdMountPath(0x44n);
    await storage.HcsAttachOverlayFilter('C:\\mount', '{"FilterType":"UnionFS"}');
    await storage.HcsDetachOverlayFilter('C:\\mount', '{"FilterType":"UnionFS"}');
    expect(volume).toMatch(/^\\\\\?\\Volume\{[\da-f-]+\}$/);
    const [layer, data, path] = [LAYER, DATA, volume].map((text) => JSON.stringify(text));
    const lines = standIns.transcript();
    expect(lines).toEqual([
      `HcsImportLayer(${layer}, "C:\\\\source", ${data}) = 0x00000000`,
      `HcsExportLayer(${layer}, "C:\\\\export", ${data}, "{\\"IsWritableLayer\\":true}") = 0x00000000`,
      `HcsExportLegacyWritableLayer("C:\\\\mount", ${layer}, "C:\\\\export", ${data}) = 0x00000000`,
      `HcsDestroyLayer(${layer}) = 0x00000000`,
      `HcsSetupBaseOSLayer(${layer}, 0x0, "{\\"Type\\":\\"Container\\"}") = 0x00000000`,
      `HcsSetupBaseOSVolume(${layer}, "\\\\\\\\?\\\\Volume{1}\\\\", "{\\"Type\\":\\"Vm\\"}") = 0x00000000`,
      `HcsInitializeWritableLayer(${layer}, ${data}, null) = 0x00000000`,
      `HcsInitializeLegacyWritableLayer("C:\\\\mount", ${layer}, ${data}, "") = 0x00000000`,
      `HcsAttachLayerStorageFilter(${layer}, ${data}) = 0x00000000`,
      `HcsDetachLayerStorageFilter(${layer}) = 0x00000000`,
      'HcsFormatWritableLayerVhd(0x123456789) = 0x00000000',
      expect.stringMatching(/^HcsGetLayerVhdMountPath\(0x44\) = 0x00000000/),
      'HcsAttachOverlayFilter("C:\\\\mount", "{\\"FilterType\\":\\"UnionFS\\"}") = 0x00000000',
      'HcsDetachOverlayFilter("C:\\\\mount", "{\\"FilterType\\":\\"UnionFS\\"}") = 0x00000000',
    ]);
    expect(path).toContain('Volume');
    expect(lines.map((line) => /^\w+/.exec(line)?.[0])).toEqual(COMPUTE_STORAGE_FUNCTIONS);
    expect(standIns.liveBlocks()).toBe(liveBefore);
  });

  test('rejects with the HRESULT of the library, by the name of the function', async () => {
    standIns.failNext('HcsDestroyLayer', HRESULT.ERROR_SHARING_VIOLATION);
    const error = await errorOf(() => storage.HcsDestroyLayer(LAYER));
    expect([error.function, error.code]).toEqual(['HcsDestroyLayer', 'ERROR_SHARING_VIOLATION']);
    standIns.failNext('HcsGetLayerVhdMountPath', HRESULT.ERROR_NOT_FOUND);
    expect(await codeOf(() => storage.HcsGetLayerVhdMountPath(1n))).toBe('ERROR_NOT_FOUND');
  });

  test('takes one thread, however many calls there are', async () => {
    standIns.hold('HcsDestroyLayer');
    const calls = [1, 2, 3, 4].map((n) => storage.HcsDestroyLayer(`${LAYER} ${n}`));
    await until(() => standIns.held('HcsDestroyLayer') === 1);
    await new Promise(setImmediate);
    expect(standIns.held('HcsDestroyLayer')).toBe(1);
    standIns.release('HcsDestroyLayer');
    await Promise.all(calls);
  });
});

test('says which library is missing', async () => {
  const storage = new NativeComputeStorage({ path: '/nowhere/computestorage.dll' });
  await expect(storage.HcsDestroyLayer(LAYER)).rejects.toMatchObject({
    name: 'NativeLibraryError',
    problem: 'missing',
  });
});
