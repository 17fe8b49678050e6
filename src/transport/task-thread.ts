import { createRequire } from 'node:module';
import type { Piscina } from 'piscina';
import { ControlBlock } from './control-block.ts';
import { decodeError, type ErrorMessage } from './error-message.ts';
import { isTypeScript, moduleExtension, workerExecArgv } from './typescript-loader.ts';

const BOOTSTRAP = new URL(`./task-bootstrap${moduleExtension}`, import.meta.url).href;

/** How long the exit of the process waits for a task, which is in native code perhaps. */
const EXIT_PATIENCE_MS = 5000;

/** Loaded when the first thread is: many a process that imports this package starts none. */
const require = createRequire(import.meta.url);

/** One task, as the thread gets it. */
export interface ThreadTask {
  /** Module that exports `run(argument)`. */
  readonly entry: string;
  readonly argument: unknown;
  readonly control: SharedArrayBuffer;
}

/** What came of it. */
export type ThreadTaskResult = { readonly value: unknown } | { readonly error: ErrorMessage };

const threads = new Set<ControlBlock>();

/** The exit of a process ends threads where they are, which one in native code does not survive, nor the process. */
process.on('exit', () => {
  for (const control of threads) control.awaitRelease(EXIT_PATIENCE_MS);
});

/**
 * One thread for short tasks, one after the other: always the same thread, from the first task to the end. It keeps the
 * process alive while there is a task, and not between them.
 */
export class TaskThread {
  readonly #entry: string;
  readonly #control = new ControlBlock();
  readonly #pool: Piscina;
  /** Settles with the task before. */
  #last: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  /** @param entry module that exports `run(argument)`, which may block */
  constructor(entry: URL) {
    const { Piscina: Pool } = require('piscina') as typeof import('piscina');
    this.#entry = entry.href;
    this.#pool = new Pool({
      filename: BOOTSTRAP,
      minThreads: 0,
      maxThreads: 1,
      concurrentTasksPerWorker: 1,
      idleTimeout: Number.POSITIVE_INFINITY,
      atomics: 'disabled',
      recordTiming: false,
      execArgv: workerExecArgv(isTypeScript(entry)),
    });
    threads.add(this.#control);
  }

  /**
   * Runs a task.
   * @returns what `run` returned, structured-cloned
   * @throws what `run` threw, by name
   */
  async run(argument: unknown): Promise<unknown> {
    const task: ThreadTask = { entry: this.#entry, argument, control: this.#control.buffer };
    // Not left to the pool, which takes tasks that wait out of order.
    const turn = this.#last.then(() => {
      if (this.#isClosed) throw new Error('Cannot run a task: its thread is closed');
      return this.#pool.run(task);
    });
    this.#last = turn.catch(() => undefined);
    const result = (await turn) as ThreadTaskResult;
    if ('error' in result) throw decodeError(result.error);
    return result.value;
  }

  /** Ends the thread, once the task that it has begun is over. Tasks that wait are rejected. Safe to call twice. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#last;
    threads.delete(this.#control);
    await this.#pool.destroy();
  }
}
