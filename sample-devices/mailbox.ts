/**
 * Teaches MSI: one vector that says "look at STATUS". A driver puts a request into the mailbox, the device answers a
 * little later. The interrupt's causes are level-like, so one method decides from the registers whether to raise.
 */
import { mmio, msi, PciDevice, registerMap, u32 } from 'hdvkit';

/** Values of REQUEST. */
export const Request = { ECHO: 1, SUM: 2, SERIAL_NUMBER: 3 } as const;

/** Bits of STATUS and of INTERRUPT_MASK. */
export const Status = { ANSWERED: 0x1, REFUSED: 0x2, BUSY: 0x100 } as const;

/** Milliseconds from a request to its answer. */
export const ANSWER_MS = 5;

export const MAILBOX = registerMap({
  ARGUMENT: u32(0x00, { count: 4 }),
  REQUEST: u32(0x10),
  STATUS: u32(0x14, { access: 'w1c', writable: Status.ANSWERED | Status.REFUSED }),
  INTERRUPT_MASK: u32(0x18, { writable: Status.ANSWERED | Status.REFUSED }),
  ANSWER: u32(0x20, { access: 'ro', count: 4 }),
});

/** Answers requests of up to four words. */
export class MailboxDevice extends PciDevice {
  override readonly identity = { vendorId: 0x1234, deviceId: 0x0d04, classCode: 0xff0000 };
  override readonly interrupts = msi(1);

  readonly regs = MAILBOX.bind({
    REQUEST: { write: () => this.#accept() },
    INTERRUPT_MASK: { write: () => this.#updateInterrupts() },
  });
  override readonly bars = { 0: mmio(4096, { 0: this.regs }) };

  /** A request that was open when the device was saved is answered after it was restored. */
  override start(): void {
    if (this.regs.STATUS & Status.BUSY) this.clock.after(ANSWER_MS, () => this.#answer());
  }

  #accept(): void {
    if (this.regs.STATUS & Status.BUSY) {
      this.guestError('a request came before the last one was answered');
      return;
    }
    this.regs.STATUS |= Status.BUSY;
    this.clock.after(ANSWER_MS, () => this.#answer());
  }

  #answer(): void {
    const { ARGUMENT, ANSWER, REQUEST } = this.regs;
    let outcome: number = Status.ANSWERED;
    if (REQUEST === Request.ECHO) {
      for (let i = 0; i < 4; i++) ANSWER[i] = ARGUMENT[i]!;
    } else if (REQUEST === Request.SUM) {
      ANSWER[0] = ARGUMENT[0]! + ARGUMENT[1]! + ARGUMENT[2]! + ARGUMENT[3]!;
    } else if (REQUEST === Request.SERIAL_NUMBER) {
      ANSWER[0] = 20_26;
    } else {
      outcome = Status.REFUSED;
      this.guestError(`there is no request ${REQUEST}`);
    }
    this.regs.STATUS = (this.regs.STATUS & ~Status.BUSY) | outcome;
    this.#updateInterrupts();
  }

  /** Sends the message when a cause is set that the mask lets through. */
  #updateInterrupts(): void {
    if (this.regs.STATUS & this.regs.INTERRUPT_MASK) this.interrupts.raise(0);
  }
}
