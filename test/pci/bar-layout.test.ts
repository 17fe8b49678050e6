import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Bars, mmio, mmio64 } from '../../src/device/bar.ts';
import { msix } from '../../src/device/interrupts.ts';
import { PciDevice } from '../../src/device/pci-device.ts';
import { ram } from '../../src/device/ram.ts';
import { PciFunction } from '../../src/pci/pci-function.ts';
import { identity } from './attached.ts';

function withBars(bars: Bars): PciFunction {
  class Barred extends PciDevice {
    override readonly identity = identity;
    override readonly bars = bars;
  }
  return new PciFunction(new Barred());
}

function withMsix(bars: Bars, interrupts: ReturnType<typeof msix>): PciFunction {
  class Interrupting extends PciDevice {
    override readonly identity = identity;
    override readonly bars = bars;
    override readonly interrupts = interrupts;
  }
  return new PciFunction(new Interrupting());
}

/** BARs that fit: each slot free, taken by 32 bits, or with its neighbour by 64. */
const anyBars = fc
  .array(
    fc.record({
      kind: fc.constantFrom('none', '32', '64'),
      log2: fc.integer({ min: 4, max: 46 }),
      prefetchable: fc.boolean(),
    }),
    { minLength: 6, maxLength: 6 },
  )
  .map((slots) => {
    const bars: Record<number, unknown> = {};
    for (let slot = 0; slot < 6; slot++) {
      const { kind, log2, prefetchable } = slots[slot]!;
      if (kind === '32') bars[slot] = mmio(2 ** Math.min(log2, 31), {}, { prefetchable });
      if (kind === '64' && slot < 5) bars[slot++] = mmio64(2 ** log2, {}, { prefetchable });
    }
    return bars as Bars;
  });

test('sizes as the specification says: write ones, read back the size and the type', () => {
  fc.assert(
    fc.property(anyBars, (bars) => {
      const fn = withBars(bars);
      const { probedBars } = fn.getDetails();
      for (let slot = 0; slot < 6; slot++) fn.writeConfigSpace(0x10 + slot * 4, 0xffff_ffff);
      for (let slot = 0; slot < 6; slot++) {
        const low = fn.readConfigSpace(0x10 + slot * 4);
        expect(low).toBe(probedBars[slot]);
        const shape = fn.shape.bars.find((bar) => bar.slot === slot);
        if (shape === undefined) continue;
        expect((low & 0x8) !== 0).toBe(shape.prefetchable);
        expect(low & 0x7).toBe(shape.is64Bit ? 0x4 : 0);
        const high = shape.is64Bit ? fn.readConfigSpace(0x14 + slot * 4) : 0xffff_ffff;
        const mask = (BigInt(high) << 32n) | BigInt((low & ~0xf) >>> 0);
        expect(BigInt.asUintN(64, -mask)).toBe(BigInt(shape.size));
      }
    }),
    { numRuns: 200 },
  );
});

test('keeps the address that is placed, aligned to the size, and forgets it at reset', () => {
  fc.assert(
    fc.property(anyBars, fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (bars, address) => {
      const fn = withBars(bars);
      for (const { slot, size, is64Bit } of fn.shape.bars) {
        const offset = 0x10 + slot * 4;
        fn.writeConfigSpace(offset, Number(address & 0xffff_ffffn));
        if (is64Bit) fn.writeConfigSpace(offset + 4, Number(address >> 32n));
        const high = is64Bit ? BigInt(fn.readConfigSpace(offset + 4)) << 32n : 0n;
        const placed = high | BigInt((fn.readConfigSpace(offset) & ~0xf) >>> 0);
        const reachable = is64Bit ? address : address & 0xffff_ffffn;
        expect(placed).toBe(reachable - (reachable % BigInt(size)));
      }
      const type = fn.getDetails().probedBars.map((probed) => probed & 0xf);
      fn.reset('cold');
      for (const { slot, is64Bit } of fn.shape.bars) {
        expect(fn.readConfigSpace(0x10 + slot * 4)).toBe(type[slot]);
        if (is64Bit) expect(fn.readConfigSpace(0x14 + slot * 4)).toBe(0);
      }
    }),
    { numRuns: 100 },
  );
});

test.each([
  ['4 KiB', mmio(0x1000, {}), [0xffff_f000, 0]],
  ['16 MiB', mmio(0x100_0000, {}), [0xff00_0000, 0]],
  ['4 KiB prefetchable', mmio(0x1000, {}, { prefetchable: true }), [0xffff_f008, 0]],
  ['4 KiB of 64 bits', mmio64(0x1000, {}), [0xffff_f004, 0xffff_ffff]],
  ['4 GiB of 64 bits', mmio64(2 ** 32, {}, { prefetchable: true }), [0x0000_000c, 0xffff_ffff]],
  ['16 GiB of 64 bits', mmio64(2 ** 34, {}), [0x0000_0004, 0xffff_fffc]],
])('tells HDV the probe value of a BAR of %s', (_, bar, expected) => {
  expect(withBars({ 0: bar }).getDetails().probedBars.slice(0, 2)).toEqual(expected);
});

test.each([
  ['slot 6', { 6: mmio(16, {}) }, 'Cannot place BAR 6: slots are 0 to 5'],
  ['a name', { first: mmio(16, {}) }, 'Cannot place BAR first'],
  [
    '64 bits at slot 5',
    { 5: mmio64(16, {}) },
    'Cannot place BAR 5 as a 64-bit BAR takes two slots',
  ],
  ['the upper half of another', { 2: mmio64(16, {}), 3: mmio(16, {}) }, 'the 64-bit BAR 2 takes'],
])('refuses a BAR at %s', (_, bars, message) => {
  expect(() => withBars(bars as Bars)).toThrow(message);
});

test('puts MSI-X into the first free slot, table and pending bits on pages of their own', () => {
  const { shape } = withMsix({ 0: mmio64(0x1000, {}), 3: mmio(16, {}) }, msix(2048));
  expect(shape.interrupts).toMatchObject({
    count: 2048,
    table: { bar: 2, offset: 0 },
    pendingBits: { bar: 2, offset: 0x8000 },
  });
  expect(shape.bars.find(({ slot }) => slot === 2)).toMatchObject({
    size: 0x1_0000,
    is64Bit: false,
  });
});

test('puts MSI-X after the last part of the BAR it was given, which grows', () => {
  const { shape } = withMsix({ 0: mmio(0x1000, { 0: ram(0x20) }) }, msix(4, { bar: 0 }));
  expect(shape.interrupts).toMatchObject({
    table: { bar: 0, offset: 0x1000 },
    pendingBits: { bar: 0, offset: 0x2000 },
  });
  expect(shape.bars).toEqual([{ slot: 0, size: 0x4000, is64Bit: false, prefetchable: false }]);
});

test('puts MSI-X where it was told', () => {
  const { shape } = withMsix(
    { 0: mmio(0x8000, { 0: ram(16) }) },
    msix(1, { bar: 0, offset: 0x4000 }),
  );
  expect(shape.interrupts).toMatchObject({ table: { bar: 0, offset: 0x4000 } });
  expect(shape.bars[0]?.size).toBe(0x8000);
});

test.each([
  ['onto a part', { 0: mmio(0x8000, { 16384: ram(16) }) }, { bar: 0, offset: 0x4000 }, 'overlaps'],
  ['off a page', {}, { bar: 0, offset: 8 }, 'offsets are multiples of 4096 below 2^31'],
  [
    'past the reach of its offset',
    { 0: mmio64(2 ** 33, {}) },
    { bar: 0, offset: 2 ** 31 },
    'Cannot place the MSI-X table at 0x80000000 of BAR 0',
  ],
  [
    'where it doubles a BAR of 2 GiB',
    { 0: mmio(2 ** 31, { 0: { ...ram(16), size: 2 ** 31 - 4096, read: () => 0, write() {} } }) },
    { bar: 0 },
    'a 32-bit BAR has at most 2^31 bytes',
  ],
  ['into slot 6', {}, { bar: 6 }, 'no such slot'],
  ['into an upper half', { 0: mmio64(16, {}) }, { bar: 1 }, 'no such slot'],
])('refuses to put MSI-X %s', (_, bars, options, message) => {
  expect(() => withMsix(bars, msix(1, options))).toThrow(message);
});

test('asks for a BAR when every slot is taken', () => {
  const full = { 0: mmio64(16, {}), 2: mmio64(16, {}), 4: mmio64(16, {}) };
  expect(() => withMsix(full, msix(1))).toThrow('no BAR slot is free; name a BAR of the device');
  expect(withMsix(full, msix(1, { bar: 4 })).shape.interrupts).toMatchObject({ table: { bar: 4 } });
});
