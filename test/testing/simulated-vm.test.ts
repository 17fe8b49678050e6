import { intx, mmio, PciDevice, registerMap, u32 } from 'hdvkit';
import { plug, SimulatedVm } from 'hdvkit/testing';
import { describe, expect, test } from 'vitest';
import {
  Command,
  ConfiguredProbe,
  MsiProbe,
  MsixProbe,
  PROBE,
} from '../host/conformance-devices.ts';

const { COMMAND, VECTOR, WORD } = PROBE.offsets;

const FAILING = registerMap({ FAIL: u32(0, { access: 'wo' }), ECHO: u32(4) });

class Failing extends PciDevice {
  override readonly identity = { vendorId: 0x1234, deviceId: 0xfa11, classCode: 0xff0000 };
  readonly regs = FAILING.bind({
    FAIL: {
      write: () => {
        throw new Error('on purpose');
      },
    },
  });
  override readonly bars = { 0: mmio(0x1000, { 0: this.regs }) };
}

/** Asks for service from its reset on. */
class Line extends PciDevice {
  override readonly identity = { vendorId: 0x1234, deviceId: 0x11fe, classCode: 0xff0000 };
  override readonly interrupts = intx();
  override reset(): void {
    this.interrupts.assert();
  }
}

describe('plugging a device', () => {
  test('places its BARs, turns it on and gives it vectors', () => {
    const guest = plug(new MsixProbe());
    expect(guest.bars.map(({ slot, size, is64Bit }) => [slot, size, is64Bit])).toContainEqual([
      2,
      0x4000,
      true,
    ]);
    expect(guest.bar(2).prefetchable).toBe(true);
    expect(guest.bar(0).read32(0)).toBe(0x0c0f_fee0);
    expect(guest.interrupts.mode).toBe('msix');
    expect(guest.interrupts.count).toBe(4);
    expect(guest.config.read16(0x04) & 0x6).toBe(0x6);
  });

  test('takes the best interrupts that the device has, or none on request', () => {
    expect(plug(new MsiProbe()).interrupts.mode).toBe('msi');
    expect(plug(new MsixProbe(), { interrupts: 'off' }).interrupts.mode).toBe('none');
  });

  test('hands configuration to the device, whose refusal is thrown', () => {
    expect(
      plug(new ConfiguredProbe(), { configuration: ['word=3'] })
        .bar(0)
        .read32(WORD),
    ).toBe(3);
    expect(() => plug(new ConfiguredProbe(), { configuration: ['nonsense'] })).toThrow(
      'Cannot configure the probe with nonsense',
    );
  });

  test('that refuses leaves it out, and it can be plugged again', () => {
    const vm = new SimulatedVm();
    const device = new ConfiguredProbe();
    expect(() => vm.plug(device, { configuration: ['nonsense'] })).toThrow('Cannot configure');
    const guest = vm.plug(device, { configuration: ['word=3'] });
    expect([guest.slot.device, guest.bar(0).read32(WORD)]).toEqual([0, 3]);
  });

  test('that has no room for its BARs leaves it out too', () => {
    class Large extends PciDevice {
      override readonly identity = { vendorId: 0x1234, deviceId: 8, classCode: 0xff0000 };
      override readonly bars = { 0: mmio(2 ** 30, {}) };
    }
    const vm = new SimulatedVm();
    const device = new Large();
    for (let i = 0; i < 2; i++) {
      expect(() => vm.plug(device)).toThrow('no room is left in the window for 32-bit BARs');
    }
    expect(vm.machine.bus.slots).toEqual([]);
  });

  test('a BAR that the device does not have is refused with those it has', () => {
    expect(() => plug(new Failing()).bar(1)).toThrow('Cannot use BAR 1: the function has 0');
  });

  test('several devices share a machine and keep apart', () => {
    const vm = new SimulatedVm();
    const [one, two] = [vm.plug(new MsixProbe()), vm.plug(new MsixProbe())];
    one.bar(0).write32(WORD, 1);
    two.bar(0).write32(WORD, 2);
    two.bar(0).write32(VECTOR, 3);
    two.bar(0).write32(COMMAND, Command.RAISE);
    expect(one.bar(0).read32(WORD)).toBe(1);
    expect(one.takeInterrupts()).toEqual([]);
    expect(two.takeInterrupts()).toEqual([3]);
  });

  test('after unplug the addresses read as ones, and the place is free again', () => {
    const vm = new SimulatedVm();
    const guest = vm.plug(new MsixProbe());
    const bar = guest.bar(0);
    vm.unplug(guest);
    vm.unplug(guest);
    expect(bar.read32(0)).toBe(0xffff_ffff);
    expect(vm.plug(new MsixProbe()).bar(0).gpa).toBe(bar.gpa);
  });
});

describe('interrupts', () => {
  test('a masked vector is pending until it is unmasked', () => {
    for (const device of [new MsixProbe(), new MsiProbe()]) {
      const guest = plug(device);
      guest.interrupts.setMask(2, true);
      guest.bar(0).write32(VECTOR, 2);
      guest.bar(0).write32(COMMAND, Command.RAISE);
      expect(guest.takeInterrupts()).toEqual([]);
      expect(guest.interrupts.isPending(2)).toBe(true);
      guest.interrupts.setMask(2, false);
      expect(guest.takeInterrupts()).toEqual([2]);
      expect(guest.interrupts.isPending(2)).toBe(false);
    }
  });

  test('the function mask holds all vectors of MSI-X', () => {
    const guest = plug(new MsixProbe());
    guest.interrupts.setFunctionMask(true);
    for (const vector of [3, 1]) {
      guest.bar(0).write32(VECTOR, vector);
      guest.bar(0).write32(COMMAND, Command.RAISE);
    }
    expect(guest.takeInterrupts()).toEqual([]);
    guest.interrupts.setFunctionMask(false);
    expect(guest.takeInterrupts().sort()).toEqual([1, 3]);
  });

  test('waiting lets time pass until the vector is there, and gives up in time', () => {
    const vm = new SimulatedVm();
    const guest = vm.plug(new MsixProbe());
    guest.bar(0).write32(VECTOR, 1);
    guest.bar(0).write32(COMMAND, Command.RAISE_LATER);
    guest.waitInterrupt(1);
    expect(vm.now).toBe(20);
    expect(() => guest.waitInterrupt(0, 50)).toThrow('it did not arrive within 50 ms');
    expect(vm.now).toBe(70);
  });

  test('more vectors than there are cannot be enabled, nor what the function lacks', () => {
    const guest = plug(new MsiProbe());
    expect(() => guest.interrupts.enableMsi(8)).toThrow('the function offers 1 to 4');
    expect(() => guest.interrupts.enableMsi(3)).toThrow('use a power of two');
    expect(() => guest.interrupts.enableMsix()).toThrow('the function has no such capability');
  });
});

describe('snapshots', () => {
  test('state moves into another device of the class, in another machine too', () => {
    const before = plug(new MsixProbe());
    before.bar(0).write32(WORD, 0x5a5a);
    before.bar(2).write32(0x100, 0xfeed);
    before.interrupts.setMask(1, true);
    const snapshot = JSON.parse(JSON.stringify(before.snapshot()));
    before.bar(0).write32(WORD, 0);

    const after = plug(new MsixProbe(), { snapshot });
    expect(after.bar(0).read32(WORD)).toBe(0x5a5a);
    expect(after.bar(2).read32(0x100)).toBe(0xfeed);
    for (const vector of [1, 2]) {
      after.bar(0).write32(VECTOR, vector);
      after.bar(0).write32(COMMAND, Command.RAISE);
    }
    expect(after.takeInterrupts()).toEqual([2]);
    after.interrupts.setMask(1, false);
    expect(after.takeInterrupts()).toEqual([1]);
  });

  test('two devices with one state in one machine do not take each other’s place', () => {
    const vm = new SimulatedVm();
    const before = vm.plug(new MsiProbe());
    const after = vm.plug(new MsiProbe(), { snapshot: before.snapshot() });
    after.bar(0).write32(WORD, 9);
    expect(before.bar(0).read32(WORD)).not.toBe(9);
    after.bar(0).write32(COMMAND, Command.RAISE);
    expect(before.takeInterrupts()).toEqual([]);
    expect(after.takeInterrupts()).toEqual([0]);
  });

  test('a line that the guest disabled stays disabled in the device that takes over', () => {
    const vm = new SimulatedVm();
    const guest = vm.plug(new Line());
    guest.config.write16(0x04, guest.config.read16(0x04) | 0x400);
    const after = vm.replug(guest, new Line());
    expect([after.config.read16(0x04) & 0x400, after.interrupts.mode]).toEqual([0x400, 'none']);
  });

  test('a device goes back to its own snapshot', () => {
    const guest = plug(new MsixProbe());
    guest.bar(0).write32(WORD, 1);
    const snapshot = guest.snapshot();
    guest.bar(0).write32(WORD, 2);
    guest.restore(snapshot);
    expect(guest.bar(0).read32(WORD)).toBe(1);
  });
});

describe('reset', () => {
  test.each(['cold', 'function', 'disconnect'] as const)(
    'after reset %s registers are as declared, BARs work and interrupts are off',
    (kind) => {
      const guest = plug(new MsixProbe());
      guest.bar(0).write32(WORD, 1);
      guest.reset(kind);
      expect(guest.bar(0).read32(WORD)).toBe(0x1122_3344);
      expect(guest.interrupts.mode).toBe('none');
      guest.bar(0).write32(COMMAND, Command.RAISE);
      expect(guest.takeInterrupts()).toEqual([]);
    },
  );

  test('a function-level reset by the guest does the same; a device without it says so', () => {
    const guest = plug(new MsixProbe());
    guest.bar(0).write32(WORD, 1);
    guest.functionLevelReset();
    expect(guest.bar(0).read32(WORD)).toBe(0x1122_3344);
    expect(() => plug(new MsiProbe()).functionLevelReset()).toThrow('no function-level reset');
  });

  test('the machine’s reset reaches every device', () => {
    const vm = new SimulatedVm();
    const guests = [vm.plug(new MsixProbe()), vm.plug(new MsiProbe())];
    for (const guest of guests) guest.bar(0).write32(WORD, 1);
    vm.reset();
    for (const guest of guests) expect(guest.bar(0).read32(WORD)).toBe(0x1122_3344);
  });
});

test('the machine’s reset line takes what is in flight, and leaves levels that devices assert', () => {
  const vm = new SimulatedVm();
  const line = vm.plug(new Line());
  const msi = vm.plug(new MsiProbe());
  msi.bar(0).write32(COMMAND, Command.RAISE);
  vm.machine.reset();
  expect([msi.takeInterrupts(), line.interrupts.line]).toEqual([[], true]);
});

describe('a device that fails', () => {
  test('makes the access throw during which it failed; then it answers all ones', () => {
    const guest = plug(new Failing());
    expect(() => guest.bar(0).write32(0, 1)).toThrow(
      expect.objectContaining({ cause: expect.objectContaining({ message: 'on purpose' }) }),
    );
    expect(guest.bar(0).read32(4)).toBe(0xffff_ffff);
    expect(guest.failure).toBeInstanceOf(Error);
  });

  test('only answers all ones where the test tolerates it', () => {
    const guest = plug(new Failing(), { tolerateFailure: true });
    guest.bar(0).write32(0, 1);
    expect(guest.bar(0).read32(4)).toBe(0xffff_ffff);
    expect(guest.config.read32(0)).toBe(0xffff_ffff);
    expect(guest.failure?.message).toContain('Failing');
  });
});

describe('registers by name', () => {
  test('are accessed in their width', async () => {
    const { GuestRegisters } = await import('hdvkit/testing');
    const regs = new GuestRegisters(plug(new MsixProbe()).bar(0), PROBE);
    regs.write('BYTE', 0x1ff);
    regs.write('HALF', 0xabcd);
    regs.write('WIDE', 0xffff_ffff_ffff_ffffn);
    regs.write('SOURCE', 0x12_3456_7890);
    expect(regs.read('BYTE')).toBe(0xff);
    expect(regs.read('HALF')).toBe(0xabcd);
    expect(regs.read64('WIDE')).toBe(0xffff_ffff_ffff_ffffn);
    expect(regs.read('SOURCE')).toBe(0x12_3456_7890);
  });
});
