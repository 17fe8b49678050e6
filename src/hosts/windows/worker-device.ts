import { DeviceFailedError } from '../../device/device-failed-error.ts';
import type { InterceptGate } from '../../ffi/gate/intercept-gate.ts';
import type { DeviceSource, PlacementNotice } from '../../hdv/device-placement.ts';
import { LeftHoldings } from '../../hdv/native/holdings.ts';
import type { HDV_DEVICE } from '../../hdv/vm-device-host.ts';
import type { FunctionShape } from '../../pci/device-callbacks.ts';
import { misfit } from '../../pci/function-fit.ts';
import { GuestSetup } from '../../pci/guest-setup.ts';
import type { DeviceWorker } from '../../transport/device-worker.ts';
import { decodeError } from '../../transport/error-message.ts';
import { loadOnWorker } from '../../transport/load-on-worker.ts';
import { DEFAULT_STALL_LIMIT_MS, ProgressWatch } from '../../transport/progress-watch.ts';
import { moduleExtension } from '../../transport/typescript-loader.ts';
import type { WorkerEnd } from '../../transport/worker-launch.ts';
import type {
  AdoptCommand,
  CreateCommand,
  DeviceWorkerData,
  DeviceWorkerNotice,
  DeviceWorkerReady,
} from './device-worker.ts';
import type { LibraryPaths } from './library-paths.ts';
import { type Lifecycle, lifecycleAfter, NOT_ATTACHED } from './served-function.ts';

const ENTRY = new URL(`./device-worker${moduleExtension}`, import.meta.url);

/** What a {@link WorkerDevice} is made of. */
export interface WorkerDeviceOptions {
  readonly source: DeviceSource;
  /** Memory of a trace ring, into which the worker records. */
  readonly trace: SharedArrayBuffer | undefined;
  readonly libraries: LibraryPaths;
  /** What Hyper-V enters when it calls the device. */
  readonly gate: InterceptGate;
  /** Called when a worker is gone, with what it has not given back; it could not clean up when it has failed. */
  readonly gone: (left: LeftHoldings, failed: boolean) => void;
  readonly notify: (notice: PlacementNotice) => void;
  /** Milliseconds at work without an answer after which the device is given up. */
  readonly stallLimitMs: number | undefined;
  /** MiB of JavaScript objects. */
  readonly heapLimit: number | undefined;
}

/** One worker, from its start to its end. */
interface Life {
  readonly worker: DeviceWorker;
  readonly ready: DeviceWorkerReady;
  readonly holdings: LeftHoldings;
  /** From when it serves the instance. */
  watch: ProgressWatch | undefined;
  /** It died, or was given up. */
  failed: boolean;
  /** The failure of its device was reported. */
  isReported: boolean;
}

/**
 * A device on a worker of its own, seen from the thread that supervises it. When the worker dies or its device never
 * returns, this thread closes the gate: whoever waits for the device gets an answer, and everybody after.
 */
export class WorkerDevice {
  readonly #options: WorkerDeviceOptions;
  #life: Life | undefined;
  /** Memory of what the guest has set up in the device that had the instance last. */
  #setup: SharedArrayBuffer | undefined;
  /** How far the instance has come, as Hyper-V sees it. */
  #lifecycle: Lifecycle = NOT_ATTACHED;
  #refusal: Error | undefined;
  #closed: Promise<void> | undefined;

  private constructor(options: WorkerDeviceOptions) {
    this.#options = options;
  }

  /**
   * Loads the module on a new worker and constructs the device. It serves the gate once it has an instance.
   * @throws DeviceLoadError (by name) with one clear message
   */
  static async load(options: WorkerDeviceOptions): Promise<WorkerDevice> {
    const device = new WorkerDevice(options);
    device.#become(await device.#startWorker());
    return device;
  }

  get shape(): FunctionShape {
    return this.#life!.ready.shape;
  }

  /** Class name of the device. */
  get name(): string {
    return this.#life!.ready.name;
  }

  /** Makes the device instance, on the device's thread. @throws HdvError (by name) */
  async create(command: CreateCommand): Promise<HDV_DEVICE> {
    const { ready, worker } = this.#life!;
    const device = (await worker.call('create', command)) as HDV_DEVICE;
    this.#setup = ready.setup;
    return device;
  }

  /** Takes over an instance whose former device is gone, and brings the device to where that was in its life. */
  async adopt(command: Omit<AdoptCommand, 'lifecycle' | 'setup'>): Promise<void> {
    const { gate } = this.#options;
    const { ready, worker } = this.#life!;
    const lifecycle = lifecycleAfter(this.#lifecycle, gate.missed);
    await worker.call('adopt', { ...command, lifecycle, setup: this.#setup });
    this.#setup = ready.setup;
    gate.reopen();
  }

  /**
   * What the device threw in the last lifecycle callback that failed, and forgets it: Hyper-V passes on no more than a
   * number.
   */
  async takeRefusal(): Promise<Error | undefined> {
    await this.#settle();
    const refusal = this.#refusal;
    this.#refusal = undefined;
    return refusal;
  }

  /**
   * Loads the module afresh on a new worker, and ends the old one. The fresh device then has to
   * {@link WorkerDevice.adopt} the instance.
   * @throws DeviceLoadError (by name), or Error when the guest would see a different device: the old one goes on
   */
  async reload(): Promise<void> {
    const life = await this.#startWorker();
    try {
      this.#checkFit(life);
      this.#options.gate.close();
      await this.#settle();
      // What the old device hears on its way out is no part of the instance's life, nor does it undo what was set up.
      const lifecycle = this.#lifecycle;
      const setup = this.#setup && GuestSetup.of(this.#setup).copy().buffer;
      await this.#endWorker();
      this.#checkOpen();
      this.#lifecycle = lifecycle;
      this.#setup = setup;
      this.#refusal = undefined;
      this.#become(life);
    } catch (error) {
      await life.worker.stop();
      throw error;
    }
  }

  /** Ends the device and its worker; the closed gate answers late calls. Safe to call twice. */
  close(): Promise<void> {
    this.#closed ??= this.#endWorker();
    return this.#closed;
  }

  #checkFit({ ready }: Life): void {
    this.#checkOpen();
    const reason = misfit(this.#life!.ready, ready);
    if (reason === undefined) return;
    throw new Error(
      `Cannot put ${ready.name} in the place of ${this.name}: ${reason}; attach the new device under another instance id`,
    );
  }

  #checkOpen(): void {
    if (this.#closed !== undefined) {
      throw new Error(`Cannot restart ${this.name}: it was detached`);
    }
  }

  /** All that the worker has reported until now is known then. */
  async #settle(): Promise<void> {
    const { worker } = this.#life!;
    await worker.call('settle').catch(() => worker.ended);
  }

  async #endWorker(): Promise<void> {
    this.#options.gate.close();
    const { watch, worker } = this.#life!;
    // A device that fails or hangs on its way out was reported as such; it is off then, too.
    if (!worker.over) await worker.call('powerOff').catch(() => undefined);
    watch?.close();
    await worker.stop();
  }

  async #startWorker(): Promise<Life> {
    const { gate, heapLimit, libraries, source, trace } = this.#options;
    const data: DeviceWorkerData = {
      module: source.module.href,
      exportName: source.exportName,
      trace,
      libraries,
      gate: gate.handle,
    };
    const holdings = new LeftHoldings();
    let life: Life | undefined;
    const worker = await loadOnWorker(source.module, {
      entry: ENTRY,
      data,
      ...(heapLimit === undefined ? {} : { heapLimit }),
      notice: (notice) => {
        const told = notice as DeviceWorkerNotice;
        if (told.type === 'holding') holdings.note(told.change);
        // A device that never came to its turn has no part in the instance's life, nor has its end.
        else if (life === this.#life) this.#noticed(told);
      },
    });
    const ready = worker.readyValue as DeviceWorkerReady;
    const started: Life = {
      worker,
      ready,
      holdings,
      failed: false,
      isReported: false,
      watch: undefined,
    };
    life = started;
    void worker.ended.then((end) => this.#ended(started, end));
    return started;
  }

  /** A worker has its turn: from now on it is what is supervised, and what calls go to. */
  #become(life: Life): void {
    const { gate, stallLimitMs: limitMs = DEFAULT_STALL_LIMIT_MS } = this.#options;
    const { worker } = life;
    this.#life = life;
    life.watch = new ProgressWatch({
      limitMs,
      threadId: worker.threadId,
      progress: () => progressOf(worker, gate),
      stalled: () => void this.#stalled(life, limitMs),
    });
    if (worker.over) life.watch.close();
  }

  #noticed(notice: Exclude<DeviceWorkerNotice, { type: 'holding' }>): void {
    switch (notice.type) {
      case 'lifecycle':
        this.#lifecycle = notice.lifecycle;
        break;
      case 'refused': {
        const error = decodeError(notice.error);
        this.#refusal = error;
        this.#options.notify({ type: 'refused', callback: notice.callback, error });
        break;
      }
      case 'failed':
        this.#report(this.#life, decodeError(notice.error));
        break;
      default:
        this.#options.notify(notice);
    }
  }

  /** The device neither returned nor died: its answer is given here, and its thread ended. */
  async #stalled(life: Life, limitMs: number): Promise<void> {
    const what = this.#options.gate.serving ?? 'a timer, a promise or a command';
    this.#fail(life, new Error(`the device did not return from ${what} within ${limitMs} ms`));
    await life.worker.terminate();
  }

  #ended(life: Life, { error }: WorkerEnd): void {
    life.watch?.close();
    if (error !== undefined && life === this.#life) this.#fail(life, error);
    this.#options.gone(life.holdings, life.failed);
  }

  #fail(life: Life, cause: Error): void {
    if (life.failed) return;
    life.failed = true;
    this.#options.gate.close();
    this.#report(life, new DeviceFailedError(this.name, cause));
  }

  /** A device that has failed may lose its worker as well: one report is enough. */
  #report(life: Life | undefined, error: Error): void {
    if (life?.isReported === true) return;
    if (life !== undefined) life.isReported = true;
    this.#options.notify({ type: 'failed', error });
  }
}

/** Changes with each request and each turn of the loop; undefined while the worker waits in the kernel. */
function progressOf({ control }: DeviceWorker, gate: InterceptGate): number | undefined {
  const requests = gate.progress;
  if (control.resting && requests === undefined) return undefined;
  return control.progress + (requests ?? 0);
}
