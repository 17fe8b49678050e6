import { Fcr, FIFO_LENGTH, Ier, Iir, Lcr, Lsr, Mcr, Msr, TRIGGER_LEVELS } from './registers.ts';

/** What a UART is connected to. */
export interface UartPins {
  /** One character leaves the transmitter. */
  transmit(character: number): void;
  /** The next character on the line, or undefined when there is none. Asked only when there is room for it. */
  receive(): number | undefined;
  /** Has the interrupt output at this level; called after each change of state, also when the level is the same. */
  setInterrupt(asserted: boolean): void;
  /** Calls {@link Uart.characterTimeout} once the receiver has been left alone for four characters. */
  watchReceiver(): void;
}

/** State of a {@link Uart}, to be saved. */
export interface UartState {
  readonly ier: number;
  readonly fcr: number;
  readonly lcr: number;
  readonly mcr: number;
  readonly lsr: number;
  readonly msr: number;
  readonly scr: number;
  readonly divisor: number;
  readonly fifo: readonly number[];
  readonly isTransmitterPending: boolean;
  readonly isTimeoutPending: boolean;
  readonly lines: number;
}

/** State after a reset (PC16550D, table III). The divisor and the scratch register are not touched by it. */
const AFTER_RESET = {
  ier: 0,
  fcr: 0,
  lcr: 0,
  mcr: 0,
  lsr: Lsr.HOLDING_EMPTY | Lsr.EMPTY,
  msr: 0,
  fifo: [],
  isTransmitterPending: false,
  isTimeoutPending: false,
} as const;

/**
 * A 16550A UART, without a bus around it. The transmitter takes no time: its FIFO is always empty. The far end never
 * overruns the receiver, as it sends only while RTS is set and there is room.
 */
export class Uart {
  readonly #pins: UartPins;
  #state: { -readonly [K in keyof UartState]: UartState[K] };
  readonly #fifo = new Uint8Array(FIFO_LENGTH);
  #first = 0;
  #count = 0;

  constructor(pins: UartPins) {
    this.#pins = pins;
    this.#state = { ...AFTER_RESET, divisor: 0, scr: 0, lines: 0 };
  }

  /** Divisor and line control as the time that four characters take, in bits at a divisor of 1. */
  get fourCharacters(): number {
    const { lcr, divisor } = this.#state;
    const bits =
      7 + (lcr & Lcr.WORD_LENGTH) + (lcr & Lcr.STOP ? 1 : 0) + (lcr & Lcr.PARITY ? 1 : 0);
    return 4 * bits * Math.max(divisor, 1);
  }

  /** Characters that wait in the receiver. */
  get received(): number {
    return this.#count;
  }

  read(offset: number): number {
    const state = this.#state;
    const isLatch = (state.lcr & Lcr.DIVISOR_LATCH) !== 0;
    switch (offset) {
      case 0:
        return isLatch ? state.divisor & 0xff : this.#readReceiver();
      case 1:
        return isLatch ? state.divisor >> 8 : state.ier;
      case 2:
        return this.#readIdentification();
      case 3:
        return state.lcr;
      case 4:
        return state.mcr;
      case 5:
        return this.#readLineStatus();
      case 6:
        return this.#readModemStatus();
      default:
        return state.scr;
    }
  }

  write(offset: number, value: number): void {
    const state = this.#state;
    const isLatch = (state.lcr & Lcr.DIVISOR_LATCH) !== 0;
    if (offset === 0 && isLatch) state.divisor = (state.divisor & 0xff00) | value;
    else if (offset === 0) this.#writeTransmitter(value);
    else if (offset === 1 && isLatch) state.divisor = (state.divisor & 0xff) | (value << 8);
    else if (offset === 1) this.#writeInterruptEnable(value & 0xf);
    else if (offset === 2) this.#writeFifoControl(value);
    else if (offset === 3) state.lcr = value;
    else if (offset === 4) this.#writeModemControl(value & 0x1f);
    else if (offset === 7) state.scr = value;
    this.#settle();
  }

  /** Levels of CTS, DSR, RI and DCD, as in the upper half of MSR. */
  setLines(lines: number): void {
    this.#state.lines = lines & 0xf0;
    this.#settle();
  }

  /** There may be something to receive. */
  poll(): void {
    this.#settle();
  }

  /** Four character times went by and nobody read the receiver (PC16550D, 8.6). */
  characterTimeout(): void {
    if (this.#count > 0 && this.#state.fcr & Fcr.ENABLE) this.#state.isTimeoutPending = true;
    this.#settle();
  }

  reset(): void {
    const { divisor, scr, lines } = this.#state;
    this.#state = { ...AFTER_RESET, divisor, scr, lines };
    this.#clearReceiver();
    this.#updateModemStatus();
    this.#state.msr &= 0xf0;
    this.#pins.setInterrupt(false);
  }

  save(): UartState {
    const fifo: number[] = [];
    for (let i = 0; i < this.#count; i++) fifo.push(this.#fifo[(this.#first + i) % FIFO_LENGTH]!);
    return { ...this.#state, fifo };
  }

  restore(state: UartState): void {
    this.#state = { ...state };
    this.#clearReceiver();
    for (const character of state.fifo) this.#push(character);
    this.#state.isTimeoutPending = state.isTimeoutPending;
  }

  get #interruptId(): number {
    const { ier, lsr, msr, isTimeoutPending, isTransmitterPending } = this.#state;
    if (ier & Ier.LINE && lsr & Lsr.OVERRUN) return Iir.LINE;
    if (ier & Ier.RECEIVED && this.#count >= this.#trigger) return Iir.RECEIVED;
    if (ier & Ier.RECEIVED && isTimeoutPending) return Iir.CHARACTER_TIMEOUT;
    if (ier & Ier.TRANSMITTER_EMPTY && isTransmitterPending) return Iir.TRANSMITTER_EMPTY;
    if (ier & Ier.MODEM && msr & 0x0f) return Iir.MODEM;
    return Iir.NONE;
  }

  get #trigger(): number {
    const { fcr } = this.#state;
    return fcr & Fcr.ENABLE ? TRIGGER_LEVELS[fcr >> Fcr.TRIGGER_SHIFT]! : 1;
  }

  get #capacity(): number {
    return this.#state.fcr & Fcr.ENABLE ? FIFO_LENGTH : 1;
  }

  #readReceiver(): number {
    if (this.#count === 0) return 0;
    const character = this.#fifo[this.#first]!;
    this.#first = (this.#first + 1) % FIFO_LENGTH;
    this.#count -= 1;
    this.#state.isTimeoutPending = false;
    this.#settle();
    return character;
  }

  /** Reading the identification acknowledges an empty transmitter, when that is what it says (8.6). */
  #readIdentification(): number {
    const id = this.#interruptId;
    if (id === Iir.TRANSMITTER_EMPTY) {
      this.#state.isTransmitterPending = false;
      this.#settle();
    }
    return this.#state.fcr & Fcr.ENABLE ? id | Iir.FIFOS : id;
  }

  #readLineStatus(): number {
    const value = this.#state.lsr | (this.#count > 0 ? Lsr.DATA_READY : 0);
    this.#state.lsr &= ~Lsr.OVERRUN;
    this.#settle();
    return value;
  }

  #readModemStatus(): number {
    const value = this.#state.msr;
    this.#state.msr &= 0xf0;
    this.#settle();
    return value;
  }

  #writeTransmitter(value: number): void {
    const { lcr, mcr } = this.#state;
    const character = value & (0xff >> (3 - (lcr & Lcr.WORD_LENGTH)));
    if (!(mcr & Mcr.LOOPBACK)) this.#pins.transmit(character);
    else if (this.#count < this.#capacity) this.#push(character);
    else this.#overrun(character);
    this.#state.isTransmitterPending = true;
  }

  /** With FIFOs the character in the shift register is lost, without them the one in the buffer (8.4). */
  #overrun(character: number): void {
    if (!(this.#state.fcr & Fcr.ENABLE)) this.#fifo[this.#first] = character;
    this.#state.lsr |= Lsr.OVERRUN;
  }

  /** Enabling the interrupt of an empty transmitter raises it (8.6). */
  #writeInterruptEnable(value: number): void {
    const enabled = value & ~this.#state.ier;
    this.#state.ier = value;
    if (enabled & Ier.TRANSMITTER_EMPTY) this.#state.isTransmitterPending = true;
  }

  #writeFifoControl(value: number): void {
    const isToggled = ((value ^ this.#state.fcr) & Fcr.ENABLE) !== 0;
    if (isToggled || value & Fcr.CLEAR_RECEIVER) this.#clearReceiver();
    this.#state.fcr = value & Fcr.ENABLE ? value & 0xc9 : 0;
  }

  #writeModemControl(value: number): void {
    this.#state.mcr = value;
    this.#updateModemStatus();
  }

  /** Levels from the far end, or from MCR in loopback (8.8); what changed is kept until MSR is read. */
  #updateModemStatus(): void {
    const { mcr, msr, lines } = this.#state;
    let levels = lines;
    if (mcr & Mcr.LOOPBACK) {
      levels =
        (mcr & Mcr.RTS ? Msr.CTS : 0) |
        (mcr & Mcr.DTR ? Msr.DSR : 0) |
        (mcr & Mcr.OUT1 ? Msr.RI : 0) |
        (mcr & Mcr.OUT2 ? Msr.DCD : 0);
    }
    const changed = (levels ^ msr) & 0xf0;
    let delta = (changed >> 4) & (Msr.DELTA_CTS | Msr.DELTA_DSR | Msr.DELTA_DCD);
    if (changed & Msr.RI && !(levels & Msr.RI)) delta |= Msr.TRAILING_RI;
    this.#state.msr = levels | (msr & 0x0f) | delta;
  }

  #push(character: number): void {
    this.#fifo[(this.#first + this.#count) % FIFO_LENGTH] = character;
    this.#count += 1;
  }

  #clearReceiver(): void {
    this.#first = 0;
    this.#count = 0;
    this.#state.isTimeoutPending = false;
  }

  /** Takes what the line has, then recomputes the interrupt output from the state. */
  #settle(): void {
    this.#updateModemStatus();
    const isOpen = (this.#state.mcr & (Mcr.RTS | Mcr.LOOPBACK)) === Mcr.RTS;
    while (isOpen && this.#count < this.#capacity) {
      const character = this.#pins.receive();
      if (character === undefined) break;
      this.#push(character & (0xff >> (3 - (this.#state.lcr & Lcr.WORD_LENGTH))));
    }
    if (this.#count > 0 && this.#count < this.#trigger) this.#pins.watchReceiver();
    this.#pins.setInterrupt(this.#interruptId !== Iir.NONE);
  }
}
