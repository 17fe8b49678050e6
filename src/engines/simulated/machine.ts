// Longer than most files: all that a guest program and an engine see of a machine is one object.
import { performance } from 'node:perf_hooks';
import { ALL_ONES } from '../../pci/bar-router.ts';
import type { DirectTable } from '../../pci/direct-table.ts';
import type { PciHost } from '../../pci/host.ts';
import { AddressMap } from './address-map.ts';
import { GuestRam, type RamPart, type ReadOnlyRange } from './guest-ram.ts';
import { InterruptLine, InterruptQueue } from './interrupts.ts';
import { MachineSignals } from './machine-signals.ts';
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
  /** RAM is in files, for other processes to map; false. */
  readonly memoryInFile?: boolean;
  /** The processor of a machine that another thread has: its own view of the same memory and the same bus. */
  readonly processor?: { readonly id: number; readonly count: number; readonly of: SharedMachine };
}

/** What other threads need of a machine: plain data over shared memory. */
export interface SharedMachine {
  readonly ram: readonly RamPart[];
  readonly readOnly: readonly ReadOnlyRange[];
  readonly signals: SharedArrayBuffer;
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
  /** Called when the host asks the guest to start again; guest programs set it and then call {@link reset}. */
  onReboot: (() => void) | undefined;
  /** Called when the guest has reset the machine. Set by the engine, where that ends it. */
  onReset: (() => void) | undefined;
  /** Called when the host injects a non-maskable interrupt; a machine whose guest programs set none crashes. */
  onNonMaskableInterrupt: (() => void) | undefined;
  /** Called once when the guest ends the machine. Set by the engine. */
  onEnd: ((end: MachineEnd) => void) | undefined;
  /** Whether a guest program runs on virtual processors, from before these start until they have ended. */
  runsProgram = false;
  readonly #ended = new AbortController();
  readonly #lines = new Map<number, InterruptLine>();
  #signals: MachineSignals | undefined;
  /** Which of how many processors this thread is. */
  readonly processor: { readonly id: number; readonly count: number };
  /** Whose queue of messages this thread takes from: 0 is main's. */
  readonly #queue: number;
  #isPaused = false;

  constructor({
    seed = 1,
    memory = DEFAULT_MEMORY,
    readOnly = [],
    memoryInFile = false,
    processor,
  }: SimulatedMachineOptions = {}) {
    const { ram = memory, signals, readOnly: closed = readOnly } = processor?.of ?? {};
    this.ram = new GuestRam(ram, closed, memoryInFile);
    this.random = new SeededRandom(seed);
    this.#queue = processor === undefined ? 0 : processor.id + 1;
    this.processor = { id: processor?.id ?? 0, count: processor?.count ?? 1 };
    if (signals !== undefined) this.#connect(new MachineSignals(signals));
  }

  /** Aborted when the machine has ended, however that came. */
  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  /** What the threads of this machine have in common; undefined while it has one thread only. */
  get signals(): MachineSignals | undefined {
    return this.#signals;
  }

  /**
   * Lets other threads take part, as places of devices or as processors. Time is real from now on: {@link advance}
   * blocks this thread.
   */
  share(): SharedMachine {
    const signals = this.#signals ?? this.#connect(new MachineSignals());
    return { ram: this.ram.parts, readOnly: this.ram.readOnly, signals: signals.buffer };
  }

  /**
   * Makes an interrupt line one that a device on another thread drives, by the number that this returns.
   * @param number as another processor of this machine has it; by default a new one
   */
  addLine(line: InterruptLine, number: number = this.#newLine()): number {
    this.#lines.set(number, line);
    return number;
  }

  /** Learns what lines of devices on other threads did while other processors were told. */
  refreshLines(): void {
    for (const [number, line] of this.#lines) line.set(this.#signals?.level(number) ?? false);
  }

  removeLine(number: number): void {
    this.#lines.delete(number);
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

  /**
   * Puts an initialized function on the bus. The caller starts it.
   * @param direct what is served without the function
   */
  plug(
    fn: SlotFunction,
    line: InterruptLine = new InterruptLine(),
    device?: number,
    direct?: DirectTable,
  ): Slot {
    return this.bus.plug(fn, fn.getDetails().probedBars, line, device, direct);
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
      if (this.#signals !== undefined && this.#signals.processors > 0) {
        this.#signals.sendMessage(address, data);
      } else {
        this.interrupts.push(address, data, this.clock.now);
      }
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

  /** Lets `ms` of machine time pass; none while the machine is paused. Of a shared machine, `ms` of real time. */
  advance(ms: number): void {
    if (this.#isPaused) return;
    if (this.#signals !== undefined) waitFor(ms);
    this.clock.advance(ms);
  }

  /** As {@link advance}, and of a shared machine not longer than until an interrupt arrives. */
  idle(ms: number): void {
    if (this.#signals === undefined || this.#isPaused) {
      this.advance(ms);
      return;
    }
    const before = performance.now();
    this.#signals.wait(this.#queue, ms);
    this.clock.advance(performance.now() - before);
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** Stops time and virtual processors. Whoever pauses the machine has stopped its functions. */
  pause(): void {
    this.#isPaused = true;
    if (this.#signals !== undefined) this.#signals.paused = true;
  }

  resume(): void {
    this.#isPaused = false;
    if (this.#signals !== undefined) this.#signals.paused = false;
  }

  /** Asks the guest to shut down; false when no guest program listens. */
  requestShutDown(): boolean {
    if (this.onShutDown === undefined) return false;
    this.onShutDown();
    return true;
  }

  /** Asks the guest to start again; false when no guest program listens. */
  requestReboot(): boolean {
    if (this.onReboot === undefined) return false;
    this.onReboot();
    return true;
  }

  /** A non-maskable interrupt, as HcsCrashComputeSystem injects it. */
  injectNonMaskableInterrupt(): void {
    if (this.onNonMaskableInterrupt !== undefined) this.onNonMaskableInterrupt();
    else this.crash('Non-maskable interrupt, which no guest program handles');
  }

  /** The guest turns the machine off. */
  powerOff(): void {
    this.#end({ kind: 'powerOff' });
  }

  /** The guest gives up, with what an operator should read. */
  crash(report: string): void {
    this.#end({ kind: 'crash', report });
  }

  /** The machine is gone: whoever runs in it stops. Called by the engine. */
  end(): void {
    this.#ended.abort();
  }

  /** The reset line: every function is reset, interrupts in flight are gone, RAM keeps its bytes, time goes on. */
  reset(): void {
    for (const slot of this.bus.slots) {
      slot.line.set(false);
      slot.function.reset?.('cold');
    }
    this.interrupts.take();
    this.bus.refresh();
    this.onReset?.();
  }

  #newLine(): number {
    this.share();
    return this.#signals?.newLine() ?? 0;
  }

  #connect(signals: MachineSignals): MachineSignals {
    this.#signals = signals;
    this.bus.share(signals);
    const sink = {
      message: (address: number, data: number) =>
        this.interrupts.push(address, data, this.clock.now),
      line: (number: number, asserted: boolean) => this.#lines.get(number)?.set(asserted),
    };
    this.interrupts.collect = () => signals.take(this.#queue, sink);
    return signals;
  }

  #end(end: MachineEnd): void {
    const { onEnd } = this;
    this.onEnd = undefined;
    onEnd?.(end);
  }
}

const stillness = new Int32Array(new SharedArrayBuffer(4));

/** Blocks this thread. */
function waitFor(ms: number): void {
  if (ms > 0) Atomics.wait(stillness, 0, 0, ms);
}

/** Device number of an ECAM offset, or -1: bus 0 and function 0 only (PCIe 6.0, 7.2.2). */
function ecamDevice(offset: number): number {
  const bus = offset >>> 20;
  const fn = (offset >>> 12) & 7;
  return bus === 0 && fn === 0 ? (offset >>> 15) & 31 : -1;
}
