import { expect, test } from 'vitest';
import { mmio, mmio64 } from '../../src/device/bar.ts';
import { doorbells } from '../../src/device/doorbells.ts';
import { mapped } from '../../src/device/mapped.ts';
import type { MmioRegion } from '../../src/device/mmio-region.ts';
import { ram } from '../../src/device/ram.ts';

test('rounds sizes up to a power of two of at least 16 bytes', () => {
  expect([1, 16, 17, 4096, 5000, 2 ** 31].map((size) => mmio(size, {}).size)).toEqual([
    16,
    16,
    32,
    4096,
    8192,
    2 ** 31,
  ]);
  expect(mmio64(2 ** 33 + 1, {}).size).toBe(2 ** 34);
});

test('is not prefetchable unless it says so', () => {
  expect(mmio(16, {}).prefetchable).toBe(false);
  expect(mmio64(16, {}, { prefetchable: true })).toMatchObject({
    prefetchable: true,
    is64Bit: true,
  });
});

test('orders parts by offset', () => {
  const { parts } = mmio(0x100, { 128: ram(16), 16: ram(16), 0: ram(8) });
  expect(parts.map(({ offset }) => offset)).toEqual([0, 0x10, 0x80]);
});

test.each([
  ['overlap', () => mmio(64, { 0: ram(16), 8: ram(4) }), 'at 0x8: it overlaps the one at 0x0'],
  ['leave the BAR', () => mmio(64, { 60: ram(8) }), 'Cannot place a region of 8 bytes at 0x3c'],
  ['are misaligned', () => mmio(64, { 2: ram(4) }), 'multiples of 4'],
  ['are before the BAR', () => mmio(64, { [-4]: ram(4) }), '0x-4'],
  ['are no regions', () => mmio(64, { 0: {} as MmioRegion }), 'it is not a region'],
  ['are mapped off a page', () => mmio(0x4000, { 2048: mapped(1) }), 'whole pages of 4096 bytes'],
  ['are nothing', () => mmio(64, { 0: undefined as never }), 'it is not a region'],
])('refuses parts that %s', (_, make, message) => {
  expect(make).toThrow(message);
});

test.each([
  [0, mmio],
  [1.5, mmio],
  [2 ** 31 + 1, mmio],
  [2 ** 47, mmio64],
])('refuses a BAR of %d bytes', (size, make) => {
  expect(() => make(size, {})).toThrow(`Cannot make a BAR of ${size} bytes`);
});

test('shares RAM with the device', () => {
  const bytes = Buffer.alloc(8);
  const region = ram(bytes);
  region.write(0, 4, 0x0403_0201);
  region.write(4, 2, 0x0605);
  region.write(6, 1, 7);
  expect([...bytes]).toEqual([1, 2, 3, 4, 5, 6, 7, 0]);
  expect([region.read(1, 4), region.read(3, 2), region.read(6, 1)]).toEqual([
    0x0504_0302, 0x0504, 7,
  ]);
});

test('reads 0 past the end of RAM, and drops what is written there', () => {
  const region = ram(6);
  region.write(4, 4, 0xffff_ffff);
  expect(region.read(4, 4)).toBe(0xffff);
  expect(region.read(5, 2)).toBe(0xff);
});

test('clears RAM at reset, and restores it from JSON', () => {
  const region = ram(4);
  region.write(0, 4, 0x1234_5678);
  const saved: unknown = JSON.parse(JSON.stringify(region.save()));
  region.reset();
  expect(region.read(0, 4)).toBe(0);
  region.restore(saved);
  expect(region.read(0, 4)).toBe(0x1234_5678);
  expect(() => region.restore(Buffer.alloc(5))).toThrow('does not hold 4 bytes');
  expect(() => region.restore('abcd')).toThrow('does not hold 4 bytes');
});

test('refuses RAM of no bytes', () => {
  expect(() => ram(0)).toThrow('Cannot make RAM of 0 bytes');
});

test('rings a doorbell for a write to its start only', () => {
  const rung: number[][] = [];
  const region = doorbells({
    count: 3,
    stride: 8,
    ring: (index, value) => void rung.push([index, value]),
  });
  expect(region.size).toBe(24);
  region.write(16, 4, 7);
  region.write(20, 4, 0);
  region.write(8, 2, 9);
  region.write(9, 1, 1);
  expect(rung).toEqual([
    [2, 7],
    [1, 9],
  ]);
  expect(region.read(8, 4)).toBe(0);
});

test('refuses doorbells that make no sense or answer late', () => {
  expect(() => doorbells({ count: 0, ring: () => {} })).toThrow('Cannot make 0 doorbells');
  expect(() => doorbells({ count: 1, stride: 6, ring: () => {} })).toThrow('by 6 bytes');
  const late = doorbells({ count: 1, ring: async () => {} });
  expect(() => late.write(0, 4, 1)).toThrow('the ring hook of doorbell 0');
});

test('keeps the contents of a mapped range when a host puts its own memory there', () => {
  const region = mapped(2);
  expect(region.size).toBe(8192);
  region.write(4096, 4, 0xabcd);
  const hosts = Buffer.alloc(8192, 0xff);
  region.adopt(hosts);
  expect(region.bytes).toBe(hosts);
  expect(hosts.readUInt32LE(0)).toBe(0);
  hosts.writeUInt32LE(5, 4096);
  expect(region.read(4096, 4)).toBe(5);
  expect(() => region.adopt(Buffer.alloc(4096))).toThrow('Cannot adopt 4096 bytes');
  expect(() => mapped(0)).toThrow('Cannot map 0 pages');
});
