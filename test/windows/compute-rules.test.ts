// Longer than most files: what the binding of computecore.dll adds to the contract, rule by rule.
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ComputeSystem } from '../../src/hcs/compute-system.ts';
import {
  GENERIC_ALL,
  HCS_EVENT_OPTIONS,
  HCS_EVENT_TYPE,
  INFINITE,
} from '../../src/hcs/core/constants.ts';
import type { HCS_OPERATION, HCS_SYSTEM } from '../../src/hcs/core/handles.ts';
import { HRESULT } from '../../src/hcs/hresult.ts';
import { codeOf, errorOf } from '../compute/recording-engine.ts';
import { collectGarbage, collectUntil, warningsDuring } from '../hcs/collect-garbage.ts';
import { ComputeRig, DOCUMENT, until } from './compute-rig.ts';
import { standInsUnavailable } from './stand-ins.ts';

if (standInsUnavailable !== undefined) console.log(`Skipped: ${standInsUnavailable}`);

const EXITED = HCS_EVENT_TYPE.HcsEventSystemExited;

describe.runIf(standInsUnavailable === undefined)('computecore.dll as bound', () => {
  let rig: ComputeRig;
  let core: ComputeRig['core'];
  let id: string;
  let liveBefore: number;

  beforeAll(() => {
    rig = new ComputeRig();
    core = rig.core;
    liveBefore = rig.standIns.liveBlocks();
  });

  afterAll(() => rig?.close());

  beforeEach(() => {
    id = `system ${randomUUID()}`;
  });

  afterEach(() => {
    expect(rig.standIns.misuses({ id })).toEqual([]);
    expect(rig.standIns.liveBlocks()).toBe(liveBefore);
    expect(rig.standIns.openHandles('system', id)).toBe(0);
    expect(rig.standIns.openHandles('operation', id)).toBe(0);
  });

  const open = (kind: 'operation' | 'system' | 'process'): number =>
    rig.standIns.openHandles(kind, id);

  async function end(system: HCS_SYSTEM): Promise<void> {
    await rig.terminate(system);
    await core.HcsCloseComputeSystem(system);
  }

  /** Begins to create a system whose creation does not complete until it is released. */
  function heldCreation(operation: HCS_OPERATION): HCS_SYSTEM {
    rig.standIns.hold('HcsCreateComputeSystem', { id });
    return core.HcsCreateComputeSystem(id, DOCUMENT, operation, null);
  }

  test('gives an operation that was closed in flight back when its callback has come', async () => {
    const calls: string[] = [];
    const operation = core.HcsCreateOperation(null, () => calls.push('callback'));
    const system = heldCreation(operation);
    core.HcsCloseOperation(operation);
    expect(open('operation')).toBe(1);
    rig.standIns.release('HcsCreateComputeSystem', { id });
    await until(() => open('operation') === 0);
    expect(calls).toEqual([]);
    await end(system);
  });

  test('gives an operation that was closed during a wait back when the wait has ended', async () => {
    const operation = core.HcsCreateOperation(null, null);
    const system = heldCreation(operation);
    rig.standIns.hold('HcsWaitForOperationResult', { id, at: 'call' });
    const wait = codeOf(() => core.HcsWaitForOperationResult(operation, INFINITE));
    await until(() => rig.standIns.held('HcsWaitForOperationResult', { id, at: 'call' }) > 0);
    core.HcsCloseOperation(operation);
    expect(await wait).toBe('ERROR_INVALID_HANDLE');
    expect(open('operation')).toBe(1);
    rig.standIns.release('HcsWaitForOperationResult', { id, at: 'call' });
    rig.standIns.release('HcsCreateComputeSystem', { id });
    await until(() => open('operation') === 0);
    await end(system);
  });

  test('gives a handle that was closed during a wait back when the wait has ended', async () => {
    const system = await rig.create(id);
    const rule = { id, at: 'call' } as const;
    rig.standIns.hold('HcsWaitForComputeSystemExit', rule);
    const wait = codeOf(() => core.HcsWaitForComputeSystemExit(system, INFINITE));
    await until(() => rig.standIns.held('HcsWaitForComputeSystemExit', rule) > 0);
    let isClosed = false;
    const other = await core.HcsOpenComputeSystem(id, GENERIC_ALL);
    const closing = core.HcsCloseComputeSystem(system).then(() => {
      isClosed = true;
    });
    expect(await wait).toBe('ERROR_INVALID_HANDLE');
    expect([isClosed, open('system')]).toEqual([false, 2]);
    rig.standIns.release('HcsWaitForComputeSystemExit', rule);
    await closing;
    expect(open('system')).toBe(1);
    await end(other);
  });

  test('takes the callback from the service after the call that caused it has returned', async () => {
    rig.standIns.delay('HcsCreateComputeSystem', 30, { id, at: 'return' });
    let stored = 0n as HCS_SYSTEM;
    const seen = new Promise<readonly bigint[]>((resolve) => {
      const operation = core.HcsCreateOperation(null, (done) => {
        resolve([core.HcsGetComputeSystemFromOperation(done), stored]);
        core.HcsCloseOperation(done);
      });
      stored = core.HcsCreateComputeSystem(id, DOCUMENT, operation, null);
    });
    expect(await seen).toEqual([stored, stored]);
    await end(stored);
  });

  test('calls nobody for a callback that comes after the close', async () => {
    const calls: string[] = [];
    const system = await rig.create(id);
    const second = await core.HcsOpenComputeSystem(id, GENERIC_ALL);
    core.HcsSetComputeSystemCallback(system, 0, null, () => calls.push('event'));
    const operation = core.HcsCreateOperation(null, () => calls.push('completion'));
    core.HcsGetComputeSystemProperties(system, operation, null);
    await core.HcsWaitForOperationResult(operation, INFINITE);
    core.HcsCloseOperation(operation);
    await core.HcsCloseComputeSystem(system);
    calls.length = 0;
    // The service's thread waits until the callback has returned, and so must not be this one.
    expect(rig.standIns.callAfterClose(id, EXITED, '{}')).toBe(true);
    expect(rig.standIns.completeAfterClose(id)).toBe(true);
    await end(second);
    expect(calls).toEqual([]);
  });

  test('lets the close of a handle wait for a callback that runs on this thread', async () => {
    const system = await rig.create(id);
    const log: string[] = [];
    let closing: Promise<void> | undefined;
    core.HcsSetComputeSystemCallback(system, 0, null, () => {
      log.push('begins');
      closing = core.HcsCloseComputeSystem(system).then(() => void log.push('closed'));
      log.push('ends');
    });
    const other = await core.HcsOpenComputeSystem(id, GENERIC_ALL);
    expect(rig.standIns.raiseEvent(id, HCS_EVENT_TYPE.HcsEventSystemGuestConnectionClosed)).toBe(1);
    await until(() => log.includes('closed'));
    await closing;
    expect(log).toEqual(['begins', 'ends', 'closed']);
    await end(other);
  });

  test('hands on events of every type, with their documents', async () => {
    const system = await rig.create(id);
    const seen: unknown[] = [];
    core.HcsSetComputeSystemCallback(system, 6, 'context', ({ Type, EventData }, context) => {
      seen.push([Type, EventData, context]);
    });
    // The others come of themselves: to processes, to operations, and at the end.
    const names = [
      'HcsEventSystemCrashInitiated',
      'HcsEventSystemCrashReport',
      'HcsEventSystemRdpEnhancedModeStateChanged',
      'HcsEventSystemSiloJobCreated',
      'HcsEventSystemGuestConnectionClosed',
      'HcsEventServiceDisconnect',
      'HcsEventGroupVmLifecycle',
      'HcsEventGroupLiveMigration',
    ] as const;
    const types = names.map((name) => [name, HCS_EVENT_TYPE[name]] as const);
    for (const [name, type] of types) rig.standIns.raiseEvent(id, type, `{"Name":"${name} é"}`);
    rig.standIns.raiseEvent(id, HCS_EVENT_TYPE.HcsEventSystemSiloJobCreated, null);
    await until(() => seen.length > types.length);
    expect(seen).toEqual([
      ...types.map(([name, type]) => [type, `{"Name":"${name} é"}`, 'context']),
      [HCS_EVENT_TYPE.HcsEventSystemSiloJobCreated, null, 'context'],
    ]);
    await end(system);
  });

  test('does not tell of operations that were closed', async () => {
    const system = await rig.create(id);
    const other = core.HcsCreateOperation(null, null);
    const seen: unknown[] = [];
    const options = HCS_EVENT_OPTIONS.HcsEventOptionEnableOperationCallbacks;
    core.HcsSetComputeSystemCallback(system, options, null, ({ Operation }) =>
      seen.push(Operation),
    );
    rig.standIns.hold('HcsStartComputeSystem', { id });
    const closed = core.HcsCreateOperation(null, null);
    core.HcsStartComputeSystem(system, closed, null);
    core.HcsCloseOperation(closed);
    rig.standIns.release('HcsStartComputeSystem', { id });
    core.HcsGetComputeSystemProperties(system, other, null);
    await core.HcsWaitForOperationResult(other, INFINITE);
    await until(() => seen.length > 0);
    expect(seen).toEqual([other]);
    core.HcsCloseOperation(other);
    await end(system);
  });

  test('makes no native call on what it has closed', async () => {
    const system = await rig.create(id);
    const operation = core.HcsCreateOperation(null, null);
    const second = await core.HcsOpenComputeSystem(id, GENERIC_ALL);
    core.HcsCloseOperation(operation);
    await core.HcsCloseComputeSystem(system);
    const before = rig.standIns.transcript().length;
    for (const call of [
      () => core.HcsCloseOperation(operation),
      () => core.HcsGetOperationResult(operation),
      () => core.HcsWaitForOperationResult(operation, INFINITE),
      () => core.HcsStartComputeSystem(second, operation, null),
      () => core.HcsCloseComputeSystem(system),
      () => core.HcsSetComputeSystemCallback(system, 0, null, () => {}),
      () => core.HcsWaitForComputeSystemExit(system, INFINITE),
      () => core.HcsOpenProcess(system, 1, GENERIC_ALL),
    ]) {
      expect(await codeOf(call)).toBe('ERROR_INVALID_HANDLE');
    }
    expect(rig.standIns.transcript().length).toBe(before);
    await end(second);
  });

  test('keeps two threads of the pool for everybody else', async () => {
    const system = await rig.create(id);
    const rule = { id, at: 'call' } as const;
    rig.standIns.hold('HcsWaitForComputeSystemExit', rule);
    const waits = Array.from({ length: 12 }, () =>
      core.HcsWaitForComputeSystemExit(system, INFINITE),
    );
    await until(() => rig.standIns.held('HcsWaitForComputeSystemExit', rule) === 2);
    const text = await readFile(fileURLToPath(import.meta.url), 'utf8');
    expect(text.length).toBeGreaterThan(0);
    expect(rig.standIns.held('HcsWaitForComputeSystemExit', rule)).toBe(2);
    rig.standIns.release('HcsWaitForComputeSystemExit', rule);
    await rig.terminate(system);
    expect(new Set(await Promise.all(waits)).size).toBe(1);
    await core.HcsCloseComputeSystem(system);
  });

  test('passes on why a document was refused, by the call and by the operation', async () => {
    const document = JSON.stringify({
      Error: HRESULT.HCS_E_INVALID_JSON | 0,
      ErrorMessage: "Invalid JSON document '$.VirtualMachine.Devices.Scsi'",
      ErrorEvents: [{ Message: 'Construct failed', EventId: 7 }],
    });
    for (const at of ['call', 'operation'] as const) {
      const { HCS_E_INVALID_JSON } = HRESULT;
      rig.standIns.failNext('HcsCreateComputeSystem', HCS_E_INVALID_JSON, { id, at, document });
      const create = ComputeSystem.create(id, JSON.parse(DOCUMENT), { core });
      const error = await errorOf(() => create);
      expect([error.function, error.code, error.path]).toEqual([
        'HcsCreateComputeSystem',
        'HCS_E_INVALID_JSON',
        '$.VirtualMachine.Devices.Scsi',
      ]);
      expect(error.reason).toContain('Invalid JSON document');
      expect(error.events).toEqual([{ Message: 'Construct failed', EventId: 7 }]);
      expect(error.document).toBe(document);
    }
  });

  test.each([null, '{"ErrorMessage":"Access is denied."}'])(
    'says which group may use the service, with the document %j',
    async (document) => {
      const { HCS_E_ACCESS_DENIED } = HRESULT;
      rig.standIns.failNext('HcsCreateComputeSystem', HCS_E_ACCESS_DENIED, {
        id,
        at: 'call',
        ...(document === null ? {} : { document }),
      });
      const error = await errorOf(() => rig.create(id));
      expect(error.code).toBe('HCS_E_ACCESS_DENIED');
      expect(error.message).toContain('Hyper-V Administrators');
      if (document !== null) expect(error.reason).toContain('Access is denied.');
    },
  );

  test('closes a system that is garbage-collected once, and gives its callback up', async () => {
    const abandon = async (): Promise<void> => {
      const system = await ComputeSystem.create(id, JSON.parse(DOCUMENT), { core });
      await system.events().return?.();
      await system.start();
    };
    const warnings = await warningsDuring(async () => {
      await abandon();
      await collectUntil(() => open('system') === 0);
      await collectGarbage();
    });
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain(`Compute system ${id} was garbage-collected`);
    const closes = rig.standIns
      .transcript({ id })
      .filter((line) => line.startsWith('HcsCloseComputeSystem'));
    expect(closes).toHaveLength(1);
    await end(await core.HcsOpenComputeSystem(id, GENERIC_ALL));
  });

  test('closes what an aborted creation has made when Windows has completed it', async () => {
    rig.standIns.hold('HcsCreateComputeSystem', { id });
    const controller = new AbortController();
    const { signal } = controller;
    const creation = ComputeSystem.create(id, JSON.parse(DOCUMENT), { core, signal });
    controller.abort(new Error('enough'));
    await expect(creation).rejects.toThrow('enough');
    expect(open('operation')).toBe(1);
    rig.standIns.release('HcsCreateComputeSystem', { id });
    await until(() => open('operation') === 0 && open('system') === 0);
    expect(await codeOf(() => core.HcsOpenComputeSystem(id, GENERIC_ALL))).toBe(
      'HCS_E_SYSTEM_NOT_FOUND',
    );
  });

  test('closes the handles that were left open with its host', async () => {
    const own = new ComputeRig();
    const system = await own.create(
      id,
      DOCUMENT.replace('{', '{"ShouldTerminateOnLastHandleClosed":true,'),
    );
    await own.start(system);
    await own.run((operation) => {
      own.core.HcsCreateProcess(system, '{"CommandLine":"cat"}', operation, null);
    });
    expect([open('system'), open('process')]).toEqual([1, 1]);
    await own.core.close();
    await own.core.close();
    expect([open('system'), open('process')]).toEqual([0, 0]);
    expect(await codeOf(() => own.core.HcsCloseComputeSystem(system))).toBe('ERROR_INVALID_HANDLE');
    const found = async () =>
      core.HcsCloseComputeSystem(await core.HcsOpenComputeSystem(id, GENERIC_ALL));
    while ((await codeOf(found)) === 'S_OK') await collectGarbage();
  });

  test('tells of the progress of an operation that was made with notifications', async () => {
    const seen: unknown[] = [];
    const operation = core.HcsCreateOperationWithNotifications(1, 'context', (event, context) => {
      seen.push([event.Type, event.Operation, context]);
    });
    const system = core.HcsCreateComputeSystem(id, DOCUMENT, operation, null);
    await core.HcsWaitForOperationResult(operation, INFINITE);
    await until(() => seen.length > 0);
    expect(seen[0]).toEqual([HCS_EVENT_TYPE.HcsEventGroupOperationInfo, operation, 'context']);
    core.HcsCloseOperation(operation);
    await end(system);
  });
});
