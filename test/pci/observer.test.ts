import { expect, test } from 'vitest';
import { mmio } from '../../src/device/bar.ts';
import { doorbells } from '../../src/device/doorbells.ts';
import { msix } from '../../src/device/interrupts.ts';
import { mapped } from '../../src/device/mapped.ts';
import type { MmioRegion } from '../../src/device/mmio-region.ts';
import { PciDevice } from '../../src/device/pci-device.ts';
import { ram } from '../../src/device/ram.ts';
import { u16, u32 } from '../../src/device/register.ts';
import { registerMap } from '../../src/device/register-map.ts';
import { mappedRanges } from '../../src/pci/bar-layout.ts';
import { describeOffset } from '../../src/pci/describe-offset.ts';
import type { FunctionObserver } from '../../src/pci/observer.ts';
import { attach, identity } from './attached.ts';

class Window implements MmioRegion {
  readonly size = 0x100;
  read(): number {
    return 0;
  }
  write(): void {}
}

const MAP = registerMap({ STATUS: u32(0), ROW: u16(0x10, { count: 4, stride: 4 }) });

class Watched extends PciDevice {
  override readonly identity = identity;
  override readonly interrupts = msix(1, { bar: 0 });
  readonly regs = MAP.bind({ STATUS: { write: () => this.interrupts.raise(0) } });
  override readonly bars = {
    0: mmio(0x1000, {
      0: this.regs,
      256: ram(16),
      512: doorbells({ count: 2, stride: 8, ring: () => {} }),
      768: new Window(),
    }),
    1: mmio(0x2000, { 4096: mapped(1) }),
  };
}

/** Writes down every call. */
function recorder(): { observer: FunctionObserver; calls: unknown[][] } {
  const calls: unknown[][] = [];
  const observer = new Proxy(
    {},
    {
      get:
        (_, name) =>
        (...args: unknown[]) =>
          void calls.push([name, ...args]),
    },
  ) as FunctionObserver;
  return { observer, calls };
}

test('sees accesses, interrupts, DMA, resets and errors as they happen', () => {
  const { fn, device } = attach(new Watched());
  const { observer, calls } = recorder();
  fn.writeConfigSpace(0x40, 0x8000_0000);
  fn.setMsixEntry(0, 0xfee0_0000, 0x41, false);
  fn.observer = observer;
  fn.writeInterceptedMemory(0, 0, 4, 7);
  fn.readInterceptedMemory(0, 0, 2);
  fn.readInterceptedMemory(3, 8, 1);
  fn.writeConfigSpace(0x3c, 9);
  fn.readConfigSpace(0);
  device.memory.read(0x10, Buffer.alloc(3));
  device.memory.write(2 ** 40, Buffer.alloc(2));
  device.memory.aperture(0, 4);
  device.guestError('bad');
  fn.reset('cold');
  expect(calls).toEqual([
    ['memoryWrite', 0, 0, 4, 7],
    ['interruptRaised', 0],
    ['interruptDelivered', 0, 0xfee0_0000, 0x41],
    ['memoryRead', 0, 0, 2, 7],
    ['memoryRead', 3, 8, 1, 0xff],
    ['configWrite', 0x3c, 9],
    ['configRead', 0, 0x5678_1234],
    ['dmaRead', 0x10, 3, true],
    ['guestError', expect.stringContaining('not all of it is writable memory'), 1],
    ['dmaWrite', 2 ** 40, 2, false],
    ['apertureMapped', 0, 4, true],
    ['guestError', 'bad', 2],
    ['reset', 'cold'],
  ]);
});

test('sees a failure, and may watch only some things', () => {
  const { fn, device } = attach(new Watched());
  const failures: Error[] = [];
  fn.observer = { failed: (error) => void failures.push(error) };
  device.reset = () => {
    throw new Error('bug');
  };
  fn.readInterceptedMemory(0, 0, 4);
  fn.reset('cold');
  expect(failures).toEqual([fn.failure]);
  fn.observer = undefined;
  expect(fn.observer).toBeUndefined();
});

test('knows what stands at an offset', () => {
  const { fn } = attach(new Watched());
  const name = (offset: number, bar = 0) => {
    const found = describeOffset(fn, bar, offset);
    return found && [found.name, found.index, found.byte];
  };
  expect(name(2)).toEqual(['STATUS', 0, 2]);
  expect(name(0x19)).toEqual(['ROW[2]', 2, 1]);
  expect(describeOffset(fn, 0, 0x18)?.register?.name).toBe('ROW');
  expect(name(0x104)).toEqual(['RAM', 0, 4]);
  expect(name(0x20c)).toEqual(['doorbell 1', 1, 4]);
  expect(name(0x310)).toEqual(['Window', 0, 0x10]);
  expect(name(0x1008)).toEqual(['MSI-X table', 0, 8]);
  expect(name(0x2000)).toEqual(['MSI-X pending bits', 0, 0]);
  expect(name(0x1000, 1)).toEqual(['RAM', 0, 0]);
  for (const hole of [4, 0x12, 0x80, 0xfff, 0x3fff]) expect(name(hole)).toBeUndefined();
  expect(name(0, 5)).toBeUndefined();
});

test('lists the ranges that a host could map', () => {
  const { fn } = attach(new Watched());
  expect(
    mappedRanges(fn.bars).map(({ bar, offset, region }) => [bar, offset, region.pages]),
  ).toEqual([[1, 0x1000, 1]]);
});
