import { mmio, PciDevice, registerMap, u32 } from 'hdvkit';

const Registers = registerMap({
  /** Slices of work done so far. */
  SLICES: u32(0x0, { access: 'ro' }),
  /** Writes so far. */
  WRITES: u32(0x4),
});

/** Always at work, on as many things as there are timers: each runs a slice and asks for the next at once. */
export class SlicingDevice extends PciDevice {
  override readonly identity = { vendorId: 0x1de5, deviceId: 0x51ce, classCode: 0xff0000 };
  #writes = 0;
  readonly regs = Registers.bind({
    WRITES: { read: () => this.#writes, write: () => void this.#writes++ },
  });
  override readonly bars = { 0: mmio(0x1000, { 0: this.regs }) };

  override start(): void {
    for (let i = 0; i < 16; i++) this.#slice();
  }

  #slice(): void {
    this.regs.SLICES++;
    this.clock.after(0, () => this.#slice());
  }
}
