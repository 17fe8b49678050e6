import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { INFINITE } from '../../src/hcs/core/constants.ts';
import type { HCS_SYSTEM } from '../../src/hcs/core/handles.ts';
import { codeOf } from '../compute/recording-engine.ts';
import { ComputeRig, DOCUMENT, until } from './compute-rig.ts';
import { standInsUnavailable } from './stand-ins.ts';

if (standInsUnavailable !== undefined) console.log(`Skipped: ${standInsUnavailable}`);

describe.runIf(standInsUnavailable === undefined)('computecore.dll, used carelessly', () => {
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

  async function end(system: HCS_SYSTEM): Promise<void> {
    await rig.terminate(system);
    await core.HcsCloseComputeSystem(system);
  }

  const closes = (name: string): number =>
    rig.standIns.transcript({ id }).filter((line) => line.startsWith(name)).length;

  test('gives an operation back once when its callback closes it while others wait for it', async () => {
    const system = await rig.create(id);
    const operation = core.HcsCreateOperation(null, (done) => core.HcsCloseOperation(done));
    const before = closes('HcsCloseOperation');
    core.HcsGetComputeSystemProperties(system, operation, null);
    const waits = [INFINITE, 5000, INFINITE].map((ms) =>
      codeOf(() => core.HcsWaitForOperationResult(operation, ms)),
    );
    expect(await Promise.all(waits)).toEqual([
      'ERROR_INVALID_HANDLE',
      'ERROR_INVALID_HANDLE',
      'ERROR_INVALID_HANDLE',
    ]);
    expect(closes('HcsCloseOperation') - before).toBe(1);
    await end(system);
  });

  test('does not wait for itself where a notification closes its operation', async () => {
    let told = 0;
    const operation = core.HcsCreateOperationWithNotifications(1, null, ({ Operation }) => {
      told++;
      core.HcsCloseOperation(Operation);
    });
    const system = core.HcsCreateComputeSystem(id, DOCUMENT, operation, null);
    await until(() => rig.standIns.openHandles('operation', id) === 0);
    expect(told).toBe(1);
    await end(system);
  });

  test('takes documents of any length and any characters', async () => {
    for (const text of ['x'.repeat(5_000_000), '\ud800 \udfff \ud83d', '\uffff\ufeff']) {
      const document = JSON.stringify({ ...JSON.parse(DOCUMENT), Owner: text });
      const system = await rig.create(id, document);
      const properties = await rig.run((operation) =>
        core.HcsGetComputeSystemProperties(system, operation, null),
      );
      expect(JSON.parse(properties ?? '').Owner === text).toBe(true);
      await end(system);
    }
  });

  test('serves two waits for each of a thousand operations', async () => {
    const system = await rig.create(id);
    let called = 0;
    const operations = Array.from({ length: 1000 }, (_, index) =>
      core.HcsCreateOperation(null, index % 2 === 0 ? null : () => void called++),
    );
    const waits = operations.flatMap((operation) => {
      core.HcsGetComputeSystemProperties(system, operation, null);
      return [
        core.HcsWaitForOperationResult(operation, INFINITE),
        core.HcsWaitForOperationResult(operation, INFINITE),
      ];
    });
    expect(new Set(await Promise.all(waits)).size).toBe(1);
    expect(called).toBe(500);
    for (const operation of operations) core.HcsCloseOperation(operation);
    await end(system);
  });
});
