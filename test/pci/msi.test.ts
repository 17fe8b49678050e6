import { expect, test } from 'vitest';
import { type MsiOptions, msi } from '../../src/device/interrupts.ts';
import { PciDevice } from '../../src/device/pci-device.ts';
import type { PciFunction } from '../../src/pci/pci-function.ts';
import { attach, identity, ON } from './attached.ts';

class Interrupting extends PciDevice {
  override readonly identity = identity;
  override readonly interrupts;

  constructor(count: number, options?: MsiOptions) {
    super();
    this.interrupts = msi(count, options);
  }
}

function capability(fn: PciFunction): number {
  const { interrupts } = fn.shape;
  if (interrupts.kind !== 'msi') throw new Error('The function has no MSI');
  return interrupts.capability;
}

/** Grants 2^log2 vectors, at 0x1_fee0_0000 with data 0x4060. */
function enable(fn: PciFunction, log2: number): void {
  const at = capability(fn);
  fn.writeConfigSpace(at + 4, 0xfee0_0003);
  fn.writeConfigSpace(at + 8, 0x1);
  fn.writeConfigSpace(at + 0xc, 0xffff_4060);
  fn.writeConfigSpace(at, ((log2 << 20) | 0x1_0000) >>> 0);
}

function enabled(count: number, log2: number) {
  const attached = attach(new Interrupting(count));
  enable(attached.fn, log2);
  const at = capability(attached.fn);
  return {
    ...attached,
    mask: (bits: number) => attached.fn.writeConfigSpace(at + 0x10, bits),
    pending: () => attached.fn.readConfigSpace(at + 0x14),
  };
}

test.each([
  [1, 0],
  [2, 1],
  [3, 2],
  [4, 2],
  [17, 5],
  [32, 5],
])('asks for %d vectors as a power of two', (count, log2) => {
  const { fn } = attach(new Interrupting(count));
  expect((fn.readConfigSpace(capability(fn)) >>> 17) & 7).toBe(log2);
});

test('offers 64-bit messages and masks for each vector', () => {
  const { fn } = attach(new Interrupting(4));
  expect(fn.readConfigSpace(capability(fn)) >>> 16).toBe(0x0184);
});

test('sends the vector in the low bits of the data', () => {
  const { device, host } = enabled(4, 2);
  device.interrupts.raise(0);
  device.interrupts.raise(3);
  expect(host.takeMessages()).toEqual([
    [0x1_fee0_0000, 0x4060],
    [0x1_fee0_0000, 0x4063],
  ]);
});

test('shares vectors when the guest grants fewer', () => {
  const { device, host } = enabled(4, 1);
  for (const vector of [0, 1, 2, 3]) device.interrupts.raise(vector);
  expect(host.takeMessages().map(([, data]) => data)).toEqual([0x4060, 0x4061, 0x4060, 0x4061]);
});

test('sends no more vectors than were asked for, whatever the guest grants', () => {
  const { device, host } = enabled(2, 5);
  device.interrupts.raise(1);
  expect(host.takeMessages()).toEqual([[0x1_fee0_0000, 0x4061]]);
});

test('keeps a masked vector pending until it is unmasked', () => {
  const { device, host, mask, pending } = enabled(4, 2);
  mask(0b0101);
  for (const vector of [0, 1, 2]) device.interrupts.raise(vector);
  expect(host.takeMessages().map(([, data]) => data & 3)).toEqual([1]);
  expect(pending()).toBe(0b0101);
  mask(0b0001);
  expect(host.takeMessages().map(([, data]) => data & 3)).toEqual([2]);
  expect(pending()).toBe(1);
  device.interrupts.withdraw(0);
  mask(0);
  expect([host.takeMessages(), pending()]).toEqual([[], 0]);
});

test('masks all 32 vectors', () => {
  const { device, host, mask, pending } = enabled(32, 5);
  mask(0xffff_ffff);
  device.interrupts.raise(31);
  expect([host.takeMessages(), pending()]).toEqual([[], 0x8000_0000]);
  mask(0);
  expect(host.takeMessages()).toEqual([[0x1_fee0_0000, 0x407f]]);
});

test('sends each message once when the guest acts on one at once', () => {
  const { fn, device, host, mask } = enabled(4, 2);
  mask(0xf);
  for (const vector of [0, 1, 2]) device.interrupts.raise(vector);
  const sent: number[] = [];
  host.deliverInterrupt = (_, data) => {
    sent.push(data & 3);
    if (sent.length === 1) mask(0x4);
  };
  mask(0);
  expect(sent).toEqual([0, 1]);
  expect(fn.readConfigSpace(capability(fn) + 0x14)).toBe(0x4);
});

test('has no mask bits beyond the vectors it has', () => {
  const { fn, mask } = enabled(2, 1);
  mask(0xffff_ffff);
  expect(fn.readConfigSpace(capability(fn) + 0x10)).toBe(3);
});

test('loses what is raised while disabled, and keeps what was pending', () => {
  const { fn, device, host, mask, pending } = enabled(2, 1);
  mask(1);
  device.interrupts.raise(0);
  fn.writeConfigSpace(capability(fn), 0x10_0000);
  device.interrupts.raise(1);
  mask(0);
  expect([host.takeMessages(), pending()]).toEqual([[], 1]);
  enable(fn, 1);
  expect(host.takeMessages()).toEqual([[0x1_fee0_0000, 0x4060]]);
});

test('holds messages while bus mastering is off', () => {
  const { fn, device, host } = enabled(1, 0);
  fn.writeConfigSpace(0x04, 0x2);
  device.interrupts.raise(0);
  expect(host.takeMessages()).toEqual([]);
  fn.writeConfigSpace(0x04, ON);
  expect(host.takeMessages()).toHaveLength(1);
});

test('does without 64 bits and masks where the device says so', () => {
  const { fn, device, host } = attach(
    new Interrupting(1, { is64Bit: false, perVectorMasking: false }),
  );
  const at = capability(fn);
  fn.writeConfigSpace(at + 4, 0xfee0_0000);
  fn.writeConfigSpace(at + 8, 0x31);
  fn.writeConfigSpace(at, 0x1_0000);
  expect(fn.readConfigSpace(at) >>> 16).toBe(1);
  device.interrupts.raise(0);
  expect(host.takeMessages()).toEqual([[0xfee0_0000, 0x31]]);
});

test('comes back from a snapshot with its pending bits', () => {
  const before = enabled(4, 2);
  before.mask(0b10);
  before.device.interrupts.raise(1);
  const after = attach(new Interrupting(4));
  after.fn.restore(JSON.parse(JSON.stringify(before.fn.save())));
  expect(after.host.takeMessages()).toEqual([]);
  after.fn.writeConfigSpace(capability(after.fn) + 0x10, 0);
  expect(after.host.takeMessages()).toEqual([[0x1_fee0_0000, 0x4061]]);
});
