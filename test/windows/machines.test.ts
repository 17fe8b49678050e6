import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openMachine } from '../host/conformance.ts';
import { Command, PROBE } from '../host/conformance-devices.ts';
import type { StandInFunction } from './stand-in-function.ts';
import type { StandInGuest } from './stand-in-guest.ts';
import { standInsUnavailable } from './stand-ins.ts';
import { openWindowsHost, type WindowsTestHost } from './windows-test-host.ts';

const MODULE = new URL('../host/conformance-devices.ts', import.meta.url);
const MSIX_PROBE = { vendorId: 0x1234, deviceId: 0xc0f1 };

describe.runIf(standInsUnavailable === undefined)('machines on the windows host', () => {
  let host: WindowsTestHost;

  beforeAll(async () => {
    host = await openWindowsHost({ memoryMB: 5120 });
  });

  afterAll(async () => {
    await host?.close();
  });

  test('devices reach memory above 4 GiB, by copies and by apertures', async () => {
    await using machine = await openMachine(host, async (devices) => {
      await devices.attach(MODULE, { export: 'MsixProbe' });
    });
    const guest = machine.guest as StandInGuest;
    const fn = await guest.open(MSIX_PROBE);
    const low = await guest.allocate(4096);
    const high = await guest.allocate(8192, { high: true });
    expect(high.gpa).toBeGreaterThanOrEqual(2 ** 32);
    await low.write(0, Buffer.from('upwards'));
    expect(await copy(fn, low.gpa, high.gpa + 4090, 7, Command.COPY)).toBe(1);
    expect((await high.read(4090, 7)).toString()).toBe('upwards');
    expect(await copy(fn, high.gpa + 4092, low.gpa + 100, 5, Command.COPY_BY_APERTURE)).toBe(1);
    expect((await low.read(100, 5)).toString()).toBe('wards');
    expect(host.standIns.misuses({ id: machine.system.id })).toEqual([]);
  });

  test('a Windows that lets devices go lets their instance be used again', async () => {
    await using machine = await openMachine(host, async () => {});
    const { id } = machine.system;
    const instanceId = randomUUID();
    host.standIns.allowRemoval(id);
    for (let round = 1; round <= 2; round++) {
      const attachment = await machine.devices.attach(MODULE, { export: 'MsixProbe', instanceId });
      const fn = await machine.guest.open(MSIX_PROBE);
      expect(await fn.readBar(0, PROBE.offsets.WORD, 4)).toBe(0x1122_3344);
      await fn.writeBar(0, PROBE.offsets.WORD, 4, round);
      await machine.devices.detach(attachment);
      expect(await machine.guest.functions()).toEqual([]);
      expect(machine.devices.list()).toEqual([]);
    }
    const calls = host.standIns
      .transcript({ id })
      .map((line) => /^(?:callback [A-Z][a-z]\w+|HdvCreateDeviceInstance)/.exec(line)?.[0])
      .filter((call) => call !== undefined);
    const life = ['Initialize', 'SetConfiguration', 'GetDetails', 'GetDetails', 'Start', 'Stop'];
    const whole = [...life, 'Teardown'].map((name) => `callback ${name}`);
    expect(calls).toEqual(['HdvCreateDeviceInstance', ...whole, ...whole]);
    expect(host.standIns.misuses({ id })).toEqual([]);
  });

  test('four native threads at once find what they wrote in the memory of a device', async () => {
    await using machine = await openMachine(host, async (devices) => {
      await devices.attach(MODULE, { export: 'MsixProbe' });
    });
    const guest = machine.guest as StandInGuest;
    const fn = await guest.open(MSIX_PROBE);
    const result = await guest.hammer(fn, 2, {
      length: 0x4000,
      threads: 4,
      accesses: 5000,
      seed: 21,
    });
    expect(result).toMatchObject({ accesses: 20_000, failed: 0, wrong: 0, gone: 0 });
  });

  test('a machine that ends under native threads ends, and so does its device host', async () => {
    const machine = await openMachine(host, async (devices) => {
      await devices.attach(MODULE, { export: 'MsixProbe' });
    });
    const guest = machine.guest as StandInGuest;
    const fn = await guest.open(MSIX_PROBE);
    const hammering = guest.hammer(fn, 2, {
      length: 0x4000,
      threads: 4,
      accesses: 0xffff_ffff,
      seed: 22,
    });
    await expect.poll(() => guest.threadsInside(), { timeout: 30_000 }).not.toBe(0);
    await machine.devices[Symbol.asyncDispose]();
    const { gone, ones, wrong } = await hammering;
    expect(gone).toBe(4);
    // A device that is off reads as ones, and as nothing else that was not written.
    expect(wrong).toBeLessThanOrEqual(ones);
    await machine.system[Symbol.asyncDispose]();
    const { id } = machine.system;
    for (const kind of ['system', 'operation', 'host', 'device', 'aperture'] as const) {
      expect([kind, host.standIns.openHandles(kind, id)]).toEqual([kind, 0]);
    }
    expect(host.standIns.misuses({ id })).toEqual([]);
  });
});

/** Runs a copy and gives its result: 1 when the device could do it. */
async function copy(
  fn: StandInFunction,
  from: number,
  to: number,
  count: number,
  command: number,
): Promise<number> {
  await fn.writeBar64(0, PROBE.offsets.SOURCE, BigInt(from));
  await fn.writeBar64(0, PROBE.offsets.TARGET, BigInt(to));
  await fn.writeBar(0, PROBE.offsets.COUNT, 4, count);
  await fn.writeBar(0, PROBE.offsets.COMMAND, 4, command);
  return fn.readBar(0, PROBE.offsets.RESULT, 4);
}
