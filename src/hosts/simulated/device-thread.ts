// Longer than most files: a thread's workers, and what passes from one to the next, belong together.
import { DeviceFailedError } from '../../device/device-failed-error.ts';
import { threadWork } from '../../ffi/thread-work.ts';
import type { RestartResult } from '../../hdv/device-placement.ts';
import { misfit } from '../../pci/function-fit.ts';
import { GuestSetup } from '../../pci/guest-setup.ts';
import type { FunctionNotice } from '../../pci/host.ts';
import type { DeviceWorker } from '../../transport/device-worker.ts';
import { decodeError } from '../../transport/error-message.ts';
import { loadLimitMs, loadTooLong } from '../../transport/load-limit.ts';
import { loadOnWorker } from '../../transport/load-on-worker.ts';
import { DEFAULT_STALL_LIMIT_MS, ProgressWatch } from '../../transport/progress-watch.ts';
import { SlotChannel } from '../../transport/slot/slot-channel.ts';
import { SlotRequester } from '../../transport/slot/slot-requester.ts';
import { moduleExtension } from '../../transport/typescript-loader.ts';
import type { WorkerEnd } from '../../transport/worker-launch.ts';
import type {
  ConfigureCommand,
  DeviceWorkerData,
  DeviceWorkerNotice,
  HandedOver,
  HandOverCommand,
  LoadCommand,
  LoadedDevice,
  PowerOnCommand,
  SwapCommand,
  TakePlaceCommand,
  TookPlace,
} from './device-worker.ts';

const ENTRY = new URL(`./device-worker${moduleExtension}`, import.meta.url);

/** A worker of several devices must be able to load any of them. */
const ANY_TYPESCRIPT = new URL('./any.ts', import.meta.url);

/** Why a dead device leaves no state. */
const DEAD = 'the old device was dead';

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

/** What a device needs that takes another one's place. */
export interface ReplaceRequest {
  readonly module: DeviceModule;
  readonly isShared: boolean;
  readonly keepState: boolean;
  readonly powerOn: PowerOnCommand;
  /** Did the other one run? */
  readonly started: boolean;
}

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
  device: LoadedDevice | undefined;
  /** Memory of what the guest has set up. */
  setup: SharedArrayBuffer | undefined;
  /** Its failure was reported. */
  hasFailed: boolean;
  /** Went with a worker, and has not come back yet. */
  isLost: boolean;
}

/** One worker of a thread, from its start to its end. */
interface Life {
  readonly worker: DeviceWorker;
  readonly watch: ProgressWatch;
  /** By which it is called: its own until it serves the thread's. */
  channel: SlotChannel;
  failed: boolean;
  /** What ended it. */
  cause: Error | undefined;
  /** Does not serve the thread's channel yet, or no more: whoever asked for that hears of its failures. */
  aside: boolean;
}

/** Threads that are being supervised. */
const live = new Set<DeviceThread>();

/**
 * A worker with devices of simulated machines on it, seen from the thread that supervises it. When it dies, or one of
 * its devices never returns, its channel is closed: whoever waits gets all ones, and everybody after, until a fresh
 * worker serves the channel.
 */
export class DeviceThread {
  readonly channel: SlotChannel;
  /** This thread's own way to the functions there. */
  readonly requester: SlotRequester;
  readonly #limits: DeviceThreadOptions;
  readonly #residents = new Map<number, Resident>();
  readonly #loading = new Map<number, (notice: DeviceWorkerNotice) => void>();
  #life: Life | undefined;
  #nextNumber = 1;
  #generation = 0;
  #isHeld = false;
  /** What changes who serves happens one after the other. */
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(channel: SlotChannel, limits: DeviceThreadOptions) {
    this.channel = channel;
    this.#limits = limits;
    const { stallLimitMs = DEFAULT_STALL_LIMIT_MS } = limits;
    this.requester = new SlotRequester(channel, 0, {
      // Timers do not run while this thread is blocked.
      onSlice: () => {
        for (const thread of live) thread.#life?.watch.look();
      },
      sliceMs: stallLimitMs / LOOKS,
    });
  }

  /**
   * Starts a worker with a first device on it.
   * @throws DeviceLoadError (by name) with one clear message
   */
  static async start(
    module: DeviceModule,
    isShared: boolean,
    report: Report,
    limits: DeviceThreadOptions,
  ): Promise<{ readonly thread: DeviceThread; readonly first: ThreadDevice }> {
    const channel = new SlotChannel();
    const thread = new DeviceThread(channel, limits);
    const resident = residentOf('', report);
    thread.#residents.set(0, resident);
    const { life, device } = await thread.#launch({ number: 0, ...module }, isShared, channel);
    settle(resident, device);
    thread.#become(life);
    return { thread, first: { number: 0, device } };
  }

  /** Has the worker ended, or will it? */
  get over(): boolean {
    const life = this.#life!;
    return life.failed || life.worker.over;
  }

  /** Devices on this thread. */
  get size(): number {
    return this.#residents.size;
  }

  /** Is one device taking another one's place? Processors wait; this thread, which does it, must not. */
  get isHeld(): boolean {
    return this.#isHeld;
  }

  /**
   * Loads a device afresh and puts it in the place of one that is in a machine: on a new worker, or, where others live
   * on this one, beside them. The guest's accesses wait, or read ones where the old device is dead.
   * @throws as {@link DeviceThread.start}, or Error when the guest would see a different device: the old one goes on
   */
  replace(
    number: number,
    request: ReplaceRequest,
  ): Promise<{ readonly device: LoadedDevice; readonly result: RestartResult }> {
    const run = async () => {
      const resident = this.#residents.get(number);
      if (resident === undefined) throw new Error('Cannot restart a device that was detached');
      const alone = this.over || this.size === 1;
      const { setup, ...result } = alone
        ? await this.#replaceWorker(number, resident, request)
        : await this.#replaceWithin(resident, request);
      resident.setup = setup;
      return { device: resident.device as LoadedDevice, result };
    };
    const done = this.#turn.then(run);
    this.#turn = done.catch(() => undefined);
    return done;
  }

  async #replaceWorker(
    number: number,
    resident: Resident,
    { module, isShared, keepState, powerOn, started }: ReplaceRequest,
  ): Promise<TookPlace> {
    const old = this.#life!;
    const first = { number, ...module };
    const { life, device } = await this.#launch(first, isShared, new SlotChannel());
    try {
      checkFit(resident, device);
      const { configuration } = powerOn;
      await call(life, 'configure', { number, configuration } satisfies ConfigureCommand);
    } catch (error) {
      await end(life);
      const { cause } = life;
      throw cause === undefined ? error : new DeviceFailedError(device.name, cause);
    }
    try {
      this.#isHeld = true;
      const handed = await this.#handOver(old, { number, keepState });
      const setup = GuestSetup.of(resident.setup!).copy().buffer;
      this.#become(life);
      settle(resident, device);
      const { snapshot, reason } = handed ?? { snapshot: undefined, reason: DEAD };
      const place: TakePlaceCommand = { powerOn, setup, snapshot, started };
      const took = (await call(life, 'takePlace', place)) as TookPlace;
      if (handed === undefined) this.channel.reopen();
      await call(life, 'serve', this.channel.buffer);
      life.channel = this.channel;
      // A command may have come between.
      this.channel.call();
      return reason === undefined || !keepState ? took : { reason, ...took };
    } catch (error) {
      this.#fail(life, error instanceof Error ? error : new Error(String(error)));
      await life.worker.terminate();
      throw error;
    } finally {
      this.#isHeld = false;
      await end(old);
    }
  }

  /** @returns undefined when the old worker is dead: it has ended then */
  async #handOver(old: Life, command: HandOverCommand): Promise<HandedOver | undefined> {
    if (!old.failed && !old.worker.over) {
      try {
        const handed = (await call(old, 'handOver', command)) as HandedOver;
        old.aside = true;
        return handed;
      } catch {
        // It died or hung on its way out, which was reported.
      }
    }
    await old.worker.ended;
    return undefined;
  }

  /** On the same worker, which has other devices, or has lost this one with a former worker. */
  async #replaceWithin(
    resident: Resident,
    { module, keepState, powerOn, started }: ReplaceRequest,
  ): Promise<TookPlace> {
    const from = this.#nextNumber++;
    const device = await this.#loadHere(from, afresh(module, ++this.#generation));
    try {
      checkFit(resident, device);
      const { configuration } = powerOn;
      await this.call('configure', { number: from, configuration } satisfies ConfigureCommand);
    } catch (error) {
      await this.call('unload', from).catch(() => undefined);
      throw error;
    }
    const setup = GuestSetup.of(resident.setup!).copy().buffer;
    const swap: SwapCommand = { from, keepState, powerOn, setup, started };
    this.#isHeld = true;
    try {
      const took = (await this.call('swap', swap)) as TookPlace;
      settle(resident, device);
      return took;
    } finally {
      this.#isHeld = false;
    }
  }

  /** Starts a worker that serves `channel`. */
  async #launch(
    first: LoadCommand,
    isShared: boolean,
    channel: SlotChannel,
  ): Promise<{ readonly life: Life; readonly device: LoadedDevice }> {
    const { stallLimitMs = DEFAULT_STALL_LIMIT_MS, heapLimit } = this.#limits;
    const data: DeviceWorkerData = { channel: channel.buffer, first };
    let life: Life | undefined;
    const early: DeviceWorkerNotice[] = [];
    const worker = await loadOnWorker(isShared ? ANY_TYPESCRIPT : new URL(first.module), {
      entry: ENTRY,
      data,
      ...(heapLimit === undefined ? {} : { heapLimit }),
      notice: (notice) => {
        if (life === undefined) early.push(notice as DeviceWorkerNotice);
        else this.#noticed(life, notice as DeviceWorkerNotice);
      },
    });
    const started: Life = {
      worker,
      channel,
      failed: false,
      cause: undefined,
      aside: true,
      watch: new ProgressWatch({
        limitMs: stallLimitMs,
        threadId: worker.threadId,
        progress: () => progressOf(started),
        stalled: () => this.#stalled(started, stallLimitMs),
      }),
    };
    life = started;
    for (const notice of early) this.#noticed(started, notice);
    void worker.ended.then((ended) => this.#ended(started, ended));
    return { life: started, device: worker.readyValue as LoadedDevice };
  }

  #become(life: Life): void {
    life.aside = false;
    this.#life = life;
    live.add(this);
  }

  /** Loads a further device. @throws as {@link DeviceThread.start} */
  async load(module: DeviceModule, report: Report): Promise<ThreadDevice> {
    const number = this.#nextNumber++;
    const name = module.exportName ?? module.module;
    const resident = residentOf(name, report);
    this.#residents.set(number, resident);
    try {
      const device = await this.#loadHere(number, module);
      settle(resident, device);
      return { number, device };
    } catch (error) {
      await this.unload(number);
      throw error;
    }
  }

  async #loadHere(number: number, module: DeviceModule): Promise<LoadedDevice> {
    let timer: NodeJS.Timeout | undefined;
    const answered = new Promise<DeviceWorkerNotice>((resolve, reject) => {
      this.#loading.set(number, resolve);
      const limit = loadLimitMs();
      timer = setTimeout(() => reject(loadTooLong(module.module, limit)), limit);
    });
    const ended = this.#life!.worker.ended.then(({ error }) => {
      throw error ?? new Error(`Cannot load ${module.module}: its worker was stopped`);
    });
    ended.catch(() => undefined);
    try {
      await this.call('load', { number, ...module } satisfies LoadCommand);
      const notice = await Promise.race([answered, ended]);
      if (notice.type === 'notLoaded') throw decodeError(notice.error);
      if (notice.type !== 'loaded') throw new Error(`Cannot load ${module.module}`);
      return notice.device;
    } finally {
      clearTimeout(timer);
      this.#loading.delete(number);
    }
  }

  /** Runs a command on the worker, between two accesses. @throws what it threw there */
  call(method: string, argument: unknown): Promise<unknown> {
    return call(this.#life!, method, argument);
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
    // A worker that is to take over shall not come after the end.
    await this.#turn;
    await end(this.#life!);
  }

  #noticed(life: Life, notice: DeviceWorkerNotice): void {
    const { number } = notice;
    switch (notice.type) {
      case 'loaded':
      case 'notLoaded':
        this.#loading.get(number)?.(notice);
        break;
      case 'failed':
        if (!life.aside) reportFailure(this.#residents.get(number), decodeError(notice.error));
        break;
      default: {
        if (life.aside) return;
        const { text, count } = notice;
        this.#residents.get(number)?.report({ type: 'guestError', text, count });
      }
    }
  }

  /** A device neither returned nor died: its answer is given here, and its thread ended. */
  #stalled(life: Life, limitMs: number): void {
    if (threadWork(life.worker.threadId) === undefined) {
      // It died while this thread was blocked, which will hear why.
      life.channel.close();
      return;
    }
    const { serving } = life.channel;
    const what = serving?.text ?? 'a timer, a promise or a command';
    this.#fail(life, new Error(`the device did not return from ${what} within ${limitMs} ms`));
    void life.worker.terminate();
  }

  #ended(life: Life, { error }: WorkerEnd): void {
    life.watch.close();
    if (error !== undefined) this.#fail(life, error);
    if (life !== this.#life) return;
    live.delete(this);
    this.channel.close();
  }

  #fail(life: Life, cause: Error): void {
    if (life.failed) return;
    life.failed = true;
    life.cause = cause;
    if (life.aside) return;
    const culprit = this.channel.serving?.function;
    this.channel.close();
    for (const [number, resident] of this.#residents) {
      const { name, isLost } = resident;
      if (isLost) continue;
      resident.isLost = true;
      // The dying thread may still write to the other one.
      if (resident.setup !== undefined) {
        resident.setup = GuestSetup.of(resident.setup).copy().buffer;
      }
      const isCulprit = culprit === undefined || culprit === number || this.#residents.size === 1;
      const reason = isCulprit
        ? cause
        : new Error(`its worker ended with another device, ${this.#nameOf(culprit)}`, { cause });
      reportFailure(resident, new DeviceFailedError(name, reason));
    }
  }

  #nameOf(number: number): string {
    return this.#residents.get(number)?.name ?? `function ${number}`;
  }
}

function residentOf(name: string, report: Report): Resident {
  const before = { device: undefined, setup: undefined, hasFailed: false, isLost: false };
  return { name, report, ...before };
}

/** A device that has failed may lose its worker as well: one report is enough. */
function reportFailure(resident: Resident | undefined, error: Error): void {
  if (resident === undefined || resident.hasFailed) return;
  resident.hasFailed = true;
  resident.report({ type: 'failed', error });
}

/** Enters what a worker says of a device. */
function settle(resident: Resident, device: LoadedDevice): void {
  resident.name = device.name;
  resident.device = device;
  resident.setup = device.setup;
  resident.hasFailed = false;
  resident.isLost = false;
}

/** @throws Error when a guest would see another device than it knows */
function checkFit({ name, device }: Resident, fresh: LoadedDevice): void {
  const reason = device === undefined ? undefined : misfit(device, fresh);
  if (reason === undefined) return;
  throw new Error(
    `Cannot put ${fresh.name} in the place of ${name}: ${reason}; detach the old device and attach the new one`,
  );
}

/** A worker has what it imported before: another address is imported anew. */
function afresh(module: DeviceModule, generation: number): DeviceModule {
  const url = new URL(module.module);
  if (url.protocol !== 'file:') return module;
  url.searchParams.set('restart', `${generation}`);
  return { ...module, module: url.href };
}

function call({ worker, channel }: Life, method: string, argument: unknown): Promise<unknown> {
  const answer = worker.call(method, argument);
  channel.call();
  return answer;
}

async function end({ worker, watch, channel }: Life): Promise<void> {
  watch.close();
  const stopped = worker.stop();
  channel.call();
  await stopped;
}

/** Changes with each access and each turn of the event loop; undefined while there is nothing to wait for. */
function progressOf({ worker, channel }: Life): number | undefined {
  const { control } = worker;
  const accesses = channel.progress;
  if (control.resting && accesses === undefined) return undefined;
  return control.progress + (accesses ?? 0);
}
