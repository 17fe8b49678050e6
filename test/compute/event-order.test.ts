import { expect, test } from 'vitest';
import {
  GENERIC_ALL,
  HCS_EVENT_OPTIONS,
  HCS_EVENT_TYPE,
  INFINITE,
} from '../../src/hcs/core/constants.ts';
import type { HCS_EVENT, HCS_SYSTEM } from '../../src/hcs/core/handles.ts';
import { codeOf, errorOf, Rig, turn, vm } from './recording-engine.ts';

const {
  HcsEventOptionEnableOperationCallbacks: COMPLETIONS,
  HcsEventOptionEnableVmLifecycle: LIFECYCLE,
  HcsEventOptionEnableLiveMigrationEvents: MIGRATION,
} = HCS_EVENT_OPTIONS;
const ALL = COMPLETIONS | LIFECYCLE | MIGRATION;

const names = new Map(Object.entries(HCS_EVENT_TYPE).map(([name, type]) => [type, name]));

function listen(rig: Rig, system: HCS_SYSTEM, options: number): string[] {
  const seen: string[] = [];
  rig.core.HcsSetComputeSystemCallback(system, options, null, (event) => seen.push(text(event)));
  return seen;
}

function text({ Type, EventData }: HCS_EVENT): string {
  const name = names.get(Type as never)?.replace(/^HcsEvent(System|Group)?/, '') ?? String(Type);
  const state = EventData === null ? undefined : JSON.parse(EventData).State;
  return state === undefined ? name : `${name} ${state}`;
}

test('every type of event has its number, that of Windows', () => {
  expect(HCS_EVENT_TYPE).toEqual({
    HcsEventInvalid: 0,
    HcsEventSystemExited: 1,
    HcsEventSystemCrashInitiated: 2,
    HcsEventSystemCrashReport: 3,
    HcsEventSystemRdpEnhancedModeStateChanged: 4,
    HcsEventSystemSiloJobCreated: 5,
    HcsEventSystemGuestConnectionClosed: 6,
    HcsEventProcessExited: 0x0001_0000,
    HcsEventOperationCallback: 0x0100_0000,
    HcsEventServiceDisconnect: 0x0200_0000,
    HcsEventGroupVmLifecycle: 0x8000_0002,
    HcsEventGroupLiveMigration: 0x8000_0003,
    HcsEventGroupOperationInfo: 0xc000_0001,
  });
});

test('a new state is told before the call that brought it is done, to handles that asked', async () => {
  const rig = new Rig();
  const { core } = rig;
  const system = await rig.create();
  const quiet = await core.HcsOpenComputeSystem('vm', GENERIC_ALL);
  const states = await core.HcsOpenComputeSystem('vm', GENERIC_ALL);
  const all = listen(rig, system, ALL);
  const [none, some] = [listen(rig, quiet, 0), listen(rig, states, LIFECYCLE)];
  await rig.start(system);
  await rig.run((o) => core.HcsPauseComputeSystem(system, o, null));
  await rig.run((o) => core.HcsResumeComputeSystem(system, o, null));
  await turn();
  expect(some).toEqual(['VmLifecycle Running', 'VmLifecycle Paused', 'VmLifecycle Running']);
  expect(none).toEqual([]);
  expect(all.filter((event) => event !== 'OperationCallback')).toEqual(some);
});

test('events of one handle come in the order of what happened', async () => {
  const rig = new Rig();
  const { core } = rig;
  const system = await rig.create();
  const seen = listen(rig, system, ALL);
  // Operations of their own, as those of a closed operation stay silent.
  const [start, terminate] = [
    core.HcsCreateOperation(null, null),
    core.HcsCreateOperation(null, null),
  ];
  core.HcsStartComputeSystem(system, start, null);
  await core.HcsWaitForOperationResult(start, INFINITE);
  rig.engine.machine.request.notify({ type: 'crashBegun', document: '{}' });
  rig.engine.machine.request.notify({ type: 'crashed', document: '{}' });
  core.HcsTerminateComputeSystem(system, terminate, null);
  await core.HcsWaitForOperationResult(terminate, INFINITE);
  await turn();
  expect(seen).toEqual([
    'VmLifecycle Running',
    'OperationCallback',
    'CrashInitiated',
    'CrashReport',
    'VmLifecycle Stopped',
    'Exited',
    'OperationCallback',
  ]);
});

test('a system tells of its life from its creation on, where a callback is set by then', async () => {
  const rig = new Rig();
  const events: HCS_EVENT[] = [];
  let system: HCS_SYSTEM | undefined;
  await rig.run((operation) => {
    const options = {
      Version: 0x0001_0000,
      CallbackOptions: LIFECYCLE,
      Callback: (event: HCS_EVENT) => events.push(event),
    } as const;
    const document = JSON.stringify(vm());
    system = rig.core.HcsCreateComputeSystemInNamespace(
      'space',
      'vm',
      document,
      operation,
      options,
    );
  });
  const before = Date.now();
  await rig.start(system as HCS_SYSTEM);
  await rig.run((o) => rig.core.HcsPauseComputeSystem(system as HCS_SYSTEM, o, null));
  const template = '{"SaveType":"AsTemplate"}';
  await rig.run((o) => rig.core.HcsSaveComputeSystem(system as HCS_SYSTEM, o, template));
  await rig.terminate(system as HCS_SYSTEM);
  await turn();
  expect(events.map(text)).toEqual([
    'VmLifecycle Created',
    'VmLifecycle Running',
    'VmLifecycle Paused',
    'VmLifecycle SavedAsTemplate',
    'VmLifecycle Stopped',
    'Exited',
  ]);
  const { SystemId, Timestamp } = JSON.parse(events[1]?.EventData ?? '');
  expect(SystemId).toBe('vm');
  expect(Date.parse(Timestamp)).toBeGreaterThanOrEqual(before);
});

test('a creation that fails tells nothing', async () => {
  const rig = new Rig();
  const seen: string[] = [];
  rig.engine.fail('create', new Error('no'));
  const create = rig.run((operation) => {
    const options = {
      Version: 0x0001_0000,
      CallbackOptions: LIFECYCLE,
      Callback: (event: HCS_EVENT) => seen.push(text(event)),
    } as const;
    rig.core.HcsCreateComputeSystemInNamespace(
      'space',
      'vm',
      JSON.stringify(vm()),
      operation,
      options,
    );
  });
  expect(await codeOf(() => create)).toBe('E_FAIL');
  await turn();
  expect(seen).toEqual([]);
});

test('the end of the service is told to open handles, after the end of their systems', async () => {
  const rig = new Rig();
  const system = await rig.create();
  const closed = await rig.core.HcsOpenComputeSystem('vm', GENERIC_ALL);
  const [seen, nothing] = [listen(rig, system, 0), listen(rig, closed, ALL)];
  await rig.start(system);
  await turn();
  nothing.length = 0;
  await rig.core.HcsCloseComputeSystem(closed);
  await rig.core[Symbol.asyncDispose]();
  expect(seen).toEqual(['Exited', 'ServiceDisconnect']);
  expect(nothing).toEqual([]);
});

test('a callback that throws takes no other with it', async () => {
  const rig = new Rig();
  const { core } = rig;
  const system = await rig.create();
  const other = await core.HcsOpenComputeSystem('vm', GENERIC_ALL);
  const thrown: unknown[] = [];
  const listeners = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', (error) => thrown.push(error));
  try {
    core.HcsSetComputeSystemCallback(system, 0, null, () => {
      throw new Error('of the callback');
    });
    const seen = listen(rig, other, 0);
    await rig.terminate(system);
    await turn();
    expect(seen).toEqual(['Exited']);
    expect(thrown).toEqual([new Error('of the callback')]);
  } finally {
    process.removeAllListeners('uncaughtException');
    for (const listener of listeners) process.on('uncaughtException', listener);
  }
});

test('a guest is asked to start again where the engine can, and can be asked again', async () => {
  const rig = new Rig();
  const { core, engine } = rig;
  const system = await rig.create();
  await rig.start(system);
  const ask = (options: unknown) =>
    rig.run((o) => core.HcsShutDownComputeSystem(system, o, JSON.stringify(options)));
  const refused = await errorOf(() => ask({ Type: 'Reboot' }));
  expect([refused.code, refused.reason.includes('Reboot')]).toEqual(['ERROR_NOT_SUPPORTED', true]);
  engine.shutdownTypes = ['Shutdown', 'Reboot'];
  await ask({ Type: 'Reboot', Reason: 'update' });
  await ask({ Type: 'Reboot' });
  expect(await codeOf(() => ask({ Type: 'Hibernate' }))).toBe('ERROR_NOT_SUPPORTED');
  expect(await codeOf(() => ask({ Force: true }))).toBe('ERROR_NOT_SUPPORTED');
  await ask({ Type: 'Shutdown', Force: false });
  expect(engine.log).toEqual(['create', 'start', 'shutDown Reboot', 'shutDown Reboot', 'shutDown']);
  expect(await codeOf(() => ask({ Type: 'Reboot' }))).toBe('HCS_E_SYSTEM_ALREADY_STOPPED');
});

test('a pause frees no memory, and says so', async () => {
  const rig = new Rig();
  const system = await rig.create();
  await rig.start(system);
  const pause = (options: string) =>
    codeOf(() => rig.run((o) => rig.core.HcsPauseComputeSystem(system, o, options)));
  expect(await pause('{"SuspensionLevel":"MemoryLow"}')).toBe('ERROR_NOT_SUPPORTED');
  expect(await pause('{"SuspensionLevel":"Low"}')).toBe('HCS_E_INVALID_JSON');
  expect(await pause('{"SuspensionLevel":"Suspend","HostedNotification":{"Reason":"Save"}}')).toBe(
    'S_OK',
  );
});
