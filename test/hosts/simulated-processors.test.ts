import { describe, expect, test } from 'vitest';
import { Trouble } from '../host/trouble-device.ts';
import {
  LEVEL_DEVICE,
  MEMORY_DEVICE,
  PAGE_DEVICE,
  PageOffset,
  PageWord,
} from './guest-programs/devices.ts';
import { startMachine, type WorkerMachine } from './simulated-machine.ts';

const PROBES = '../host/conformance-devices.ts';
const DEVICES = './guest-programs/devices.ts';
const ACCESSES = new URL('./guest-programs/accesses.ts', import.meta.url);
const PROGRAMS = new URL('./guest-programs/programs.ts', import.meta.url);
const MSIX_PROBE = 0xc0f1;

/** Waits for something that a program on another thread does. */
async function until(isTrue: () => boolean): Promise<void> {
  const end = performance.now() + 30_000;
  while (!isTrue()) {
    if (performance.now() > end) throw new Error('It did not come to that');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function accesses(machine: WorkerMachine, processors: number, count: number) {
  const { gpa } = machine.drive(MEMORY_DEVICE).bar(0);
  const argument = { gpa, accesses: count };
  return machine.host.run(machine.system.id, ACCESSES, { processors, argument });
}

describe.each(['worker', 'inline'] as const)('a device placed %s', (placement) => {
  test('answers four processors at once, each in its own order', async () => {
    await using machine = await startMachine({ placement });
    await machine.attach(DEVICES, 'MemoryDevice');
    expect(await accesses(machine, 4, 300)).toEqual([0, 0, 0, 0]);
    // What they wrote last is there for this thread, too.
    const bar = machine.drive(MEMORY_DEVICE).bar(0);
    expect([0, 8, 16, 24].map((offset) => bar.read32(offset))).toEqual([4800, 4801, 4802, 4803]);
  });

  test('wakes a processor that sleeps by its interrupts', async () => {
    await using machine = await startMachine({ placement });
    await machine.attach(PROBES, 'MsixProbe');
    expect(await machine.run('interrupts', MSIX_PROBE)).toEqual([[1, 3, 0, 2]]);
  });

  test('drives its interrupt line', async () => {
    await using machine = await startMachine({ placement });
    await machine.attach(DEVICES, 'LevelDevice');
    expect(await machine.run('line', LEVEL_DEVICE)).toEqual([[false, true, false]]);
  });

  test('moves guest memory that every processor sees', async () => {
    await using machine = await startMachine({ placement });
    await machine.attach(PROBES, 'MsixProbe');
    const seen = '2 from a processor';
    expect(await machine.run('dma', MSIX_PROBE, 2)).toEqual([seen, seen]);
  });

  test('has pages that processors reach while its thread is busy', async () => {
    await using machine = await startMachine({ placement, stallLimitMs: 40_000 });
    await machine.attach(DEVICES, 'PageDevice');
    const bar = machine.drive(PAGE_DEVICE).bar(0);
    expect(await machine.run('page', bar.gpa, 2)).toEqual([0xbeef, 0xbeef]);
    // This thread has the same bytes.
    const at = PageOffset.PAGE + 4 * PageWord.VALUE;
    expect(bar.read32(at)).toBe(0xbeef);
  });

  test('hears of a doorbell that a processor rings, and nothing of the value', async () => {
    await using machine = await startMachine({ placement });
    await machine.attach(DEVICES, 'PageDevice');
    const { gpa } = machine.drive(PAGE_DEVICE).bar(0);
    expect(await machine.run('ring', gpa)).toEqual([3]);
  });

  test('comes and goes while a processor runs', async () => {
    await using machine = await startMachine({ placement });
    const told = new SharedArrayBuffer(4);
    const seen = machine.run('hotPlug', { deviceId: MSIX_PROBE, told });
    const attachment = await machine.attach(PROBES, 'MsixProbe');
    await until(() => Atomics.load(new Int32Array(told), 0) === 1);
    await machine.devices.detach(attachment);
    expect(await seen).toEqual([[0x0c0f_fee0, 0xffff_ffff]]);
  });
});

test.each(['THROW', 'EXIT', 'LOOP'] as const)(
  'pages of a device that has failed by %s read as ones, on every thread',
  async (how) => {
    await using machine = await startMachine({ stallLimitMs: 200 });
    const attachment = await machine.attach(DEVICES, 'PageDevice');
    const bar = machine.drive(PAGE_DEVICE).bar(0);
    bar.write32(PageOffset.PAGE, 7);
    expect(await machine.run('readPage', bar.gpa)).toEqual([7]);
    bar.write32(PageOffset.TROUBLE, Trouble[how]);
    await until(() => attachment.failure !== undefined);
    expect(bar.read32(PageOffset.PAGE)).toBe(0xffff_ffff);
    expect(await machine.run('readPage', bar.gpa)).toEqual([0xffff_ffff]);
  },
);

test('a device that takes the place of another has the pages, and processors reach them', async () => {
  await using machine = await startMachine({ stallLimitMs: 5000 });
  const attachment = await machine.attach(DEVICES, 'PageDevice');
  const bar = machine.drive(PAGE_DEVICE).bar(0);
  bar.write32(PageOffset.PAGE, 7);
  expect(await machine.devices.restart(attachment, { keepState: true })).toEqual({ kept: true });
  expect(bar.read32(PageOffset.PAGE)).toBe(7);
  bar.write32(PageOffset.TROUBLE, Trouble.EXIT);
  await until(() => attachment.failure !== undefined);
  expect(bar.read32(PageOffset.PAGE)).toBe(0xffff_ffff);
  await machine.devices.restart(attachment);
  expect(bar.read32(PageOffset.PAGE)).toBe(0);
  expect(await machine.run('page', bar.gpa, 2)).toEqual([0xbeef, 0xbeef]);
});

test('processors share RAM, and wait for each other on its words', async () => {
  await using machine = await startMachine();
  expect(await machine.run('meeting', undefined, 3)).toEqual([300, 300, 300]);
});

test('a pause stops processors at their next access, and they go on afterwards', async () => {
  await using machine = await startMachine();
  await machine.attach(DEVICES, 'MemoryDevice');
  const count = new SharedArrayBuffer(4);
  const words = new Int32Array(count);
  const controller = new AbortController();
  const bar = machine.drive(MEMORY_DEVICE).bar(0);
  const { gpa } = bar;
  const running = machine.host
    .run(machine.system.id, PROGRAMS, {
      export: 'readForEver',
      argument: { gpa, count },
      signal: controller.signal,
    })
    .catch((error: unknown) => error);
  await until(() => Atomics.load(words, 0) > 0);
  await machine.system.pause();
  // One access may have been under way.
  const paused = Atomics.load(words, 0) + 1;
  for (let i = 0; i < 200; i++) bar.read32(0);
  expect(Atomics.load(words, 0)).toBeLessThanOrEqual(paused);
  await machine.system.resume();
  await until(() => Atomics.load(words, 0) > paused);
  controller.abort(new Error('enough'));
  expect(await running).toMatchObject({ message: 'enough' });
});

test('a shutdown request reaches every processor, and one of them turns the machine off', async () => {
  await using machine = await startMachine();
  const started = new SharedArrayBuffer(4);
  const ended = machine.run('untilShutDown', started, 2);
  await until(() => Atomics.load(new Int32Array(started), 0) === 1);
  await machine.system.shutDown();
  expect(await machine.system.exited).toMatchObject({ ExitType: 'GracefulExit' });
  await ended;
});

test('a machine that is terminated ends its program', async () => {
  await using machine = await startMachine();
  const started = new SharedArrayBuffer(4);
  const ended = machine.run('untilShutDown', started).catch((error: unknown) => error);
  await until(() => Atomics.load(new Int32Array(started), 0) === 1);
  await machine.system.terminate();
  expect(await ended).toMatchObject({ message: expect.stringContaining('its machine has ended') });
});

test('a program that throws on one processor ends on all, and another can be run', async () => {
  await using machine = await startMachine();
  const error = await machine.run('failing', undefined, 2).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(RangeError);
  expect(error).toMatchObject({ message: 'Cannot go on' });
  expect(await machine.run('meeting', undefined, 1)).toEqual([100]);
});

test('what is no program, or too much of one, is refused by name', async () => {
  await using machine = await startMachine();
  await expect(machine.run('nothing')).rejects.toThrow('its export nothing is not a function');
  await expect(machine.run('meeting', undefined, 16)).rejects.toThrow('use 1 to 15');
  await expect(machine.host.run('nobody', PROGRAMS)).rejects.toThrow('no system nobody');
  const missing = new URL('./no-such-program.ts', import.meta.url);
  await expect(machine.host.run(machine.system.id, missing)).rejects.toThrow('no-such-program.ts');
});

test('one machine runs one program at a time', async () => {
  await using machine = await startMachine();
  const controller = new AbortController();
  const started = new SharedArrayBuffer(4);
  const first = machine.host.run(machine.system.id, PROGRAMS, {
    export: 'untilShutDown',
    argument: started,
    signal: controller.signal,
  });
  first.catch(() => undefined);
  await expect(machine.run('meeting')).rejects.toThrow('another one runs');
  controller.abort(new Error('over'));
  await expect(first).rejects.toThrow('over');
});
