/** Where interrupt handles keep what they drive. Found by name, also across two copies of the package. */
export const SINK: unique symbol = Symbol.for('hdvkit.interrupts.sink') as never;

/** What an attached device's message-signalled interrupts go to. */
export interface MessageSink {
  raise(vector: number): void;
  withdraw(vector: number): void;
}

/** What an attached device's interrupt line goes to. */
export interface LineSink {
  set(asserted: boolean): void;
}

/** A device that does not interrupt. */
export interface NoInterrupts {
  readonly kind: 'none';
}

/** Message-signalled interrupts of a device: {@link msix} or {@link msi}. */
export class MessageInterrupts<K extends 'msi' | 'msix' = 'msi' | 'msix'> {
  readonly kind: K;
  /** Number of vectors; they are numbered from 0. */
  readonly count: number;
  readonly options: K extends 'msix' ? MsixOptions : MsiOptions;
  /** @internal */
  [SINK]: MessageSink | undefined;

  /** Called by {@link msix} and {@link msi}. */
  constructor(kind: K, count: number, options: K extends 'msix' ? MsixOptions : MsiOptions) {
    this.kind = kind;
    this.count = count;
    this.options = options;
  }

  /**
   * Interrupts the guest. While the vector is masked it stays pending and is sent when the guest unmasks it; while
   * the guest has the capability disabled it is lost, as the function may then not interrupt at all.
   * @throws RangeError when there is no such vector
   * @throws Error before the device is attached
   */
  raise(vector: number): void {
    this.#sink(vector, 'raise').raise(vector);
  }

  /**
   * Takes back an interrupt that is still pending, as its cause is gone (PCIe 6.0, 6.1.4.6).
   * @throws RangeError when there is no such vector
   */
  withdraw(vector: number): void {
    this.#sink(vector, 'withdraw').withdraw(vector);
  }

  #sink(vector: number, what: string): MessageSink {
    if (!(vector >= 0 && vector < this.count) || !Number.isInteger(vector)) {
      throw new RangeError(
        `Cannot ${what} vector ${vector}: the device has ${this.count} vectors, from 0`,
      );
    }
    const sink = this[SINK];
    if (sink === undefined) {
      throw new Error(`Cannot ${what} vector ${vector}: the device is not attached to a host`);
    }
    return sink;
  }
}

/** The level-triggered interrupt line of a device: {@link intx}. */
export class LineInterrupts {
  readonly kind = 'intx';
  /** @internal */
  [SINK]: LineSink | undefined;

  /** Holds the line until {@link LineInterrupts.deassert}. @throws Error before the device is attached */
  assert(): void {
    this.#sink('assert').set(true);
  }

  /** Lets go of the line. @throws Error before the device is attached */
  deassert(): void {
    this.#sink('deassert').set(false);
  }

  #sink(what: string): LineSink {
    const sink = this[SINK];
    if (sink === undefined) {
      throw new Error(`Cannot ${what} INTx: the device is not attached to a host`);
    }
    return sink;
  }
}

/** How a device can interrupt. */
export type Interrupts =
  | NoInterrupts
  | MessageInterrupts<'msi'>
  | MessageInterrupts<'msix'>
  | LineInterrupts;

/** Where MSI-X keeps its table and pending bits. */
export interface MsixOptions {
  /** BAR slot; default: a BAR of its own in the first free slot. A BAR of the device grows when it must. */
  readonly bar?: number;
  /** Byte offset of the table in that BAR, a multiple of 4096; default: after the BAR's last part. */
  readonly offset?: number;
}

/** What an MSI capability offers. */
export interface MsiOptions {
  /** Can the guest mask each vector? Default true. */
  readonly perVectorMasking?: boolean;
  /** Can messages go above 4 GiB? Default true. */
  readonly is64Bit?: boolean;
}

/**
 * Interrupts by MSI-X: table, pending bits and masking are the framework's.
 * @param count vectors, 1 to 2048 (PCIe 6.0, 7.7.2)
 * @throws RangeError when the count is out of range
 */
export function msix(count: number, options: MsixOptions = {}): MessageInterrupts<'msix'> {
  if (!Number.isInteger(count) || count < 1 || count > 2048) {
    throw new RangeError(`Cannot offer ${count} MSI-X vectors: counts are 1 to 2048`);
  }
  return new MessageInterrupts('msix', count, options);
}

/**
 * Interrupts by MSI. A guest may grant fewer vectors than asked for; vector v is then sent as v modulo the grant.
 * @param count vectors, 1 to 32 (PCIe 6.0, 7.7.1)
 * @throws RangeError when the count is out of range
 */
export function msi(count: number, options: MsiOptions = {}): MessageInterrupts<'msi'> {
  if (!Number.isInteger(count) || count < 1 || count > 32) {
    throw new RangeError(`Cannot offer ${count} MSI vectors: counts are 1 to 32`);
  }
  return new MessageInterrupts('msi', count, options);
}

/** Interrupts by the level-triggered line INTA. Does not exist under Hyper-V: attaching there fails. */
export function intx(): LineInterrupts {
  return new LineInterrupts();
}
