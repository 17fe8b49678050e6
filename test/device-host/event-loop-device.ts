import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { mmio, msix, PciDevice, registerMap, u32 } from 'hdvkit';

const Registers = registerMap({
  SCRATCH: u32(0x0),
  /** Reads a file when it is written, and when it is read. */
  START: u32(0x4),
  /** Files read so far; each raises the interrupt as well. */
  DONE: u32(0x8, { access: 'ro' }),
});

/** Does its work in the event loop, out of sight of the host. */
export class EventLoopDevice extends PciDevice {
  override readonly identity = { vendorId: 0x1de5, deviceId: 0xe100, classCode: 0xff0000 };
  readonly regs = Registers.bind({
    START: {
      read: () => this.#work(),
      write: () => void this.#work(),
    },
  });
  override readonly interrupts = msix(1);
  override readonly bars = { 0: mmio(0x1000, { 0: this.regs }) };

  #work(): number {
    void readFile(fileURLToPath(import.meta.url)).then(() => {
      this.regs.DONE++;
      this.interrupts.raise(0);
    });
    return 0;
  }
}
