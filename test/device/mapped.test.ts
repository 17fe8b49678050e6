import { doorbells, mapped, mmio, PciDevice } from 'hdvkit';
import { fuzz, type GuestSnapshot, SimulatedVm } from 'hdvkit/testing';
import { expect, test } from 'vitest';

const PAGES = 0x1000;
const KICK = 0x4000;

/** Adds one to each byte of its pages when it is kicked. */
class Adder extends PciDevice {
  override readonly identity = { vendorId: 0x1234, deviceId: 0x77, classCode: 0xff0000 };
  readonly pages = mapped(2);
  kicks = 0;
  override readonly bars = {
    0: mmio(0x8000, {
      [PAGES]: this.pages,
      [KICK]: doorbells({ count: 1, valueless: true, ring: () => this.#add() }),
    }),
  };

  #add(): void {
    this.kicks++;
    const { bytes } = this.pages;
    for (let i = 0; i < bytes.length; i++) bytes[i] = bytes[i]! + 1;
  }
}

function plug(snapshot?: GuestSnapshot) {
  const vm = new SimulatedVm();
  const device = new Adder();
  const guest = vm.plug(device, snapshot === undefined ? {} : { snapshot });
  return { vm, device, guest, bar0: guest.bar(0) };
}

test('guest and device share the pages', () => {
  const { device, bar0 } = plug();
  bar0.write32(PAGES + 4092, 0x0403_0201);
  bar0.write32(KICK, 99);
  expect(bar0.read32(PAGES + 4092)).toBe(0x0504_0302);
  device.pages.bytes.writeUInt16LE(0xbeef, 8190);
  expect(bar0.read16(PAGES + 8190)).toBe(0xbeef);
});

test('reads zeros after each kind of reset', () => {
  const { guest, bar0 } = plug();
  for (const kind of ['function', 'cold'] as const) {
    bar0.write32(KICK, 0);
    expect(bar0.read32(PAGES)).toBe(0x0101_0101);
    guest.reset(kind);
    expect(bar0.read32(PAGES)).toBe(0);
  }
});

test('a snapshot carries the pages over', () => {
  const before = plug();
  before.bar0.write32(PAGES + 8, 41);
  const after = plug(before.guest.snapshot());
  after.bar0.write32(KICK, 0);
  expect(after.bar0.read8(PAGES + 8)).toBe(42);
});

test('a restore rings no doorbell where every write is intercepted', () => {
  const before = plug();
  expect(plug(before.guest.snapshot()).device.kicks).toBe(0);
});

test('survives a hostile guest', () => {
  fuzz(() => new Adder(), { seed: 5, accesses: 500 });
});
