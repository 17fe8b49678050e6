import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { viewGate, word } from '../../../src/ffi/gate/gate-memory.ts';
import { InterceptGate } from '../../../src/ffi/gate/intercept-gate.ts';
import { koffi } from '../../../src/ffi/native-config.ts';
import { type WindowsSystem, windowsSystem } from '../../../src/ffi/windows-system.ts';
import { runsFromSource, workerExecArgv } from '../../../src/transport/typescript-loader.ts';
import type { ConsumerData, Manner } from './gate-consumer.ts';
import { loadNativeThreads, Run } from './native-threads.ts';
import { systemPath } from './system-path.ts';

/** Longest that a condition may take to come true. */
const LIMIT_MS = 50_000;

export const native = loadNativeThreads();
export const system: WindowsSystem = windowsSystem(systemPath);

/** Waits until `condition` holds. @throws Error with `what` when it does not within 50 s */
export async function until(what: () => string, condition: () => boolean): Promise<void> {
  const end = performance.now() + LIMIT_MS;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`Did not happen: ${what()}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** End of a string, and enough bytes that it does not lie on the JavaScript heap. */
const ZEROS = Buffer.alloc(128);

/** Resolves as `call` does, and keeps until then what native code reads. */
async function keepAlive<T>(memory: readonly Buffer[], call: Promise<T>): Promise<T> {
  const result = await call;
  if (memory.some((buffer) => buffer.length === 0)) throw new Error('unreachable');
  return result;
}

/** A gate, the native threads that call its device table, and the workers that serve it. */
export class GateFixture implements AsyncDisposable {
  readonly gate: InterceptGate;
  readonly #consumers: Consumer[] = [];
  readonly #runs: Run[] = [];

  constructor(program: WindowsSystem = system) {
    this.gate = InterceptGate.create(program);
    // Native threads look up every 100 ms; here a wake-up that is lost must not go unnoticed.
    viewGate(this.gate.contextAddress)[word.sliceMs] = 2 * LIMIT_MS;
  }

  /** Starts a worker that serves the gate. */
  async serve(manner: Manner = 'eager'): Promise<Consumer> {
    const consumer = await Consumer.start(this.gate, manner);
    this.#consumers.push(consumer);
    return consumer;
  }

  /** Starts native threads that make calls of all sorts; each makes `calls`, or goes on until it is stopped (0). */
  start(threads: number, calls: number, pauseNs = 0): Run {
    const { tableAddress, contextAddress } = this.gate;
    const run = native.function('run_start')(
      tableAddress,
      contextAddress,
      threads,
      calls,
      pauseNs,
      0,
    );
    const started = new Run(Number(run));
    this.#runs.push(started);
    return started;
  }

  /** Makes one read on another thread. */
  async read(
    bar: number,
    offset: number,
    length: number,
  ): Promise<{ hresult: number; bytes: Uint8Array }> {
    const { tableAddress, contextAddress } = this.gate;
    const buffer = new Uint8Array(new ArrayBuffer(4096));
    buffer.fill(0x55);
    const hresult = await native
      .function('call_read')
      .async(tableAddress, contextAddress, bar, offset, length, buffer);
    return { hresult, bytes: buffer.subarray(0, length) };
  }

  async write(bar: number, offset: number, bytes: Uint8Array): Promise<number> {
    const { tableAddress, contextAddress } = this.gate;
    const buffer = new Uint8Array(new ArrayBuffer(4096));
    buffer.set(bytes);
    return native
      .function('call_write')
      .async(tableAddress, contextAddress, bar, offset, bytes.length, buffer);
  }

  /** Calls Initialize (0), Teardown (1), Start (4) or Stop (5) on another thread. */
  hook(which: 0 | 1 | 4 | 5): Promise<number> {
    const { tableAddress, contextAddress } = this.gate;
    return native.function('call_hook').async(tableAddress, contextAddress, which);
  }

  configure(strings: readonly string[]): Promise<number> {
    const { tableAddress, contextAddress } = this.gate;
    const texts = strings.map((text) => Buffer.concat([Buffer.from(text, 'utf16le'), ZEROS]));
    const pointers = new BigUint64Array(new ArrayBuffer(128));
    texts.forEach((text, i) => {
      pointers[i] = koffi.address(text);
    });
    return keepAlive(
      texts,
      native
        .function('call_set_configuration')
        .async(tableAddress, contextAddress, strings.length, pointers),
    );
  }

  async details(count: number): Promise<{ hresult: number; pnp: Uint8Array; bars: Uint8Array }> {
    const { tableAddress, contextAddress } = this.gate;
    const pnp = new Uint8Array(new ArrayBuffer(128), 0, 12);
    const bars = new Uint8Array(new ArrayBuffer(128), 0, 4 * count);
    const hresult = await native
      .function('call_get_details')
      .async(tableAddress, contextAddress, pnp, count, bars);
    return { hresult, pnp, bars };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const run of this.#runs) run.stop();
    this.gate.close();
    await Promise.all(this.#consumers.map((consumer) => consumer.kill()));
    // A consumer may have died in the middle of an answer.
    this.gate.reopen();
    this.gate.close();
    for (const run of this.#runs)
      await until(
        () => `${run.live} threads end`,
        () => run.live === 0,
      );
  }
}

/** A worker that serves a gate. */
export class Consumer {
  readonly worker: Worker;
  /** Doorbells it was told of, in order, with how often they had been rung. */
  readonly bells: { readonly bell: number; readonly rings: number }[] = [];
  readonly #logging: Int32Array;
  readonly #exit: Promise<unknown>;
  readonly #wakeEvent: number;

  private constructor(worker: Worker, logging: Int32Array, wakeEvent: number) {
    this.worker = worker;
    this.#logging = logging;
    this.#wakeEvent = wakeEvent;
    this.#exit = new Promise((resolve) => worker.once('exit', resolve));
    worker.on('message', (message) => {
      if (message.bell !== undefined) this.bells.push(message);
    });
    // A device that throws ends its worker: the tests expect that.
    worker.on('error', () => undefined);
  }

  static async start(gate: InterceptGate, manner: Manner): Promise<Consumer> {
    const logging = new SharedArrayBuffer(4);
    const workerData: ConsumerData = { handle: gate.handle, manner, system: systemPath, logging };
    const worker = new Worker(new URL('./gate-consumer.ts', import.meta.url), {
      workerData,
      execArgv: workerExecArgv(runsFromSource),
    });
    const consumer = new Consumer(worker, new Int32Array(logging), gate.handle.wakeEvent);
    await once(worker, 'message');
    return consumer;
  }

  /** The device's log. */
  async log(): Promise<string[]> {
    Atomics.store(this.#logging, 0, 1);
    system.SetEvent(this.#wakeEvent);
    const answer = new Promise<string[]>((resolve) => {
      this.worker.on('message', (message) => {
        if (message.log !== undefined) resolve(message.log);
      });
    });
    this.worker.postMessage('log');
    return answer;
  }

  /** Resolves when the thread is over by itself. */
  async ended(): Promise<void> {
    await this.#exit;
  }

  /** Ends the thread wherever it is in JavaScript. */
  async kill(): Promise<void> {
    const ended = this.worker.terminate();
    system.SetEvent(this.#wakeEvent);
    await ended;
  }
}
