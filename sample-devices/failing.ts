/**
 * Teaches what happens when a device's own code fails: a hook that throws or returns a promise ends the device and
 * nothing else. The guest then reads all ones, and whoever attached the device gets a `DeviceFailedError` with the
 * cause. A hook that never returns is survived only where the device runs on a worker.
 */
import { mmio, PciDevice, registerMap, u32 } from 'hdvkit';

/** What ARM must hold, so that no driver fails the device by accident. */
export const KEY = 0x600d_bad5;

/** Values of FAIL; the one that nothing inline survives is not found by chance. */
export const Fail = {
  THROW: 1,
  PROMISE: 2,
  THROW_LATER: 3,
  THROW_ON_READ: 4,
  LOOP: 0x6100_0600,
} as const;

export const FAILING = registerMap({
  ARM: u32(0x00),
  FAIL: u32(0x04),
  /** Counts its reads, which shows that the device lives. */
  ALIVE: u32(0x08, { access: 'ro' }),
});

/** Fails on purpose, in the way that a driver asks for. */
export class FailingDevice extends PciDevice {
  override readonly identity = { vendorId: 0x1234, deviceId: 0x0d05, classCode: 0xff0000 };

  readonly regs = FAILING.bind({
    FAIL: { write: (how) => this.#fail(how) },
    ALIVE: { read: () => this.#countRead() },
  });
  override readonly bars = { 0: mmio(4096, { 0: this.regs }) };

  #countRead(): number {
    const { ARM, FAIL } = this.regs;
    if (ARM === KEY && FAIL === Fail.THROW_ON_READ) throw new Error('failed on a read, as asked');
    this.regs.ALIVE += 1;
    return this.regs.ALIVE;
  }

  #fail(how: number): void | Promise<void> {
    if (this.regs.ARM !== KEY) return;
    if (how === Fail.THROW) throw new Error('failed on a write, as asked');
    if (how === Fail.PROMISE) return Promise.resolve();
    if (how === Fail.LOOP) for (;;);
    if (how === Fail.THROW_LATER) {
      this.clock.after(10, () => {
        throw new Error('failed in a timer, as asked');
      });
    }
  }
}
