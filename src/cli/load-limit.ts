import { url as inspectorUrl } from 'node:inspector';
import { Worker } from 'node:worker_threads';
import { moduleExtension, registration, runsFromSource } from '../transport/typescript-loader.ts';

/** How often the thread looks: one look that comes late, as the process was suspended, counts once. */
const LOOK_MS = 200;

/**
 * What the thread runs. Text, and not a module: it needs no loader, so that it starts while the main thread goes on to
 * load. What ends the process is imported only then, as a thread may not be ended while it loads native code.
 */
const THREAD = `
const { writeSync } = require('node:fs');
const { workerData } = require('node:worker_threads');
const { state, looks, lookMs, text, code, imports } = workerData;
let left = looks;
while (left > 0 && Atomics.wait(state, 0, 0, lookMs) === 'timed-out') left--;
if (left === 0 && Atomics.compareExchange(state, 0, 0, 1) === 0) {
  writeSync(2, text);
  (async () => {
    let last;
    for (const url of imports) last = await import(url);
    last.endProcess(code);
  })().catch(() => process.kill(process.pid, 'SIGKILL'));
}
`;

/** What happens when the time is over. */
export interface LoadLimitOptions {
  readonly limitMs: number;
  /** Written to standard error. */
  readonly text: string;
  /** The process ends with it. */
  readonly code: number;
}

/**
 * Ends this process when the limit is not disposed of in time, also where the main thread never returns to its event
 * loop. Without effect under a debugger, where a breakpoint takes its time. Keeps no process alive.
 */
export function startLoadLimit({ limitMs, text, code }: LoadLimitOptions): Disposable {
  if (inspectorUrl() !== undefined) return { [Symbol.dispose]: () => undefined };
  const state = new Int32Array(new SharedArrayBuffer(4));
  const end = new URL(`../ffi/end-process${moduleExtension}`, import.meta.url).href;
  const worker = new Worker(THREAD, {
    eval: true,
    execArgv: [],
    workerData: {
      state,
      looks: Math.ceil(limitMs / LOOK_MS),
      lookMs: Math.min(LOOK_MS, limitMs),
      text,
      code,
      imports: runsFromSource ? [registration(), end] : [end],
    },
  });
  worker.unref();
  return {
    [Symbol.dispose]() {
      // When the thread was faster, its message is out, and the process ends.
      if (Atomics.compareExchange(state, 0, 0, 1) !== 0) Atomics.wait(state, 0, 1);
      Atomics.notify(state, 0);
    },
  };
}
