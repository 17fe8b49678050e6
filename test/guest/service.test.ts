import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { INFINITE } from '../../src/hcs/core/constants.ts';
import type { HCS_OPERATION, HCS_SYSTEM } from '../../src/hcs/core/handles.ts';
import type { ComputeSystem, VirtualMachine } from '../../src/hcs/schema/documents.ts';
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

async function run(begin: (operation: HCS_OPERATION) => void): Promise<void> {
  const { computeCore: core } = host.binding;
  const operation = core.HcsCreateOperation(null, null);
  try {
    begin(operation);
    await core.HcsWaitForOperationResult(operation, INFINITE);
  } finally {
    core.HcsCloseOperation(operation);
  }
}

/** A machine that runs, with some fields more in its document. */
async function start(id: string, fields: VirtualMachine): Promise<HCS_SYSTEM> {
  const { computeCore: core } = host.binding;
  const { VirtualMachine, ...document } = host.document() as ComputeSystem;
  const text = JSON.stringify({ ...document, VirtualMachine: { ...VirtualMachine, ...fields } });
  let system = 0n as HCS_SYSTEM;
  await run((operation) => {
    system = core.HcsCreateComputeSystem(id, text, operation, null);
  });
  await run((operation) => core.HcsStartComputeSystem(system, operation, null));
  return system;
}

test('a save that is cancelled leaves no file, and the machine is paused and can be saved', async () => {
  const { computeCore: core } = host.binding;
  const system = await start('cancel-save', {});
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

test('a guest is asked to shut down where its document says so, and does', async () => {
  const { computeCore: core } = host.binding;
  const deaf = await start('deaf', {});
  const ask = (system: HCS_SYSTEM, options: string | null) =>
    codeOf(() => run((operation) => core.HcsShutDownComputeSystem(system, operation, options)));
  expect(await ask(deaf, null)).toBe('HCS_E_SYSTEM_NOT_CONFIGURED_FOR_OPERATION');
  await run((operation) => core.HcsTerminateComputeSystem(deaf, operation, null));
  await core.HcsCloseComputeSystem(deaf);

  const system = await start('listens', { Services: { Shutdown: {} } });
  await host.agent();
  expect(await ask(system, '{"Type":"Hibernate"}')).toBe('ERROR_NOT_SUPPORTED');
  expect(await ask(system, '{"Mechanism":"IntegrationService"}')).toBe('S_OK');
  const exit = await core.HcsWaitForComputeSystemExit(system, 60_000);
  expect(JSON.parse(exit ?? '')).toMatchObject({
    ExitType: 'GracefulExit',
    Attribution: [{ SystemExit: { Detail: 'Shutdown', Initiator: 'Client' } }],
  });
  await core.HcsCloseComputeSystem(system);
});
