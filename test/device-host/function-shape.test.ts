import { expect, test } from 'vitest';
import { functionShape } from '../../src/device-host/function-shape.ts';
import { CallbacksDouble, capabilities } from './callbacks-double.ts';

test('sizes of BARs come from what reads back after all ones were written', () => {
  const fn = new CallbacksDouble([
    0xffff_f000, 0, 0xfff0_000c, 0xffff_ffff, 0x0000_0004, 0xffff_ff00,
  ]);
  expect(functionShape(fn).bars).toEqual([
    { slot: 0, size: 0x1000, is64Bit: false, prefetchable: false },
    { slot: 2, size: 0x10_0000, is64Bit: true, prefetchable: true },
    { slot: 4, size: 2 ** 40, is64Bit: true, prefetchable: false },
  ]);
});

test('MSI-X is found wherever it stands in the list', () => {
  const fn = new CallbacksDouble([0xffff_f000, 0, 0, 0, 0, 0]);
  capabilities(fn.config, [
    { at: 0x40, id: 0x01, control: 3 },
    { at: 0x60, id: 0x11, control: 0x8007, dwords: [0x800, 0xc01] },
  ]);
  expect(functionShape(fn).interrupts).toEqual({
    kind: 'msix',
    count: 8,
    capability: 0x60,
    table: { bar: 0, offset: 0x800 },
    pendingBits: { bar: 1, offset: 0xc00 },
  });
});

test('MSI tells how many messages it is capable of', () => {
  const fn = new CallbacksDouble([]);
  capabilities(fn.config, [{ at: 0x50, id: 0x05, control: 0x0086 }]);
  expect(functionShape(fn).interrupts).toEqual({ kind: 'msi', count: 8, capability: 0x50 });
});

test('without either, the interrupt pin decides', () => {
  const fn = new CallbacksDouble([]);
  expect(functionShape(fn).interrupts).toEqual({ kind: 'none' });
  fn.config.setUint8(0x3d, 1);
  expect(functionShape(fn).interrupts).toEqual({ kind: 'intx' });
});

test('a capability list that runs in a circle comes to an end', () => {
  const fn = new CallbacksDouble([]);
  capabilities(fn.config, [{ at: 0x40, id: 0x01, control: 0 }]);
  fn.config.setUint8(0x41, 0x40);
  expect(functionShape(fn).interrupts).toEqual({ kind: 'none' });
});

test('a function that knows its shape is believed', () => {
  const shape = {
    bars: [],
    interrupts: { kind: 'none' },
    configSize: 4096,
    doorbells: [],
    mapped: [],
  } as const;
  expect(functionShape(Object.assign(new CallbacksDouble([]), { shape }))).toBe(shape);
});
