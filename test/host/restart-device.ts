import { gpa, mmio, msix, PciDevice, registerMap, u32 } from 'hdvkit';
import { makeTrouble, Trouble } from './trouble-device.ts';

export const RESTARTED = registerMap({
  ID: u32(0x00, { access: 'ro', reset: 0x0e57_a127 }),
  WORD: u32(0x04),
  /** Makes the trouble whose number is written. */
  TROUBLE: u32(0x08),
  GPA: gpa(0x10),
  /** Copies 17 bytes from GPA to where this says. */
  COPY: u32(0x18),
  /** Raises the vector that is written. */
  RAISE: u32(0x1c),
  /** Not kept in a register, but in the device. */
  KEPT: u32(0x20),
});

/** Uses guest memory and MSI-X, goes wrong when it is told to, and has state of its own. */
export class RestartDevice extends PciDevice {
  override readonly identity = { vendorId: 0x1af5, deviceId: 0x7002, classCode: 0xff0000 };
  override readonly interrupts = msix(4);
  readonly regs = RESTARTED.bind({
    TROUBLE: { write: (what) => this.#make(what) },
    COPY: { write: (target) => this.#copy(target) },
    RAISE: { write: (vector) => this.interrupts.raise(vector) },
    KEPT: {
      read: () => this.#kept,
      write: (value) => {
        this.#kept = value;
      },
    },
  });
  override readonly bars = { 0: mmio(0x1000, { 0: this.regs }) };
  #kept = 0;

  override reset(): void {
    this.#kept = 0;
  }

  override save(): unknown {
    return { version: 1, kept: this.#kept };
  }

  override restore(state: unknown): void {
    this.#kept = (state as { readonly kept: number }).kept;
  }

  #copy(target: number): void {
    const bytes = Buffer.alloc(17);
    this.memory.read(this.regs.GPA, bytes);
    this.memory.write(target, bytes);
  }

  #make(what: number): void {
    if (what !== Trouble.LOOP_IN_DMA) {
      makeTrouble(what);
      return;
    }
    const bytes = Buffer.alloc(0x1_0000);
    for (;;) this.memory.write(0x4_0000, bytes);
  }
}
