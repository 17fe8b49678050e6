import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { INFINITE } from '../../src/hcs/core/constants.ts';
import type { HCS_OPERATION, HCS_SYSTEM } from '../../src/hcs/core/handles.ts';
import { codeOf } from '../compute/recording-engine.ts';
import { type LinuxTestHost, openLinuxHost } from './linux-test-host.ts';

let folder: string;
let host: LinuxTestHost;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'hdvkit-cancel-'));
  host = await openLinuxHost();
});

afterAll(async () => {
  await host.close();
  rmSync(folder, { recursive: true, force: true });
});

test('a save that is cancelled leaves no file, and the machine is paused and can be saved', async () => {
  const { computeCore: core } = host.binding;
  const run = async (start: (operation: HCS_OPERATION) => void): Promise<void> => {
    const operation = core.HcsCreateOperation(null, null);
    start(operation);
    await core.HcsWaitForOperationResult(operation, INFINITE);
    core.HcsCloseOperation(operation);
  };
  let system = 0n as HCS_SYSTEM;
  await run((operation) => {
    const document = JSON.stringify(host.document());
    system = core.HcsCreateComputeSystem('cancel-save', document, operation, null);
  });
  await run((operation) => core.HcsStartComputeSystem(system, operation, null));
  await run((operation) => core.HcsPauseComputeSystem(system, operation, null));
  const path = join(folder, 'saved.vmrs');
  const options = JSON.stringify({ SaveStateFilePath: path });
  const save = core.HcsCreateOperation(null, null);
  core.HcsSaveComputeSystem(system, save, options);
  // The file that QEMU writes is there as soon as the save has begun.
  while (readdirSync(folder).length === 0) await new Promise((resolve) => setImmediate(resolve));
  core.HcsCancelOperation(save);
  const code = await codeOf(() => core.HcsWaitForOperationResult(save, INFINITE));
  // A machine without memory of its own may be saved before it can be told.
  expect(['ERROR_CANCELLED', 'S_OK']).toContain(code);
  expect(existsSync(path)).toBe(code === 'S_OK');
  expect(readdirSync(folder)).toHaveLength(code === 'S_OK' ? 1 : 0);
  await run((operation) => core.HcsSaveComputeSystem(system, operation, options));
  expect(readdirSync(folder)).toEqual(['saved.vmrs']);
  const needs = await core.HcsGetProcessorCompatibilityFromSavedState(path);
  expect(JSON.parse(needs)).toEqual({ ProcessorFeatures: [], XsaveProcessorFeatures: [] });
  await run((operation) => core.HcsResumeComputeSystem(system, operation, null));
  await run((operation) => core.HcsTerminateComputeSystem(system, operation, null));
  await core.HcsCloseComputeSystem(system);
});
