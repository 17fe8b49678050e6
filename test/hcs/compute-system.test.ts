// Longer than most: a table of every call, with and without a signal that aborts.
import { describe, expect, test } from 'vitest';
import { DeviceDirectory } from '../../src/compute/device-directory.ts';
import { ComputeService } from '../../src/compute/service.ts';
import type { ComputeCore } from '../../src/hcs/compute-core.ts';
import { ComputeSystem } from '../../src/hcs/compute-system.ts';
import type { HCS_SYSTEM } from '../../src/hcs/core/handles.ts';
import { HcsError } from '../../src/hcs/hcs-error.ts';
import { HRESULT } from '../../src/hcs/hresult.ts';
import { provideComputeCore } from '../../src/hcs/selected-core.ts';
import type { SystemEvent } from '../../src/hcs/system-event.ts';
import {
  codeOf,
  deviceRequest,
  errorOf,
  INSTANCE,
  RecordingEngine,
  Rig,
  turn,
  vm,
} from '../compute/recording-engine.ts';

async function running(rig: Rig): Promise<ComputeSystem> {
  const system = await ComputeSystem.create('vm', vm(), { core: rig.core });
  await system.start();
  return system;
}

async function all(events: AsyncIterable<SystemEvent>): Promise<readonly SystemEvent[]> {
  const seen: SystemEvent[] = [];
  for await (const event of events) seen.push(event);
  return seen;
}

test('starts, pauses, saves, resumes, crashes, changes, asks and ends a system', async () => {
  const rig = new Rig();
  rig.announce(INSTANCE);
  const system = await running(rig);
  await system.pause({ options: { SuspensionLevel: 'Suspend' } });
  expect((await system.properties()).State).toBe('Paused');
  await system.save({ SaveStateFilePath: '/saved' });
  await system.resume();
  await system.crash();
  await system.modify(deviceRequest('Add', INSTANCE));
  expect(await system.properties({ PropertyTypes: ['Memory'] })).toMatchObject({
    Memory: { VirtualNodeCount: 1 },
  });
  await system.shutDown({ options: { Type: 'Shutdown' } });
  rig.engine.machine.exit({ exitType: 'GracefulExit', status: 0 });
  expect(await system.exited).toMatchObject({ Status: 0, ExitType: 'GracefulExit' });
  expect(rig.engine.log).toEqual([
    'create',
    'start',
    'pause',
    'save /saved',
    'resume',
    'crash',
    `addDevice ${INSTANCE}`,
    'properties Memory',
    'shutDown',
  ]);
  await system.close();
});

test('rejects with the function, the code and the reason', async () => {
  const system = await running(new Rig());
  const error = await errorOf(() => system.resume());
  expect(error).toBeInstanceOf(HcsError);
  expect([error.function, error.code]).toEqual(['HcsResumeComputeSystem', 'HCS_E_INVALID_STATE']);
});

test('uses the selected host where none is given, and finds systems there', async () => {
  const rig = new Rig();
  provideComputeCore(() => rig.core);
  const made = await ComputeSystem.create('vm', vm());
  const opened = await ComputeSystem.open('vm');
  expect(opened.handle).not.toBe(made.handle);
  expect(await ComputeSystem.enumerate()).toMatchObject([{ Id: 'vm' }]);
  expect(await ComputeSystem.enumerate({ Owners: ['nobody'] })).toEqual([]);
  expect(await codeOf(() => ComputeSystem.open('none'))).toBe('HCS_E_SYSTEM_NOT_FOUND');
  expect(await codeOf(() => ComputeSystem.create('vm', vm()))).toBe('HCS_E_SYSTEM_ALREADY_EXISTS');
});

test('closes the handle of a creation that fails', async () => {
  const engine = new RecordingEngine();
  const handles: HCS_SYSTEM[] = [];
  class Service extends ComputeService {
    override HcsCreateComputeSystem(...args: Parameters<ComputeCore['HcsCreateComputeSystem']>) {
      const handle = super.HcsCreateComputeSystem(...args);
      handles.push(handle);
      expect(this.systemIdOf(handle)).toBe('vm');
      return handle;
    }
  }
  const core = new Service({ engines: [engine], directory: new DeviceDirectory() });
  engine.fail('create', new Error('no such kernel'));
  const error = await errorOf(() => ComputeSystem.create('vm', vm(), { core }));
  expect(error.reason).toBe('no such kernel');
  expect(handles.map((handle) => core.systemIdOf(handle))).toEqual([undefined]);
});

test('yields events until the exit, to each loop, and to a late one the exit', async () => {
  const rig = new Rig();
  const system = await running(rig);
  const [first, second] = [all(system.events()), all(system.events())];
  const { request } = rig.engine.machine;
  request.notify({ type: 'guestConnectionClosed', document: '{}' });
  request.notify({ type: 'crashed', document: '{"CrashLog":"panic"}' });
  rig.engine.machine.exit({ exitType: 'UnexpectedExit', status: 0x8037_0106 });
  const events = await first;
  expect(events.map(({ type }) => type)).toEqual([
    'guestConnectionClosed',
    'crashInitiated',
    'crashed',
    'exited',
  ]);
  expect(events[2]).toEqual({ type: 'crashed', report: { SystemId: 'vm', CrashLog: 'panic' } });
  expect(await second).toEqual(events);
  expect(await all(system.events())).toEqual([events[3]]);
});

test('tells of an exit that lies before the first question', async () => {
  const rig = new Rig();
  const system = await running(rig);
  await system.terminate();
  await turn();
  expect((await all(system.events())).map(({ type }) => type)).toEqual(['exited']);
  expect(await system.exited).toMatchObject({ ExitType: 'ForcedExit' });
});

test('terminates, waits and closes on disposal, once', async () => {
  const rig = new Rig();
  let system: ComputeSystem;
  {
    await using scoped = await running(rig);
    system = scoped;
  }
  await system[Symbol.asyncDispose]();
  await system.close();
  expect(rig.engine.log).toEqual(['create', 'start', 'terminate']);
  expect(rig.core.systemIdOf(system.handle)).toBeUndefined();
  expect(await system.exited).toMatchObject({ ExitType: 'ForcedExit' });
});

test('closes on disposal also what has ended or cannot be ended', async () => {
  const ended = new Rig();
  const system = await running(ended);
  ended.engine.machine.exit({ exitType: 'GracefulExit', status: 0 });
  await system[Symbol.asyncDispose]();
  expect(ended.core.systemIdOf(system.handle)).toBeUndefined();

  const stuck = new Rig();
  const other = await running(stuck);
  stuck.engine.fail('terminate', new Error('it does not die'));
  expect((await errorOf(() => other[Symbol.asyncDispose]())).reason).toBe('it does not die');
  expect(stuck.core.systemIdOf(other.handle)).toBeUndefined();
});

test('waits for its end also where somebody else has set the event callback of its handle', async () => {
  const rig = new Rig();
  const system = await running(rig);
  rig.core.HcsSetComputeSystemCallback(system.handle, 0, null, () => {});
  const { exited } = system;
  await expect(all(system.events())).rejects.toThrow(/has an event callback/);
  await expect(all(system.events())).rejects.toThrow(/has an event callback/);
  await system[Symbol.asyncDispose]();
  expect(await exited).toMatchObject({ ExitType: 'ForcedExit' });
  expect((await all(system.events())).map(({ type }) => type)).toEqual(['exited']);
  expect(rig.engine.log).toEqual(['create', 'start', 'terminate']);
  expect(rig.core.systemIdOf(system.handle)).toBeUndefined();
});

test.each([
  'HCS_E_SYSTEM_ALREADY_STOPPED',
  'HCS_E_SYSTEM_NOT_FOUND',
  'ERROR_VMCOMPUTE_SYSTEM_ALREADY_STOPPED',
  'ERROR_NOT_FOUND',
  'ERROR_INVALID_HANDLE',
] as const)('is disposed of quietly where its end fails with %s', async (code) => {
  const rig = new Rig();
  const system = await running(rig);
  const failure = new HcsError({ function: 'HcsTerminateComputeSystem', hresult: HRESULT[code] });
  rig.engine.fail('terminate', failure);
  const disposed = system[Symbol.asyncDispose]();
  rig.engine.machine.exit({ exitType: 'GracefulExit', status: 0 });
  await disposed;
  expect(rig.core.systemIdOf(system.handle)).toBeUndefined();
});

/** A service of a Windows before HcsWaitForComputeSystemExit. */
class OlderService extends ComputeService {
  override async HcsWaitForComputeSystemExit(): Promise<never> {
    throw new Error(
      'Cannot call HcsWaitForComputeSystemExit as computecore.dll does not export it',
    );
  }
}

test('tells of an exit before the first question also where nobody can wait for it', async () => {
  const engine = new RecordingEngine();
  const core = new OlderService({ engines: [engine], directory: new DeviceDirectory() });
  const system = await ComputeSystem.create('vm', vm(), { core });
  await system.start();
  engine.machine.exit({ exitType: 'GracefulExit', status: 0 });
  await turn();
  expect(await system.exited).toEqual({ ExitType: 'Unknown' });
  await system[Symbol.asyncDispose]();

  const other = await ComputeSystem.create('other', vm(), { core });
  await other.start();
  const { exited } = other;
  await other.properties();
  engine.machine.exit({ exitType: 'GracefulExit', status: 0 });
  expect(await exited).toMatchObject({ ExitType: 'GracefulExit' });
  await other.close();
});

test('only closes the handle on close: the system runs on', async () => {
  const rig = new Rig();
  const system = await running(rig);
  const { exited } = system;
  const events = all(system.events());
  await system.close();
  await expect(exited).rejects.toThrow(/was closed before it ended/);
  expect(await events).toEqual([]);
  expect(await codeOf(() => system.pause())).toBe('ERROR_INVALID_HANDLE');
  await system[Symbol.asyncDispose]();
  expect(await ComputeSystem.enumerate({}, { core: rig.core })).toMatchObject([
    { State: 'Running' },
  ]);
});

test('cannot be watched for the first time once it is closed', async () => {
  const system = await running(new Rig());
  await system.close();
  await expect(system.exited).rejects.toThrow(/its handle is closed/);
  expect(await all(system.events())).toEqual([]);
});

/** Every call that takes a signal, with the step of the engine behind it, if any, and the state that it needs. */
const calls: Record<
  string,
  readonly [
    step: Parameters<RecordingEngine['hold']>[0] | undefined,
    state: 'Created' | 'Running' | 'Paused',
    call: (system: ComputeSystem, signal: AbortSignal) => Promise<unknown>,
  ]
> = {
  start: ['start', 'Created', (system, signal) => system.start({ signal })],
  pause: ['pause', 'Running', (system, signal) => system.pause({ signal })],
  resume: ['resume', 'Paused', (system, signal) => system.resume({ signal })],
  shutDown: ['shutDown', 'Running', (system, signal) => system.shutDown({ signal })],
  terminate: ['terminate', 'Running', (system, signal) => system.terminate({ signal })],
  crash: ['crash', 'Running', (system, signal) => system.crash({ signal })],
  save: [
    'save',
    'Paused',
    (system, signal) => system.save({ SaveStateFilePath: '/saved' }, { signal }),
  ],
  modify: [
    'addDevice',
    'Running',
    (system, signal) => system.modify(deviceRequest('Add', INSTANCE), { signal }),
  ],
  properties: [
    'properties',
    'Running',
    (system, signal) => system.properties({ PropertyTypes: ['Memory'] }, { signal }),
  ],
  create: [
    'create',
    'Running',
    ({ core }, signal) => ComputeSystem.create('other', vm(), { core, signal }),
  ],
  open: [undefined, 'Running', ({ core }, signal) => ComputeSystem.open('vm', { core, signal })],
  enumerate: [
    undefined,
    'Running',
    ({ core }, signal) => ComputeSystem.enumerate({}, { core, signal }),
  ],
};

test('each method that makes a call takes a signal', () => {
  const own = Object.getOwnPropertyNames(ComputeSystem.prototype).filter(
    (name) => !['constructor', 'events', 'exited', 'close'].includes(name),
  );
  const ofClass = Object.getOwnPropertyNames(ComputeSystem).filter(
    (name) => !['length', 'name', 'prototype'].includes(name),
  );
  expect(Object.keys(calls).sort()).toEqual([...own, ...ofClass].sort());
});

describe.each(Object.entries(calls))('%s', (_, [step, state, call]) => {
  async function open(): Promise<{ rig: Rig; system: ComputeSystem }> {
    const rig = new Rig();
    rig.announce(INSTANCE);
    const system = await ComputeSystem.create('vm', vm(), { core: rig.core });
    if (state !== 'Created') await system.start();
    if (state === 'Paused') await system.pause();
    rig.engine.log.length = 0;
    return { rig, system };
  }

  test('ends the wait when its signal aborts, and the call goes on', async () => {
    const { rig, system } = await open();
    const release = step === undefined ? () => {} : rig.engine.hold(step);
    const controller = new AbortController();
    const pending = call(system, controller.signal);
    controller.abort(new Error('enough'));
    await expect(pending).rejects.toThrow('enough');
    release();
    while (step !== undefined && rig.engine.log.length === 0) await turn();
    if (step !== undefined) expect(rig.engine.log[0]).toMatch(new RegExp(`^${step}\\b`));
    // Calls come in turn: this one after what was let go on.
    expect((await system.properties()).Id).toBe('vm');
  });

  test('makes no call for a signal that has aborted', async () => {
    const { rig, system } = await open();
    const signal = AbortSignal.abort(new Error('too late'));
    await expect(call(system, signal)).rejects.toThrow('too late');
    await turn();
    expect(rig.engine.log).toEqual([]);
    expect((await system.properties()).State).toBe(state);
  });
});

test('terminates what an aborted creation makes', async () => {
  const rig = new Rig();
  const release = rig.engine.hold('create');
  const controller = new AbortController();
  const { signal } = controller;
  const creation = ComputeSystem.create('vm', vm(), { core: rig.core, signal });
  controller.abort(new Error('enough'));
  await expect(creation).rejects.toThrow('enough');
  release();
  while (rig.engine.log.length < 2) await turn();
  await turn();
  expect(rig.engine.log).toEqual(['create', 'terminate']);
  expect(await ComputeSystem.enumerate({}, { core: rig.core })).toEqual([]);
});
