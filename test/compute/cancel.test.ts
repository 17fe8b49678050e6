import { expect, test } from 'vitest';
import { HCS_RESOURCE_TYPE, INFINITE } from '../../src/hcs/core/constants.ts';
import type { HCS_OPERATION } from '../../src/hcs/core/handles.ts';
import { codeOf, errorOf, Rig, turn } from './recording-engine.ts';

const TYPE = HCS_RESOURCE_TYPE;
const SOCKET = 'hcs:/VirtualMachine/LiveMigrationSocket';
const SAVE = '{"SaveStateFilePath":"/saved"}';

test('ends a call that waits for its turn at once, and never begins it', async () => {
  const rig = new Rig();
  const { core, engine } = rig;
  const system = await rig.create();
  const release = engine.hold('start');
  const start = core.HcsCreateOperation(null, null);
  core.HcsStartComputeSystem(system, start, null);
  const calls: string[] = [];
  const pause = core.HcsCreateOperation(null, () => calls.push('callback'));
  core.HcsPauseComputeSystem(system, pause, null);
  await turn();
  core.HcsCancelOperation(pause);
  const error = await errorOf(() => core.HcsWaitForOperationResult(pause, INFINITE));
  expect([error.function, error.code]).toEqual(['HcsPauseComputeSystem', 'ERROR_CANCELLED']);
  expect(calls).toEqual(['callback']);
  expect(await codeOf(() => core.HcsCancelOperation(pause))).toBe(
    'HCS_E_OPERATION_ALREADY_CANCELLED',
  );
  release();
  await core.HcsWaitForOperationResult(start, INFINITE);
  await turn();
  expect(engine.log).toEqual(['create', 'start']);
  // The operation is idle again, and what it was cancelled for is forgotten.
  core.HcsPauseComputeSystem(system, pause, null);
  expect(await core.HcsWaitForOperationResult(pause, INFINITE)).toBeNull();
});

test('leaves a call alone that has begun, and one that has ended', async () => {
  const rig = new Rig();
  const { core, engine } = rig;
  const operation = core.HcsCreateOperation(null, null);
  expect(await codeOf(() => core.HcsCancelOperation(operation))).toBe(
    'HCS_E_OPERATION_NOT_STARTED',
  );
  const system = await rig.create();
  const release = engine.hold('start');
  core.HcsStartComputeSystem(system, operation, null);
  await turn();
  const error = await errorOf(() => core.HcsCancelOperation(operation));
  expect(error.code).toBe('ERROR_NOT_SUPPORTED');
  expect(error.reason).toContain('HcsStartComputeSystem has begun');
  release();
  expect(await core.HcsWaitForOperationResult(operation, INFINITE)).toBeNull();
  expect(await codeOf(() => core.HcsCancelOperation(operation))).toBe('HCS_E_INVALID_STATE');
  core.HcsCloseOperation(operation);
  expect(await codeOf(() => core.HcsCancelOperation(operation))).toBe('ERROR_INVALID_HANDLE');
});

async function paused(rig: Rig): Promise<ReturnType<Rig['create']>> {
  const system = await rig.create();
  await rig.start(system);
  await rig.run((o) => rig.core.HcsPauseComputeSystem(system, o, null));
  return system;
}

test('interrupts a save that is under way, and the machine can be saved again', async () => {
  const rig = new Rig();
  const { core, engine } = rig;
  const system = await paused(rig);
  const release = engine.hold('save');
  const operation = core.HcsCreateOperation(null, null);
  core.HcsSaveComputeSystem(system, operation, SAVE);
  await turn();
  core.HcsCancelOperation(operation);
  expect(await codeOf(() => core.HcsCancelOperation(operation))).toBe(
    'HCS_E_OPERATION_ALREADY_CANCELLED',
  );
  const error = await errorOf(() => core.HcsWaitForOperationResult(operation, INFINITE));
  expect([error.function, error.code]).toEqual(['HcsSaveComputeSystem', 'ERROR_CANCELLED']);
  release();
  expect((await rig.properties(system)).State).toBe('Paused');
  await rig.run((o) => core.HcsSaveComputeSystem(system, o, SAVE));
});

test('keeps the success of a save that was done before it could be interrupted', async () => {
  const rig = new Rig();
  const { core, engine } = rig;
  const system = await paused(rig);
  let done = (): void => {};
  engine.machine.save = () =>
    new Promise((resolve) => {
      done = resolve;
    });
  const operation = core.HcsCreateOperation(null, null);
  core.HcsSaveComputeSystem(system, operation, SAVE);
  await turn();
  core.HcsCancelOperation(operation);
  done();
  expect(await core.HcsWaitForOperationResult(operation, INFINITE)).toBeNull();
});

test('cancels calls by the operation, whichever of many waits', async () => {
  const rig = new Rig();
  const { core, engine } = rig;
  const system = await rig.create();
  const release = engine.hold('start');
  const operations = Array.from({ length: 20 }, () => core.HcsCreateOperation(null, null));
  const [start, ...queries] = operations as [HCS_OPERATION, ...HCS_OPERATION[]];
  core.HcsStartComputeSystem(system, start, null);
  for (const query of queries) core.HcsGetComputeSystemProperties(system, query, null);
  await turn();
  const cancelled = queries.filter((_, i) => i % 2 === 0);
  for (const query of cancelled) core.HcsCancelOperation(query);
  release();
  for (const query of queries) {
    expect(await codeOf(() => core.HcsWaitForOperationResult(query, INFINITE))).toBe(
      cancelled.includes(query) ? 'ERROR_CANCELLED' : 'S_OK',
    );
  }
});

test('takes resources for the slots that exist, once each, while the operation is idle', async () => {
  const rig = new Rig();
  const { core, engine } = rig;
  const system = await rig.create();
  const operation = core.HcsCreateOperation(null, null);
  const add = (type: number, uri: unknown, handle: unknown = 5n): Promise<string> =>
    codeOf(() => core.HcsAddResourceToOperation(operation, type as 4, uri as string, handle as 5n));
  expect(await add(TYPE.HcsResourceTypeSocket, SOCKET)).toBe('S_OK');
  expect(await add(TYPE.HcsResourceTypeJob, 'hcs:/VirtualMachine/VmmemJob')).toBe('S_OK');
  expect(await add(TYPE.HcsResourceTypeJob, 'hcs:/VirtualMachine/WorkerJob')).toBe('S_OK');
  expect(await add(TYPE.HcsResourceTypeSocket, SOCKET)).toBe('ERROR_ALREADY_EXISTS');
  expect(await add(TYPE.HcsResourceTypeFile, SOCKET)).toBe('E_INVALIDARG');
  expect(await add(77, SOCKET)).toBe('E_INVALIDARG');
  expect(await add(TYPE.HcsResourceTypeSocket, 'hcs:/VirtualMachine/Sockets')).toBe('E_INVALIDARG');
  expect(await add(TYPE.HcsResourceTypeSocket, 'x'.repeat(1e6))).toBe('E_INVALIDARG');
  expect(await add(TYPE.HcsResourceTypeSocket, undefined)).toBe('E_INVALIDARG');
  expect(await add(TYPE.HcsResourceTypeSocket, 'toString')).toBe('E_INVALIDARG');
  expect(await add(TYPE.HcsResourceTypeSocket, SOCKET, 0n)).toBe('E_INVALIDARG');
  expect(await add(TYPE.HcsResourceTypeSocket, SOCKET, 'handle')).toBe('E_INVALIDARG');
  const misspelt = await errorOf(() =>
    core.HcsAddResourceToOperation(
      operation,
      4,
      'hcs:/VirtualMachine/LiveMigrationSockte',
      5n as never,
    ),
  );
  expect(misspelt.reason).toContain(`did you mean ${SOCKET}?`);

  const refused = await errorOf(() => core.HcsStartComputeSystem(system, operation, null));
  expect([refused.function, refused.code]).toEqual([
    'HcsStartComputeSystem',
    'ERROR_NOT_SUPPORTED',
  ]);
  expect(refused.reason).toContain(SOCKET);
  expect(engine.log).toEqual(['create']);

  const release = engine.hold('start');
  core.HcsStartComputeSystem(system, operation, null);
  expect(await add(TYPE.HcsResourceTypeSocket, SOCKET)).toBe('HCS_E_OPERATION_ALREADY_STARTED');
  release();
  await core.HcsWaitForOperationResult(operation, INFINITE);
  core.HcsCloseOperation(operation);
  expect(await add(TYPE.HcsResourceTypeSocket, SOCKET)).toBe('ERROR_INVALID_HANDLE');
});
