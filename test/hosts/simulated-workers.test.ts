import { setImmediate as nextTurn } from 'node:timers/promises';
import { DeviceFailedError } from 'hdvkit';
import { afterEach, describe, expect, test } from 'vitest';
import type { WorkerFunction } from '../../src/hosts/simulated/worker-device.ts';
import { TROUBLE, Trouble } from '../host/trouble-device.ts';
import { startMachine, type WorkerMachine } from './simulated-machine.ts';

const TROUBLE_DEVICE = 0x7001;
const MSIX_PROBE = 0xc0f1;
const { ID, TROUBLE: WRITE, TROUBLE_ON_READ, SCRATCH } = TROUBLE.offsets;
const IDENTITY = 0x7041_b1e0;

/** Longer than a device may take; shorter than a device that never answers. */
const BOUND_MS = 20_000;

let machine: WorkerMachine;

afterEach(() => machine?.[Symbol.asyncDispose]());

/** Everything that the devices have reported as failures, once there is something. */
async function failures(): Promise<readonly Error[]> {
  const end = performance.now() + 30_000;
  for (;;) {
    const errors = machine.notices.flatMap((notice) =>
      notice.type === 'failed' ? [notice.error] : [],
    );
    if (errors.length > 0) return errors;
    if (performance.now() > end) throw new Error('Nothing was reported');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const WAYS = [
  ['throws', Trouble.THROW, /thrown by a hook/],
  ['loops for ever', Trouble.LOOP, /did not return from a read of 4 bytes at 0xc of BAR 0/],
  ['calls process.exit', Trouble.EXIT, /process\.exit\(5\)/],
  ['exhausts its heap', Trouble.FILL_HEAP, /out of heap|did not return/],
] as const;

describe.each(WAYS)('a device that %s', (_way, trouble, reason) => {
  test('answers a processor with all ones, is reported, and leaves its neighbour alone', async () => {
    machine = await startMachine({ stallLimitMs: 500, heapLimit: 32 });
    const attachment = await machine.attach('../host/trouble-device.ts', 'TroubleDevice');
    await machine.attach('../host/conformance-devices.ts', 'MsixProbe');
    const bar = machine.drive(TROUBLE_DEVICE).bar(0);
    bar.write32(TROUBLE_ON_READ, trouble);
    const [read] = await machine.run('readOnce', bar.gpa + TROUBLE_ON_READ);
    const [value, took] = read as readonly [number, number];
    expect(value).toBe(0xffff_ffff);
    expect(took).toBeLessThan(BOUND_MS);
    const [error] = await failures();
    expect(error?.name).toBe('DeviceFailedError');
    expect(error?.message).toContain('TroubleDevice');
    expect(error?.message).toMatch(reason);
    expect(attachment.failure).toBe(error);
    expect(bar.read32(ID)).toBe(0xffff_ffff);
    expect(machine.drive(MSIX_PROBE).bar(0).read32(0)).toBe(0x0c0f_fee0);
  });

  test('does not block this thread for ever, and comes back by a restart', async () => {
    machine = await startMachine({ stallLimitMs: 500, heapLimit: 32 });
    const attachment = await machine.attach('../host/trouble-device.ts', 'TroubleDevice');
    const bar = machine.drive(TROUBLE_DEVICE).bar(0);
    bar.write32(TROUBLE_ON_READ, trouble);
    expect(bar.read32(TROUBLE_ON_READ)).toBe(0xffff_ffff);
    bar.write32(SCRATCH, 1);
    expect((await failures())[0]?.message).toMatch(reason);
    await machine.devices.restart(attachment);
    expect(attachment.failure).toBeUndefined();
    expect(machine.drive(TROUBLE_DEVICE).bar(0).read32(ID)).toBe(IDENTITY);
  });
});

test('a device that never returns from a posted write is found out by it', async () => {
  machine = await startMachine({ stallLimitMs: 500 });
  await machine.attach('../host/trouble-device.ts', 'TroubleDevice');
  const bar = machine.drive(TROUBLE_DEVICE).bar(0);
  bar.write32(WRITE, Trouble.LOOP);
  const [error] = await failures();
  expect(error).toBeInstanceOf(DeviceFailedError);
  expect(error?.message).toContain('did not return from a write of 4 bytes at 0x8 of BAR 0');
  expect(bar.read32(ID)).toBe(0xffff_ffff);
});

test.each([
  ['a loop in a timer', Trouble.LOOP_IN_TIMER, /did not return/],
  ['a throw in a callback of its own', Trouble.THROW_LATE, /thrown late/],
  ['a promise that nobody catches', Trouble.REJECT, /rejected/],
] as const)('%s ends a device, and its next access is answered', async (_what, trouble, reason) => {
  machine = await startMachine({ stallLimitMs: 500 });
  await machine.attach('../host/trouble-device.ts', 'TroubleDevice');
  const bar = machine.drive(TROUBLE_DEVICE).bar(0);
  bar.write32(WRITE, trouble);
  const end = performance.now() + 30_000;
  while (bar.read32(ID) !== 0xffff_ffff && performance.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  expect((await failures())[0]?.message).toMatch(reason);
});

test('a device that takes long is waited for', async () => {
  machine = await startMachine({ stallLimitMs: 5000 });
  await machine.attach('../host/trouble-device.ts', 'TroubleDevice');
  const bar = machine.drive(TROUBLE_DEVICE).bar(0);
  bar.write32(TROUBLE_ON_READ, Trouble.SLOW);
  expect(bar.read32(TROUBLE_ON_READ)).toBe(0x510);
  expect(machine.notices).toEqual([]);
});

test('idle devices stay asleep while another one is accessed', async () => {
  machine = await startMachine();
  await machine.attach('../host/conformance-devices.ts', 'MsixProbe');
  await machine.attach('../host/conformance-devices.ts', 'MsiProbe', 'idle');
  await machine.attach('../host/conformance-devices.ts', 'ConfiguredProbe', 'idle');
  const bar = machine.drive(MSIX_PROBE).bar(0);
  const idle = machine.machine.bus.slots
    .map((slot) => (slot.function as WorkerFunction).thread)
    .slice(1);
  const sleeps = (): number[] => idle.map(({ channel }) => channel.sleeps);
  // The first access asks every function where it is.
  bar.read32(0);
  while (!idle.every(({ channel }) => channel.asleep)) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const before = sleeps();
  for (let i = 0; i < 2000; i++) bar.read32(0);
  expect(sleeps()).toEqual(before);
});

describe('devices of a group', () => {
  test('share a worker, and each keeps its registers', async () => {
    machine = await startMachine();
    await machine.attach('../host/trouble-device.ts', 'TroubleDevice', 'one');
    await machine.attach('../host/conformance-devices.ts', 'MsixProbe', 'one');
    const trouble = machine.drive(TROUBLE_DEVICE).bar(0);
    const probe = machine.drive(MSIX_PROBE).bar(0);
    trouble.write32(SCRATCH, 0x1111);
    probe.write32(0x08, 0x2222);
    expect([trouble.read32(SCRATCH), probe.read32(0x08)]).toEqual([0x1111, 0x2222]);
  });

  test('are gone together when one of them does not return, each with its own report', async () => {
    machine = await startMachine({ stallLimitMs: 500 });
    const trouble = await machine.attach('../host/trouble-device.ts', 'TroubleDevice', 'one');
    const probe = await machine.attach('../host/conformance-devices.ts', 'MsixProbe', 'one');
    const bar = machine.drive(TROUBLE_DEVICE).bar(0);
    bar.write32(TROUBLE_ON_READ, Trouble.LOOP);
    expect(bar.read32(TROUBLE_ON_READ)).toBe(0xffff_ffff);
    expect(await failures()).toHaveLength(2);
    expect(trouble.failure?.message).toContain('did not return from a read');
    expect(probe.failure?.message).toContain('ended with another device, TroubleDevice');
    // Both come back, again on one worker.
    await machine.devices.restart(trouble);
    await machine.devices.restart(probe);
    expect(machine.drive(MSIX_PROBE).bar(0).read32(0)).toBe(0x0c0f_fee0);
  });

  test('one that has thrown is not reported again when the worker ends', async () => {
    machine = await startMachine();
    const trouble = await machine.attach('../host/trouble-device.ts', 'TroubleDevice', 'one');
    const probe = await machine.attach('../host/conformance-devices.ts', 'MsixProbe', 'one');
    const bar = machine.drive(TROUBLE_DEVICE).bar(0);
    bar.write32(WRITE, Trouble.THROW_LATE);
    bar.write32(WRITE, Trouble.THROW);
    while (probe.failure === undefined) await nextTurn();
    expect(probe.failure.message).toContain('thrown late');
    expect(trouble.failure?.message).toContain('thrown by a hook');
    expect(await failures()).toHaveLength(2);
  });

  test('one that leaves does not take the others along', async () => {
    machine = await startMachine();
    const trouble = await machine.attach('../host/trouble-device.ts', 'TroubleDevice', 'one');
    await machine.attach('../host/conformance-devices.ts', 'MsixProbe', 'one');
    await machine.devices.detach(trouble);
    expect(machine.drive(MSIX_PROBE).bar(0).read32(0)).toBe(0x0c0f_fee0);
  });

  test('a module that does not load leaves the others alone', async () => {
    machine = await startMachine();
    await machine.attach('../host/conformance-devices.ts', 'MsixProbe', 'one');
    await expect(machine.attach('./no-such-device.ts', 'Nothing', 'one')).rejects.toThrow(
      'no-such-device.ts',
    );
    await expect(machine.attach('../host/bad-devices.ts', 'Throws', 'one')).rejects.toThrow(
      'its constructor threw',
    );
    expect(machine.drive(MSIX_PROBE).bar(0).read32(0)).toBe(0x0c0f_fee0);
  });
});
