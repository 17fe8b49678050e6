import { expect, test } from 'vitest';
import type { RegionDoorbells } from '../../src/vfio-user/device.ts';
import { Command } from '../../src/vfio-user/wire.ts';
import { MemoryDevice, Pair } from './pair.ts';

/** Takes writes to the first 64 bytes of BAR 0, and writes down what it was offered. */
class Bells implements RegionDoorbells {
  doorbellCount = 1;
  readonly offered: number[][] = [];

  ring(region: number, offset: number, width: number, low: number, high: number): boolean {
    this.offered.push([region, offset, width, low, high]);
    return region === 0 && offset < 64;
  }
}

class BellDevice extends MemoryDevice {
  readonly doorbells = new Bells();
}

const bytes = (...values: number[]): Buffer => Buffer.from(values);

test('a write is offered as the guest made it, and one that a doorbell takes never reaches the device', () => {
  const device = new BellDevice();
  using pair = new Pair(device);
  const { client } = pair;
  client.writeRegion(0, 3, bytes(0xfe));
  client.writeRegion(0, 4, bytes(0x34, 0x12));
  client.writeRegion(0, 8, bytes(1, 2, 3, 0x84));
  client.writeRegion(0, 16, bytes(1, 2, 3, 0x84, 5, 6, 7, 0x88));
  expect(device.doorbells.offered).toEqual([
    [0, 3, 1, 0xfe, 0],
    [0, 4, 2, 0x1234, 0],
    [0, 8, 4, 0x8403_0201, 0],
    [0, 16, 8, 0x8403_0201, 0x8807_0605],
  ]);
  expect(device.takeLog()).toEqual([]);
  client.writeRegion(0, 64, bytes(1, 0, 0, 0, 2, 0, 0, 0));
  expect(device.takeLog()).toEqual(['write 0 64 4 1', 'write 0 68 4 2']);
});

test('what no processor writes at once is the device’s', () => {
  const device = new BellDevice();
  using pair = new Pair(device);
  pair.client.writeRegion(0, 0, bytes(1, 2, 3));
  pair.client.writeRegion(0, 8, Buffer.alloc(16));
  expect(device.doorbells.offered).toEqual([]);
  expect(device.takeLog()).toHaveLength(2 + 4);
});

test('posted writes and those of a batch ring likewise', () => {
  const device = new BellDevice();
  using pair = new Pair(device);
  const { client } = pair;
  client.write(0, 0, 4, 7, true);
  const batch = Buffer.alloc(8 + 2 * 24);
  batch.writeUInt32LE(2, 0);
  for (const [at, offset, count] of [
    [8, 4, 4],
    [32, 128, 2],
  ] as const) {
    batch.writeUInt32LE(offset, at);
    batch.writeUInt32LE(count, at + 12);
    batch.writeUInt32LE(9, at + 16);
  }
  client.request(Command.REGION_WRITE_MULTI, batch);
  expect(device.doorbells.offered).toEqual([
    [0, 0, 4, 7, 0],
    [0, 4, 4, 9, 0],
    [0, 128, 2, 9, 0],
  ]);
  expect(device.takeLog()).toEqual(['write 0 128 2 9']);
});

test('without doorbells nobody is asked', () => {
  const device = new BellDevice();
  device.doorbells.doorbellCount = 0;
  using pair = new Pair(device);
  pair.client.write(0, 0, 4, 7);
  expect(device.doorbells.offered).toEqual([]);
  expect(device.takeLog()).toEqual(['write 0 0 4 7']);
});

test('a write outside its region is refused before a doorbell hears of it', () => {
  const device = new BellDevice();
  using pair = new Pair(device);
  expect(() => pair.client.write(0, 4096, 4, 7)).toThrow();
  expect(device.doorbells.offered).toEqual([]);
});
