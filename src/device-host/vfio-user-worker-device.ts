import type { DeviceEndpoint } from '../compute/device-directory.ts';
import { DeviceFailedError } from '../device/device-failed-error.ts';
import type { DeviceSource, PlacementNotice } from '../hdv/device-placement.ts';
import type { FunctionShape } from '../pci/device-callbacks.ts';
import type { DeviceWorker } from '../transport/device-worker.ts';
import { decodeError } from '../transport/error-message.ts';
import { loadOnWorker } from '../transport/load-on-worker.ts';
import { DEFAULT_STALL_LIMIT_MS, ProgressWatch } from '../transport/progress-watch.ts';
import { moduleExtension } from '../transport/typescript-loader.ts';
import type { WorkerEnd } from '../transport/worker-launch.ts';
import { VfioUserListener } from '../vfio-user/listener.ts';
import { ServerState } from '../vfio-user/server-state.ts';
import { DeadConnection } from './dead-connection.ts';
import type { VfioUserEndpoint } from './vfio-user-endpoint.ts';
import type {
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
  /** The connection being served. */
  state: ServerState | undefined;
  /** The function failed, or the worker did: the next power-on needs a new one. */
  failed: boolean;
}

/**
 * A device on a worker of its own, seen from the thread that supervises it. When the worker dies or its device never
 * returns, this thread takes the connection over: the guest gets its answer, and keeps getting answers.
 */
export class VfioUserWorkerDevice implements DeviceEndpoint {
  readonly #options: VfioUserWorkerOptions;
  #ready: VfioUserWorkerReady | undefined;
  #life: Life | undefined;
  #listener: VfioUserListener | undefined;
  #dead: DeadConnection | undefined;
  #closed = false;

  private constructor(options: VfioUserWorkerOptions) {
    this.#options = options;
  }

  /**
   * Loads the module on a new worker and constructs the device.
   * @throws DeviceLoadError (by name) with one clear message
   */
  static async load(options: VfioUserWorkerOptions): Promise<VfioUserWorkerDevice> {
    const device = new VfioUserWorkerDevice(options);
    await device.#startWorker();
    return device;
  }

  get shape(): FunctionShape {
    return this.#ready!.shape;
  }

  /** Class name of the device. */
  get name(): string {
    return this.#ready!.name;
  }

  /** Loads the module afresh on a new worker; the device must be powered off. */
  async reload(): Promise<void> {
    if (this.#listener !== undefined) {
      throw new Error('Cannot load a device afresh while it is in a machine: remove it first');
    }
    await this.#life?.worker.stop();
    await this.#startWorker();
  }

  async powerOn(configuration: readonly string[]): Promise<VfioUserEndpoint> {
    if (this.#listener !== undefined) {
      throw new Error('Cannot power a device on twice: it is in a machine already');
    }
    if (this.#life === undefined || this.#life.failed || this.#life.worker.over) {
      await this.reload();
    }
    const { worker } = this.#life!;
    const listener = VfioUserListener.listen(this.#options.socketPath());
    this.#listener = listener;
    try {
      const command: PowerOnCommand = { configuration, listenFd: listener.fd };
      await worker.call('powerOn', command);
    } catch (error) {
      this.#stopListening();
      throw error;
    }
    return {
      kind: 'vfio-user',
      socketPath: listener.path,
      msix: this.shape.interrupts.kind === 'msix',
    };
  }

  async powerOff(): Promise<void> {
    const life = this.#life;
    if (this.#listener !== undefined && life !== undefined && !life.worker.over) {
      // A device that fails or hangs on its way out was reported as such; it is off then, too.
      await life.worker.call('powerOff').catch(() => undefined);
    }
    this.#stopListening();
    const dead = this.#dead;
    this.#dead = undefined;
    await dead?.close();
  }

  /** Ends the device and its worker. Safe to call twice. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.powerOff();
    this.#life?.watch.close();
    await this.#life?.worker.stop();
  }

  async #startWorker(): Promise<void> {
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
    const started: Life = {
      worker,
      state: undefined,
      failed: false,
      watch: new ProgressWatch({
        limitMs: stallLimitMs,
        threadId: worker.threadId,
        progress: () => progressOf(started),
        stalled: () => void this.#stalled(started, stallLimitMs),
      }),
    };
    life = started;
    this.#life = started;
    this.#ready = worker.readyValue as VfioUserWorkerReady;
    for (const notice of early) this.#noticed(started, notice);
    void worker.ended.then((end) => this.#ended(started, end));
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
        this.#options.notify({ type: 'failed', error: decodeError(notice.error) });
        break;
      default:
        this.#options.notify(notice);
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
    const { state } = life;
    life.state = undefined;
    if (state !== undefined) {
      this.#dead = new DeadConnection(state, life.worker.ended);
    }
    if (!first) return;
    this.#options.notify({ type: 'failed', error: new DeviceFailedError(this.name, cause) });
  }

  #stopListening(): void {
    this.#listener?.close();
    this.#listener = undefined;
  }
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
