import { DeviceFailedError } from '../../device/device-failed-error.ts';
import { threadWork } from '../../ffi/thread-work.ts';
import type { FunctionNotice } from '../../pci/host.ts';
import type { DeviceWorker } from '../../transport/device-worker.ts';
import { decodeError } from '../../transport/error-message.ts';
import { loadOnWorker } from '../../transport/load-on-worker.ts';
import { DEFAULT_STALL_LIMIT_MS, ProgressWatch } from '../../transport/progress-watch.ts';
import { SlotChannel } from '../../transport/slot/slot-channel.ts';
import { SlotRequester } from '../../transport/slot/slot-requester.ts';
import { moduleExtension } from '../../transport/typescript-loader.ts';
import type { WorkerEnd } from '../../transport/worker-launch.ts';
import type {
  DeviceWorkerData,
  DeviceWorkerNotice,
  LoadCommand,
  LoadedDevice,
} from './device-worker.ts';

const ENTRY = new URL(`./device-worker${moduleExtension}`, import.meta.url);

/** A worker of several devices must be able to load any of them. */
const ANY_TYPESCRIPT = new URL('./any.ts', import.meta.url);

/** Longest that loading a further device may take. */
const LOAD_LIMIT_MS = 30_000;

/** Looks at a thread that does not answer, while this thread is blocked by its answer. */
const LOOKS = 10;

/** How a {@link DeviceThread} is supervised. */
export interface DeviceThreadOptions {
  /** Milliseconds at work without an answer after which the thread is given up. */
  readonly stallLimitMs?: number | undefined;
  /** MiB of JavaScript objects. */
  readonly heapLimit?: number | undefined;
}

/** What a device is loaded from. */
export type DeviceModule = Omit<LoadCommand, 'number'>;

/** One device on a {@link DeviceThread}, from when it was loaded. */
export interface ThreadDevice {
  /** What it is called in accesses and commands. */
  readonly number: number;
  readonly device: LoadedDevice;
}

type Report = (notice: FunctionNotice) => void;

interface Resident {
  readonly report: Report;
  name: string;
}

/** Threads that are being supervised. */
const live = new Set<DeviceThread>();

/**
 * A worker with devices of simulated machines on it, seen from the thread that supervises it. When it dies, or one of
 * its devices never returns, its channel is closed: whoever waits gets all ones, and everybody after.
 */
export class DeviceThread {
  readonly channel: SlotChannel;
  /** This thread's own way to the functions there. */
  readonly requester: SlotRequester;
  readonly #worker: DeviceWorker;
  readonly #watch: ProgressWatch;
  readonly #residents = new Map<number, Resident>();
  readonly #loading = new Map<number, (notice: DeviceWorkerNotice) => void>();
  #nextNumber = 1;
  #failed = false;

  private constructor(worker: DeviceWorker, channel: SlotChannel, stallLimitMs: number) {
    this.#worker = worker;
    this.channel = channel;
    this.requester = new SlotRequester(channel, 0, {
      // Timers do not run while this thread is blocked.
      onSlice: () => {
        for (const thread of live) thread.#watch.look();
      },
      sliceMs: stallLimitMs / LOOKS,
    });
    this.#watch = new ProgressWatch({
      limitMs: stallLimitMs,
      threadId: worker.threadId,
      progress: () => this.#progress,
      stalled: () => this.#stalled(stallLimitMs),
    });
    live.add(this);
  }

  /**
   * Starts a worker with a first device on it.
   * @throws DeviceLoadError (by name) with one clear message
   */
  static async start(
    module: DeviceModule,
    isShared: boolean,
    report: Report,
    { stallLimitMs = DEFAULT_STALL_LIMIT_MS, heapLimit }: DeviceThreadOptions,
  ): Promise<{ readonly thread: DeviceThread; readonly first: ThreadDevice }> {
    const channel = new SlotChannel();
    const data: DeviceWorkerData = { channel: channel.buffer, first: { number: 0, ...module } };
    let thread: DeviceThread | undefined;
    const early: DeviceWorkerNotice[] = [];
    const worker = await loadOnWorker(isShared ? ANY_TYPESCRIPT : new URL(module.module), {
      entry: ENTRY,
      data,
      ...(heapLimit === undefined ? {} : { heapLimit }),
      notice: (notice) => {
        if (thread === undefined) early.push(notice as DeviceWorkerNotice);
        else thread.#noticed(notice as DeviceWorkerNotice);
      },
    });
    thread = new DeviceThread(worker, channel, stallLimitMs);
    const device = worker.readyValue as LoadedDevice;
    thread.#residents.set(0, { report, name: device.name });
    for (const notice of early) thread.#noticed(notice);
    void worker.ended.then((end) => thread.#ended(end));
    return { thread, first: { number: 0, device } };
  }

  /** Has the worker ended, or will it? */
  get over(): boolean {
    return this.#failed || this.#worker.over;
  }

  /** Devices on this thread. */
  get size(): number {
    return this.#residents.size;
  }

  /** Loads a further device. @throws as {@link DeviceThread.start} */
  async load(module: DeviceModule, report: Report): Promise<ThreadDevice> {
    const number = this.#nextNumber++;
    const resident: Resident = { report, name: module.exportName ?? module.module };
    this.#residents.set(number, resident);
    let timer: NodeJS.Timeout | undefined;
    const answered = new Promise<DeviceWorkerNotice>((resolve, reject) => {
      this.#loading.set(number, resolve);
      timer = setTimeout(() => {
        reject(new Error(`Cannot load ${module.module}: it did not finish within 30 s`));
      }, LOAD_LIMIT_MS);
    });
    const ended = this.#worker.ended.then(({ error }) => {
      throw error ?? new Error(`Cannot load ${module.module}: its worker was stopped`);
    });
    ended.catch(() => undefined);
    try {
      await this.call('load', { number, ...module });
      const notice = await Promise.race([answered, ended]);
      if (notice.type === 'notLoaded') throw decodeError(notice.error);
      if (notice.type !== 'loaded') throw new Error(`Cannot load ${module.module}`);
      resident.name = notice.device.name;
      return { number, device: notice.device };
    } catch (error) {
      await this.unload(number);
      throw error;
    } finally {
      clearTimeout(timer);
      this.#loading.delete(number);
    }
  }

  /** Runs a command on the worker, between two accesses. @throws what it threw there */
  call(method: string, argument: unknown): Promise<unknown> {
    const answer = this.#worker.call(method, argument);
    this.channel.call();
    return answer;
  }

  /** Takes a device off the thread, and ends the thread after the last. Never rejects. */
  async unload(number: number): Promise<void> {
    if (!this.#residents.delete(number)) return;
    // A device that fails or hangs on its way out was reported as such; it is gone then, too.
    if (!this.over) await this.call('unload', number).catch(() => undefined);
    if (this.#residents.size === 0) await this.stop();
  }

  /** Ends the worker, and with it what is left of its devices. */
  async stop(): Promise<void> {
    const stopped = this.#worker.stop();
    this.channel.call();
    await stopped;
  }

  /** Changes with each access and each turn of the event loop; undefined while there is nothing to wait for. */
  get #progress(): number | undefined {
    const { control } = this.#worker;
    const accesses = this.channel.progress;
    if (control.resting && accesses === undefined) return undefined;
    return control.progress + (accesses ?? 0);
  }

  #noticed(notice: DeviceWorkerNotice): void {
    const { number } = notice;
    switch (notice.type) {
      case 'loaded':
      case 'notLoaded':
        this.#loading.get(number)?.(notice);
        break;
      case 'failed':
        this.#residents.get(number)?.report({ type: 'failed', error: decodeError(notice.error) });
        break;
      default: {
        const { text, count } = notice;
        this.#residents.get(number)?.report({ type: 'guestError', text, count });
      }
    }
  }

  /** A device neither returned nor died: its answer is given here, and its thread ended. */
  #stalled(limitMs: number): void {
    if (threadWork(this.#worker.threadId) === undefined) {
      // It died while this thread was blocked, which will hear why.
      this.channel.close();
      return;
    }
    const { serving } = this.channel;
    const what = serving?.text ?? 'a timer, a promise or a command';
    this.#fail(new Error(`the device did not return from ${what} within ${limitMs} ms`));
    void this.#worker.terminate();
  }

  #ended({ error }: WorkerEnd): void {
    live.delete(this);
    this.#watch.close();
    if (error !== undefined) this.#fail(error);
    this.channel.close();
  }

  #fail(cause: Error): void {
    if (this.#failed) return;
    this.#failed = true;
    const culprit = this.channel.serving?.function;
    this.channel.close();
    for (const [number, { report, name }] of this.#residents) {
      const isCulprit = culprit === undefined || culprit === number || this.#residents.size === 1;
      const reason = isCulprit
        ? cause
        : new Error(`its worker ended with another device, ${this.#nameOf(culprit)}`, { cause });
      report({ type: 'failed', error: new DeviceFailedError(name, reason) });
    }
  }

  #nameOf(number: number): string {
    return this.#residents.get(number)?.name ?? `function ${number}`;
  }
}
