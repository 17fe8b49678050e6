import { url as inspectorUrl } from 'node:inspector';

/** Looks taken within the limit: one that comes late, because this thread was busy, counts once like any other. */
const LOOKS = 10;

/** Whom to watch, and when to give up. */
export interface ProgressWatchOptions {
  /** Longest time at work without progress, in milliseconds. */
  readonly limitMs: number;
  /** A value that changes with progress; undefined while there is nothing to wait for. */
  progress(): number | undefined;
  /** Called once, after which nothing is watched any more. */
  stalled(): void;
}

/**
 * Notices when a worker is at work and gets nowhere. Time counts in looks, not by the clock: a process that was
 * suspended, or whose main thread was busy, condemns nobody. Never fires while a debugger can be attached.
 */
export class ProgressWatch {
  readonly #timer: NodeJS.Timeout;

  constructor({ limitMs, progress, stalled }: ProgressWatchOptions) {
    let last: number | undefined;
    let looks = 0;
    this.#timer = setInterval(() => {
      const now = progress();
      if (now === undefined || now !== last || inspectorUrl() !== undefined) {
        last = now;
        looks = 0;
        return;
      }
      looks++;
      if (looks < LOOKS) return;
      this.close();
      stalled();
    }, limitMs / LOOKS);
    this.#timer.unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
