import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FuzzFailure, fuzz, SimulatedVm } from 'hdvkit/testing';
import { expect, test } from 'vitest';
import { FAILING, Fail, FailingDevice, KEY } from '../../sample-devices/failing.ts';
import { VfioUserWorkerDevice } from '../../src/device-host/vfio-user-worker-device.ts';
import { ServedClient } from '../device-host/served-client.ts';
import { FUZZ_ACCESSES, FUZZ_TIMEOUT } from '../fuzz-accesses.ts';

const { ARM, FAIL, ALIVE } = FAILING.offsets;

/** Region of config space (vfio-user), and the bit of its command register. */
const CONFIG_SPACE = 7;
const MEMORY_DECODING = 2;

function plug() {
  const vm = new SimulatedVm();
  const guest = vm.plug(new FailingDevice(), { tolerateFailure: true });
  const bar0 = guest.bar(0);
  const fail = (how: number): void => {
    bar0.write32(ARM, KEY);
    bar0.write32(FAIL, how);
  };
  return { vm, guest, bar0, fail };
}

test('counts the reads of ALIVE from one after reset', () => {
  const { bar0 } = plug();
  expect([ARM, FAIL, ALIVE, ALIVE].map((offset) => bar0.read32(offset))).toEqual([0, 0, 1, 2]);
});

test.each(Object.entries(Fail))('does not fail by %s unless it is armed', (_, how) => {
  const { vm, guest, bar0 } = plug();
  bar0.write32(FAIL, how);
  vm.advance(100);
  expect(bar0.read32(ALIVE)).toBe(1);
  expect(guest.failure).toBeUndefined();
});

test.each([
  ['throws', Fail.THROW, 'failed on a write, as asked'],
  ['returns a promise', Fail.PROMISE, 'promise'],
])('reads all ones once a write hook %s', (_, how, reason) => {
  const { guest, bar0, fail } = plug();
  fail(how);
  expect(guest.failure?.name).toBe('DeviceFailedError');
  expect(String(guest.failure?.cause)).toContain(reason);
  expect(bar0.read32(ALIVE)).toBe(0xffff_ffff);
  expect(guest.config.read32(0)).toBe(0xffff_ffff);
});

test('reads all ones on the very read whose hook throws', () => {
  const { guest, bar0, fail } = plug();
  fail(Fail.THROW_ON_READ);
  expect(guest.failure).toBeUndefined();
  expect(bar0.read32(ALIVE)).toBe(0xffff_ffff);
  expect(String(guest.failure?.cause)).toContain('failed on a read, as asked');
});

test('reads all ones once a timer throws', () => {
  const { vm, guest, bar0, fail } = plug();
  fail(Fail.THROW_LATER);
  expect(bar0.read32(ALIVE)).toBe(1);
  vm.advance(10);
  expect(String(guest.failure?.cause)).toContain('failed in a timer, as asked');
  expect(bar0.read32(ALIVE)).toBe(0xffff_ffff);
});

test('does not fail after a reset that came before the timer', () => {
  const { vm, guest, bar0, fail } = plug();
  fail(Fail.THROW_LATER);
  guest.reset('function');
  vm.advance(100);
  expect(guest.failure).toBeUndefined();
  expect(bar0.read32(ALIVE)).toBe(1);
});

test('keeps what it counted in a snapshot', () => {
  const { vm, guest, bar0 } = plug();
  bar0.read32(ALIVE);
  const again = vm.replug(guest, new FailingDevice());
  expect(again.bar(0).read32(ALIVE)).toBe(2);
});

test('takes nothing else down: a device beside it goes on', () => {
  const { vm, fail } = plug();
  const beside = vm.plug(new FailingDevice());
  fail(Fail.THROW);
  expect(beside.bar(0).read32(ALIVE)).toBe(1);
});

test('reads all ones on a worker once a write hook does not return', {
  timeout: 60_000,
}, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'f-'));
  let failed: (error: Error) => void = () => {};
  const failure = new Promise<Error>((resolve) => {
    failed = resolve;
  });
  const device = await VfioUserWorkerDevice.load({
    source: {
      module: new URL('../../sample-devices/failing.ts', import.meta.url),
      exportName: undefined,
    },
    socketPath: () => join(folder, 's'),
    notify: (notice) => {
      if (notice.type === 'failed') failed(notice.error);
    },
    stallLimitMs: 500,
  });
  const { socketPath } = await device.powerOn([]);
  const client = await ServedClient.connect(socketPath);
  await client.write(CONFIG_SPACE, 4, MEMORY_DECODING);
  expect(await client.read(0, ALIVE)).toBe(1);
  await client.write(0, ARM, KEY);
  await client.write(0, FAIL, Fail.LOOP);
  expect(String((await failure).cause)).toContain('did not return');
  expect(await client.read(0, ALIVE)).toBe(0xffff_ffff);
  client.close();
  await device.close();
  rmSync(folder, { recursive: true });
});

test('survives a hostile guest that does not know the key', { timeout: FUZZ_TIMEOUT }, () => {
  fuzz(() => new FailingDevice(), { seed: 5, accesses: FUZZ_ACCESSES });
});

test('is caught by the fuzzer when it is armed, with a short test to paste', () => {
  class ArmedDevice extends FailingDevice {
    override start(): void {
      this.regs.ARM = KEY;
    }
  }
  const run = (): unknown => fuzz(() => new ArmedDevice(), { seed: 6, accesses: 100_000 });
  expect(run).toThrow(FuzzFailure);
  expect(run).toThrow(/ArmedDevice/);
});
