import { performance } from 'node:perf_hooks';
import type { Clock } from '../device/services.ts';

/** Real time for devices that run on a thread with Node's event loop. */
export const eventLoopClock: Clock = {
  get now() {
    return performance.now();
  },
  after(ms, fn) {
    const timer = setTimeout(fn, ms);
    return { cancel: () => clearTimeout(timer) };
  },
};
