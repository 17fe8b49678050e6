import { performance } from 'node:perf_hooks';
import type { Clock } from '../device/services.ts';

/** Longest delay that Node's timers and `poll` take, in milliseconds: a signed 32-bit number. */
export const LONGEST_WAIT = 2 ** 31 - 1;

/** Real time for devices that run on a thread with Node's event loop. */
export const eventLoopClock: Clock = {
  get now() {
    return performance.now();
  },
  after(ms, fn) {
    const due = performance.now() + ms;
    let timer: NodeJS.Timeout;
    const wait = (left: number): void => {
      if (left > LONGEST_WAIT)
        timer = setTimeout(() => wait(due - performance.now()), LONGEST_WAIT);
      else timer = setTimeout(fn, left);
    };
    wait(ms);
    return { cancel: () => clearTimeout(timer) };
  },
};
