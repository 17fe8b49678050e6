import { expect, test } from 'vitest';
import { COMPUTE_CORE_FUNCTIONS, type ComputeCore } from '../../src/hcs/compute-core.ts';
import { COMPUTE_STORAGE_FUNCTIONS, type ComputeStorage } from '../../src/hcs/compute-storage.ts';
import * as functions from '../../src/hcs/functions.ts';
import { provideComputeCore } from '../../src/hcs/selected-core.ts';

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

test('names the fourteen functions of the storage contract', () => {
  expect(COMPUTE_STORAGE_FUNCTIONS).toHaveLength(14);
  expect(
    COMPUTE_STORAGE_FUNCTIONS.every((name: keyof ComputeStorage) =>
      /Layer|Base|Overlay/.test(name),
    ),
  ).toBe(true);
});
