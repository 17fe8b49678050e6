import { describe, expect, test } from 'vitest';
import type { HCS_OPERATION, HCS_SYSTEM } from '../../src/hcs/core/handles.ts';
import {
  codeOf,
  deviceRequest,
  errorOf,
  OTHER_INSTANCE,
  Rig,
  turn,
  vm,
} from './recording-engine.ts';

type State = 'Created' | 'Running' | 'Paused' | 'SavedAsTemplate' | 'Stopped';

const INVALID = 'HCS_E_INVALID_STATE';
const STOPPED = 'HCS_E_SYSTEM_ALREADY_STOPPED';

type Call = (rig: Rig, system: HCS_SYSTEM, operation: HCS_OPERATION) => void;

const calls: Record<string, Call> = {
  HcsStartComputeSystem: ({ core }, s, o) => core.HcsStartComputeSystem(s, o, null),
  HcsShutDownComputeSystem: ({ core }, s, o) => core.HcsShutDownComputeSystem(s, o, null),
  HcsTerminateComputeSystem: ({ core }, s, o) => core.HcsTerminateComputeSystem(s, o, null),
  HcsPauseComputeSystem: ({ core }, s, o) => core.HcsPauseComputeSystem(s, o, null),
  HcsResumeComputeSystem: ({ core }, s, o) => core.HcsResumeComputeSystem(s, o, null),
  HcsCrashComputeSystem: ({ core }, s, o) => core.HcsCrashComputeSystem(s, o, null),
  HcsSaveComputeSystem: ({ core }, s, o) =>
    core.HcsSaveComputeSystem(s, o, '{"SaveStateFilePath":"/saved"}'),
  HcsModifyComputeSystem: ({ core }, s, o) =>
    core.HcsModifyComputeSystem(s, o, JSON.stringify(deviceRequest('Add', OTHER_INSTANCE)), null),
  HcsGetComputeSystemProperties: ({ core }, s, o) => core.HcsGetComputeSystemProperties(s, o, null),
  'HcsGetComputeSystemProperties (Memory)': ({ core }, s, o) =>
    core.HcsGetComputeSystemProperties(s, o, '{"PropertyTypes":["Memory"]}'),
};

/** In the order of {@link STATES}. */
const expected: Record<string, readonly string[]> = {
  HcsStartComputeSystem: ['S_OK', INVALID, INVALID, INVALID, STOPPED],
  HcsShutDownComputeSystem: [INVALID, 'S_OK', INVALID, INVALID, STOPPED],
  HcsTerminateComputeSystem: ['S_OK', 'S_OK', 'S_OK', 'S_OK', STOPPED],
  HcsPauseComputeSystem: [INVALID, 'S_OK', INVALID, INVALID, STOPPED],
  HcsResumeComputeSystem: [INVALID, INVALID, 'S_OK', INVALID, STOPPED],
  HcsCrashComputeSystem: [INVALID, 'S_OK', INVALID, INVALID, STOPPED],
  HcsSaveComputeSystem: [INVALID, INVALID, 'S_OK', INVALID, STOPPED],
  HcsModifyComputeSystem: ['S_OK', 'S_OK', INVALID, INVALID, STOPPED],
  HcsGetComputeSystemProperties: ['S_OK', 'S_OK', 'S_OK', 'S_OK', 'S_OK'],
  'HcsGetComputeSystemProperties (Memory)': ['S_OK', 'S_OK', 'S_OK', 'S_OK', STOPPED],
};

const STATES: readonly State[] = ['Created', 'Running', 'Paused', 'SavedAsTemplate', 'Stopped'];

async function systemIn(rig: Rig, state: State): Promise<HCS_SYSTEM> {
  rig.announce(OTHER_INSTANCE);
  const system = await rig.create();
  if (state === 'Created') return system;
  await rig.start(system);
  if (state === 'Paused' || state === 'SavedAsTemplate') {
    await rig.run((operation) => rig.core.HcsPauseComputeSystem(system, operation, null));
  }
  if (state === 'SavedAsTemplate') {
    const options = '{"SaveType":"AsTemplate"}';
    await rig.run((operation) => rig.core.HcsSaveComputeSystem(system, operation, options));
  }
  if (state === 'Stopped') await rig.terminate(system);
  return system;
}

describe.each(Object.keys(calls))('%s', (name) => {
  test.each(STATES.map((state, i) => [state, expected[name]?.[i]] as const))(
    'in state %s ends with %s',
    async (state, code) => {
      const rig = new Rig();
      const system = await systemIn(rig, state);
      expect((await rig.properties(system)).State).toBe(state);
      expect(await codeOf(() => rig.run((o) => calls[name]?.(rig, system, o)))).toBe(code);
    },
  );
});

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
  expect(await start('')).toBe('S_OK');
});
