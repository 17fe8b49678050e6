import { expect, test } from 'vitest';
import { COMPUTE_CORE_FUNCTIONS, type ComputeCore } from '../../src/hcs/compute-core.ts';
import { COMPUTE_STORAGE_FUNCTIONS, type ComputeStorage } from '../../src/hcs/compute-storage.ts';
import * as functions from '../../src/hcs/functions.ts';
import { provideComputeCore } from '../../src/hcs/selected-core.ts';
import { provideComputeStorage } from '../../src/hcs/selected-storage.ts';
import * as storageFunctions from '../../src/hcs/storage-functions.ts';

test('says so when no host is selected', () => {
  expect(() => functions.HcsCreateOperation(null, null)).toThrow(/no host is selected/);
});

test('exports every function of the contract, each bound to the host selected at the call', () => {
  const exported = functions as Record<string, (...args: readonly unknown[]) => unknown>;
  expect(Object.keys(exported).sort()).toEqual([...COMPUTE_CORE_FUNCTIONS].sort());
  expect(COMPUTE_CORE_FUNCTIONS).toHaveLength(60);
  for (const host of ['one', 'two']) {
    const core = Object.fromEntries(
      COMPUTE_CORE_FUNCTIONS.map((name) => [
        name,
        (...args: readonly unknown[]) => [host, name, ...args],
      ]),
    );
    provideComputeCore(() => core as unknown as ComputeCore);
    for (const name of COMPUTE_CORE_FUNCTIONS) {
      expect(exported[name]?.(1, 2, 3)).toEqual([host, name, 1, 2, 3]);
    }
  }
});

test('exports the fourteen storage functions, each bound to the host selected at the call', async () => {
  const exported = storageFunctions as Record<string, (...args: readonly unknown[]) => unknown>;
  await expect(exported.HcsDestroyLayer?.('layer')).rejects.toThrow(/no host is selected/);
  expect(Object.keys(exported).sort()).toEqual([...COMPUTE_STORAGE_FUNCTIONS].sort());
  expect(COMPUTE_STORAGE_FUNCTIONS).toHaveLength(14);
  for (const host of ['one', 'two']) {
    const storage = Object.fromEntries(
      COMPUTE_STORAGE_FUNCTIONS.map((name) => [
        name,
        (...args: readonly unknown[]) => [host, name, ...args],
      ]),
    );
    provideComputeStorage(() => storage as unknown as ComputeStorage);
    for (const name of COMPUTE_STORAGE_FUNCTIONS) {
      expect(await exported[name]?.(1, 2, 3)).toEqual([host, name, 1, 2, 3]);
    }
  }
});
