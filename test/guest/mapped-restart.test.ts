import type { GuestFunction } from 'hdvkit/testing';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Attachment } from '../../src/index.ts';
import { openMachine, type TestMachine } from '../host/conformance.ts';
import { DIRECT, Direct } from '../host/conformance-devices.ts';
import { type LinuxTestHost, openLinuxHost } from './linux-test-host.ts';

/*
 * QEMU maps the pages of a device once. Whoever takes the device's place has to have the same ones.
 */

const MODULE = new URL('../host/conformance-devices.ts', import.meta.url);
const { INDEX, BYTE, RUNG } = DIRECT.offsets;

let host: LinuxTestHost;
let machine: TestMachine;
let attachment: Attachment;
let fn: GuestFunction;

beforeAll(async () => {
  host = await openLinuxHost();
  machine = await openMachine(host, async (devices) => {
    attachment = await devices.attach(MODULE, { export: 'DirectProbe' });
  });
});

afterAll(async () => {
  await machine?.[Symbol.asyncDispose]();
  await host?.close();
});

beforeEach(async () => {
  fn = await machine.guest.open({ vendorId: 0x1234, deviceId: 0xc0f6 });
});

/** A byte of the pages as the device has it. */
async function byteOfDevice(index: number): Promise<number> {
  await fn.writeBar(0, INDEX, 4, index);
  return fn.readBar(0, BYTE, 4);
}

/** Guest and device still have the same pages, and doorbells ring. */
async function checkDevice(): Promise<void> {
  await fn.writeBar(2, 0x1008, 4, 0x0403_0201);
  expect(await byteOfDevice(0x100a)).toBe(3);
  await fn.writeBar(0, INDEX, 4, 0x20);
  await fn.writeBar(0, BYTE, 4, 0x99);
  expect(await fn.readBar(2, 0x20, 1)).toBe(0x99);
  await fn.writeBar(0, RUNG, 4, 0xf);
  await fn.writeBar(2, Direct.BELLS + Direct.STRIDE, 4, 1);
  expect(await fn.readBar(0, RUNG, 4)).toBe(0b10);
}

test('a fresh device in place of the old one has the pages that the guest has mapped, cleared', async () => {
  await checkDevice();
  await machine.devices.restart(attachment);
  expect(await fn.readBar(2, 0x20, 1)).toBe(0);
  expect(await byteOfDevice(0x100a)).toBe(0);
  await checkDevice();
});

test('one that goes on with the state of the old one has what the guest wrote', async () => {
  await fn.writeBar(2, 0x700, 4, 0x1234_5678);
  const { kept } = await machine.devices.restart(attachment, { keepState: true });
  expect(kept).toBe(true);
  expect(await fn.readBar(2, 0x700, 4)).toBe(0x1234_5678);
  expect(await byteOfDevice(0x703)).toBe(0x12);
  await checkDevice();
});
