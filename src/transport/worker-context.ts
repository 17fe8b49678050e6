import { MessageChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { BLIND_WAIT_MS, type EventLoopNeeds, eventLoopNeeds } from '../ffi/event-loop.ts';
import { currentThreadId } from '../ffi/thread-work.ts';
import { addToWakeGroup, takeWake } from '../ffi/wake.ts';
import { ControlBlock } from './control-block.ts';
import { type ErrorMessage, encodeError } from './error-message.ts';

/** What a pool hands to a worker: everything that a {@link WorkerContext} is made of. */
export interface BootstrapTask {
  /** Module that exports `run(task)`. */
  readonly entry: string;
  readonly data: unknown;
  readonly port: MessagePort;
  readonly control: SharedArrayBuffer;
  /** Becomes ready when there is something to look at: a command, or the stop word. */
  readonly wake: number;
  /** A group: ready when `wake` is, or what the worker adds to it; belongs to main, which closes it in any event. */
  readonly attention: number;
}

/** Main to worker. */
export interface CommandMessage {
  readonly id: number;
  readonly method: string;
  readonly argument: unknown;
}

/** Worker to main. */
export type WorkerMessage =
  | { readonly type: 'ready'; readonly value: unknown; readonly threadId: number }
  | { readonly type: 'threw'; readonly error: ErrorMessage }
  | { readonly type: 'notice'; readonly notice: unknown }
  | { readonly type: 'result'; readonly id: number; readonly value: unknown }
  | { readonly type: 'rejected'; readonly id: number; readonly error: ErrorMessage };

/** Longest wait in the kernel. A thread in a system call cannot be ended, so it comes back by itself. */
const LONGEST_WAIT_MS = 500;

/** Longest wait where a loop's handles that do not keep it alive cannot be seen. */
const LONGEST_UNSEEN_WAIT_MS = 100;

/**
 * A worker's side of its {@link DeviceWorker}. The worker waits in the kernel, not in the event loop, for what it
 * serves, and for {@link WorkerContext.attention}: when that is ready the event loop wants a turn, or main wants
 * something.
 */
export class WorkerContext<Data> {
  readonly data: Data;
  readonly control: ControlBlock;
  /** A descriptor, or a handle on Windows: ready when the worker should look up: {@link WorkerContext.attend}. */
  readonly attention: number;
  readonly #wake: number;
  readonly #port: MessagePort;
  readonly #loop: EventLoopNeeds | undefined;
  readonly #turns = new MessageChannel();
  #resume: () => void = () => undefined;

  constructor(task: BootstrapTask) {
    this.data = task.data as Data;
    this.control = new ControlBlock(task.control);
    this.attention = task.attention;
    this.#wake = task.wake;
    this.#port = task.port;
    const resume = (): void => this.#resume();
    // Not in the message's own callback: the port goes on with what is posted meanwhile, for up to a thousand messages,
    // and the loop has no turn. Unreferenced, since a referenced immediate would hide how long the loop could wait.
    this.#turns.port1.on('message', () => setImmediate(resume).unref());
    this.#loop = eventLoopNeeds();
    if (this.#loop?.fd !== undefined) addToWakeGroup(task.attention, this.#loop.fd);
  }

  /** Gives the event loop a turn: timers, input, immediates and promises of the device. */
  turn(): Promise<void> {
    return new Promise((resolve) => {
      this.#resume = resolve;
      this.#turns.port2.postMessage(null);
    });
  }

  /** Longest that the worker may wait now, in milliseconds; right after a {@link WorkerContext.turn}. */
  get patience(): number {
    if (this.#loop === undefined) return BLIND_WAIT_MS;
    const longest = this.#loop.fd === undefined ? LONGEST_UNSEEN_WAIT_MS : LONGEST_WAIT_MS;
    const timeout = this.#loop.timeout();
    return timeout < 0 ? longest : Math.min(timeout, longest);
  }

  /** Looks up: answers the commands that have arrived. The event loop's turn is the caller's to give. */
  attend(handle: (method: string, argument: unknown) => unknown): void {
    if (takeWake(this.#wake)) this.serveCommands(handle);
  }

  /** Makes `DeviceWorker.start` resolve. Native libraries must be loaded by now. */
  ready(value: unknown): void {
    this.control.release();
    this.#post({ type: 'ready', value, threadId: currentThreadId() });
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

  /** Lets the thread end. */
  close(): void {
    this.#turns.port1.close();
    this.#port.close();
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
    context.close();
  }
}
