import { describe, expect, test } from 'vitest';
import { mmio } from '../../src/device/bar.ts';
import { pciExpress } from '../../src/device/capabilities.ts';
import { msi, msix } from '../../src/device/interrupts.ts';
import { PciDevice } from '../../src/device/pci-device.ts';
import { u32 } from '../../src/device/register.ts';
import { registerMap } from '../../src/device/register-map.ts';
import { type FunctionFace, misfit } from '../../src/pci/function-fit.ts';
import { GuestSetup } from '../../src/pci/guest-setup.ts';
import { PciFunction } from '../../src/pci/pci-function.ts';
import { attach, identity, ON } from './attached.ts';

const MAP = registerMap({ WORD: u32(0) });
const MSIX_CONTROL = 0x40;
const ENABLE = 0x8000_0000;
const MESSAGE = 0xfee0_1000;

class Plain extends PciDevice {
  override readonly identity: PciDevice['identity'] = identity;
  override readonly interrupts: PciDevice['interrupts'] = msix(2);
  readonly regs = MAP.bind();
  override readonly bars: PciDevice['bars'] = { 0: mmio(0x1000, { 0: this.regs }) };
}

const face = (device: PciDevice): FunctionFace => {
  const { shape, setup } = new PciFunction(device);
  return { shape, setup: setup.buffer };
};

describe('what a guest has set up', () => {
  test('is taken over by another function of the same looks, registers are not', () => {
    const old = attach(new Plain());
    old.fn.writeConfigSpace(0x10, 0xfebf_0000);
    old.fn.writeConfigSpace(0x04, ON);
    old.fn.writeConfigSpace(MSIX_CONTROL, ENABLE);
    old.fn.setMsixEntry(1, MESSAGE, 0x55, false);
    old.device.regs.WORD = 7;
    const setup = GuestSetup.of(old.fn.setup.buffer).copy();
    old.fn.teardown();

    const fresh = attach(new Plain());
    fresh.fn.stop();
    fresh.fn.adopt(setup);
    fresh.fn.start();
    expect(fresh.fn.readConfigSpace(0x10)).toBe(0xfebf_0000);
    expect(fresh.fn.readInterceptedMemory(0, 0, 4)).toBe(0);
    (fresh.device.interrupts as ReturnType<typeof msix>).raise(1);
    expect(fresh.host.messages).toEqual([[MESSAGE, 0x55]]);
  });

  test('is written by a guest also where nobody is there: only what can be written changes', () => {
    const { setup } = new PciFunction(new Plain());
    const copy = setup.copy();
    copy.write(0, 4, 0);
    copy.write(0x04, 2, 0xffff);
    copy.write(0x12, 1, 0xbf);
    copy.write(0x13, 1, 0xfe);
    copy.write(0xfff, 4, 1);
    expect(copy.words[0]).toBe(setup.words[0]);
    expect(copy.words[1]! & ON).toBe(ON);
    expect(copy.words[4]).toBe(0xfebf_0000);
    expect(setup.words[4]).toBe(0);
    copy.reset();
    expect(copy.words).toEqual(setup.words);
  });

  test('is kept by a function that failed, which reads as ones', () => {
    class Failing extends Plain {
      override readonly bars = {
        0: mmio(0x1000, {
          0: MAP.bind({
            WORD: {
              write: () => {
                throw new Error('no');
              },
            },
          }),
        }),
      };
    }
    const { fn } = attach(new Failing());
    fn.writeInterceptedMemory(0, 0, 4, 1);
    expect(fn.failure).toBeDefined();
    fn.writeConfigSpace(0x10, 0xfe00_0000);
    expect(fn.readConfigSpace(0x10)).toBe(0xffff_ffff);
    expect(fn.setup.words[4]).toBe(0xfe00_0000);
    expect(fn.setup.words[1]! & ON).toBe(ON);
    fn.reset('cold');
    expect([fn.setup.words[4], fn.setup.words[1]! & ON]).toEqual([0, 0]);
  });

  test('does not fit a function with another number of vectors', () => {
    const { setup } = new PciFunction(new Plain());
    const other = new (class extends Plain {
      override readonly interrupts = msix(3);
    })();
    expect(() => new PciFunction(other).adopt(setup)).toThrow('it has 2 vectors');
  });
});

describe('a function that shall take the place of another', () => {
  const present = face(new Plain());

  test('fits when it looks the same, whatever it does', () => {
    class Busy extends Plain {
      override start(): void {
        this.regs.WORD++;
      }
    }
    expect(misfit(present, face(new Busy()))).toBeUndefined();
  });

  test.each<[string, () => PciDevice, string]>([
    [
      'another revision',
      () =>
        new (class extends Plain {
          override readonly identity = { ...identity, revision: 9 };
        })(),
      'its revision is 0x9',
    ],
    [
      'a larger BAR',
      () =>
        new (class extends Plain {
          override readonly bars = { 0: mmio(0x4000, { 0: this.regs }) };
        })(),
      'its BAR 0 is 0x4000 bytes',
    ],
    [
      'a BAR more',
      () =>
        new (class extends Plain {
          override readonly bars = { 0: mmio(0x1000, { 0: this.regs }), 2: mmio(0x1000, {}) };
        })(),
      'its BAR 2 is 0x1000 bytes (32-bit), and the guest knows absent',
    ],
    [
      'other interrupts',
      () =>
        new (class extends Plain {
          override readonly interrupts = msi(2);
        })(),
      'it interrupts by msi(2), and the guest knows msix(2)',
    ],
    [
      'more capabilities',
      () =>
        new (class extends Plain {
          override readonly capabilities = [pciExpress()];
        })(),
      'its configuration space has 4096 bytes',
    ],
  ])('does not with %s', (_what, make, reason) => {
    expect(misfit(present, face(make()))).toContain(reason);
  });
});
