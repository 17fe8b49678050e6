import { isMainThread } from 'node:worker_threads';
import { koffi } from './native-config.ts';
import { PollEvent, PollSet } from './poll-set.ts';

/** Stops a watch. Safe to call twice. */
export interface ReadableWatch {
  close(): void;
}

/** koffi's poll callback as it is called: the typings of the package give it one argument. */
type PollCallback = (status: number, events: { readonly readable: boolean }) => void;
const poll = koffi.node.poll as unknown as (
  fd: number,
  options: { readonly readable: boolean },
  callback: PollCallback,
) => { close(): void };

/** How often a thread other than the main one looks, in milliseconds. */
const LOOK_EVERY_MS = 2;

/**
 * Calls `readable` from the event loop whenever `fd` has something to read or its peer hung up, until closed. Makes
 * `fd` non-blocking, and keeps the process alive.
 *
 * On a worker thread the loop looks by a timer: a koffi poll handle that is open when its thread ends is a crash.
 */
export function watchReadable(fd: number, readable: () => void): ReadableWatch {
  return isMainThread ? watchOnMain(fd, readable) : watchByTimer(fd, readable);
}

function watchOnMain(fd: number, readable: () => void): ReadableWatch {
  let open = true;
  const handle = poll(fd, { readable: true }, () => {
    if (!open) return;
    try {
      readable();
    } catch (error) {
      // An exception that leaves a koffi callback turns up in some later, unrelated one.
      queueMicrotask(() => {
        throw error;
      });
    }
  });
  const close = (): void => {
    if (!open) return;
    open = false;
    handle.close();
  };
  return { close };
}

function watchByTimer(fd: number, readable: () => void): ReadableWatch {
  const set = new PollSet(1);
  set.watch(0, fd, PollEvent.IN);
  const timer = setInterval(() => {
    if (set.wait(0) > 0) readable();
  }, LOOK_EVERY_MS);
  return { close: () => clearInterval(timer) };
}
