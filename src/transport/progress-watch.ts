import { url as inspectorUrl } from 'node:inspector';
import { threadWork } from '../ffi/thread-work.ts';
import { tick } from './ticker.ts';

/** Longest that a device may be at work on one thing, in milliseconds, unless told otherwise. */
export const DEFAULT_STALL_LIMIT_MS = 1000;

/** Looks taken within the limit: one that comes late, because this thread was busy, counts once like any other. */
const LOOKS = 10;

/** A thread that has had less than this share of a processor since the last look is short of processors, not stuck. */
const LEAST_SHARE = 0.3;

/** A look that comes after so many intervals is late. */
const LATE = 1.5;

/** Looks in all, counted or not, after which a thread is given up: whoever waits for it has limits too. */
const MOST_LOOKS = 4 * LOOKS;

/** Whom to watch, and when to give up. */
export interface ProgressWatchOptions {
  /** Longest time at work without progress, in milliseconds. */
  readonly limitMs: number;
  /** The system's id of the thread. */
  readonly threadId: number;
  /** A value that changes with progress; undefined while there is nothing to wait for. */
  progress(): number | undefined;
  /** Called once, after which nothing is watched any more. */
  stalled(): void;
}

/**
 * Notices when a worker is at work and gets nowhere. Time counts in looks, and only in those since which the thread
 * ran, or waited for something: a process that was suspended, whose main thread was busy, or that shares too few
 * processors with too many others, condemns nobody. Never fires while a debugger can be attached. On Windows, which does
 * not say whether a thread would run and counts its time in steps of 16 ms, that needs a limit of 500 ms or more: within
 * less, one that got no processor time at all looks like one that waits.
 */
export class ProgressWatch {
  readonly #options: ProgressWatchOptions;
  readonly #ticks: Disposable;
  #last: number | undefined;
  #looks = 0;
  #closed = false;
  #counted = 0;
  #cpuMs = 0;
  #lookedAt = 0;

  constructor(options: ProgressWatchOptions) {
    this.#options = options;
    this.#ticks = tick(options.limitMs / LOOKS, () => this.look());
  }

  close(): void {
    this.#closed = true;
    this.#ticks[Symbol.dispose]();
  }

  /**
   * Takes a look now. Done by a timer ten times within the limit; whoever blocks this thread does it in the timer's
   * stead.
   */
  look(): void {
    if (this.#closed) return;
    const { progress, limitMs, threadId } = this.#options;
    const now = progress();
    if (now === undefined || now !== this.#last || inspectorUrl() !== undefined) {
      this.#last = now;
      this.#looks = 0;
      this.#counted = 0;
      this.#cpuMs = now === undefined ? 0 : (threadWork(threadId)?.cpuMs ?? 0);
      this.#lookedAt = performance.now();
      return;
    }
    this.#looks++;
    const work = threadWork(threadId);
    const spent = (work?.cpuMs ?? 0) - this.#cpuMs;
    this.#cpuMs += spent;
    const interval = limitMs / LOOKS;
    const passed = performance.now() - this.#lookedAt;
    this.#lookedAt += passed;
    // Where the system does not say who would run, whoever had any processor time would, and others where this thread,
    // too, got its turn late.
    const wantsToRun = work?.runnable ?? (spent > 0 || passed > interval * LATE);
    const starved = wantsToRun && spent < interval * LEAST_SHARE;
    if (!starved) this.#counted++;
    if (this.#counted < LOOKS && this.#looks < MOST_LOOKS) return;
    this.close();
    this.#options.stalled();
  }
}
