import type { PciHost } from '../../pci/host.ts';

type Clock = PciHost['clock'];
type Timer = ReturnType<Clock['after']>;

/** Timers that may fire at one instant before time is declared stuck. */
const STUCK = 1_000_000;

class VirtualTimer implements Timer {
  readonly due: number;
  readonly sequence: number;
  fn: (() => void) | undefined;

  constructor(due: number, sequence: number, fn: () => void) {
    this.due = due;
    this.sequence = sequence;
    this.fn = fn;
  }

  cancel(): void {
    this.fn = undefined;
  }
}

/**
 * Time that passes only in {@link VirtualClock.advance}. Timers fire in the order of their due times; those due
 * together, in the order in which they were set.
 */
export class VirtualClock implements Clock {
  #now = 0;
  #sequence = 0;
  /** A binary heap: children of `i` at `2i + 1` and `2i + 2`, the earliest at 0. */
  readonly #heap: VirtualTimer[] = [];

  /** Milliseconds since power-on. */
  get now(): number {
    return this.#now;
  }

  after(ms: number, fn: () => void): Timer {
    const timer = new VirtualTimer(this.#now + Math.max(ms || 0, 0), this.#sequence++, fn);
    this.#push(timer);
    return timer;
  }

  /**
   * Lets `ms` pass, firing what is due on the way, what is set meanwhile included.
   * @throws RangeError when `ms` is negative or not finite
   * @throws Error when timers keep each other alive at one instant, so that time cannot go on
   */
  advance(ms: number): void {
    if (!(ms >= 0 && ms < Number.POSITIVE_INFINITY)) {
      throw new RangeError(`Cannot advance time by ${ms} ms: it must be 0 or more, and finite`);
    }
    const end = this.#now + ms;
    let atThisInstant = 0;
    for (let next = this.#heap[0]; next !== undefined && next.due <= end; next = this.#heap[0]) {
      this.#pop();
      const { fn } = next;
      if (fn === undefined) continue;
      if (next.due > this.#now) atThisInstant = 0;
      if (++atThisInstant > STUCK) {
        throw new Error(
          `Cannot advance time past ${this.#now} ms: ${STUCK} timers fired at that instant; give clock.after a delay above 0`,
        );
      }
      this.#now = Math.max(this.#now, next.due);
      next.fn = undefined;
      fn();
    }
    // A timer may have advanced time further than this call does.
    this.#now = Math.max(this.#now, end);
  }

  /** Number of timers that are set. */
  get pending(): number {
    return this.#heap.filter((timer) => timer.fn !== undefined).length;
  }

  #push(timer: VirtualTimer): void {
    const heap = this.#heap;
    let i = heap.length;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      const above = heap[parent]!;
      if (!earlier(timer, above)) break;
      heap[i] = above;
      i = parent;
    }
    heap[i] = timer;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && earlier(heap[child + 1]!, heap[child]!)) child++;
      if (!earlier(heap[child]!, last)) break;
      heap[i] = heap[child]!;
      i = child;
    }
    heap[i] = last;
  }
}

function earlier(a: VirtualTimer, b: VirtualTimer): boolean {
  return a.due < b.due || (a.due === b.due && a.sequence < b.sequence);
}
