import { isatty } from 'node:tty';

/** Which of the standard streams were terminals when the process began. */
const TERMINALS = [0, 1, 2].filter((fd) => isatty(fd));

/** Milliseconds that the system may take to deliver a signal to its sender. */
const DELIVERY_LIMIT_MS = 1_000;

/**
 * Ends the process with a code. Where a terminal of it is no more, its end is that by SIGHUP, which shells give 129: Node 20
 * aborts in `process.exit` then, as it cannot give the terminal its modes back.
 */
export function endProcess(code: number): never {
  if (process.platform !== 'win32' && TERMINALS.some((fd) => !isatty(fd))) {
    process.removeAllListeners('SIGHUP');
    process.kill(process.pid, 'SIGHUP');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, DELIVERY_LIMIT_MS);
  }
  process.exit(code);
}
