// Longer than most files: the lives of one device, and what passes from one to the next, belong together.
import type { DeviceEndpoint } from '../compute/device-directory.ts';
import { DeviceFailedError } from '../device/device-failed-error.ts';
import type {
  DeviceSource,
  PlacementNotice,
  RestartRequest,
  RestartResult,
} from '../hdv/device-placement.ts';
import type { FunctionShape } from '../pci/device-callbacks.ts';
import { misfit } from '../pci/function-fit.ts';
import { GuestSetup } from '../pci/guest-setup.ts';
import type { DeviceWorker } from '../transport/device-worker.ts';
import { decodeError } from '../transport/error-message.ts';
import { loadOnWorker } from '../transport/load-on-worker.ts';
import { DEFAULT_STALL_LIMIT_MS, ProgressWatch } from '../transport/progress-watch.ts';
import { moduleExtension } from '../transport/typescript-loader.ts';
import type { WorkerEnd } from '../transport/worker-launch.ts';
import { VfioUserListener } from '../vfio-user/listener.ts';
import { ServerState } from '../vfio-user/server-state.ts';
import { BarFiles, type BarPages } from './bar-files.ts';
import { DeadConnection } from './dead-connection.ts';
import type { VfioUserEndpoint } from './vfio-user-endpoint.ts';
import type {
  HandedOver,
  HandOverCommand,
  Inheritance,
  Inherited,
  ListenCommand,
  PowerOnCommand,
  VfioUserWorkerData,
  VfioUserWorkerNotice,
  VfioUserWorkerReady,
} from './vfio-user-worker.ts';

const ENTRY = new URL(`./vfio-user-worker${moduleExtension}`, import.meta.url);

/** What a {@link VfioUserWorkerDevice} is made of. */
export interface VfioUserWorkerOptions {
  readonly source: DeviceSource;
  /** Memory of a trace ring, into which the worker records. */
  readonly trace?: SharedArrayBuffer | undefined;
  /** A path for a socket that is not in use. */
  readonly socketPath: () => string;
  readonly notify: (notice: PlacementNotice) => void;
  /** Milliseconds at work without an answer after which the device is given up. */
  readonly stallLimitMs?: number | undefined;
  /** MiB of JavaScript objects. */
  readonly heapLimit?: number | undefined;
}

/** A worker and the connection it serves: what has to be cleared up together. */
interface Life {
  readonly worker: DeviceWorker;
  readonly watch: ProgressWatch;
  readonly ready: VfioUserWorkerReady;
  /** Memory of what the guest has set up. */
  setup: SharedArrayBuffer;
  /** The connection being served. */
  state: ServerState | undefined;
  /** The function failed, or the worker did: the next power-on needs a new one. */
  failed: boolean;
  /** What ended it. */
  cause: Error | undefined;
  /** What was reported of it. */
  failure: Error | undefined;
  /** Not in the machine yet, or no more: whoever asked for that hears of its failures, and nobody else. */
  aside: boolean;
}

/**
 * A device on a worker of its own, seen from the thread that supervises it. When the worker dies or its device never
 * returns, this thread takes the connection over: the guest gets its answer, and keeps getting answers, until a fresh
 * device on another worker takes the connection in its turn.
 */
export class VfioUserWorkerDevice implements DeviceEndpoint {
  readonly #options: VfioUserWorkerOptions;
  #life: Life | undefined;
  #listener: VfioUserListener | undefined;
  #configuration: readonly string[] = [];
  #dead: DeadConnection | undefined;
  /** Behind the pages that the device declares as mapped: they outlive its workers. */
  #files: BarFiles | undefined;
  #closed = false;
  /** What changes who serves happens one after the other. */
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(options: VfioUserWorkerOptions) {
    this.#options = options;
  }

  /**
   * Loads the module on a new worker and constructs the device.
   * @throws DeviceLoadError (by name) with one clear message
   */
  static async load(options: VfioUserWorkerOptions): Promise<VfioUserWorkerDevice> {
    const device = new VfioUserWorkerDevice(options);
    const life = await device.#startWorker();
    life.aside = false;
    device.#life = life;
    return device;
  }

  get shape(): FunctionShape {
    return this.#life!.ready.shape;
  }

  /** Class name of the device. */
  get name(): string {
    return this.#life!.ready.name;
  }

  /**
   * Loads the module afresh on a new worker. In a machine, the fresh device takes the connection of the old one, dead
   * or alive: the guest finds its registers as after a reset, or as they were, and what it has set up as it was.
   * @throws DeviceLoadError (by name), or Error when the guest would see a different device: the old one goes on
   */
  async restart({ keepState = false }: RestartRequest = {}): Promise<RestartResult> {
    const life = await this.#startWorker();
    return this.#inTurn(async () => {
      try {
        if (this.#closed) throw new Error(`Cannot restart ${this.name}: it was detached`);
        if (this.#listener !== undefined) return await this.#replace(life, keepState);
        const old = this.#life!;
        this.#become(life);
        await end(old);
        return { kept: false };
      } catch (error) {
        if (life !== this.#life) await end(life);
        const { cause, ready } = life;
        throw cause === undefined ? error : new DeviceFailedError(ready.name, cause);
      }
    });
  }

  get failure(): Error | undefined {
    return this.#life?.failure;
  }

  powerOn(configuration: readonly string[]): Promise<VfioUserEndpoint> {
    return this.#inTurn(async () => {
      if (this.#listener !== undefined) {
        throw new Error('Cannot power a device on twice: it is in a machine already');
      }
      const before = this.#life!;
      if (before.failed || before.worker.over) {
        const life = await this.#startWorker();
        this.#become(life);
        await end(before);
      }
      return this.#powerOn(this.#life!, configuration);
    });
  }

  powerOff(): Promise<void> {
    return this.#inTurn(() => this.#powerOff());
  }

  /** Ends the device and its worker. Safe to call twice. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.powerOff();
    await end(this.#life!);
    this.#files?.release();
  }

  async #powerOn(
    { ready, worker }: Life,
    configuration: readonly string[],
  ): Promise<VfioUserEndpoint> {
    const listener = VfioUserListener.listen(this.#options.socketPath());
    this.#listener = listener;
    try {
      const pages = this.#openFiles();
      await worker.call('powerOn', { configuration, pages } satisfies PowerOnCommand);
      await worker.call('listen', { listenFd: listener.fd } satisfies ListenCommand);
    } catch (error) {
      this.#stopListening();
      this.#files?.close();
      throw error;
    }
    this.#configuration = configuration;
    return {
      kind: 'vfio-user',
      socketPath: listener.path,
      msix: ready.shape.interrupts.kind === 'msix',
    };
  }

  async #powerOff(): Promise<void> {
    const { worker } = this.#life!;
    if (this.#listener !== undefined && !worker.over) {
      // A device that fails or hangs on its way out was reported as such; it is off then, too.
      await worker.call('powerOff').catch(() => undefined);
    }
    this.#stopListening();
    const dead = this.#dead;
    this.#dead = undefined;
    await dead?.close();
    this.#files?.close();
  }

  /** Puts a device that was loaded in the place of the one in the machine. */
  async #replace(life: Life, keepState: boolean): Promise<RestartResult> {
    const old = this.#life!;
    const { name } = life.ready;
    const reason = misfit(old.ready, life.ready);
    if (reason !== undefined) {
      throw new Error(
        `Cannot put ${name} in the place of ${this.name}: ${reason}; detach the old device and attach the new one`,
      );
    }
    const command: PowerOnCommand = {
      configuration: this.#configuration,
      pages: this.#files?.pages ?? [],
    };
    await life.worker.call('configure', command);
    const { inherits, reason: lost } = await this.#takeFrom(old, keepState);
    this.#become(life);
    const { state } = inherits;
    life.state = state === undefined ? undefined : ServerState.of(state);
    const generation = life.state?.generation;
    try {
      const { kept, reason: refused } = await this.#goOn(life, command, inherits);
      const why = lost ?? refused;
      return { kept, ...(keepState && why !== undefined ? { reason: why } : {}) };
    } finally {
      await end(old);
      // Nobody views what the old thread had mapped any more.
      if (generation !== undefined) ServerState.of(state!).unmapAll(generation);
    }
  }

  /** Starts a device with what another one left. When it cannot be started, the connection has a dead device. */
  async #goOn(life: Life, command: PowerOnCommand, inherits: Inheritance): Promise<RestartResult> {
    const { worker } = life;
    const listen: ListenCommand = { listenFd: this.#listener!.fd, inherits };
    try {
      await worker.call('powerOn', command);
      const { setup, ...result } = (await worker.call('listen', listen)) as Inherited;
      life.setup = setup;
      return result;
    } catch (error) {
      this.#fail(life, error instanceof Error ? error : new Error(String(error)));
      await worker.terminate();
      throw error;
    }
  }

  /** Takes the connection, and all that goes with it, from the old device, or from what stands in for it. */
  async #takeFrom(
    old: Life,
    keepState: boolean,
  ): Promise<{ readonly inherits: Inheritance; readonly reason?: string }> {
    if (this.#dead === undefined && !old.worker.over) {
      try {
        const command: HandOverCommand = { keepState };
        const handed = (await old.worker.call('handOver', command)) as HandedOver;
        old.aside = true;
        old.state = undefined;
        const { state, snapshot, reason } = handed;
        const inherits = { state, snapshot, setup: GuestSetup.of(old.setup).copy().buffer };
        return reason === undefined ? { inherits } : { inherits, reason };
      } catch {
        // It died or hung on its way out, which was reported.
        await old.worker.ended;
      }
    }
    const dead = this.#dead;
    this.#dead = undefined;
    const state = await dead?.handOver();
    const setup = dead?.setup ?? GuestSetup.of(old.setup).copy();
    // A client that comes later finds a function as after power-on.
    if (state === undefined) setup.reset();
    const inherits = { state: state?.buffer, setup: setup.buffer, snapshot: undefined };
    return { inherits, reason: 'the old device was dead' };
  }

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(run);
    this.#turn = done.catch(() => undefined);
    return done;
  }

  #become(life: Life): void {
    life.aside = false;
    this.#life = life;
  }

  async #startWorker(): Promise<Life> {
    const { source, stallLimitMs = DEFAULT_STALL_LIMIT_MS, heapLimit } = this.#options;
    const data: VfioUserWorkerData = {
      module: source.module.href,
      exportName: source.exportName,
      trace: this.#options.trace,
    };
    let life: Life | undefined;
    const early: VfioUserWorkerNotice[] = [];
    const worker = await loadOnWorker(source.module, {
      entry: ENTRY,
      data,
      ...(heapLimit === undefined ? {} : { heapLimit }),
      notice: (notice) => {
        if (life === undefined) early.push(notice as VfioUserWorkerNotice);
        else this.#noticed(life, notice as VfioUserWorkerNotice);
      },
    });
    const ready = worker.readyValue as VfioUserWorkerReady;
    const started: Life = {
      worker,
      ready,
      setup: ready.setup,
      state: undefined,
      failed: false,
      cause: undefined,
      failure: undefined,
      aside: true,
      watch: new ProgressWatch({
        limitMs: stallLimitMs,
        threadId: worker.threadId,
        progress: () => progressOf(started),
        stalled: () => void this.#stalled(started, stallLimitMs),
      }),
    };
    life = started;
    for (const notice of early) this.#noticed(started, notice);
    void worker.ended.then((end) => this.#ended(started, end));
    return started;
  }

  #noticed(life: Life, notice: VfioUserWorkerNotice): void {
    switch (notice.type) {
      case 'connected':
        life.state = ServerState.of(notice.state);
        break;
      case 'disconnected':
        life.state = undefined;
        break;
      case 'failed':
        life.failed = true;
        life.failure ??= decodeError(notice.error);
        if (!life.aside) this.#options.notify({ type: 'failed', error: life.failure });
        break;
      default:
        if (!life.aside) this.#options.notify(notice);
    }
  }

  /** The device neither returned nor died: its answer is given here, and its thread ended. */
  async #stalled(life: Life, limitMs: number): Promise<void> {
    const what = describeWork(life.state);
    await life.worker.condemn();
    if (life.worker.over) return;
    this.#fail(life, new Error(`the device did not return from ${what} within ${limitMs} ms`));
    await life.worker.terminate();
  }

  #ended(life: Life, { error }: WorkerEnd): void {
    life.watch.close();
    if (error !== undefined) this.#fail(life, error);
  }

  #fail(life: Life, cause: Error): void {
    if (life.failed && life.state === undefined) return;
    const first = !life.failed;
    life.failed = true;
    life.cause ??= cause;
    const { state } = life;
    life.state = undefined;
    if (state !== undefined) {
      const setup = GuestSetup.of(life.setup).copy();
      const dead = new DeadConnection(state, setup, life.worker.ended);
      // One that died of being powered off leaves its connection to nobody.
      if (this.#listener === undefined) void dead.close();
      else this.#dead = dead;
    }
    if (!first) return;
    life.failure = new DeviceFailedError(life.ready.name, cause);
    if (!life.aside) this.#options.notify({ type: 'failed', error: life.failure });
  }

  /** Fresh memory for mapped pages, at addresses that the worker may know from before. */
  #openFiles(): readonly BarPages[] {
    const { mapped } = this.shape;
    if (this.#files?.fits(mapped) !== true) {
      // Of another worker, which has ended.
      this.#files?.release();
      this.#files = new BarFiles(mapped);
    }
    return this.#files.open();
  }

  #stopListening(): void {
    this.#listener?.close();
    this.#listener = undefined;
  }
}

/** Ends a worker that serves nobody. */
async function end({ watch, worker }: Life): Promise<void> {
  watch.close();
  await worker.stop();
}

/** Changes with each message begun and each turn of the loop; undefined while the worker waits in the kernel. */
function progressOf(life: Life): number | undefined {
  const { control } = life.worker;
  if (control.resting && life.state?.isOpen !== true) return undefined;
  return control.progress + (life.state?.progress ?? 0);
}

function describeWork(state: ServerState | undefined): string {
  if (state?.isOpen !== true) return 'a timer, a promise or a lifecycle hook';
  const { command, region, offset, count } = state.message;
  const where = `${count} bytes at 0x${offset.toString(16)} of region ${region}`;
  if (command === 9) return `a read of ${where}`;
  if (command === 10) return `a write of ${where}`;
  return `vfio-user command ${command}`;
}
