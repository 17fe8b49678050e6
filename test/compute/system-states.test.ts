import { expect, test } from 'vitest';
import type { HCS_OPERATION } from '../../src/hcs/core/handles.ts';
import { codeOf, errorOf, Rig, turn, vm } from './recording-engine.ts';

const STOPPED = 'HCS_E_SYSTEM_ALREADY_STOPPED';

test('runs calls in the order in which they were made, also while creation is pending', async () => {
  const rig = new Rig();
  const { core, engine } = rig;
  const release = engine.hold('create');
  const operations = Array.from({ length: 4 }, () => core.HcsCreateOperation(null, null));
  const [create, start, pause, resume] = operations as [
    HCS_OPERATION,
    HCS_OPERATION,
    HCS_OPERATION,
    HCS_OPERATION,
  ];
  const system = core.HcsCreateComputeSystem('vm', JSON.stringify(vm()), create, null);
  core.HcsStartComputeSystem(system, start, null);
  core.HcsPauseComputeSystem(system, pause, null);
  core.HcsResumeComputeSystem(system, resume, null);
  release();
  await core.HcsWaitForOperationResult(resume, 0xffff_ffff);
  expect(engine.log).toEqual(['create', 'start', 'pause', 'resume']);
});

test('terminates a system whose start hangs', async () => {
  const rig = new Rig();
  const system = await rig.create();
  rig.engine.hold('start');
  const start = codeOf(() => rig.start(system));
  await rig.terminate(system);
  expect(await start).toBe('HCS_E_TERMINATED_DURING_START');
});

test('is terminated once and shut down once', async () => {
  const rig = new Rig();
  const system = await rig.create();
  await rig.start(system);
  const shutDown = () => rig.run((o) => rig.core.HcsShutDownComputeSystem(system, o, null));
  await shutDown();
  expect(await codeOf(shutDown)).toBe(STOPPED);
  const release = rig.engine.hold('terminate');
  const first = codeOf(() => rig.terminate(system));
  expect(await codeOf(() => rig.terminate(system))).toBe(STOPPED);
  release();
  expect(await first).toBe('S_OK');
});

test('can be terminated again when the first attempt fails', async () => {
  const rig = new Rig();
  const system = await rig.create();
  rig.engine.fail('terminate', new Error('the process does not die'));
  const error = await errorOf(() => rig.terminate(system));
  expect(error.code).toBe('E_FAIL');
  expect(error.reason).toBe('the process does not die');
  expect((await rig.properties(system)).State).toBe('Created');
});

test('ends a call with HCS_E_UNEXPECTED_EXIT when the machine dies under it', async () => {
  const rig = new Rig();
  const system = await rig.create();
  await rig.start(system);
  rig.engine.hold('pause');
  const pause = errorOf(() => rig.run((o) => rig.core.HcsPauseComputeSystem(system, o, null)));
  await turn();
  rig.engine.machine.exit({ exitType: 'UnexpectedExit', status: 0x8000_4005, detail: 'signal 9' });
  const error = await pause;
  expect(error.code).toBe('HCS_E_UNEXPECTED_EXIT');
  expect(error.reason).toContain('signal 9');
});

test('takes an exit during the shut down request for its success', async () => {
  const rig = new Rig();
  const system = await rig.create();
  await rig.start(system);
  rig.engine.hold('shutDown');
  const shutDown = codeOf(() => rig.run((o) => rig.core.HcsShutDownComputeSystem(system, o, null)));
  await turn();
  rig.engine.machine.exit({ exitType: 'GracefulExit', status: 0 });
  expect(await shutDown).toBe('S_OK');
});

test('asks a guest to shut down only where the document says that it listens', async () => {
  const rig = new Rig();
  const system = await rig.create('vm', { VirtualMachine: {} });
  await rig.start(system);
  const shutDown = (options: string | null) =>
    errorOf(() => rig.run((o) => rig.core.HcsShutDownComputeSystem(system, o, options)));
  const error = await shutDown(null);
  expect(error.code).toBe('HCS_E_SYSTEM_NOT_CONFIGURED_FOR_OPERATION');
  expect(error.reason).toContain('VirtualMachine.Services.Shutdown');
  expect((await shutDown('{"Type":"Reboot"}')).code).toBe('ERROR_NOT_SUPPORTED');
  expect((await shutDown('{"Typ":"Reboot"}')).code).toBe('HCS_E_INVALID_JSON');
});

test('ends with a start that fails, and frees the id', async () => {
  const rig = new Rig();
  const system = await rig.create();
  rig.engine.fail('start', new Error('no memory'));
  const error = await errorOf(() => rig.start(system));
  expect([error.function, error.code, error.reason]).toEqual([
    'HcsStartComputeSystem',
    'E_FAIL',
    'no memory',
  ]);
  expect(rig.engine.log).toEqual(['create', 'start', 'terminate']);
  const status = JSON.parse((await rig.core.HcsWaitForComputeSystemExit(system, 0)) ?? '{}');
  expect(status.ExitType).toBe('UnexpectedExit');
  expect(status.Detail).toContain('no memory');
  rig.engine.machines.length = 0;
  await rig.create();
});

test('refuses options where none exist', async () => {
  const rig = new Rig();
  const system = await rig.create();
  const start = (options: string | null) =>
    codeOf(() => rig.run((o) => rig.core.HcsStartComputeSystem(system, o, options)));
  expect(await start('{"Fast":true}')).toBe('HCS_E_INVALID_JSON');
  expect(await start(7 as never)).toBe('E_INVALIDARG');
  expect(await start('')).toBe('S_OK');
});
