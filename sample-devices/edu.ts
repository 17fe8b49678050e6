import { gpa, mmio, msix, PciDevice, ram, registerMap, u32 } from 'hdvkit';

export const Status = { IRQ_WHEN_DONE: 0x80 } as const;
export const Dma = { RUN: 0x1, TO_GUEST: 0x2, IRQ: 0x4 } as const;
export const Vector = { FACTORIAL: 0, DMA: 1 } as const;

/** Offset of the copy buffer in BAR 0, in bytes. */
export const BUFFER = 0x4_0000;

/** Registers of BAR 0, after QEMU's docs/specs/edu.rst. */
export const EDU = registerMap({
  ID: u32(0x00, { access: 'ro', reset: 0x0100_00ed }),
  LIVENESS: u32(0x04),
  FACTORIAL: u32(0x08),
  STATUS: u32(0x20, { writable: Status.IRQ_WHEN_DONE }),
  DMA_SOURCE: gpa(0x80),
  DMA_TARGET: gpa(0x88),
  DMA_COUNT: u32(0x90),
  DMA_COMMAND: u32(0x98, { writable: Dma.RUN | Dma.TO_GUEST | Dma.IRQ }),
});

/** Computes factorials, and copies up to 4 KiB between guest memory and its buffer. */
export class EduDevice extends PciDevice {
  override readonly identity = {
    vendorId: 0x1234,
    deviceId: 0x11e8,
    classCode: 0x00ff00,
    revision: 0x10,
  };
  override readonly interrupts = msix(2);

  readonly buffer = Buffer.alloc(4096);
  readonly regs = EDU.bind({
    LIVENESS: { store: (value) => ~value },
    FACTORIAL: { write: (n) => this.#computeFactorial(n) },
    DMA_COMMAND: { write: () => this.start() },
  });
  override readonly bars = { 0: mmio(0x10_0000, { 0: this.regs, [BUFFER]: ram(this.buffer) }) };

  /** Resumes what the registers say is running: after attach, after restore, and when the guest sets RUN. */
  override start(): void {
    if (this.regs.DMA_COMMAND & Dma.RUN) this.clock.after(100, () => this.#copy());
  }

  #computeFactorial(n: number): void {
    let result = 1;
    for (let i = Math.min(n, 34); i > 1; i--) result = Math.imul(result, i); // 34! is 0 modulo 2^32
    this.regs.FACTORIAL = result;
    if (this.regs.STATUS & Status.IRQ_WHEN_DONE) this.interrupts.raise(Vector.FACTORIAL);
  }

  #copy(): void {
    const { DMA_SOURCE, DMA_TARGET, DMA_COUNT, DMA_COMMAND } = this.regs;
    if (!(DMA_COMMAND & Dma.RUN)) return;
    const toGuest = (DMA_COMMAND & Dma.TO_GUEST) !== 0;
    const start = (toGuest ? DMA_SOURCE : DMA_TARGET) - BUFFER;
    const bytes = this.buffer.subarray(start, start + DMA_COUNT);
    if (start < 0 || bytes.length < DMA_COUNT) {
      this.guestError(`DMA of ${DMA_COUNT} bytes at ${start} leaves the buffer`);
    } else if (toGuest) {
      this.memory.write(DMA_TARGET, bytes);
    } else {
      this.memory.read(DMA_SOURCE, bytes);
    }
    this.regs.DMA_COMMAND = DMA_COMMAND & ~Dma.RUN;
    if (DMA_COMMAND & Dma.IRQ) this.interrupts.raise(Vector.DMA);
  }
}
