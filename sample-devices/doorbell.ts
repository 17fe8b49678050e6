/**
 * Teaches doorbells: a driver fills a queue in guest memory, then writes how far it got to the queue's doorbell. The
 * write is the whole notification; nothing is read back. Each queue has an MSI-X vector of its own.
 */
import { doorbells, gpa, mmio, msix, PciDevice, registerMap, u32 } from 'hdvkit';

export const QUEUES = 4;

/** Numbers that a queue holds; each takes 4 bytes. A power of two. */
export const QUEUE_LENGTH = 256;

/** Offset of the doorbells in BAR 0; one per queue, 4 bytes apart. */
export const DOORBELLS = 0x1000;

export const ADDER = registerMap({
  /** Where a queue is in guest memory; 0 is none. */
  BASE: gpa(0x00, { count: QUEUES }),
  /** Index of the next number that the device takes; it counts on without end, modulo 2^32. */
  HEAD: u32(0x40, { access: 'ro', count: QUEUES }),
  /** Sum of what was taken, modulo 2^32. */
  SUM: u32(0x60, { access: 'ro', count: QUEUES }),
});

/** Adds up the numbers that a driver puts into its queues. */
export class DoorbellDevice extends PciDevice {
  override readonly identity = { vendorId: 0x1234, deviceId: 0x0d03, classCode: 0xff0000 };
  override readonly interrupts = msix(QUEUES);

  readonly regs = ADDER.bind({});
  override readonly bars = {
    0: mmio(0x4000, {
      0: this.regs,
      [DOORBELLS]: doorbells({
        count: QUEUES,
        stride: 4,
        ring: (queue, tail) => this.#take(queue, tail),
      }),
    }),
  };

  #take(queue: number, tail: number): void {
    const head = this.regs.HEAD[queue]!;
    const count = (tail - head) >>> 0;
    if (count > QUEUE_LENGTH) {
      this.guestError(`queue ${queue} cannot hold the ${count} numbers between head and tail`);
      return;
    }
    using queued = this.memory.aperture(this.regs.BASE[queue]!, 4 * QUEUE_LENGTH, {
      readOnly: true,
    });
    if (queued === undefined) return;
    let sum = this.regs.SUM[queue]!;
    for (let i = 0; i < count; i++) {
      sum += queued.bytes.readUInt32LE(4 * ((head + i) % QUEUE_LENGTH));
    }
    this.regs.SUM[queue] = sum;
    this.regs.HEAD[queue] = tail;
    if (count > 0) this.interrupts.raise(queue);
  }
}
