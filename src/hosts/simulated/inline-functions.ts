import { performance } from 'node:perf_hooks';
import type { SimulatedMachine } from '../../engines/simulated/machine.ts';
import type { Slot, SlotFunction } from '../../engines/simulated/root-complex.ts';
import { SlotChannel } from '../../transport/slot/slot-channel.ts';
import type { OperationCode } from '../../transport/slot/slot-layout.ts';
import { serveSlots } from '../../transport/slot/slot-loop.ts';
import { SlotResponder, type SlotTarget } from '../../transport/slot/slot-responder.ts';
import { FunctionTarget } from './function-target.ts';

/**
 * Functions on this thread as virtual processors reach them: through slots, which this thread serves in turns of its
 * event loop. The machine's time goes on by itself meanwhile. Nothing helps when such a function does not return.
 */
export class InlineFunctions implements SlotTarget {
  readonly channel = new SlotChannel();
  readonly #machine: SimulatedMachine;
  readonly #target = new FunctionTarget();
  #numbers = new Map<SlotFunction, number>();
  #next = 0;
  #over = false;
  #timer: NodeJS.Timeout | undefined;
  #last = performance.now();

  constructor(machine: SimulatedMachine) {
    this.#machine = machine;
  }

  /** What a function is called in accesses. */
  numberOf({ function: fn, direct }: Slot): number {
    let number = this.#numbers.get(fn);
    if (number === undefined) {
      number = this.#next++;
      this.#numbers.set(fn, number);
      this.#target.set(number, fn, direct);
    }
    return number;
  }

  /** Takes functions away that are not among these. */
  keep(functions: ReadonlySet<SlotFunction>): void {
    for (const [fn, number] of this.#numbers) {
      if (functions.has(fn)) continue;
      this.#numbers.delete(fn);
      this.#target.delete(number);
    }
  }

  /** Serves until {@link InlineFunctions.stop}. */
  async serve(): Promise<void> {
    this.#last = performance.now();
    await serveSlots({
      responder: new SlotResponder(this.channel),
      target: this,
      over: () => this.#over,
      turn: () => new Promise((resolve) => setImmediate(resolve)),
      called: () => undefined,
      resting: (rests) => {
        if (rests) this.#letTimePass();
      },
    });
    clearTimeout(this.#timer);
  }

  stop(): void {
    this.#over = true;
    this.channel.call();
  }

  access(
    operation: OperationCode,
    number: number,
    bar: number,
    offset: number,
    width: number,
    value: number,
  ): number {
    return this.#target.access(operation, number, bar, offset, width, value);
  }

  /** Brings the machine's clock to now, and comes again when its next timer is due. */
  #letTimePass(): void {
    const now = performance.now();
    const { clock, isPaused } = this.#machine;
    if (!isPaused) clock.advance(now - this.#last);
    this.#last = now;
    clearTimeout(this.#timer);
    const { nextDue } = clock;
    if (nextDue === undefined || isPaused || this.#over) return;
    this.#timer = setTimeout(() => this.#letTimePass(), Math.max(1, nextDue - clock.now));
  }
}
