import type { MessagePort } from 'node:worker_threads';
import { signalWake } from '../ffi/wake.ts';
import type { ControlBlock } from './control-block.ts';
import type { CommandMessage } from './worker-context.ts';
import {
  type DeviceWorkerOptions,
  launchWorker,
  type PendingCall,
  type WorkerEnd,
  type WorkerParts,
  type WorkerReady,
} from './worker-launch.ts';

/** How long a worker may take to leave its loop before it is ended. */
const STOP_GRACE_MS = 2000;

const live = new Set<DeviceWorker>();

/** How long the exit of the process waits for a worker that is making native objects. */
const EXIT_PATIENCE_MS = 5000;

/**
 * A process that exits waits for threads in system calls: wake them, so that it does not wait. It ends the others where
 * they are, which one that makes native objects does not survive, nor the process.
 */
process.on('exit', () => {
  for (const worker of live) worker.wakeToStop();
  for (const worker of live) worker.control.condemnWithin(EXIT_PATIENCE_MS);
});

/**
 * One endless task on a worker thread of its own, which serves one device. The pool keeps and replaces threads; what
 * the task does all day goes through shared memory and what the system has to wait for, never through the pool.
 */
export class DeviceWorker {
  /** What the worker said when it was ready. */
  readonly readyValue: unknown;
  /** The system's id of the thread. */
  readonly threadId: number;
  readonly control: ControlBlock;
  /** Resolves when the thread is gone, and nothing that it did can happen any more. Never rejects. */
  readonly ended: Promise<WorkerEnd>;
  readonly #port: MessagePort;
  readonly #wake: number;
  readonly #abort: AbortController;
  readonly #pending: Map<number, PendingCall>;
  #nextId = 1;
  #over = false;

  private constructor(parts: WorkerParts, ready: WorkerReady) {
    this.readyValue = ready.value;
    this.threadId = ready.threadId;
    this.control = parts.control;
    this.#port = parts.port;
    this.#wake = parts.wake;
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
    const parts = launchWorker(options);
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
      return new DeviceWorker(parts, first);
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
      signalWake(this.#wake);
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
    if (!this.#over) signalWake(this.#wake);
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
