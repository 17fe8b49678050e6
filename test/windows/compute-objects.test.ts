import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ComputeSystem } from '../../src/hcs/compute-system.ts';
import { GENERIC_ALL, HCS_EVENT_TYPE, INFINITE } from '../../src/hcs/core/constants.ts';
import type { SystemEvent } from '../../src/hcs/system-event.ts';
import { codeOf } from '../compute/recording-engine.ts';
import { collectGarbage, collectUntil, warningsDuring } from '../hcs/collect-garbage.ts';
import { ComputeRig, DOCUMENT, until } from './compute-rig.ts';
import { standInsUnavailable } from './stand-ins.ts';

if (standInsUnavailable !== undefined) console.log(`Skipped: ${standInsUnavailable}`);

async function typesOf(events: AsyncIterable<SystemEvent>): Promise<readonly string[]> {
  const types: string[] = [];
  for await (const { type } of events) types.push(type);
  return types;
}

describe.runIf(standInsUnavailable === undefined)('a ComputeSystem of Windows', () => {
  let rig: ComputeRig;
  let core: ComputeRig['core'];
  let id: string;

  beforeEach(() => {
    rig = new ComputeRig();
    core = rig.core;
    id = `system ${randomUUID()}`;
  });

  afterEach(async () => {
    expect(rig.standIns.misuses({ id })).toEqual([]);
    for (const kind of ['system', 'operation'] as const) {
      expect([kind, rig.standIns.openHandles(kind, id)]).toEqual([kind, 0]);
    }
    await end();
    rig.close();
  });

  /** Ends what a test has left running. */
  async function end(): Promise<void> {
    const own = new ComputeRig();
    try {
      const left = await own.core.HcsOpenComputeSystem(id, GENERIC_ALL);
      await own.terminate(left);
      await own.core.HcsCloseComputeSystem(left);
    } catch {
      // There is none.
    }
  }

  async function running(): Promise<ComputeSystem> {
    const system = await ComputeSystem.create(id, JSON.parse(DOCUMENT), { core });
    await system.start();
    return system;
  }

  test('is disposed of quietly, and closed, after its host was closed', async () => {
    for (const work of ['dispose', 'close'] as const) {
      const system = await running();
      await core.close();
      if (work === 'dispose') await system[Symbol.asyncDispose]();
      else await system.close();
      await system[Symbol.asyncDispose]();
      await end();
    }
  });

  test('that is garbage-collected after its host was closed is not warned of', async () => {
    const abandon = async (): Promise<void> => void (await running());
    let collected = false;
    const warnings = await warningsDuring(async () => {
      const registry = new FinalizationRegistry(() => {
        collected = true;
      });
      await abandon();
      registry.register({}, undefined);
      await core.close();
      await collectUntil(() => collected);
      await collectGarbage();
    });
    expect(warnings).toEqual([]);
  });

  test('ends its events, and tells that the service is gone, when its host is closed', async () => {
    const system = await running();
    const { exited } = system;
    const events = typesOf(system.events());
    await core.close();
    expect(await events).toEqual(['serviceDisconnected']);
    await expect(exited).rejects.toThrow('the connection to its service is lost');
    await system[Symbol.asyncDispose]();
  });

  test('ends its events when Windows loses the connection to its service', async () => {
    const system = await running();
    const events = typesOf(system.events());
    rig.standIns.raiseEvent(id, HCS_EVENT_TYPE.HcsEventServiceDisconnect, null);
    expect(await events).toEqual(['serviceDisconnected']);
    await system[Symbol.asyncDispose]();
  });

  test('hears what its host has to say also where another callback throws at that', async () => {
    const system = await running();
    const events = typesOf(system.events());
    const other = await core.HcsOpenComputeSystem(id, GENERIC_ALL);
    core.HcsSetComputeSystemCallback(other, 0, null, () => {
      throw new Error('not now');
    });
    const thrown = new Promise<unknown>((resolve) => {
      uncaught(resolve);
    });
    await core.close();
    expect(String(await thrown)).toContain('not now');
    expect(await events).toEqual(['serviceDisconnected']);
  });

  test('that is being opened when its host is closed is closed as well', async () => {
    const system = await running();
    const rule = { id, at: 'call' } as const;
    for (const name of ['HcsOpenComputeSystem', 'HcsOpenComputeSystemInNamespace'] as const) {
      rig.standIns.hold(name, rule);
    }
    const opening = codeOf(() => ComputeSystem.open(id, { core }));
    const inNamespace = codeOf(() => core.HcsOpenComputeSystemInNamespace('', id, GENERIC_ALL));
    await until(() => rig.standIns.held('HcsOpenComputeSystem', rule) > 0);
    const closed = core.close();
    rig.standIns.clearRules();
    expect(await opening).toBe('ERROR_INVALID_HANDLE');
    expect(await inNamespace).not.toBe('S_OK');
    await closed;
    await system.close();
  });

  test('whose process is being opened when its handle is closed keeps none', async () => {
    const system = await running();
    const operation = core.HcsCreateOperation(null, null);
    const made = core.HcsCreateProcess(system.handle, '{"CommandLine":"cat"}', operation, null);
    const { processInformation } = await core.HcsWaitForOperationResultAndProcessInfo(
      operation,
      INFINITE,
    );
    core.HcsCloseOperation(operation);
    const rule = { id, at: 'call' } as const;
    rig.standIns.hold('HcsOpenProcess', rule);
    const opening = codeOf(() =>
      core.HcsOpenProcess(system.handle, processInformation.ProcessId, GENERIC_ALL),
    );
    await until(() => rig.standIns.held('HcsOpenProcess', rule) > 0);
    const closed = system.close();
    rig.standIns.release('HcsOpenProcess', rule);
    expect(await opening).toBe('ERROR_INVALID_HANDLE');
    await closed;
    await core.HcsCloseProcess(made);
    expect(rig.standIns.openHandles('process', id)).toBe(0);
  });

  test('has its calls completed that were in flight when its host was closed', async () => {
    const system = await ComputeSystem.create(id, JSON.parse(DOCUMENT), { core });
    rig.standIns.hold('HcsStartComputeSystem', { id });
    const started = system.start();
    const idle = core.HcsCreateOperation(null, null);
    await core.close();
    expect(await codeOf(() => core.HcsCloseOperation(idle))).toBe('ERROR_INVALID_HANDLE');
    rig.standIns.release('HcsStartComputeSystem', { id });
    await started;
    await until(() => rig.standIns.openHandles('operation', id) === 0);
  });
});

/** The next uncaught exception of this process, in place of whoever listens for them. */
function uncaught(hear: (error: unknown) => void): void {
  const listeners = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.once('uncaughtException', (error) => {
    for (const listener of listeners) process.on('uncaughtException', listener);
    hear(error);
  });
}
