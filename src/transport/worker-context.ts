import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { ControlBlock } from './control-block.ts';
import { type ErrorMessage, encodeError } from './error-message.ts';

/** What a pool hands to a worker: everything that a {@link WorkerContext} is made of. */
export interface BootstrapTask {
  /** Module that exports `run(task)`. */
  readonly entry: string;
  readonly data: unknown;
  readonly port: MessagePort;
  readonly control: SharedArrayBuffer;
  /** An eventfd that becomes readable when there is something to look at: a command, or the stop word. */
  readonly wakeFd: number;
}

/** Main to worker. */
export interface CommandMessage {
  readonly id: number;
  readonly method: string;
  readonly argument: unknown;
}

/** Worker to main. */
export type WorkerMessage =
  | { readonly type: 'ready'; readonly value: unknown }
  | { readonly type: 'threw'; readonly error: ErrorMessage }
  | { readonly type: 'notice'; readonly notice: unknown }
  | { readonly type: 'result'; readonly id: number; readonly value: unknown }
  | { readonly type: 'rejected'; readonly id: number; readonly error: ErrorMessage };

/** A worker's side of its {@link DeviceWorker}. */
export class WorkerContext<Data> {
  readonly data: Data;
  readonly control: ControlBlock;
  readonly wakeFd: number;
  readonly #port: MessagePort;

  constructor(task: BootstrapTask) {
    this.data = task.data as Data;
    this.control = new ControlBlock(task.control);
    this.wakeFd = task.wakeFd;
    this.#port = task.port;
  }

  /** Makes `DeviceWorker.start` resolve. Native libraries must be loaded by now. */
  ready(value: unknown): void {
    this.control.release();
    this.#post({ type: 'ready', value });
  }

  /** Tells main something that nobody asked for. */
  notify(notice: unknown): void {
    this.#post({ type: 'notice', notice });
  }

  /** Answers the commands that have arrived, in order, without a turn of the event loop in between. */
  serveCommands(handle: (method: string, argument: unknown) => unknown): void {
    for (;;) {
      const received = receiveMessageOnPort(this.#port);
      if (received === undefined) return;
      const { id, method, argument } = received.message as CommandMessage;
      try {
        this.#post({ type: 'result', id, value: handle(method, argument) });
      } catch (error) {
        this.#post({ type: 'rejected', id, error: encodeError(error) });
      }
    }
  }

  /** Says that the worker ends because of `error`. */
  fail(error: unknown): void {
    this.#post({ type: 'threw', error: encodeError(error) });
  }

  #post(message: WorkerMessage): void {
    this.#port.postMessage(message);
  }
}

/** Runs a worker's whole life; what it throws becomes the reason that `start` or `ended` report. */
export async function runWorker<Data>(
  task: BootstrapTask,
  live: (context: WorkerContext<Data>) => Promise<void>,
): Promise<void> {
  const context = new WorkerContext<Data>(task);
  try {
    await live(context);
  } catch (error) {
    context.fail(error);
  } finally {
    task.port.close();
  }
}
