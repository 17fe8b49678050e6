import { performance } from 'node:perf_hooks';
import type { Clock, Timer } from '../device/services.ts';
import { LONGEST_WAIT } from './event-loop-clock.ts';

/** One pending call: a slot of the heap. `index` is -1 once it ran or was cancelled. */
class HeapTimer implements Timer {
  index = -1;
  readonly due: number;
  readonly order: number;
  readonly fn: () => void;
  readonly #clock: LoopClock;

  constructor(clock: LoopClock, due: number, order: number, fn: () => void) {
    this.#clock = clock;
    this.due = due;
    this.order = order;
    this.fn = fn;
  }

  cancel(): void {
    this.#clock.remove(this);
  }
}

/**
 * Real time for a thread that waits in the kernel and not in Node's event loop: the loop asks how long it may wait and
 * calls {@link LoopClock.runDue}, or {@link LoopClock.runNext}, when it wakes. Timers of one due time run in the order in which they were made.
 */
export class LoopClock implements Clock {
  /** Binary heap by (due, order): the parent of entry i is (i - 1) >> 1. */
  readonly #heap: HeapTimer[] = [];
  #order = 0;

  get now(): number {
    return performance.now();
  }

  after(ms: number, fn: () => void): Timer {
    const timer = new HeapTimer(this, this.now + Math.max(0, ms), this.#order++, fn);
    timer.index = this.#heap.length;
    this.#heap.push(timer);
    this.#raise(timer);
    return timer;
  }

  /** Milliseconds until the next timer, rounded up as waits have no finer unit; -1 when there is none. */
  nextTimeout(): number {
    const next = this.#heap[0];
    if (next === undefined) return -1;
    return Math.min(Math.max(0, Math.ceil(next.due - this.now)), LONGEST_WAIT);
  }

  /** Runs what is due now; what that adds waits for the next call, so a timer of 0 ms cannot hold the loop. */
  runDue(): void {
    if (this.#heap.length === 0) return;
    const now = this.now;
    const end = this.#order;
    for (;;) {
      const next = this.#heap[0];
      if (next === undefined || next.due > now || next.order >= end) return;
      this.remove(next);
      next.fn();
    }
  }

  /**
   * Runs one timer that is due, the one due first: a loop that looks for accesses before each lets an access wait for
   * one slice of a device's work, however many timers it has.
   */
  runNext(): void {
    const next = this.#heap[0];
    if (next === undefined || next.due > this.now) return;
    this.remove(next);
    next.fn();
  }

  /** @internal used by the timers themselves */
  remove(timer: HeapTimer): void {
    const at = timer.index;
    if (at < 0) return;
    timer.index = -1;
    const last = this.#heap.pop()!;
    if (last === timer) return;
    last.index = at;
    this.#heap[at] = last;
    this.#raise(last);
    this.#sink(last);
  }

  #raise(timer: HeapTimer): void {
    while (timer.index > 0) {
      const parent = this.#heap[(timer.index - 1) >> 1]!;
      if (!before(timer, parent)) return;
      this.#swap(timer, parent);
    }
  }

  #sink(timer: HeapTimer): void {
    for (;;) {
      const left = this.#heap[2 * timer.index + 1];
      const right = this.#heap[2 * timer.index + 2];
      if (left === undefined) return;
      const child = right !== undefined && before(right, left) ? right : left;
      if (!before(child, timer)) return;
      this.#swap(timer, child);
    }
  }

  #swap(a: HeapTimer, b: HeapTimer): void {
    const index = a.index;
    a.index = b.index;
    b.index = index;
    this.#heap[a.index] = a;
    this.#heap[b.index] = b;
  }
}

function before(a: HeapTimer, b: HeapTimer): boolean {
  return a.due < b.due || (a.due === b.due && a.order < b.order);
}
