import { expect, test } from 'vitest';
import { notImplementedStorage } from '../../src/compute/not-implemented-storage.ts';
import { COMPUTE_STORAGE_FUNCTIONS } from '../../src/hcs/compute-storage.ts';
import { createLinuxHost } from '../../src/hosts/linux/host.ts';
import { createSimulatedHost } from '../../src/hosts/simulated/host.ts';
import { errorOf } from './recording-engine.ts';

test.each(COMPUTE_STORAGE_FUNCTIONS)('answers %s with E_NOTIMPL', async (name) => {
  const call = notImplementedStorage[name] as (...args: readonly unknown[]) => Promise<unknown>;
  const error = await errorOf(() => call('layer', 'data', ''));
  expect([error.function, error.code]).toEqual([name, 'E_NOTIMPL']);
});

test('is the storage of the hosts that run no containers', () => {
  for (const host of [createSimulatedHost(), createLinuxHost()]) {
    expect(host.computeStorage).toBe(notImplementedStorage);
  }
});
