import { expect, test } from 'vitest';
import { mmio, mmio64 } from '../../src/device/bar.ts';
import type { MmioRegion, Width } from '../../src/device/mmio-region.ts';
import { PciDevice } from '../../src/device/pci-device.ts';
import { ram } from '../../src/device/ram.ts';
import { u32 } from '../../src/device/register.ts';
import { registerMap } from '../../src/device/register-map.ts';
import { attach, identity } from './attached.ts';

const MAP = registerMap({ A: u32(0), B: u32(4, { reset: 0x1122_3344 }) });

/** Answers with what it was asked. */
class Echo implements MmioRegion {
  readonly size = 0x100;
  readonly writes: number[][] = [];

  read(offset: number, width: Width): number {
    return offset * 16 + width;
  }

  write(offset: number, width: Width, value: number): void {
    this.writes.push([offset, width, value]);
  }
}

class Routed extends PciDevice {
  override readonly identity = identity;
  readonly echo = new Echo();
  readonly regs = MAP.bind();
  override readonly bars = {
    0: mmio(0x1000, { 0: this.regs, 8: ram(8), 256: this.echo, 1024: ram(2) }),
    2: mmio64(2 ** 36, { [2 ** 35]: ram(16) }),
  };
}

test('routes by offset', () => {
  const { fn, device } = attach(new Routed());
  fn.writeInterceptedMemory(0, 0, 4, 7);
  fn.writeInterceptedMemory(0, 8, 4, 9);
  fn.writeInterceptedMemory(0, 0x104, 2, 11);
  expect(device.regs.A).toBe(7);
  expect(device.echo.writes).toEqual([[4, 2, 11]]);
  expect([0, 4, 8, 0x110].map((offset) => fn.readInterceptedMemory(0, offset, 4))).toEqual([
    7, 0x1122_3344, 9, 0x104,
  ]);
});

test('reaches parts above 4 GiB of a 64-bit BAR', () => {
  const { fn } = attach(new Routed());
  fn.writeInterceptedMemory(2, 2 ** 35 + 4, 4, 0xdead_beef);
  expect(fn.readInterceptedMemory(2, 2 ** 35 + 4, 4)).toBe(0xdead_beef);
  expect(fn.readInterceptedMemory(2, 2 ** 35 - 4, 4)).toBe(0xffff_ffff);
});

test('gives ones where there is no part, by width', () => {
  const { fn } = attach(new Routed());
  expect(([1, 2, 4] as const).map((width) => fn.readInterceptedMemory(0, 0x800, width))).toEqual([
    0xff, 0xffff, 0xffff_ffff,
  ]);
  expect(() => fn.writeInterceptedMemory(0, 0x800, 4, 1)).not.toThrow();
});

test('gives ones where there is no BAR', () => {
  const { fn } = attach(new Routed());
  expect([1, 3, 5, 6, -1].map((bar) => fn.readInterceptedMemory(bar, 0, 2))).toEqual(
    Array(5).fill(0xffff),
  );
  expect(() => fn.writeInterceptedMemory(1, 0, 4, 1)).not.toThrow();
});

test('splits an access that leaves a part', () => {
  const { fn, device } = attach(new Routed());
  fn.writeInterceptedMemory(0, 6, 4, 0xaabb_ccdd);
  expect(device.regs.B).toBe(0xccdd_3344);
  expect(fn.readInterceptedMemory(0, 8, 2)).toBe(0xaabb);
  expect(fn.readInterceptedMemory(0, 6, 4)).toBe(0xaabb_ccdd);
  expect(fn.readInterceptedMemory(0, 0x400, 4)).toBe(0xffff_0000);
});

test.each([
  [-1, 4, 0xffff_ffff],
  [2 ** 33 + 5, 4, 5],
  [0x1ff, 1, 0xff],
  [2.9, 2, 2],
] as const)('trims what a region answers: %d in %d bytes', (answer, width, expected) => {
  const { fn, device } = attach(new Routed());
  device.echo.read = () => answer;
  expect(fn.readInterceptedMemory(0, 0x100, width)).toBe(expected);
});
