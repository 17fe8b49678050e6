/**
 * A digital I/O card: 16 outputs, 16 inputs, an interrupt when an input changes. Stock driver: gpio-pci-idio-16, whose
 * lines 0 to 15 are the outputs and 16 to 31 the inputs. The other end is `inputs`, `outputs` and `onOutput` in this
 * process, or a program on the host that is connected to `socket=PATH`.
 */
import { intx, mmio, PciDevice } from 'hdvkit';
import { HostSocket } from '../host-socket.ts';
import { checkStateVersion } from '../state-version.ts';
import { Board, FILTER_MS, IDIO_16, IrqStatus } from './registers.ts';

/** Version of what `save` gives. */
const STATE_VERSION = 1;

interface GpioState {
  readonly version: typeof STATE_VERSION;
  readonly inputs: number;
  readonly sampled: number;
  readonly changed: number;
  readonly isEnabled: boolean;
  readonly isFiltered: boolean;
}

/** ACCES I/O PCI-IDIO-16. */
export class GpioIdio16 extends PciDevice {
  override readonly identity = {
    vendorId: Board.VENDOR,
    deviceId: Board.DEVICE,
    classCode: Board.CLASS_CODE,
    subsystemVendorId: Board.VENDOR,
    subsystemId: Board.DEVICE,
  };
  override readonly interrupts = intx();

  /** Called with all 16 outputs when the guest changed one. */
  onOutput: ((outputs: number) => void) | undefined;

  readonly regs = IDIO_16.bind({
    OUT0_7: { write: () => this.#drive() },
    IN0_7: { read: () => this.#sampled & 0xff, write: () => this.#clear() },
    IRQ_CTL: { read: () => this.#enable(true), write: () => this.#enable(false) },
    FILTER_CTL: { read: () => this.#filter(true), write: () => this.#filter(false) },
    OUT8_15: { write: () => this.#drive() },
    IN8_15: { read: () => this.#sampled >> 8 },
    IRQ_STATUS: { read: () => this.#changed | (this.#changed === 0 ? 0 : IrqStatus.PENDING) },
  });
  override readonly bars = { [Board.BAR]: mmio(Board.BAR_SIZE, { 0: this.regs }) };

  /** Levels at the terminals. */
  #inputs = 0;
  /** Levels behind the filters: what the guest reads. */
  #sampled = 0;
  /** Halves that changed since the guest cleared the interrupt. */
  #changed = 0;
  #isEnabled = false;
  #isFiltered = false;
  #driven = 0;
  #isRunning = false;
  #isLooped = false;
  #socket: HostSocket | undefined;
  #configuration = '';

  /** Levels at the 16 inputs, input 0 in bit 0. */
  get inputs(): number {
    return this.#inputs;
  }

  set inputs(levels: number) {
    this.#inputs = levels & 0xffff;
    if (!this.#isRunning) return;
    if (this.#isFiltered) this.#settleLater();
    else this.#sample();
  }

  /** Levels of the 16 outputs, output 0 in bit 0. */
  get outputs(): number {
    return (this.regs.OUT8_15 << 8) | this.regs.OUT0_7;
  }

  /**
   * `inputs=0x00ff` sets the inputs, `loopback=on` wires output n to input n, `socket=PATH` listens for a program,
   * which sends lines such as `in 0x00ff` and gets lines such as `out 0x0001`.
   */
  override configure(strings: readonly string[]): void {
    const configuration = strings.join('\n');
    if (configuration === this.#configuration) return; // told again after a reset
    for (const text of strings) {
      const inputs = /^inputs=(0x[0-9a-f]{1,4})$/i.exec(text)?.[1];
      const path = /^socket=(.+)$/.exec(text)?.[1];
      if (inputs !== undefined) this.inputs = Number(inputs);
      else if (text === 'loopback=on') this.#isLooped = true;
      else if (path !== undefined) this.#socket = this.#listen(path);
      else {
        throw new RangeError(`Cannot use '${text}': say inputs=0x0000, loopback=on or socket=PATH`);
      }
    }
    this.#configuration = configuration;
  }

  override start(): void {
    this.#isRunning = true;
    this.#socket?.open();
    if (this.#isFiltered) this.#settleLater();
    else this.#sample();
    this.#updateInterrupt();
  }

  override stop(): void {
    this.#isRunning = false;
    this.#socket?.close();
  }

  /** Outputs are off after a reset, which the far end sees; its own levels stay. */
  override reset(): void {
    this.#changed = 0;
    this.#isEnabled = false;
    this.#isFiltered = false;
    this.#drive();
    this.#sampled = this.#inputs;
    this.#updateInterrupt();
  }

  override save(): GpioState {
    return {
      version: STATE_VERSION,
      inputs: this.#inputs,
      sampled: this.#sampled,
      changed: this.#changed,
      isEnabled: this.#isEnabled,
      isFiltered: this.#isFiltered,
    };
  }

  override restore(state: unknown): void {
    checkStateVersion(this.constructor.name, state, STATE_VERSION);
    const { inputs, sampled, changed, isEnabled, isFiltered } = state as GpioState;
    this.#inputs = inputs;
    this.#sampled = sampled;
    this.#changed = changed;
    this.#isEnabled = isEnabled;
    this.#isFiltered = isFiltered;
    this.#driven = this.outputs;
  }

  #drive(): void {
    const { outputs } = this;
    if (outputs === this.#driven) return;
    this.#driven = outputs;
    this.onOutput?.(outputs);
    this.#socket?.send(`out ${hex(outputs)}\n`);
    if (this.#isLooped) this.inputs = outputs;
  }

  /** A change that does not last does not pass the filter. */
  #settleLater(): void {
    const levels = this.#inputs;
    this.clock.after(FILTER_MS, () => {
      if (this.#inputs === levels) this.#sample();
    });
  }

  #sample(): void {
    const changed = this.#sampled ^ this.#inputs;
    this.#sampled = this.#inputs;
    if (!this.#isEnabled) return;
    if (changed & 0x00ff) this.#changed |= IrqStatus.IN0_7;
    if (changed & 0xff00) this.#changed |= IrqStatus.IN8_15;
    this.#updateInterrupt();
  }

  #clear(): void {
    this.#changed = 0;
    this.#updateInterrupt();
  }

  #enable(isEnabled: boolean): number {
    this.#isEnabled = isEnabled;
    this.#updateInterrupt();
    return 0;
  }

  #filter(isFiltered: boolean): number {
    this.#isFiltered = isFiltered;
    if (!isFiltered) this.#sample();
    return 0;
  }

  #updateInterrupt(): void {
    if (this.#isEnabled && this.#changed !== 0) this.interrupts.assert();
    else this.interrupts.deassert();
  }

  #listen(path: string): HostSocket {
    let text = '';
    return new HostSocket(path, {
      connected: () => this.#socket?.send(`out ${hex(this.outputs)}\n`),
      received: (bytes) => {
        const lines = (text + Buffer.from(bytes).toString('latin1')).split('\n');
        text = lines.pop()!.slice(-64);
        for (const line of lines) this.#obey(line.trim());
      },
    });
  }

  #obey(line: string): void {
    const levels = /^in (0x[0-9a-f]{1,4})$/i.exec(line)?.[1];
    if (levels === undefined) this.#socket?.send(`error: say 'in 0x0000', not '${line}'\n`);
    else this.inputs = Number(levels);
  }
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(4, '0')}`;
}
