/**
 * Teaches DMA through a descriptor ring: the driver writes descriptors to guest memory and moves TAIL, the device works
 * from HEAD to TAIL, marks each descriptor done and sends a vector where the descriptor asks for it. Descriptors are
 * read through one cursor over an aperture; whatever the guest wrote is read once, checked, then used.
 */
import { gpa, mmio, msix, PciDevice, registerMap, u32 } from 'hdvkit';

/** Bits of CONTROL and STATUS; the errors are cleared by writing ones. */
export const Control = { RUN: 0x1 } as const;
export const Status = { BAD_DESCRIPTOR: 0x1, BAD_RING: 0x2, BUSY: 0x100 } as const;

/** Flags of a descriptor: the driver asks for the first, the device answers with one of the others. */
export const Flag = { INTERRUPT: 0x1, DONE: 0x10, FAILED: 0x20 } as const;

export const Vector = { DONE: 0, ERROR: 1 } as const;
/** Descriptors in a ring, bytes in a piece, descriptors in one slice of work. */
export const Limit = { COUNT: 1024, LENGTH: 0x1_0000, SLICE: 8 } as const;

export const SCATTER_GATHER = registerMap({
  CONTROL: u32(0x00, { writable: Control.RUN }),
  STATUS: u32(0x04, { access: 'w1c', writable: Status.BAD_DESCRIPTOR | Status.BAD_RING }),
  RING: gpa(0x08),
  COUNT: u32(0x10),
  HEAD: u32(0x14, { access: 'ro' }),
  TAIL: u32(0x18),
});

/** A moving view of one descriptor: source (8 bytes), target (8), length (4), flags (4), reserved (8). */
export class Descriptor {
  static readonly SIZE = 32;
  #ring: Buffer = Buffer.alloc(0);
  #offset = 0;

  at(ring: Buffer, index: number): this {
    this.#ring = ring;
    this.#offset = index * Descriptor.SIZE;
    return this;
  }

  get source(): number {
    return this.#read32(0) + this.#read32(4) * 2 ** 32;
  }
  get target(): number {
    return this.#read32(8) + this.#read32(12) * 2 ** 32;
  }
  get length(): number {
    return this.#read32(16);
  }
  get flags(): number {
    return this.#read32(20);
  }
  set flags(value: number) {
    this.#ring.writeUInt32LE(value, this.#offset + 20);
  }

  #read32(offset: number): number {
    return this.#ring.readUInt32LE(this.#offset + offset);
  }
}

/** Copies pieces of guest memory, a slice of the ring every millisecond. */
export class ScatterGatherDevice extends PciDevice {
  override readonly identity = { vendorId: 0x1234, deviceId: 0x0d02, classCode: 0x088000 };
  override readonly interrupts = msix(2);

  readonly regs = SCATTER_GATHER.bind({
    CONTROL: { write: () => this.#begin() },
    TAIL: { write: () => this.#begin() },
  });
  override readonly bars = { 0: mmio(4096, { 0: this.regs }) };

  readonly #descriptor = new Descriptor();
  readonly #piece = Buffer.alloc(Limit.LENGTH);

  /** Work that a snapshot interrupted goes on. */
  override start(): void {
    if (this.regs.STATUS & Status.BUSY) this.clock.after(1, () => this.#work());
  }

  #begin(): void {
    const { CONTROL, STATUS, HEAD, TAIL } = this.regs;
    if (!(CONTROL & Control.RUN) || STATUS & Status.BUSY || HEAD === TAIL) return;
    this.regs.STATUS |= Status.BUSY;
    this.clock.after(1, () => this.#work());
  }

  #work(): void {
    const { CONTROL, RING, COUNT, HEAD, TAIL } = this.regs;
    this.regs.STATUS &= ~Status.BUSY;
    if (!(CONTROL & Control.RUN)) return;
    const isSound = COUNT <= Limit.COUNT && HEAD < COUNT && TAIL < COUNT;
    using ring = isSound ? this.memory.aperture(RING, COUNT * Descriptor.SIZE) : undefined;
    if (ring === undefined) this.#fail(Status.BAD_RING);
    for (let left = Limit.SLICE; ring && left > 0 && this.regs.HEAD !== TAIL; left--) {
      const descriptor = this.#descriptor.at(ring.bytes, this.regs.HEAD);
      this.regs.HEAD = (this.regs.HEAD + 1) % COUNT;
      if (!this.#copy(descriptor)) break;
    }
    this.#begin();
  }

  #copy(descriptor: Descriptor): boolean {
    const { source, target, length, flags } = descriptor;
    const piece = this.#piece.subarray(0, length);
    const fits = piece.length === length;
    const isCopied = fits && this.memory.read(source, piece) && this.memory.write(target, piece);
    descriptor.flags = flags | (isCopied ? Flag.DONE : Flag.FAILED);
    if (!isCopied) this.#fail(Status.BAD_DESCRIPTOR);
    else if (flags & Flag.INTERRUPT) this.interrupts.raise(Vector.DONE);
    return isCopied;
  }

  /** The driver clears the error and sets RUN again, or gives up. */
  #fail(error: number): void {
    this.regs.CONTROL &= ~Control.RUN;
    this.regs.STATUS |= error;
    this.guestError(error === Status.BAD_RING ? 'the ring is unusable' : 'a piece is unusable');
    this.interrupts.raise(Vector.ERROR);
  }
}
