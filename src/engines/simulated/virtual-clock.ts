import type { PciHost } from '../../pci/host.ts';

type Clock = PciHost['clock'];
type Timer = ReturnType<Clock['after']>;

/** Timers that may fire at one instant before time is declared stuck. */
const STUCK = 1_000_000;

class VirtualTimer implements Timer {
  readonly due: number;
  readonly sequence: number;
  readonly fn: () => void;
  /** Position in the heap, kept by {@link TimerHeap}; -1 outside. */
  place = -1;
  readonly #heap: TimerHeap;

  constructor(heap: TimerHeap, due: number, sequence: number, fn: () => void) {
    this.#heap = heap;
    this.due = due;
    this.sequence = sequence;
    this.fn = fn;
  }

  cancel(): void {
    this.#heap.remove(this);
  }
}

/** A binary heap, the earliest timer first, which timers can leave before they are due. */
class TimerHeap {
  /** Children of `i` at `2i + 1` and `2i + 2`. */
  readonly #timers: VirtualTimer[] = [];

  get size(): number {
    return this.#timers.length;
  }

  get first(): VirtualTimer | undefined {
    return this.#timers[0];
  }

  add(timer: VirtualTimer): void {
    this.#rise(timer, this.#timers.length);
  }

  /** Does nothing when the timer is not in the heap. */
  remove(timer: VirtualTimer): void {
    const { place } = timer;
    if (place < 0) return;
    timer.place = -1;
    const last = this.#timers.pop()!;
    if (last === timer) return;
    if (earlier(last, timer)) this.#rise(last, place);
    else this.#sink(last, place);
  }

  /** Puts a timer at `place` or above it. */
  #rise(timer: VirtualTimer, place: number): void {
    let i = place;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      const above = this.#timers[parent]!;
      if (!earlier(timer, above)) break;
      this.#put(above, i);
      i = parent;
    }
    this.#put(timer, i);
  }

  /** Puts a timer at `place` or below it. */
  #sink(timer: VirtualTimer, place: number): void {
    const timers = this.#timers;
    let i = place;
    for (let child = 2 * i + 1; child < timers.length; child = 2 * i + 1) {
      if (child + 1 < timers.length && earlier(timers[child + 1]!, timers[child]!)) child++;
      if (!earlier(timers[child]!, timer)) break;
      this.#put(timers[child]!, i);
      i = child;
    }
    this.#put(timer, i);
  }

  #put(timer: VirtualTimer, place: number): void {
    this.#timers[place] = timer;
    timer.place = place;
  }
}

/**
 * Time that passes only in {@link VirtualClock.advance}. Timers fire in the order of their due times; those due
 * together, in the order in which they were set.
 */
export class VirtualClock implements Clock {
  #now = 0;
  #sequence = 0;
  readonly #timers = new TimerHeap();

  /** Milliseconds since power-on. */
  get now(): number {
    return this.#now;
  }

  after(ms: number, fn: () => void): Timer {
    const due = this.#now + Math.max(ms || 0, 0);
    const timer = new VirtualTimer(this.#timers, due, this.#sequence++, fn);
    this.#timers.add(timer);
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
    const timers = this.#timers;
    for (let next = timers.first; next !== undefined && next.due <= end; next = timers.first) {
      timers.remove(next);
      if (next.due > this.#now) atThisInstant = 0;
      if (++atThisInstant > STUCK) {
        throw new Error(
          `Cannot advance time past ${this.#now} ms: ${STUCK} timers fired at that instant; give clock.after a delay above 0`,
        );
      }
      this.#now = Math.max(this.#now, next.due);
      next.fn();
    }
    // A timer may have advanced time further than this call does.
    this.#now = Math.max(this.#now, end);
  }

  /**
   * Goes on from another time, which a machine had that was saved.
   * @throws Error while timers are set
   */
  goOnFrom(ms: number): void {
    if (this.pending > 0) {
      throw new Error(`Cannot change the time to ${ms} ms: ${this.pending} timers are set`);
    }
    this.#now = ms;
  }

  /** When the next timer is due; undefined when none is set. */
  get nextDue(): number | undefined {
    return this.#timers.first?.due;
  }

  /** Number of timers that are set, which is how many are held: cancelled ones are gone at once. */
  get pending(): number {
    return this.#timers.size;
  }
}

function earlier(a: VirtualTimer, b: VirtualTimer): boolean {
  return a.due < b.due || (a.due === b.due && a.sequence < b.sequence);
}
