/**
 * A PCI serial port with a 16550A UART. Stock driver: 8250_pci, which makes a /dev/ttyS of it. What the guest sends
 * arrives at `onOutput`, in the file named by `log=FILE`, and at the program connected to `socket=PATH`; what
 * `input` is given, or the program sends, arrives in the guest.
 */
import { appendFileSync } from 'node:fs';
import { intx, mmio, PciDevice, type Timer } from 'hdvkit';
import { HostSocket } from '../host-socket.ts';
import { checkStateVersion } from '../state-version.ts';
import { ByteQueue } from './byte-queue.ts';
import { Board, Msr, UART } from './registers.ts';
import { Uart, type UartState } from './uart.ts';

/** Bytes of output that are gathered before they are handed over at once. */
const OUTPUT_LENGTH = 4096;

/** Bytes from the socket that may wait for the guest before the sender is held back. */
const HIGH_WATER = 0x1_0000;

/**
 * Characters that arrive in one go. A driver reads until there is nothing left: without a pause it would never leave its
 * interrupt handler, and could not hold the far end back by RTS.
 */
const BURST = 64;

/** Version of what `save` gives. */
const STATE_VERSION = 1;

interface SerialState {
  readonly version: typeof STATE_VERSION;
  readonly uart: UartState;
  /** What waited to be received, as base64. */
  readonly input: string;
}

/** One serial port on a memory BAR. */
export class Serial16550 extends PciDevice {
  override readonly identity = {
    vendorId: Board.VENDOR,
    deviceId: Board.DEVICE,
    classCode: Board.CLASS_CODE,
    subsystemVendorId: Board.VENDOR,
    subsystemId: Board.DEVICE,
  };
  override readonly interrupts = intx();

  /** Called with what the guest sent, soon after it did. The bytes are the callee's. */
  onOutput: ((bytes: Buffer) => void) | undefined;

  readonly #uart = new Uart({
    transmit: (character) => this.#transmit(character),
    receive: () => this.#receive(),
    setInterrupt: (asserted) => this.#setInterrupt(asserted),
    watchReceiver: () => this.#watchReceiver(),
  });

  readonly regs = UART.bind({
    RBR_THR_DLL: this.#wire(0),
    IER_DLM: this.#wire(1),
    IIR_FCR: this.#wire(2),
    LCR: this.#wire(3),
    MCR: this.#wire(4),
    LSR: this.#wire(5),
    MSR: this.#wire(6),
    SCR: this.#wire(7),
  });
  override readonly bars = { 0: mmio(Board.BAR_SIZE, { [Board.UART]: this.regs }) };

  readonly #input = new ByteQueue();
  readonly #output = Buffer.alloc(OUTPUT_LENGTH);
  #outputLength = 0;
  #isRunning = false;
  #flushTimer: Timer | undefined;
  #receiverTimer: Timer | undefined;
  #burst = BURST;
  #received = 0;
  #logPath: string | undefined;
  #socket: HostSocket | undefined;
  #configuration = '';

  /** Sends bytes to the guest; they wait here until its driver is ready for them. */
  input(bytes: Uint8Array): void {
    this.#input.push(bytes);
    this.#uart.poll();
  }

  /** Bytes that the guest has not taken yet. */
  get waiting(): number {
    return this.#input.length + this.#uart.received;
  }

  /** Connects or disconnects the far end: CTS, DSR and DCD. It is connected from the start when there is no socket. */
  setCarrier(isConnected: boolean): void {
    this.#uart.setLines(isConnected ? Msr.CTS | Msr.DSR | Msr.DCD : 0);
  }

  /** `log=FILE` appends what the guest sends to a file; `socket=PATH` listens for a program to talk to the guest. */
  override configure(strings: readonly string[]): void {
    const configuration = strings.join('\n');
    if (configuration === this.#configuration) return; // told again after a reset
    for (const text of strings) {
      const [, key, value] = /^(log|socket)=(.+)$/.exec(text) ?? [];
      if (key === 'log') this.#logPath = value;
      else if (key === 'socket') this.#socket = this.#listen(value!);
      else throw new RangeError(`Cannot use '${text}': say log=FILE or socket=PATH`);
    }
    this.#configuration = configuration;
  }

  override start(): void {
    this.#isRunning = true;
    this.setCarrier(this.#socket === undefined);
    this.#socket?.open();
  }

  override stop(): void {
    this.#flush();
    this.#isRunning = false;
    this.#receiverTimer = undefined;
    this.#burst = BURST;
    this.#socket?.close();
  }

  override reset(): void {
    this.#flush();
    this.#receiverTimer = undefined;
    this.#burst = BURST;
    this.#uart.reset();
  }

  override save(): SerialState {
    const input = this.#input.peek().toString('base64');
    return { version: STATE_VERSION, uart: this.#uart.save(), input };
  }

  override restore(state: unknown): void {
    checkStateVersion(this.constructor.name, state, STATE_VERSION);
    const { uart, input } = state as SerialState;
    this.#uart.restore(uart);
    this.#input.clear();
    this.#input.push(Buffer.from(input, 'base64'));
  }

  #wire(offset: number) {
    return {
      read: () => this.#uart.read(offset),
      write: (value: number) => this.#uart.write(offset, value),
    };
  }

  #listen(path: string): HostSocket {
    return new HostSocket(path, {
      connected: () => this.setCarrier(true),
      disconnected: () => this.setCarrier(false),
      received: (bytes) => {
        this.input(bytes);
        if (this.#input.length > HIGH_WATER) this.#socket?.hold(true);
      },
    });
  }

  #receive(): number | undefined {
    if (this.#burst === 0) return undefined;
    const character = this.#input.shift();
    if (this.#input.length === 0) this.#socket?.hold(false);
    if (character === undefined) return undefined;
    this.#received += 1;
    this.#burst -= 1;
    if (this.#burst === 0) this.clock.after(1, () => this.#nextBurst());
    return character;
  }

  #nextBurst(): void {
    this.#burst = BURST;
    this.#uart.poll();
  }

  #transmit(character: number): void {
    this.#output[this.#outputLength] = character;
    this.#outputLength += 1;
    if (this.#outputLength === OUTPUT_LENGTH) this.#flush();
    else this.#flushTimer ??= this.clock.after(0, () => this.#flush());
  }

  #flush(): void {
    this.#flushTimer?.cancel();
    this.#flushTimer = undefined;
    if (this.#outputLength === 0) return;
    const bytes = Buffer.from(this.#output.subarray(0, this.#outputLength));
    this.#outputLength = 0;
    if (this.#logPath !== undefined) appendFileSync(this.#logPath, bytes);
    this.#socket?.send(bytes);
    this.onOutput?.(bytes);
  }

  #setInterrupt(asserted: boolean): void {
    if (!this.#isRunning) return;
    if (asserted) this.interrupts.assert();
    else this.interrupts.deassert();
  }

  /** One timer at a time; it starts again as long as characters come or go. */
  #watchReceiver(): void {
    if (!this.#isRunning || this.#receiverTimer !== undefined) return;
    const { received } = this.#uart;
    const total = this.#received;
    const ms = (1000 * this.#uart.fourCharacters) / Board.BASE_RATE;
    this.#receiverTimer = this.clock.after(ms, () => {
      this.#receiverTimer = undefined;
      if (received === this.#uart.received && total === this.#received) {
        this.#uart.characterTimeout();
      } else if (this.#uart.received > 0) {
        this.#watchReceiver();
      }
    });
  }
}
