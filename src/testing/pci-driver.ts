import type { SimulatedMachine } from '../engines/simulated/machine.ts';
import type { Slot } from '../engines/simulated/root-complex.ts';
import { GuestConfigSpace } from './config-space.ts';
import { GuestBar } from './guest-bar.ts';
import { GuestInterrupts } from './guest-interrupts.ts';
import type { MessageAllocator } from './message-allocator.ts';
import type { RangeAllocator } from './range-allocator.ts';

const COMMAND = 0x04;
const MEMORY_SPACE = 0x2;
const BUS_MASTER = 0x4;
const BAR_0 = 0x10;
const CAPABILITY_PCI_EXPRESS = 0x10;
const DEVICE_CAPABILITIES_FLR = 0x1000_0000;
const DEVICE_CONTROL_FLR = 0x8000;

/** What a driver needs of the guest's kernel. */
export interface DriverPlatform {
  readonly machine: SimulatedMachine;
  readonly messages: MessageAllocator;
  windowFor(is64Bit: boolean): RangeAllocator;
}

/**
 * A driver in the guest that holds one function: BARs placed and decoded, bus mastering on. Everything it does is a
 * config or memory access that any driver could make.
 */
export class PciDriver {
  readonly vendorId: number;
  readonly deviceId: number;
  /** 24 bits: base class, subclass, programming interface. */
  readonly classCode: number;
  readonly config: GuestConfigSpace;
  readonly interrupts: GuestInterrupts;
  readonly #platform: DriverPlatform;
  readonly slot: Slot;
  #bars: readonly GuestBar[] = [];
  readonly #settle: () => void;

  /** @internal */
  constructor(platform: DriverPlatform, slot: Slot, settle: () => void = () => {}) {
    this.#platform = platform;
    this.slot = slot;
    this.#settle = settle;
    this.config = new GuestConfigSpace(platform.machine, slot.device, settle);
    const ids = this.config.read32(0);
    this.vendorId = ids & 0xffff;
    this.deviceId = ids >>> 16;
    this.classCode = this.config.read32(0x08) >>> 8;
    this.interrupts = new GuestInterrupts({
      config: this.config,
      messages: platform.messages,
      slot,
      bar: (n) => this.bar(n),
    });
    this.#placeBars();
  }

  /** As Linux writes it: `0000:00:04.0`. */
  get address(): string {
    return `0000:00:${this.slot.device.toString(16).padStart(2, '0')}.0`;
  }

  /** The BARs that the function has, by ascending slot. */
  get bars(): readonly GuestBar[] {
    return this.#bars;
  }

  /** @throws RangeError when the function has no BAR at this slot */
  bar(slot: number): GuestBar {
    const bar = this.#bars.find((candidate) => candidate.slot === slot);
    if (bar === undefined) {
      const slots = this.#bars.map((candidate) => candidate.slot).join(', ');
      throw new RangeError(`Cannot use BAR ${slot}: the function has ${slots || 'none'}`);
    }
    return bar;
  }

  /** Writes the BARs' addresses and turns memory decoding and bus mastering on, whatever was there before. */
  enable(): void {
    this.writeBars();
    this.config.write16(COMMAND, this.config.read16(COMMAND) | MEMORY_SPACE | BUS_MASTER);
  }

  /** Turns memory decoding on or off. */
  setMemoryDecoding(on: boolean): void {
    this.#setCommand(MEMORY_SPACE, on);
  }

  /** Turns bus mastering, and with it DMA and message-signalled interrupts, on or off. */
  setBusMastering(on: boolean): void {
    this.#setCommand(BUS_MASTER, on);
  }

  /** Vectors that arrived since the last call, in order of arrival; each assertion of INTx is vector 0. */
  takeInterrupts(): number[] {
    const taken = this.interrupts.take();
    this.#settle();
    return taken;
  }

  /**
   * Lets time pass until a vector arrives, and takes it.
   * @throws Error when it does not within `timeoutMs`
   */
  waitInterrupt(vector: number, timeoutMs = 1000): void {
    const { machine } = this.#platform;
    const end = machine.clock.now + timeoutMs;
    while (!this.interrupts.takeOne(vector)) {
      if (machine.clock.now >= end) {
        throw new Error(
          `Cannot take interrupt ${vector}: it did not arrive within ${timeoutMs} ms`,
        );
      }
      machine.idle(1);
      this.#settle();
    }
  }

  /**
   * Function-level reset, with what a driver saves and restores around it: BARs and the command register. Interrupts
   * are off afterwards (PCIe 6.0, 6.6.2).
   * @throws Error when the function cannot do it
   */
  functionLevelReset(): void {
    const at = this.config.find(CAPABILITY_PCI_EXPRESS);
    if (at === undefined || !(this.config.read32(at + 4) & DEVICE_CAPABILITIES_FLR)) {
      throw new Error('Cannot reset the function: it has no function-level reset');
    }
    const command = this.config.read16(COMMAND);
    this.config.write16(at + 8, this.config.read16(at + 8) | DEVICE_CONTROL_FLR);
    this.#platform.machine.advance(100);
    this.afterReset(command);
  }

  /** Gives the BARs' addresses and the interrupt messages back; the driver is done with the function. */
  release(): void {
    this.interrupts.forget();
    this.slot.line.onChange = undefined;
    for (const bar of this.#bars) this.#platform.windowFor(bar.is64Bit).free(bar.gpa);
    this.#bars = [];
  }

  /** Puts BARs and command register back after a reset. */
  protected afterReset(command = MEMORY_SPACE | BUS_MASTER): void {
    this.interrupts.forget();
    this.writeBars();
    this.config.write16(COMMAND, command);
  }

  /** Sizes and places every BAR (PCIe 6.0, 7.5.1.2.1), then turns memory decoding and bus mastering on. */
  #placeBars(): void {
    const command = this.config.read16(COMMAND);
    this.config.write16(COMMAND, command & ~(MEMORY_SPACE | BUS_MASTER));
    const bars: GuestBar[] = [];
    for (let slot = 0; slot < 6; slot++) {
      const low = this.#probe(slot);
      if (low === 0 || low & 1 || low === 0xffff_ffff) continue;
      const is64Bit = (low & 0x6) === 0x4;
      const high = is64Bit ? this.#probe(slot + 1) : 0xffff_ffff;
      const size = (0x1_0000_0000 - high) * 0x1_0000_0000 - (low - (low & 0xf));
      const gpa = this.#platform.windowFor(is64Bit).allocate(size, Math.max(size, 4096));
      const prefetchable = (low & 0x8) !== 0;
      const shape = { slot, size, is64Bit, prefetchable, gpa };
      bars.push(new GuestBar(this.#platform.machine, shape, this.#settle));
      if (is64Bit) slot++;
    }
    this.#bars = bars;
    this.writeBars();
    this.config.write16(COMMAND, command | MEMORY_SPACE | BUS_MASTER);
  }

  /** What a BAR register reads back after all ones; its value is put back. */
  #probe(slot: number): number {
    const offset = BAR_0 + 4 * slot;
    const before = this.config.read32(offset);
    this.config.write32(offset, 0xffff_ffff);
    const probed = this.config.read32(offset);
    this.config.write32(offset, before);
    return probed;
  }

  /** Writes the addresses into the BAR registers. */
  protected writeBars(): void {
    for (const bar of this.#bars) {
      this.config.write32(BAR_0 + 4 * bar.slot, bar.gpa % 0x1_0000_0000);
      if (bar.is64Bit) {
        this.config.write32(BAR_0 + 4 * bar.slot + 4, Math.floor(bar.gpa / 0x1_0000_0000));
      }
    }
  }

  #setCommand(bit: number, on: boolean): void {
    const command = this.config.read16(COMMAND);
    this.config.write16(COMMAND, on ? command | bit : command & ~bit);
  }
}
