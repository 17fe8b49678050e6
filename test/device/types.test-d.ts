/** What does not compile, and why. Checked by the type check; nothing here runs. */
import {
  bit,
  bits,
  doorbells,
  gpa,
  mmio,
  mmio64,
  msix,
  PciDevice,
  registerMap,
  u8,
  u32,
  u64,
} from 'hdvkit';

const MAP = registerMap({
  STATUS: u32(0x0, { fields: { READY: bit(0), MODE: bits(4, 2) } }),
  BASE: u64(0x8, { fields: { VALID: bit(63) } }),
  RING: gpa(0x10),
  CHANNEL: u8(0x20, { count: 4 }),
});
const regs = MAP.bind({
  STATUS: { store: (value) => value & 1, write: (value) => void value.toFixed() },
  BASE: { read: () => 1n },
  CHANNEL: { write: (value, index) => void (value + index) },
});

const status: number = regs.STATUS;
const base: bigint = regs.BASE;
const ring: number = regs.RING;
const channel: number | undefined = regs.CHANNEL[1];
const mode: number = MAP.fields.STATUS.MODE.get(status);
const valid: bigint = MAP.fields.BASE.VALID.get(base);
const offset: number = MAP.offsets.RING;
void [status, base, ring, channel, mode, valid, offset];

// @ts-expect-error the register is called STATUS
void regs.STATSU;
// @ts-expect-error no such register to hook
MAP.bind({ STATSU: {} });
// @ts-expect-error no such offset
void MAP.offsets.STATSU;
// @ts-expect-error no such field
void MAP.fields.STATUS.READDY;
// @ts-expect-error 64-bit registers hold a bigint
regs.BASE = 1;
// @ts-expect-error addresses are numbers
regs.RING = 1n;
// @ts-expect-error a guest writes 64 bits in two halves: no write hook
MAP.bind({ BASE: { write: () => {} } });
// @ts-expect-error nor for an address
MAP.bind({ RING: { write: () => {} } });
// @ts-expect-error no store hook either
MAP.bind({ RING: { store: (value: number) => value } });
// @ts-expect-error a read hook of a 64-bit register gives a bigint
MAP.bind({ BASE: { read: () => 1 } });
// @ts-expect-error an array register cannot be replaced
regs.CHANNEL = [];
// @ts-expect-error access modes are few
u32(0, { access: 'w1x' });
// @ts-expect-error the reset value of a 64-bit register is a bigint
u64(0, { reset: 1 });

class Fits extends PciDevice {
  override readonly identity = { vendorId: 1, deviceId: 2, classCode: 0 };
  override readonly interrupts = msix(2);
  override readonly bars = { 0: mmio(0x1000, { 0: regs }), 4: mmio64(0x1000, {}) };
}

class TooHigh extends PciDevice {
  override readonly identity = { vendorId: 1, deviceId: 2, classCode: 0 };
  // @ts-expect-error a 64-bit BAR takes two slots, and there is no slot 6
  override readonly bars = { 5: mmio64(0x1000, {}) };
}

class NoIds extends PciDevice {
  // @ts-expect-error an identity has a class code
  override readonly identity = { vendorId: 1, deviceId: 2 };
}
void [Fits, TooHigh, NoIds];

doorbells({ count: 1, ring: (_index, value: number) => void value });
// @ts-expect-error a doorbell without a value has none to give
doorbells({ count: 1, valueless: true, ring: (_index, value: number) => void value });
