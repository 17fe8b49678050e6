import { expect, test } from 'vitest';
import { GENERIC_ALL } from '../../src/hcs/core/constants.ts';
import type { HCS_SYSTEM } from '../../src/hcs/core/handles.ts';
import { codeOf, errorOf, INSTANCE, Rig, turn, vm } from './recording-engine.ts';

test('returns a handle while creation is pending, which must be closed when creation fails', async () => {
  const rig = new Rig();
  const { core, engine } = rig;
  const release = engine.hold('create');
  engine.fail('create', new Error('no such kernel'));
  const operation = core.HcsCreateOperation(null, null);
  const system = core.HcsCreateComputeSystem('vm', JSON.stringify(vm()), operation, null);
  expect(system).not.toBe(0n);
  release();
  const error = await errorOf(() => core.HcsWaitForOperationResult(operation, 0xffff_ffff));
  expect([error.function, error.code, error.reason]).toEqual([
    'HcsCreateComputeSystem',
    'E_FAIL',
    'no such kernel',
  ]);
  expect(await codeOf(() => rig.terminate(system))).toBe('HCS_E_SYSTEM_ALREADY_STOPPED');
  expect(await codeOf(() => core.HcsOpenComputeSystem('vm', GENERIC_ALL))).toBe(
    'HCS_E_SYSTEM_NOT_FOUND',
  );
  await core.HcsCloseComputeSystem(system);
});

test('is closed once, and unknown to every function afterwards', async () => {
  const rig = new Rig();
  const { core } = rig;
  const system = await rig.create();
  await core.HcsCloseComputeSystem(system);
  const calls: Record<string, () => unknown> = {
    close: () => core.HcsCloseComputeSystem(system),
    start: () => rig.start(system),
    shutDown: () => rig.run((o) => core.HcsShutDownComputeSystem(system, o, null)),
    terminate: () => rig.terminate(system),
    pause: () => rig.run((o) => core.HcsPauseComputeSystem(system, o, null)),
    resume: () => rig.run((o) => core.HcsResumeComputeSystem(system, o, null)),
    crash: () => rig.run((o) => core.HcsCrashComputeSystem(system, o, null)),
    save: () => rig.run((o) => core.HcsSaveComputeSystem(system, o, null)),
    properties: () => rig.properties(system),
    modify: () => rig.modify(system, {}),
    wait: () => core.HcsWaitForComputeSystemExit(system, 0),
    callback: () => core.HcsSetComputeSystemCallback(system, 0, null, () => {}),
    migrate: () => rig.run((o) => core.HcsStartLiveMigrationTransfer(system, o, null)),
    process: () => rig.run((o) => core.HcsCreateProcess(system, '{}', o, null)),
  };
  for (const [name, call] of Object.entries(calls)) {
    expect([name, await codeOf(call)]).toEqual([name, 'ERROR_INVALID_HANDLE']);
  }
  expect(core.systemIdOf(system)).toBeUndefined();
});

test('leaves the system running when the last handle is closed, and it can be opened again', async () => {
  const rig = new Rig();
  const system = await rig.create();
  await rig.start(system);
  await rig.core.HcsCloseComputeSystem(system);
  const again = await rig.core.HcsOpenComputeSystem('vm', GENERIC_ALL);
  expect(again).not.toBe(system);
  expect(rig.core.systemIdOf(again)).toBe('vm');
  expect((await rig.properties(again)).State).toBe('Running');
});

test('terminates the system with its last handle where the document says so', async () => {
  const rig = new Rig();
  const document = { ...vm(), ShouldTerminateOnLastHandleClosed: true };
  const first = await rig.create('vm', document);
  const second = await rig.core.HcsOpenComputeSystem('vm', GENERIC_ALL);
  await rig.core.HcsCloseComputeSystem(first);
  expect((await rig.properties(second)).State).toBe('Created');
  await rig.core.HcsCloseComputeSystem(second);
  await turn();
  expect(rig.engine.log.at(-1)).toBe('terminate');
  expect(await codeOf(() => rig.core.HcsOpenComputeSystem('vm', GENERIC_ALL))).toBe(
    'HCS_E_SYSTEM_NOT_FOUND',
  );
});

test('terminates a system whose only handle was closed while creation was pending', async () => {
  const rig = new Rig();
  const { core, engine } = rig;
  const release = engine.hold('create');
  const document = JSON.stringify({ ...vm(), ShouldTerminateOnLastHandleClosed: true });
  const operation = core.HcsCreateOperation(null, null);
  await core.HcsCloseComputeSystem(core.HcsCreateComputeSystem('vm', document, operation, null));
  release();
  await core.HcsWaitForOperationResult(operation, 0xffff_ffff);
  await turn();
  expect(engine.log).toEqual(['create', 'terminate']);
});

test('frees the id of a system that has ended, while its handle still tells how', async () => {
  const rig = new Rig();
  const old = await rig.create();
  const taken = await errorOf(() => rig.create());
  expect(taken.code).toBe('HCS_E_SYSTEM_ALREADY_EXISTS');
  await rig.terminate(old);
  const fresh = await rig.create();
  expect((await rig.properties(fresh)).State).toBe('Created');
  expect(await rig.properties(old)).toMatchObject({
    State: 'Stopped',
    Stopped: true,
    ExitType: 'ForcedExit',
  });
});

test('opens only what exists, with the reserved access', async () => {
  const rig = new Rig();
  await rig.create();
  expect(await codeOf(() => rig.core.HcsOpenComputeSystem('other', GENERIC_ALL))).toBe(
    'HCS_E_SYSTEM_NOT_FOUND',
  );
  expect(await codeOf(() => rig.core.HcsOpenComputeSystem('vm', 0))).toBe('E_INVALIDARG');
});

test('keeps id spaces apart', async () => {
  const rig = new Rig();
  const { core } = rig;
  const plain = await rig.create();
  let spaced: HCS_SYSTEM | undefined;
  await rig.run((operation) => {
    spaced = core.HcsCreateComputeSystemInNamespace(
      'space',
      'vm',
      JSON.stringify(vm()),
      operation,
      null,
    );
  });
  expect(core.systemIdOf(spaced as HCS_SYSTEM)).not.toBe(core.systemIdOf(plain));
  await core.HcsOpenComputeSystemInNamespace('space', 'vm', GENERIC_ALL);
  expect(await codeOf(() => core.HcsOpenComputeSystemInNamespace('none', 'vm', GENERIC_ALL))).toBe(
    'HCS_E_SYSTEM_NOT_FOUND',
  );
  const listed = await rig.run((o) => core.HcsEnumerateComputeSystemsInNamespace('space', null, o));
  expect(JSON.parse(listed ?? '')).toHaveLength(1);
  expect(
    await codeOf(() =>
      rig.run((o) =>
        core.HcsCreateComputeSystemInNamespace('space', 'b', '{}', o, { Version: 1 } as never),
      ),
    ),
  ).toBe('E_INVALIDARG');
});

test('refuses handles of another service', async () => {
  const [one, two] = [new Rig(), new Rig()];
  const system = await one.create();
  const error = await errorOf(() => two.start(system));
  expect(error.code).toBe('ERROR_INVALID_HANDLE');
  expect(error.message).toContain('of another host');
});

test('ends all systems when the service is disposed', async () => {
  const rig = new Rig();
  const systems = [await rig.create('a'), await rig.create('b')];
  await rig.core[Symbol.asyncDispose]();
  for (const system of systems) expect((await rig.properties(system)).State).toBe('Stopped');
});

test('waits for systems that are ending when the service is disposed', async () => {
  const rig = new Rig();
  const release = rig.engine.hold('terminate');
  const ends = rig.terminate(await rig.create());
  let isDisposed = false;
  const disposal = rig.core[Symbol.asyncDispose]().then(() => {
    isDisposed = true;
  });
  await turn();
  expect(isDisposed).toBe(false);
  release();
  await Promise.all([ends, disposal]);
});

test('keeps the id of a system that has ended until its devices are off', async () => {
  const rig = new Rig();
  const endpoint = rig.announce(INSTANCE);
  const system = await rig.create('vm', vm(INSTANCE));
  await rig.start(system);
  let off = (): void => {};
  endpoint.powerOff = () =>
    new Promise((resolve) => {
      off = resolve;
    });
  rig.engine.machine.exit({ exitType: 'GracefulExit', status: 0 });
  expect(await codeOf(() => rig.create())).toBe('HCS_E_SYSTEM_ALREADY_EXISTS');
  expect(await rig.run((o) => rig.core.HcsEnumerateComputeSystems(null, o))).toBe('[]');
  const disposal = rig.core[Symbol.asyncDispose]();
  off();
  await disposal;
  await rig.create();
});
