import { createRequire } from 'node:module';
import { MessageChannel, type MessagePort, type Worker } from 'node:worker_threads';
import type { Piscina } from 'piscina';
import { closeWake, closeWakeGroup, createWake, createWakeGroup } from '../ffi/wake.ts';
import { ControlBlock } from './control-block.ts';
import { decodeError } from './error-message.ts';
import { isTypeScript, moduleExtension, workerExecArgv } from './typescript-loader.ts';
import type { BootstrapTask, WorkerMessage } from './worker-context.ts';
import { noThread, requireWorkerRoom } from './worker-room.ts';

/** What a worker is started with. */
export interface DeviceWorkerOptions {
  /** Module that exports `run(task)`, usually by {@link runWorker}. */
  readonly entry: URL;
  /** Structured-cloned into the worker. */
  readonly data: unknown;
  /** Modules that the entry will load: when one is TypeScript, a loader is registered in the worker. */
  readonly modules?: readonly URL[];
  /** MiB of JavaScript objects that the worker may hold before it is ended; 512 unless told. */
  readonly heapLimit?: number;
  /** Receives what the worker reports by itself. */
  readonly notice?: (notice: unknown) => void;
  /** Aborting before `start` has resolved ends the worker. */
  readonly signal?: AbortSignal;
}

/** How a worker came to its end; `error` is absent when it was asked to stop and did. */
export interface WorkerEnd {
  readonly error: Error | undefined;
}

/** A call that waits for its answer. */
export interface PendingCall {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

const BOOTSTRAP = new URL(`./worker-bootstrap${moduleExtension}`, import.meta.url).href;

/** Loaded when the first worker is: many a process that imports this package starts none. */
const require = createRequire(import.meta.url);

/** How long the exit of the process waits for a thread that may not be ended yet. */
const EXIT_PATIENCE_MS = 5000;

/** Threads that are not ready, and may not be ended at every moment. */
const starting = new Set<ControlBlock>();

/** Threads that have not ended, those that start among them. */
let threads = 0;

/** The exit of a process ends threads where they are, which one that loads native code does not survive, nor the process. */
process.on('exit', () => {
  for (const control of starting) control.awaitRelease(EXIT_PATIENCE_MS);
});

/** What a worker says when it is ready. */
export interface WorkerReady {
  readonly value: unknown;
  readonly threadId: number;
}

/** A thread, and what belongs to it. */
export interface WorkerParts {
  readonly control: ControlBlock;
  readonly port: MessagePort;
  readonly wake: number;
  readonly abort: AbortController;
  readonly pending: Map<number, PendingCall>;
  readonly ready: Promise<WorkerReady>;
  readonly ended: Promise<WorkerEnd>;
}

/**
 * Starts a thread with its entry.
 * @throws Error when there is no room for another thread
 */
export function launchWorker(options: DeviceWorkerOptions): WorkerParts {
  requireWorkerRoom(threads - starting.size, starting.size);
  const control = new ControlBlock();
  const wake = createWake();
  const attention = groupOf(wake);
  starting.add(control);
  const { port1: port, port2 } = new MessageChannel();
  const abort = new AbortController();
  const pending = new Map<number, PendingCall>();
  const { Piscina: Pool } = require('piscina') as typeof import('piscina');
  const pool = new Pool({
    minThreads: 0,
    maxThreads: 1,
    concurrentTasksPerWorker: 1,
    idleTimeout: Number.POSITIVE_INFINITY,
    atomics: 'disabled',
    recordTiming: false,
    execArgv: workerExecArgv([options.entry, ...(options.modules ?? [])].some(isTypeScript)),
    resourceLimits: { maxOldGenerationSizeMb: options.heapLimit ?? 512 },
  });
  // How the task ended says it all; a thread that runs out of heap when its task is aborted already is told here only.
  pool.on('error', () => undefined);
  let thrown: Error | undefined;
  const ready = new Promise<WorkerReady>((resolve) => {
    port.on('message', (message: WorkerMessage) => {
      switch (message.type) {
        case 'ready':
          starting.delete(control);
          resolve({ value: message.value, threadId: message.threadId });
          break;
        case 'threw':
          thrown = decodeError(message.error);
          break;
        case 'notice':
          options.notice?.(message.notice);
          break;
        default:
          settle(pending, message);
      }
    });
  });
  const task: BootstrapTask = {
    entry: options.entry.href,
    data: options.data,
    port: port2,
    control: control.buffer,
    wake,
    attention,
  };
  let running: Promise<unknown>;
  try {
    running = pool.run(task, {
      filename: BOOTSTRAP,
      transferList: [port2],
      signal: abort.signal,
    });
  } catch (cause) {
    starting.delete(control);
    port.close();
    closeWakeGroup(attention);
    closeWake(wake);
    throw noThread(threads, cause);
  }
  threads++;
  const thread = pool.threads[0]!;
  const portClosed = new Promise<unknown>((resolve) => port.once('close', resolve));
  const ended = follow(running, thread, pool, abort.signal).then(async (error) => {
    threads--;
    // A task that never reached its thread left the port here; otherwise this is nothing.
    port2.close();
    // What was posted before the end has been received by then.
    await portClosed;
    const end: WorkerEnd = { error: thrown ?? error };
    starting.delete(control);
    closeWakeGroup(attention);
    closeWake(wake);
    const reason = end.error ?? new Error('the device worker was stopped');
    for (const call of pending.values()) call.reject(reason);
    pending.clear();
    return end;
  });
  return { control, port, wake, abort, pending, ready, ended };
}

/** What the worker waits for. The wake is given back where the system has no room for that. */
function groupOf(wake: number): number {
  try {
    return createWakeGroup(wake);
  } catch (error) {
    closeWake(wake);
    throw error;
  }
}

/** Waits for the task, and then for the thread. @returns why it ended, unless it was asked to */
async function follow(
  running: Promise<unknown>,
  thread: Worker,
  pool: Piscina,
  aborted: AbortSignal,
): Promise<Error | undefined> {
  const gone = new Promise<unknown>((resolve) => thread.once('exit', resolve));
  let error: Error | undefined;
  try {
    await running;
  } catch (reason) {
    if (!aborted.aborted) error = describeEnd(reason);
  }
  await pool.destroy();
  await gone;
  return error;
}

function settle(
  pending: Map<number, PendingCall>,
  message: Extract<WorkerMessage, { type: 'result' | 'rejected' }>,
): void {
  const call = pending.get(message.id);
  pending.delete(message.id);
  if (message.type === 'result') call?.resolve(message.value);
  else call?.reject(decodeError(message.error));
}

/** Says in one sentence what the pool reported. */
function describeEnd(reason: unknown): Error {
  if (!(reason instanceof Error)) return new Error(`The device worker failed: ${String(reason)}`);
  const code = (reason as NodeJS.ErrnoException).code;
  if (code === 'ERR_WORKER_OUT_OF_MEMORY') {
    return new Error('The device worker ran out of heap', { cause: reason });
  }
  const exit = /^worker exited with code: (\d+)$/.exec(reason.message);
  if (exit)
    return new Error(`The device worker called process.exit(${exit[1]})`, { cause: reason });
  return reason;
}
