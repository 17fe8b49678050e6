import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  GENERIC_ALL,
  HCS_EVENT_OPTIONS,
  HCS_EVENT_TYPE,
  INFINITE,
} from '../../src/hcs/core/constants.ts';
import type { HCS_EVENT, HCS_OPERATION, HCS_SYSTEM } from '../../src/hcs/core/handles.ts';
import type { ComputeSystem, VirtualMachine } from '../../src/hcs/schema/documents.ts';
import { codeOf } from '../compute/recording-engine.ts';
import { type LinuxTestHost, openLinuxHost } from './linux-test-host.ts';
import { tinyKernel } from './tiny-kernel.ts';

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
  const exit = await core.HcsWaitForComputeSystemExit(system, INFINITE);
  expect(JSON.parse(exit ?? '')).toMatchObject({
    ExitType: 'GracefulExit',
    Attribution: [{ SystemExit: { Detail: 'Shutdown', Initiator: 'Client' } }],
  });
  await core.HcsCloseComputeSystem(system);
});

const { HcsEventOptionEnableOperationCallbacks, HcsEventOptionEnableVmLifecycle } =
  HCS_EVENT_OPTIONS;
const ALL = HcsEventOptionEnableOperationCallbacks | HcsEventOptionEnableVmLifecycle;
const EVENT_NAMES = new Map(Object.entries(HCS_EVENT_TYPE).map(([name, type]) => [type, name]));

/** What happened, as the handles were told: a type, or the state that a machine came into. */
function heard({ Type, EventData }: HCS_EVENT): string {
  const { State = undefined } = JSON.parse(EventData ?? '{}') as { readonly State?: string };
  return State ?? EVENT_NAMES.get(Type as never)?.replace(/^HcsEvent(System)?/, '') ?? `${Type}`;
}

test('each handle of a machine is told what it asked for, in order, and nothing once it is closed', async () => {
  const { computeCore: core } = host.binding;
  const kernel = join(folder, 'kernel');
  writeFileSync(kernel, tinyKernel());
  const VirtualMachine = {
    Chipset: { LinuxKernelDirect: { KernelFilePath: kernel } },
    ComputeTopology: { Memory: { SizeInMB: 64 } },
    Services: { Shutdown: {} },
  };
  await core.HcsGrantVmAccess('silent', kernel);
  const operations = Array.from({ length: 6 }, () => core.HcsCreateOperation(null, null));
  const [create, ...others] = operations as [HCS_OPERATION, ...HCS_OPERATION[]];
  const first: HCS_EVENT[] = [];
  const system = core.HcsCreateComputeSystemInNamespace(
    '',
    'silent',
    JSON.stringify({ SchemaVersion: { Major: 2, Minor: 5 }, VirtualMachine }),
    create,
    { Version: 0x0001_0000, CallbackOptions: ALL, Callback: (event) => first.push(event) },
  );
  await core.HcsWaitForOperationResult(create, INFINITE);
  const [plain, closed] = await Promise.all([
    core.HcsOpenComputeSystem('silent', GENERIC_ALL),
    core.HcsOpenComputeSystem('silent', GENERIC_ALL),
  ]);
  const [second, third]: [string[], string[]] = [[], []];
  core.HcsSetComputeSystemCallback(plain, 0, null, (event) => second.push(heard(event)));
  core.HcsSetComputeSystemCallback(closed, ALL, null, (event) => third.push(heard(event)));

  const calls = [
    core.HcsStartComputeSystem,
    core.HcsPauseComputeSystem,
    core.HcsResumeComputeSystem,
    // Its guest has no driver for the power button, so it never answers.
    core.HcsShutDownComputeSystem,
    core.HcsTerminateComputeSystem,
  ];
  for (const [i, call] of calls.entries()) {
    if (call === core.HcsTerminateComputeSystem) {
      const again = (operation: HCS_OPERATION): void =>
        core.HcsShutDownComputeSystem(plain, operation, null);
      expect(await codeOf(() => run(again))).toBe('HCS_E_SYSTEM_ALREADY_STOPPED');
      await core.HcsCloseComputeSystem(closed);
    }
    const operation = others[i] as HCS_OPERATION;
    call.call(core, system, operation, null);
    await core.HcsWaitForOperationResult(operation, INFINITE);
  }
  const exit = JSON.parse((await core.HcsWaitForComputeSystemExit(plain, INFINITE)) ?? '{}');
  expect(exit).toMatchObject({ ExitType: 'ForcedExit' });
  await expect.poll(() => first.length).toBe(12);

  expect(first.map(heard)).toEqual([
    ...['Created', 'OperationCallback'],
    ...['Running', 'OperationCallback'],
    ...['Paused', 'OperationCallback'],
    ...['Running', 'OperationCallback'],
    'OperationCallback',
    ...['Stopped', 'Exited', 'OperationCallback'],
  ]);
  const completions = first.filter(({ Operation }) => Operation !== 0n);
  expect(completions.map(({ Operation }) => Operation)).toEqual(operations);
  expect(second).toEqual(['Exited']);
  expect(third).toEqual(['Running', 'Paused', 'Running']);
  for (const operation of operations) core.HcsCloseOperation(operation);
  for (const handle of [system, plain]) await core.HcsCloseComputeSystem(handle);
});

test('a crash of the guest is told as begun, as reported with its words, and then as the end', async () => {
  const { computeCore: core } = host.binding;
  const system = await start('panics', {});
  const events: HCS_EVENT[] = [];
  core.HcsSetComputeSystemCallback(system, ALL, null, (event) => events.push(event));
  const agent = await host.agent();
  agent.run('echo c > /proc/sysrq-trigger').catch(() => undefined);
  const exit = JSON.parse((await core.HcsWaitForComputeSystemExit(system, INFINITE)) ?? '{}');
  await expect
    .poll(() => events.map(heard))
    .toEqual(['CrashInitiated', 'CrashReport', 'Stopped', 'Exited']);
  const [initiated, report] = events.map(({ EventData }) => JSON.parse(EventData ?? '{}'));
  expect(initiated.SystemId).toBe('panics');
  expect(report.CrashLog).toMatch(/Kernel panic - not syncing: sysrq triggered crash/);
  expect(exit).toMatchObject({ ExitType: 'UnexpectedExit', Attribution: [{ GuestCrash: {} }] });
  await core.HcsCloseComputeSystem(system);
});
