import { expect, test } from 'vitest';
import {
  HCS_EVENT_OPTIONS,
  HCS_EVENT_TYPE,
  HCS_INVALID_OPERATION_ID,
  HCS_OPERATION_OPTIONS,
  HCS_OPERATION_TYPE,
  INFINITE,
} from '../../src/hcs/core/constants.ts';
import type { HCS_EVENT, HCS_OPERATION } from '../../src/hcs/core/handles.ts';
import { codeOf, errorOf, Rig, turn, vm } from './recording-engine.ts';

const text = JSON.stringify(vm());

test('has no type, result or system before its first call', async () => {
  const { core } = new Rig();
  const operation = core.HcsCreateOperation('context', null);
  expect(core.HcsGetOperationType(operation)).toBe(HCS_OPERATION_TYPE.HcsOperationTypeNone);
  expect(core.HcsGetComputeSystemFromOperation(operation)).toBe(0n);
  expect(core.HcsGetProcessFromOperation(operation)).toBe(0n);
  expect(core.HcsGetOperationContext(operation)).toBe('context');
  for (const call of [
    () => core.HcsGetOperationResult(operation),
    () => core.HcsWaitForOperationResult(operation, 0),
    () => core.HcsGetOperationResultAndProcessInfo(operation),
    () => core.HcsWaitForOperationResultAndProcessInfo(operation, 0),
    () => core.HcsGetOperationProperties(operation, null),
  ]) {
    expect(await codeOf(call)).toBe('HCS_E_OPERATION_NOT_STARTED');
  }
});

test('is pending until the call has ended, and then has its result as often as asked', async () => {
  const { core, engine } = new Rig();
  const release = engine.hold('create');
  const operation = core.HcsCreateOperation(null, null);
  const system = core.HcsCreateComputeSystem('vm', text, operation, null);
  expect(await codeOf(() => core.HcsGetOperationResult(operation))).toBe('HCS_E_OPERATION_PENDING');
  expect(core.HcsGetOperationType(operation)).toBe(HCS_OPERATION_TYPE.HcsOperationTypeCreate);
  expect(core.HcsGetComputeSystemFromOperation(operation)).toBe(system);
  release();
  expect(await core.HcsWaitForOperationResult(operation, INFINITE)).toBeNull();
  expect(core.HcsGetOperationResult(operation)).toBeNull();
  expect(core.HcsGetOperationResult(operation)).toBeNull();
});

test('goes on after a wait that timed out', async () => {
  const { core, engine } = new Rig();
  const release = engine.hold('create');
  const operation = core.HcsCreateOperation(null, null);
  core.HcsCreateComputeSystem('vm', text, operation, null);
  for (const timeout of [0, 1]) {
    expect(await codeOf(() => core.HcsWaitForOperationResult(operation, timeout))).toBe(
      'HCS_E_OPERATION_TIMEOUT',
    );
  }
  const wait = core.HcsWaitForOperationResult(operation, 0xffff_fffe);
  release();
  expect(await wait).toBeNull();
  expect(await core.HcsWaitForOperationResult(operation, 0)).toBeNull();
});

test('is refused while a call is in flight, and can be used again afterwards', async () => {
  const { core, engine } = new Rig();
  const release = engine.hold('create');
  const operation = core.HcsCreateOperation(null, null);
  const system = core.HcsCreateComputeSystem('vm', text, operation, null);
  const error = await errorOf(() => core.HcsStartComputeSystem(system, operation, null));
  expect(error.code).toBe('HCS_E_OPERATION_ALREADY_STARTED');
  expect(error.message).toContain('HcsCreateComputeSystem');
  release();
  await core.HcsWaitForOperationResult(operation, INFINITE);
  core.HcsStartComputeSystem(system, operation, null);
  await core.HcsWaitForOperationResult(operation, INFINITE);
  expect(core.HcsGetOperationType(operation)).toBe(HCS_OPERATION_TYPE.HcsOperationTypeStart);
  core.HcsGetComputeSystemProperties(system, operation, null);
  expect(await core.HcsWaitForOperationResult(operation, INFINITE)).toContain('"Running"');
});

test('calls back once on a later turn, with the result at hand, and may be closed there', async () => {
  const { core } = new Rig();
  const calls: unknown[] = [];
  const operation = core.HcsCreateOperation('old', (done, context) => {
    calls.push(
      context,
      core.HcsGetOperationResult(done),
      core.HcsGetComputeSystemFromOperation(done),
    );
    core.HcsCloseOperation(done);
  });
  const system = core.HcsCreateComputeSystem('vm', text, operation, null);
  core.HcsSetOperationContext(operation, 'new');
  expect(calls).toEqual([]);
  await turn();
  await turn();
  expect(calls).toEqual(['new', null, system]);
});

test('can be waited on and call back for the same call, the callback first', async () => {
  const { core } = new Rig();
  const order: string[] = [];
  const operation = core.HcsCreateOperation(null, () => order.push('callback'));
  core.HcsCreateComputeSystem('vm', text, operation, null);
  await core.HcsWaitForOperationResult(operation, INFINITE);
  order.push('waited');
  expect(order).toEqual(['callback', 'waited']);
});

test('does not call back for a call that was refused, and keeps its document', async () => {
  const { core } = new Rig();
  const calls: string[] = [];
  const operation = core.HcsCreateOperation(null, () => calls.push('callback'));
  const refused = await errorOf(() => core.HcsCreateComputeSystem('vm', '{', operation, null));
  expect(refused.code).toBe('HCS_E_INVALID_JSON');
  const kept = await errorOf(() => core.HcsGetOperationResult(operation));
  expect(kept.document).toBe(refused.document);
  expect(await codeOf(() => core.HcsWaitForOperationResult(operation, INFINITE))).toBe(
    'HCS_E_INVALID_JSON',
  );
  await turn();
  expect(calls).toEqual([]);
});

test('drops the result when it is closed in flight, and the call goes on', async () => {
  const rig = new Rig();
  const { core, engine } = rig;
  const release = engine.hold('create');
  const calls: string[] = [];
  const operation = core.HcsCreateOperation(null, () => calls.push('callback'));
  const system = core.HcsCreateComputeSystem('vm', text, operation, null);
  const wait = codeOf(() => core.HcsWaitForOperationResult(operation, INFINITE));
  core.HcsCloseOperation(operation);
  expect(await wait).toBe('ERROR_INVALID_HANDLE');
  release();
  await rig.start(system);
  await turn();
  expect(calls).toEqual([]);
  expect((await rig.properties(system)).State).toBe('Running');
});

test('has no process information for calls without a process', async () => {
  const { core } = new Rig();
  const operation = core.HcsCreateOperation(null, null);
  core.HcsCreateComputeSystem('vm', text, operation, null);
  await core.HcsWaitForOperationResult(operation, INFINITE);
  for (const call of [
    () => core.HcsGetOperationResultAndProcessInfo(operation),
    () => core.HcsWaitForOperationResultAndProcessInfo(operation, INFINITE),
  ]) {
    expect(await codeOf(call)).toBe('E_INVALIDARG');
  }
});

test('excludes its callback where completions are events of the system handle', async () => {
  const rig = new Rig();
  const { core } = rig;
  const system = await rig.create();
  const events: HCS_EVENT[] = [];
  core.HcsSetComputeSystemCallback(
    system,
    HCS_EVENT_OPTIONS.HcsEventOptionEnableOperationCallbacks,
    null,
    (event) => events.push(event),
  );
  const callback = core.HcsCreateOperation(null, () => {});
  expect(await codeOf(() => core.HcsStartComputeSystem(system, callback, null))).toBe(
    'HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET',
  );
  const operation = core.HcsCreateOperation(null, null);
  core.HcsStartComputeSystem(system, operation, null);
  await core.HcsWaitForOperationResult(operation, INFINITE);
  await turn();
  expect(events).toEqual([
    {
      Type: HCS_EVENT_TYPE.HcsEventOperationCallback,
      EventData: null,
      Operation: operation,
    },
  ]);
});

test('changes its callback only while no call is in flight', async () => {
  const { core, engine } = new Rig();
  const release = engine.hold('create');
  const calls: unknown[] = [];
  const operation = core.HcsCreateOperation(null, null);
  core.HcsSetOperationCallback(operation, 'context', (_done, context) => calls.push(context));
  core.HcsCreateComputeSystem('vm', text, operation, null);
  expect(await codeOf(() => core.HcsSetOperationCallback(operation, null, () => {}))).toBe(
    'HCS_E_OPERATION_ALREADY_STARTED',
  );
  release();
  await core.HcsWaitForOperationResult(operation, INFINITE);
  expect(calls).toEqual(['context']);
});

test('tells of its progress where it was made with notifications', async () => {
  const { core } = new Rig();
  const events: { context: unknown; type: number; info: Record<string, unknown> }[] = [];
  const operation = core.HcsCreateOperationWithNotifications(
    HCS_OPERATION_OPTIONS.HcsOperationOptionProgressUpdate,
    'context',
    (event, context) =>
      events.push({ context, type: event.Type, info: JSON.parse(event.EventData ?? 'null') }),
  );
  core.HcsCreateComputeSystem('vm', text, operation, null);
  await core.HcsWaitForOperationResult(operation, INFINITE);
  await turn();
  expect(events.map(({ type }) => type)).toEqual([
    HCS_EVENT_TYPE.HcsEventGroupOperationInfo,
    HCS_EVENT_TYPE.HcsEventGroupOperationInfo,
  ]);
  expect(events[0]?.context).toBe('context');
  expect(events[0]?.info).toMatchObject({ Operation: 'Construct' });
  expect(events[0]?.info).not.toHaveProperty('EndTimestamp');
  expect(events[1]?.info).toHaveProperty('EndTimestamp');
  expect(JSON.parse(core.HcsGetOperationProperties(operation, '{}'))).toEqual(events[1]?.info);
});

test('refuses a callback that is no function', async () => {
  const { core } = new Rig();
  const wrong = 'callback' as never;
  expect(await codeOf(() => core.HcsCreateOperation(null, wrong))).toBe('E_INVALIDARG');
  expect(await codeOf(() => core.HcsCreateOperationWithNotifications(1, null, null as never))).toBe(
    'E_INVALIDARG',
  );
});

test('is closed once, and unknown to every function afterwards', async () => {
  const rig = new Rig();
  const { core } = rig;
  const system = await rig.create();
  const operation = core.HcsCreateOperation(null, null);
  const other = core.HcsCreateOperation(null, null);
  expect(core.HcsGetOperationId(operation)).not.toBe(core.HcsGetOperationId(other));
  core.HcsCloseOperation(operation);
  const calls: Record<string, () => unknown> = {
    close: () => core.HcsCloseOperation(operation),
    context: () => core.HcsGetOperationContext(operation),
    setContext: () => core.HcsSetOperationContext(operation, 1),
    setCallback: () => core.HcsSetOperationCallback(operation, 1, () => {}),
    system: () => core.HcsGetComputeSystemFromOperation(operation),
    process: () => core.HcsGetProcessFromOperation(operation),
    type: () => core.HcsGetOperationType(operation),
    result: () => core.HcsGetOperationResult(operation),
    wait: () => core.HcsWaitForOperationResult(operation, 0),
    cancel: () => core.HcsCancelOperation(operation),
    properties: () => core.HcsGetOperationProperties(operation, null),
    start: () => core.HcsStartComputeSystem(system, operation, null),
    enumerate: () => core.HcsEnumerateComputeSystems(null, 0n as HCS_OPERATION),
  };
  for (const [name, call] of Object.entries(calls)) {
    expect([name, await codeOf(call)]).toEqual([name, 'ERROR_INVALID_HANDLE']);
  }
  expect(core.HcsGetOperationId(operation)).toBe(HCS_INVALID_OPERATION_ID);
});

test('is no event of the system handle once it is closed, nor when it calls back itself', async () => {
  const rig = new Rig();
  const { core, engine } = rig;
  const release = engine.hold('create');
  const closed = core.HcsCreateOperation(null, null);
  const system = core.HcsCreateComputeSystem('vm', text, closed, null);
  const calls: HCS_OPERATION[] = [];
  const callsBack = core.HcsCreateOperation(null, (operation) => calls.push(operation));
  core.HcsGetComputeSystemProperties(system, callsBack, null);
  const events: HCS_OPERATION[] = [];
  core.HcsSetComputeSystemCallback(
    system,
    HCS_EVENT_OPTIONS.HcsEventOptionEnableOperationCallbacks,
    null,
    ({ Operation }) => events.push(Operation),
  );
  core.HcsCloseOperation(closed);
  release();
  await core.HcsWaitForOperationResult(callsBack, INFINITE);
  await turn();
  expect([calls, events]).toEqual([[callsBack], []]);
});

test('calls back before a wait ends that began after the result was there', async () => {
  const { core } = new Rig();
  const order: string[] = [];
  const operation = core.HcsCreateOperation(null, () => order.push('callback'));
  core.HcsEnumerateComputeSystems(null, operation);
  while ((await codeOf(() => core.HcsGetOperationResult(operation))) !== 'S_OK');
  await core.HcsWaitForOperationResult(operation, INFINITE);
  order.push('waited');
  expect(order).toEqual(['callback', 'waited']);
});
