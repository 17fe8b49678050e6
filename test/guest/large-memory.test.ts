import { afterAll, beforeAll, expect, test } from 'vitest';
import { openMachine, type TestMachine } from '../host/conformance.ts';
import { Command, PROBE } from '../host/conformance-devices.ts';
import { type LinuxTestHost, openLinuxHost } from './linux-test-host.ts';

const FOUR_GIB = 2 ** 32;
const MODULE = new URL('../host/conformance-devices.ts', import.meta.url);

let host: LinuxTestHost;
let machine: TestMachine;

/** A q35 machine of 5 GiB has 2 GiB of it below 4 GiB and the rest above: two windows over one file. */
beforeAll(async () => {
  host = await openLinuxHost({ memory: 5 * 1024 });
  machine = await openMachine(host, async (devices) => {
    await devices.attach(MODULE, { export: 'MsixProbe' });
  });
});

afterAll(async () => {
  await machine?.[Symbol.asyncDispose]();
  await host?.close();
});

test.each([
  ['by copy', Command.COPY],
  ['by aperture', Command.COPY_BY_APERTURE],
])('memory above 4 GiB is read and written %s', async (_how, command) => {
  const { guest } = machine;
  const memory = await guest.allocate(64 * 1024);
  expect(memory.gpa).toBeGreaterThan(FOUR_GIB);
  const text = `seen beyond four gibibytes ${command}`;
  await memory.write(100, Buffer.from(text));
  const fn = await guest.open({ vendorId: 0x1234, deviceId: 0xc0f1 });
  await fn.writeBar64(0, PROBE.offsets.SOURCE, BigInt(memory.gpa + 100));
  await fn.writeBar64(0, PROBE.offsets.TARGET, BigInt(memory.gpa + 40_000));
  await fn.writeBar(0, PROBE.offsets.COUNT, 4, text.length);
  await fn.writeBar(0, PROBE.offsets.COMMAND, 4, command);
  expect(await fn.readBar(0, PROBE.offsets.RESULT, 4)).toBe(1);
  expect((await memory.read(40_000, text.length)).toString()).toBe(text);
});

test('the hole below 4 GiB is no memory', async () => {
  const { guest } = machine;
  const fn = await guest.open({ vendorId: 0x1234, deviceId: 0xc0f1 });
  await fn.writeBar64(0, PROBE.offsets.SOURCE, BigInt(2 ** 31 - 2));
  await fn.writeBar64(0, PROBE.offsets.TARGET, BigInt(2 ** 31 - 4096));
  await fn.writeBar(0, PROBE.offsets.COUNT, 4, 4);
  await fn.writeBar(0, PROBE.offsets.COMMAND, 4, Command.COPY);
  expect(await fn.readBar(0, PROBE.offsets.RESULT, 4)).toBe(0);
});
