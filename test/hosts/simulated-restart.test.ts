import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { createSimulatedHost } from '../../src/hosts/simulated/host.ts';
import type { WorkerFunction } from '../../src/hosts/simulated/worker-device.ts';
import { ComputeSystem, DeviceHost } from '../../src/index.ts';
import { RESTARTED } from '../host/restart-device.ts';
import { Trouble } from '../host/trouble-device.ts';
import { startMachine, type WorkerMachine } from './simulated-machine.ts';

const MODULE = '../host/restart-device.ts';
const DEVICE = 0x7002;
const { ID, WORD, TROUBLE } = RESTARTED.offsets;
const IDENTITY = 0x0e57_a127;
const ONES = 0xffff_ffff;

const EARLY = {
  SchemaVersion: { Major: 2, Minor: 1 },
  VirtualMachine: { ComputeTopology: { Memory: { SizeInMB: 4 } } },
};

let machine: WorkerMachine;

afterEach(() => machine?.[Symbol.asyncDispose]());

/** Waits until so many failures have been reported in all. */
async function failures(count: number): Promise<readonly Error[]> {
  for (;;) {
    const errors = machine.notices.flatMap((notice) =>
      notice.type === 'failed' ? [notice.error] : [],
    );
    if (errors.length >= count) return errors;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Where the only device is. */
function placed({ machine }: WorkerMachine): WorkerFunction {
  const [fn] = machine.bus.slots.map((slot) => slot.function as WorkerFunction);
  return fn!;
}

/** Runs a program on a processor that writes a register and reads it back. */
function run(gpa: number) {
  const { buffer, byteOffset } = machine.machine.ram.windowAt(0, 8)!.bytes;
  const words = new Int32Array(buffer, byteOffset, 2);
  const running = machine.run('countUntilTold', gpa);
  return {
    /** Waits until the processor has come further. */
    async progress(): Promise<void> {
      const before = Atomics.load(words, 1);
      while (Atomics.load(words, 1) <= before + 1) {
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
    /** Ends it. @returns how often it did not read what it had written */
    async wrong(): Promise<number> {
      Atomics.store(words, 0, 1);
      const [{ wrong }] = (await running) as [{ wrong: number }];
      return wrong;
    },
  };
}

test('processors wait while a device hands its registers to a fresh one, and see no difference', async () => {
  machine = await startMachine({ stallLimitMs: 5000 });
  const attachment = await machine.attach(MODULE, 'RestartDevice');
  const bar = machine.drive(DEVICE).bar(0);
  const program = run(bar.gpa + WORD);
  for (let round = 0; round < 3; round++) {
    await program.progress();
    expect(await machine.devices.restart(attachment, { keepState: true })).toEqual({ kept: true });
  }
  await program.progress();
  expect(await program.wrong()).toBe(0);
  expect(machine.notices).toEqual([]);
});

test('this thread, which puts the fresh device in place, reads ones at most and is not held up', async () => {
  machine = await startMachine({ stallLimitMs: 5000 });
  const attachment = await machine.attach(MODULE, 'RestartDevice');
  const bar = machine.drive(DEVICE).bar(0);
  bar.write32(WORD, 5);
  let over = false;
  const restarted = machine.devices.restart(attachment, { keepState: true }).finally(() => {
    over = true;
  });
  const seen = new Set<number>();
  while (!over) {
    seen.add(bar.read32(WORD));
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(await restarted).toEqual({ kept: true });
  expect([...seen].filter((value) => value !== 5 && value !== ONES)).toEqual([]);
  expect(bar.read32(WORD)).toBe(5);
  expect(machine.notices).toEqual([]);
});

test('a machine that ends while a device is restarted ends', async () => {
  machine = await startMachine({ stallLimitMs: 1000 });
  const attachment = await machine.attach(MODULE, 'RestartDevice');
  const restarted = machine.devices.restart(attachment).catch((error: unknown) => error);
  const { thread, number } = placed(machine);
  await machine.system.terminate();
  await restarted;
  expect(machine.notices).toEqual([]);
  // The fresh device came too late for the machine: it is off.
  await expect(thread.call('start', number)).rejects.toThrow('it is not initialized');
});

test('processors go on with a device that died under them and was restarted', async () => {
  machine = await startMachine({ stallLimitMs: 1000 });
  const attachment = await machine.attach(MODULE, 'RestartDevice');
  const bar = machine.drive(DEVICE).bar(0);
  const program = run(bar.gpa + WORD);
  await program.progress();
  bar.write32(TROUBLE, Trouble.EXIT);
  await failures(1);
  await program.progress();
  await machine.devices.restart(attachment);
  expect(bar.read32(ID)).toBe(IDENTITY);
  await program.progress();
  expect(await program.wrong()).toBeGreaterThan(0);
  // The processor found the fresh one: what it wrote last is there.
  expect(bar.read32(WORD)).toBeGreaterThan(0);
});

test('a device that is taken away while it is loaded afresh leaves no worker behind', async () => {
  const host = createSimulatedHost({ placement: 'worker' });
  const core = host.computeCore;
  await using system = await ComputeSystem.create('early', EARLY, { core });
  const devices = await DeviceHost.create(system, { binding: host.hdv });
  const attachment = await devices.attach(new URL(MODULE, import.meta.url));
  const refused = expect(devices.restart(attachment)).rejects.toThrow('it was detached');
  await nextTurn();
  await devices[Symbol.asyncDispose]();
  await refused;
  await host.close();
});

test('before the machine starts, a module that does not load any more leaves the device in its place', async () => {
  // Below the package, so that a module written there finds it by name.
  const folder = mkdtempSync(join(import.meta.dirname, 'tmp-'));
  const host = createSimulatedHost({ placement: 'worker' });
  try {
    const file = join(folder, 'device.ts');
    writeFileSync(
      file,
      `import { PciDevice } from 'hdvkit';
       export class Early extends PciDevice {
         identity = { vendorId: 1, deviceId: 2, classCode: 0xff0000 };
       }`,
    );
    const core = host.computeCore;
    await using system = await ComputeSystem.create('early', EARLY, { core });
    await using devices = await DeviceHost.create(system, { binding: host.hdv });
    const attachment = await devices.attach(pathToFileURL(file));
    writeFileSync(file, 'export const nothing = 1;');
    await expect(devices.restart(attachment)).rejects.toThrow('it exports no device class');
    await system.start();
    const [slot] = host.machineOf('early')!.bus.slots;
    expect(slot!.function.readConfigSpace(0)).toBe(0x0002_0001);
  } finally {
    await host.close();
    rmSync(folder, { recursive: true });
  }
});

describe('in a group', () => {
  test('devices that died together come back one by one', async () => {
    machine = await startMachine({ stallLimitMs: 1000 });
    const one = await machine.attach(MODULE, 'RestartDevice', 'g');
    const other = await machine.attach('../host/trouble-device.ts', 'TroubleDevice', 'g');
    const bar = machine.drive(DEVICE).bar(0);
    const otherBar = machine.drive(0x7001).bar(0);
    bar.write32(TROUBLE, Trouble.EXIT);
    await failures(2);
    expect([bar.read32(ID), otherBar.read32(0)]).toEqual([ONES, ONES]);
    await machine.devices.restart(one);
    expect([bar.read32(ID), otherBar.read32(0)]).toEqual([IDENTITY, ONES]);
    await machine.devices.restart(other);
    expect([bar.read32(ID), otherBar.read32(0)]).toEqual([IDENTITY, 0x7041_b1e0]);
    expect([one.failure, other.failure]).toEqual([undefined, undefined]);
  });

  test('one is replaced beside the others, which go on', async () => {
    machine = await startMachine({ stallLimitMs: 5000 });
    const one = await machine.attach(MODULE, 'RestartDevice', 'g');
    await machine.attach('../host/trouble-device.ts', 'TroubleDevice', 'g');
    const bar = machine.drive(DEVICE).bar(0);
    const otherBar = machine.drive(0x7001).bar(0);
    bar.write32(WORD, 5);
    otherBar.write32(4, 6);
    expect(await machine.devices.restart(one, { keepState: true })).toEqual({ kept: true });
    expect([bar.read32(WORD), otherBar.read32(4)]).toEqual([5, 6]);
    expect(await machine.devices.restart(one)).toEqual({ kept: false });
    expect([bar.read32(WORD), otherBar.read32(4)]).toEqual([0, 6]);
    expect(machine.notices).toEqual([]);
  });
});

describe('a device that shall be restarted when it fails', () => {
  const url = (module: string): URL => new URL(module, import.meta.url);
  const told = async (type: 'restarted' | 'givenUp', count = 1): Promise<void> => {
    while (machine.notices.filter((notice) => notice.type === type).length < count) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };

  test('comes back by itself, and that is reported', async () => {
    machine = await startMachine({ stallLimitMs: 1000 });
    const attachment = await machine.devices.attach(url(MODULE), { restart: 'on-failure' });
    const bar = machine.drive(DEVICE).bar(0);
    bar.write32(TROUBLE, Trouble.EXIT);
    await told('restarted');
    expect(bar.read32(ID)).toBe(IDENTITY);
    bar.write32(TROUBLE, Trouble.THROW);
    await told('restarted', 2);
    expect(bar.read32(ID)).toBe(IDENTITY);
    expect(attachment.failure).toBeUndefined();
    expect(machine.notices.map(({ type }) => type)).toEqual([
      'failed',
      'restarted',
      'failed',
      'restarted',
    ]);
  });

  test('is given up when it fails again and again', async () => {
    machine = await startMachine({ stallLimitMs: 1000 });
    const module = url('../host/crash-loop-device.ts');
    const attachment = await machine.devices.attach(module, { restart: 'on-failure' });
    await told('givenUp');
    // The last restart may be told after the failure that ended it.
    await told('restarted', 5);
    const of = (type: string) => machine.notices.filter((notice) => notice.type === type).length;
    expect([of('failed'), of('restarted')]).toEqual([6, 5]);
    expect(attachment.failure?.message).toContain('it never gets far');
  });

  test('is left alone once it is detached', async () => {
    machine = await startMachine({ stallLimitMs: 1000 });
    const options = { restart: 'on-failure' } as const;
    const first = await machine.devices.attach(url(MODULE), options);
    machine.drive(DEVICE).bar(0).write32(TROUBLE, Trouble.EXIT);
    await failures(1);
    await machine.devices.detach(first);
    // Its turn would have come before this one's.
    const second = await machine.devices.attach(url(MODULE), options);
    machine.drive(DEVICE).bar(0).write32(TROUBLE, Trouble.EXIT);
    await told('restarted');
    const of = machine.notices.map(({ type, attachment }) => [type, attachment === second]);
    expect(of).toEqual([
      ['failed', false],
      ['failed', true],
      ['restarted', true],
    ]);
  });

  test('cannot be one on this thread', async () => {
    machine = await startMachine();
    await expect(
      machine.devices.attach(url(MODULE), { restart: 'on-failure', placement: 'inline' }),
    ).rejects.toThrow('only a device on a worker');
  });
});
