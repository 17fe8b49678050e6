import { expect, test } from 'vitest';
import { ComputeSystem } from '../../src/hcs/compute-system.ts';
import { GENERIC_ALL } from '../../src/hcs/core/constants.ts';
import type { HCS_SYSTEM } from '../../src/hcs/core/handles.ts';
import { ownHandle } from '../../src/hcs/owned-handle.ts';
import { codeOf, Rig, turn, vm } from '../compute/recording-engine.ts';
import { collectGarbage, collectUntil, warningsDuring } from './collect-garbage.ts';

/** Makes a system that nobody holds when this has returned, and does something with it before. */
async function abandon(
  rig: Rig,
  work: (system: ComputeSystem) => unknown = () => {},
): Promise<HCS_SYSTEM> {
  const system = await ComputeSystem.create('vm', vm(), { core: rig.core });
  await work(system);
  return system.handle;
}

test('warns and closes the handle of a system that was collected, once', async () => {
  const rig = new Rig();
  let handle = 0n as HCS_SYSTEM;
  const warnings = await warningsDuring(async () => {
    handle = await abandon(rig);
    await collectUntil(() => rig.core.systemIdOf(handle) === undefined);
    await collectGarbage();
  });
  expect(warnings).toEqual([
    'Compute system vm was garbage-collected while it was open, and is closed now: keep it in a variable, and close it or declare it by "await using"',
  ]);
  expect(rig.engine.log).toEqual(['create']);
  expect(await codeOf(() => rig.core.HcsCloseComputeSystem(handle))).toBe('ERROR_INVALID_HANDLE');
});

test('says nothing of systems that were closed or disposed of', async () => {
  const rig = new Rig();
  const warnings = await warningsDuring(async () => {
    await abandon(rig, (system) => system.close());
    await (await ComputeSystem.open('vm', { core: rig.core }))[Symbol.asyncDispose]();
    await collectGarbage();
  });
  expect(warnings).toEqual([]);
});

test('keeps a system whose exit somebody waits for', async () => {
  const rig = new Rig();
  const types: string[] = [];
  const warnings = await warningsDuring(async () => {
    await abandon(rig, (system) => {
      void system.exited.then(({ ExitType = '' }) => types.push(ExitType));
    });
    await collectGarbage();
    rig.engine.machine.exit({ exitType: 'GracefulExit', status: 0 });
    await turn();
  });
  expect([types, warnings]).toEqual([['GracefulExit'], []]);
});

test('keeps a system whose events somebody reads, until the loop is left', async () => {
  const rig = new Rig();
  let handle = 0n as HCS_SYSTEM;
  let seen = 0;
  const warnings = await warningsDuring(async () => {
    const read = async (): Promise<void> => {
      const system = await ComputeSystem.create('vm', vm(), { core: rig.core });
      handle = system.handle;
      for await (const event of system.events()) if (event.type === 'crashed') seen++;
    };
    const reading = read();
    await turn();
    await collectGarbage();
    rig.engine.machine.request.notify({ type: 'crashed', document: '{}' });
    rig.engine.machine.exit({ exitType: 'UnexpectedExit', status: 0x8037_0106 });
    await reading;
    await collectUntil(() => rig.core.systemIdOf(handle) === undefined);
  });
  expect(seen).toBe(1);
  expect(warnings).toHaveLength(1);
});

test('is not kept by the callback that it has set', async () => {
  const rig = new Rig();
  let handle = 0n as HCS_SYSTEM;
  await warningsDuring(async () => {
    handle = await abandon(rig, async (system) => {
      const events = system.events();
      await events.return?.();
    });
    await collectUntil(() => rig.core.systemIdOf(handle) === undefined);
  });
  const again = await rig.core.HcsOpenComputeSystem('vm', GENERIC_ALL);
  expect(again).not.toBe(handle);
});

test('closes what was opened within a handle before the handle, whichever is found first', async () => {
  const log: string[] = [];
  const close = (name: string) => async (): Promise<void> => {
    log.push(`${name} begins`);
    await turn();
    log.push(`${name} ends`);
  };
  const warnings = await warningsDuring(async () => {
    const leave = (): void => {
      const outer = {};
      ownHandle(outer, { what: 'Outer', close: close('outer') });
      ownHandle({ outer }, { what: 'Inner', close: close('inner'), within: outer });
      ownHandle({ outer }, { what: 'Closed', close: close('closed'), within: outer }).release();
    };
    leave();
    await collectUntil(() => log.length === 4);
    await collectGarbage();
  });
  expect(log).toEqual(['inner begins', 'inner ends', 'outer begins', 'outer ends']);
  expect(warnings.map((text) => text.split(' ')[0])).toEqual(['Inner', 'Outer']);
});

test('says nothing of a handle that was closed by its number', async () => {
  const [rig, other] = [new Rig(), new Rig()];
  const warnings = await warningsDuring(async () => {
    await abandon(rig, (system) => rig.core.HcsCloseComputeSystem(system.handle));
    // One that stays open shows that garbage was collected.
    const handle = await abandon(other);
    await collectUntil(() => other.core.systemIdOf(handle) === undefined);
    await collectGarbage();
  });
  expect(warnings).toHaveLength(1);
});

test('warns of a handle that cannot be closed', async () => {
  const warnings = await warningsDuring(async () => {
    let tried = false;
    const leave = (): void => {
      const close = async (): Promise<void> => {
        tried = true;
        throw new Error('the service is gone');
      };
      ownHandle({}, { what: 'Outer', close });
    };
    leave();
    await collectUntil(() => tried);
    await turn();
  });
  expect(warnings[1]).toBe('the service is gone');
});
