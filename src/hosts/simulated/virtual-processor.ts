import type { SimulatedMachine } from '../../engines/simulated/machine.ts';

/** How long {@link VirtualProcessor.wait} waits at once, so that it sees when nothing is left to wait for. */
const SLICE_MS = 1000;

/**
 * A processor of a simulated machine, on a thread of its own. It shares RAM with the other processors; each has its own
 * view of the bus and takes the interrupts that are sent to it.
 */
export class VirtualProcessor {
  /** Counts from 0. */
  readonly id: number;
  /** Processors of the machine. */
  readonly count: number;
  /**
   * The machine as this processor sees it. `read` and `write` are its loads and stores: those to devices wait for the
   * device's thread, except that writes to BARs are posted. Time is real, and `advance` blocks.
   */
  readonly machine: SimulatedMachine;
  /** What `argument` was when the program was started, cloned. */
  readonly argument: unknown;
  readonly #isShutDownRequested: () => boolean;

  /** @internal */
  constructor(machine: SimulatedMachine, argument: unknown, isShutDownRequested: () => boolean) {
    this.id = machine.processor.id;
    this.count = machine.processor.count;
    this.machine = machine;
    this.argument = argument;
    this.#isShutDownRequested = isShutDownRequested;
  }

  /** Has the host asked the guest to shut down? Then it calls `machine.powerOff()` when it is ready. */
  get shutDownRequested(): boolean {
    return this.#isShutDownRequested();
  }

  /**
   * Blocks until `isOver`, which is asked after each arrival of interrupts at this processor, or until the host asks the
   * guest to shut down.
   * @returns whether `isOver` within `timeoutMs`
   */
  wait(isOver: () => boolean, timeoutMs = Number.POSITIVE_INFINITY): boolean {
    const end = performance.now() + timeoutMs;
    for (;;) {
      if (isOver()) return true;
      const left = end - performance.now();
      if (left <= 0 || this.shutDownRequested) return false;
      this.machine.idle(Math.min(left, SLICE_MS));
    }
  }

  /**
   * Words of RAM for `Atomics`, which all processors share: that is how they find out about each other.
   * @param gpa a multiple of 4
   * @throws RangeError when it is not all RAM
   */
  words(gpa: number, count: number): Int32Array {
    const window = gpa % 4 === 0 ? this.machine.ram.windowAt(gpa, 4 * count) : undefined;
    if (window === undefined) {
      throw new RangeError(`Cannot use ${count} words at 0x${gpa.toString(16)}: not aligned RAM`);
    }
    return new Int32Array(window.buffer, gpa - window.gpa, count);
  }
}

/**
 * What a module of a guest program exports by default. It runs once on each processor; what it returns is cloned to
 * whoever started it.
 */
export type GuestProgram = (processor: VirtualProcessor) => unknown;
