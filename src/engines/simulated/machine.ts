import { ALL_ONES } from '../../pci/bar-router.ts';
import type { PciHost } from '../../pci/host.ts';
import { AddressMap } from './address-map.ts';
import { GuestRam, type ReadOnlyRange } from './guest-ram.ts';
import { InterruptLine, InterruptQueue } from './interrupts.ts';
import { SeededRandom } from './random.ts';
import { RootComplex, type Slot, type SlotFunction } from './root-complex.ts';
import { VirtualClock } from './virtual-clock.ts';

/** How a {@link SimulatedMachine} is built. */
export interface SimulatedMachineOptions {
  /** Seed of {@link SimulatedMachine.random}. */
  readonly seed?: number;
  /** RAM in bytes, a multiple of 4096. */
  readonly memory?: number;
  /** Parts of RAM that devices may not write. */
  readonly readOnly?: readonly ReadOnlyRange[];
}

/** How a guest program ended its machine. */
export type MachineEnd =
  | { readonly kind: 'powerOff' }
  | { readonly kind: 'crash'; readonly report: string };

/** Bytes of RAM of a machine that was not told. */
const DEFAULT_MEMORY = 64 * 1024 * 1024;

/**
 * A machine in this process: RAM, a PCI Express bus, interrupts and virtual time. Guest programs are TypeScript that
 * calls `read` and `write` as processors would; nothing happens between calls, and time passes only in `advance`.
 */
export class SimulatedMachine {
  readonly ram: GuestRam;
  readonly bus = new RootComplex();
  readonly interrupts = new InterruptQueue();
  readonly clock = new VirtualClock();
  readonly random: SeededRandom;
  /** Called when the host asks the guest to shut down; guest programs set it and then call {@link powerOff}. */
  onShutDown: (() => void) | undefined;
  /** Called once when the guest ends the machine. Set by the engine. */
  onEnd: ((end: MachineEnd) => void) | undefined;
  #isPaused = false;

  constructor({ seed = 1, memory = DEFAULT_MEMORY, readOnly = [] }: SimulatedMachineOptions = {}) {
    this.ram = new GuestRam(memory, readOnly);
    this.random = new SeededRandom(seed);
  }

  /**
   * What a function needs of this machine, for a function that is not attached through HDV.
   * @param line the line to plug the function with
   */
  portFor(line: InterruptLine, report: PciHost['report']): PciHost {
    return {
      capabilities: { commandRegister: 'forwarded', intx: true },
      memory: this.ram,
      clock: this.clock,
      deliverInterrupt: (address, data) => this.deliverMessage(address, data),
      setInterruptLine: (asserted) => line.set(asserted),
      report,
    };
  }

  /** Puts an initialized function on the bus. The caller starts it. */
  plug(fn: SlotFunction, line: InterruptLine = new InterruptLine(), device?: number): Slot {
    return this.bus.plug(fn, fn.getDetails().probedBars, line, device);
  }

  /** Takes a function off the bus. The caller has stopped it. */
  unplug(slot: Slot): void {
    this.bus.unplug(slot);
  }

  /**
   * A message from a device: a 4-byte write, which is an interrupt at the addresses that mean one, and elsewhere what
   * any write is (PCIe 6.0, 6.1.4).
   */
  deliverMessage(address: number, data: number): void {
    if (InterruptQueue.decodes(address)) {
      this.interrupts.push(address, data, this.clock.now);
      return;
    }
    const word = Buffer.allocUnsafe(4);
    word.writeUInt32LE(data >>> 0);
    this.ram.write(address, word);
  }

  /** A processor's load. Addresses that nothing claims read all ones. */
  read(gpa: number, width: 1 | 2 | 4): number {
    const ram = this.ram.windowAt(gpa, width);
    if (ram !== undefined) {
      let value = 0;
      for (let i = 0; i < width; i++) value |= ram.bytes[gpa - ram.gpa + i]! << (8 * i);
      return value >>> 0;
    }
    const config = gpa - AddressMap.ECAM;
    if (config < 0 || config >= AddressMap.ECAM_SIZE) return this.bus.read(gpa, width);
    const device = ecamDevice(config);
    return device < 0 ? ALL_ONES[width]! : this.bus.readConfig(device, config & 0xfff, width);
  }

  /** A processor's store. */
  write(gpa: number, width: 1 | 2 | 4, value: number): void {
    const ram = this.ram.windowAt(gpa, width);
    if (ram !== undefined) {
      for (let i = 0; i < width; i++) ram.bytes[gpa - ram.gpa + i] = value >>> (8 * i);
      return;
    }
    const config = gpa - AddressMap.ECAM;
    if (config < 0 || config >= AddressMap.ECAM_SIZE) {
      this.bus.write(gpa, width, value);
      return;
    }
    const device = ecamDevice(config);
    if (device >= 0) this.bus.writeConfig(device, config & 0xfff, width, value);
  }

  /** Lets `ms` of machine time pass; none while the machine is paused. */
  advance(ms: number): void {
    if (!this.#isPaused) this.clock.advance(ms);
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** Stops time. Whoever pauses the machine has stopped its functions. */
  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
  }

  /** Asks the guest to shut down; false when no guest program listens. */
  requestShutDown(): boolean {
    if (this.onShutDown === undefined) return false;
    this.onShutDown();
    return true;
  }

  /** The guest turns the machine off. */
  powerOff(): void {
    this.#end({ kind: 'powerOff' });
  }

  /** The guest gives up, with what an operator should read. */
  crash(report: string): void {
    this.#end({ kind: 'crash', report });
  }

  /** The reset line: every function is reset, interrupts in flight are gone, RAM keeps its bytes, time goes on. */
  reset(): void {
    for (const slot of this.bus.slots) {
      slot.line.set(false);
      slot.function.reset?.('cold');
    }
    this.interrupts.take();
    this.bus.refresh();
  }

  #end(end: MachineEnd): void {
    const { onEnd } = this;
    this.onEnd = undefined;
    onEnd?.(end);
  }
}

/** Device number of an ECAM offset, or -1: bus 0 and function 0 only (PCIe 6.0, 7.2.2). */
function ecamDevice(offset: number): number {
  const bus = offset >>> 20;
  const fn = (offset >>> 12) & 7;
  return bus === 0 && fn === 0 ? (offset >>> 15) & 31 : -1;
}
