import { mmio, PciDevice, ram, registerMap, u32 } from 'hdvkit';

const identity = { vendorId: 0x1234, deviceId: 0x5a01, classCode: 0xff0000 };

/** Registers of {@link Adder}. */
export const ADDER = registerMap({ TERM: u32(0x00), SUM: u32(0x04, { access: 'ro' }) });

/** Adds what is written, and keeps the sum and the terms where no region has them. */
export class Adder extends PciDevice {
  override readonly identity = identity;
  readonly regs = ADDER.bind({
    TERM: {
      write: (term) => {
        this.#terms = Buffer.concat([this.#terms, Buffer.from([term])]);
      },
    },
    SUM: { read: () => this.#terms.reduce((sum, term) => sum + term, 0) },
  });
  override readonly bars: PciDevice['bars'] = { 0: mmio(0x1000, { 0: this.regs }) };
  #terms = Buffer.alloc(0);

  override save(): unknown {
    return { version: 1, terms: this.#terms };
  }

  override restore(state: unknown): void {
    this.#terms = Buffer.from((state as { terms: Uint8Array }).terms);
  }
}

/** Gives a state that cannot be written. */
export class Unwritable extends Adder {
  override save(): unknown {
    return { version: 1, close: () => undefined };
  }
}

/** Has a connection that nothing can bring back. */
export class Connected extends Adder {
  override save(): unknown {
    throw new Error('the connection to the far end cannot be moved');
  }
}

/** Takes no state. */
export class Forgetful extends Adder {
  override restore(): void {
    throw new Error('this state is too old');
  }
}

/** Of the same class name, with more in its BAR. */
export function another(): new () => PciDevice {
  return class Adder extends PciDevice {
    override readonly identity = identity;
    override readonly bars = { 0: mmio(0x1000, { 0: ram(16) }) };
  };
}
