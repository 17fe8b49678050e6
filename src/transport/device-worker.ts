import { MessageChannel, type MessagePort, type Worker } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { closeFd, createEventFd, signalEventFd } from '../ffi/descriptors.ts';
import { createWaitGroup } from '../ffi/wait-group.ts';
import { ControlBlock } from './control-block.ts';
import { decodeError } from './error-message.ts';
import { DEVICE_WORKER_DATA } from './thread-role.ts';
import { isTypeScript, moduleExtension, workerExecArgv } from './typescript-loader.ts';
import type { BootstrapTask, CommandMessage, WorkerMessage } from './worker-context.ts';

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

interface Pending {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

const BOOTSTRAP = new URL(`./worker-bootstrap${moduleExtension}`, import.meta.url).href;

/** How long a worker may take to leave its loop before it is ended. */
const STOP_GRACE_MS = 2000;

const live = new Set<DeviceWorker>();

/** A process that exits waits for threads in system calls: wake them, so that it does not wait. */
process.on('exit', () => {
  for (const worker of live) worker.wakeToStop();
});

/**
 * One endless task on a worker thread of its own, which serves one device. The pool keeps and replaces threads; what
 * the task does all day goes through shared memory and file descriptors, never through the pool.
 */
export class DeviceWorker {
  /** What the worker said when it was ready. */
  readonly readyValue: unknown;
  readonly control: ControlBlock;
  /** Resolves when the thread is gone, and nothing that it did can happen any more. Never rejects. */
  readonly ended: Promise<WorkerEnd>;
  readonly #port: MessagePort;
  readonly #wakeFd: number;
  readonly #abort: AbortController;
  readonly #pending: Map<number, Pending>;
  #nextId = 1;
  #over = false;

  private constructor(parts: WorkerParts, readyValue: unknown) {
    this.readyValue = readyValue;
    this.control = parts.control;
    this.#port = parts.port;
    this.#wakeFd = parts.wakeFd;
    this.#abort = parts.abort;
    this.#pending = parts.pending;
    live.add(this);
    this.ended = parts.ended.finally(() => {
      this.#over = true;
      live.delete(this);
    });
  }

  /**
   * Starts a thread and waits until its entry says that it is ready.
   * @throws what the entry threw, or why the thread ended
   */
  static async start(options: DeviceWorkerOptions): Promise<DeviceWorker> {
    options.signal?.throwIfAborted();
    const parts = launch(options);
    const stopStarting = (): void => {
      void endThread(parts);
    };
    options.signal?.addEventListener('abort', stopStarting, { once: true });
    try {
      const first = await Promise.race([parts.ready, parts.ended]);
      options.signal?.throwIfAborted();
      if (!('value' in first)) {
        throw first.error ?? new Error('Cannot start a device worker: its entry returned at once');
      }
      return new DeviceWorker(parts, first.value);
    } catch (error) {
      await endThread(parts);
      throw error;
    } finally {
      options.signal?.removeEventListener('abort', stopStarting);
    }
  }

  /** Has the thread ended? */
  get over(): boolean {
    return this.#over;
  }

  /** Runs a command in the worker, between two accesses. */
  call(method: string, argument?: unknown): Promise<unknown> {
    if (this.#over)
      return Promise.reject(new Error(`Cannot ${method}: the device worker has ended`));
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      this.#port.postMessage({ id, method, argument } satisfies CommandMessage);
      signalEventFd(this.#wakeFd);
    });
  }

  /** Asks the worker to return, and ends it when it does not. */
  async stop(graceMs = STOP_GRACE_MS): Promise<WorkerEnd> {
    this.wakeToStop();
    const late = Symbol('late');
    let timer: NodeJS.Timeout | undefined;
    const first = await Promise.race([
      this.ended,
      new Promise<typeof late>((resolve) => {
        timer = setTimeout(resolve, graceMs, late);
      }),
    ]);
    clearTimeout(timer);
    return first === late ? await this.terminate() : first;
  }

  /** Sets the stop word and wakes the worker, without waiting. */
  wakeToStop(): void {
    this.control.requestStop();
    if (!this.#over) signalEventFd(this.#wakeFd);
  }

  /**
   * Takes the right to end the worker, see {@link ControlBlock.condemn}: once this is true the worker must not touch
   * what it shares, and the caller may act in its place. Waits while native code of the worker makes objects.
   */
  async condemn(): Promise<void> {
    while (!this.#over && !this.control.condemn()) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /** Ends the thread wherever it is in JavaScript. It cleans up nothing. */
  async terminate(): Promise<WorkerEnd> {
    await this.condemn();
    this.#abort.abort();
    return this.ended;
  }
}

interface WorkerParts {
  readonly control: ControlBlock;
  readonly port: MessagePort;
  readonly wakeFd: number;
  readonly abort: AbortController;
  readonly pending: Map<number, Pending>;
  readonly ready: Promise<{ readonly value: unknown }>;
  readonly ended: Promise<WorkerEnd>;
}

function launch(options: DeviceWorkerOptions): WorkerParts {
  const control = new ControlBlock();
  const { port1: port, port2 } = new MessageChannel();
  const wakeFd = createEventFd();
  const attentionFd = createWaitGroup(wakeFd);
  const abort = new AbortController();
  const pending = new Map<number, Pending>();
  const pool = new Piscina({
    minThreads: 0,
    maxThreads: 1,
    concurrentTasksPerWorker: 1,
    idleTimeout: Number.POSITIVE_INFINITY,
    atomics: 'disabled',
    recordTiming: false,
    workerData: DEVICE_WORKER_DATA,
    execArgv: workerExecArgv([options.entry, ...(options.modules ?? [])].some(isTypeScript)),
    resourceLimits: { maxOldGenerationSizeMb: options.heapLimit ?? 512 },
  });
  let thrown: Error | undefined;
  const ready = new Promise<{ readonly value: unknown }>((resolve) => {
    port.on('message', (message: WorkerMessage) => {
      switch (message.type) {
        case 'ready':
          resolve({ value: message.value });
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
    wakeFd,
    attentionFd,
  };
  const running = pool.run(task, {
    filename: BOOTSTRAP,
    transferList: [port2],
    signal: abort.signal,
  });
  const thread = pool.threads[0]!;
  const ended = follow(running, thread, port, pool, abort.signal, () => thrown).then((end) => {
    closeFd(attentionFd);
    closeFd(wakeFd);
    const error = end.error ?? new Error('the device worker was stopped');
    for (const call of pending.values()) call.reject(error);
    pending.clear();
    return end;
  });
  return { control, port, wakeFd, abort, pending, ready, ended };
}

/** Waits for the task and then for the thread; what was posted before the end has been received by then. */
async function follow(
  running: Promise<unknown>,
  thread: Worker,
  port: MessagePort,
  pool: Piscina,
  aborted: AbortSignal,
  thrown: () => Error | undefined,
): Promise<WorkerEnd> {
  const portClosed = new Promise<unknown>((resolve) => port.once('close', resolve));
  const gone = new Promise<unknown>((resolve) => thread.once('exit', resolve));
  let error: Error | undefined;
  try {
    await running;
  } catch (reason) {
    if (!aborted.aborted) error = describeEnd(reason);
  }
  await pool.destroy();
  await gone;
  await portClosed;
  return { error: thrown() ?? error };
}

function settle(
  pending: Map<number, Pending>,
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

/** Ends a thread that is not ready, as soon as it may be ended. */
async function endThread(parts: WorkerParts): Promise<WorkerEnd> {
  let over = false;
  void parts.ended.then(() => {
    over = true;
  });
  parts.control.requestStop();
  while (!over && !parts.control.condemn()) {
    await Promise.race([parts.ended, new Promise((resolve) => setTimeout(resolve, 5))]);
  }
  parts.abort.abort();
  return parts.ended;
}
