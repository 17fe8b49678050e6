import { mmio, PciDevice, registerMap, u32 } from 'hdvkit';

const REGISTERS = registerMap({
  ID: u32(0, { access: 'ro', reset: 0xa9e2_70e5 }),
  LENGTH: u32(4),
});

/** A device that opens apertures for ever, each of another length up to the one that is written to LENGTH. */
export class ApertureLoopDevice extends PciDevice {
  override readonly identity = { vendorId: 0x1af5, deviceId: 0x7010, classCode: 0xff0000 };
  readonly regs = REGISTERS.bind({ LENGTH: { write: (length) => this.#loop(length) } });
  override readonly bars = { 0: mmio(0x1000, { 0: this.regs }) };

  #loop(length: number): never {
    for (let i = 0; ; i = (i + 1) % 64) this.memory.aperture(0, length - i)?.[Symbol.dispose]();
  }
}
