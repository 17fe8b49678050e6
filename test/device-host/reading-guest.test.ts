import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { VfioUserWorkerDevice } from '../../src/device-host/vfio-user-worker-device.ts';
import { closeFd, createEventFd, takeEventFd } from '../../src/ffi/descriptors.ts';
import { PollEvent, PollSet } from '../../src/ffi/poll-set.ts';
import { VfioUserClient } from '../../src/vfio-user/client.ts';
import { Irq } from '../../src/vfio-user/device.ts';

const MODULE = new URL('./event-loop-device.ts', import.meta.url);
const Reg = { SCRATCH: 0, START: 4, DONE: 8 } as const;
/** Reads after which the device's worker waits for messages alone. */
const MANY = 3000;
const CONFIG = 7;
/** What no wait takes, in milliseconds. */
const LONG = 20_000;

let sockets = 0;
const open: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

async function connect() {
  const device = await VfioUserWorkerDevice.load({
    source: { module: MODULE, exportName: undefined },
    socketPath: () => join(tmpdir(), `hdvt-reading-${process.pid}-${sockets++}`),
    notify: () => undefined,
  });
  open.push(() => device.close());
  const { socketPath } = await device.powerOn([]);
  const client = VfioUserClient.connect(socketPath);
  client.negotiate();
  open.push(() => client.close());
  client.writeRegion(CONFIG, 4, Uint8Array.of(6, 0));
  const read = (offset: number): number => client.readRegion(0, offset, 4).readUInt32LE();
  for (let i = 0; i < MANY; i++) read(Reg.SCRATCH);
  return { device, client, read };
}

test('what a write starts in the event loop gets done while the guest reads on', async () => {
  const { client, read } = await connect();
  for (let round = 1; round <= 3; round++) {
    client.writeRegion(0, Reg.START, new Uint8Array(4));
    while (read(Reg.DONE) < round);
    for (let i = 0; i < MANY; i++) read(Reg.SCRATCH);
  }
  expect(read(Reg.DONE)).toBe(3);
});

test('what a read starts in the event loop gets done while the guest waits for the interrupt', async () => {
  const { client, read } = await connect();
  const vector = createEventFd();
  open.push(() => closeFd(vector));
  // Bit 15 of message control enables MSI-X (PCI 3.0, 6.8.2.3); the capability is the only one.
  const capability = client.readRegion(CONFIG, 0x34, 1).readUInt8();
  client.writeRegion(CONFIG, capability, Uint8Array.of(0, 0, 0, 0x80));
  client.setTriggers(Irq.MSIX, 0, [vector]);
  const waiting = new PollSet(1);
  waiting.watch(0, vector, PollEvent.IN);
  for (let round = 1; round <= 3; round++) {
    for (let i = 0; i < MANY; i++) read(Reg.SCRATCH);
    read(Reg.START);
    expect(waiting.wait(LONG)).toBe(1);
    expect(takeEventFd(vector)).toBe(1);
    expect(read(Reg.DONE)).toBe(round);
  }
});

test('a device whose guest only reads is powered off when that is asked for', async () => {
  const { device, client } = await connect();
  await device.powerOff();
  expect(() => client.readRegion(0, Reg.SCRATCH, 4)).toThrow();
});
