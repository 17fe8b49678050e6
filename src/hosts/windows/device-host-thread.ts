import { HDV_RESULTS, HdvError } from '../../hdv/hdv-error.ts';
import type {
  DeviceHostCalls,
  DeviceHostFunction,
  DeviceHostResult,
} from '../../hdv/native/device-host-calls.ts';
import { DeviceWorker } from '../../transport/device-worker.ts';
import { moduleExtension } from '../../transport/typescript-loader.ts';
import type { DeviceHostCommand, DeviceHostWorkerData } from './device-host-worker.ts';
import type { LibraryPaths } from './library-paths.ts';

const ENTRY = new URL(`./device-host-worker${moduleExtension}`, import.meta.url);

/** What a {@link DeviceHostThread} needs. */
export interface DeviceHostThreadOptions {
  readonly libraries: LibraryPaths;
  /** Name of a compute system by its handle, where it is known. */
  readonly systemIdOf: (computeSystem: bigint) => string | undefined;
  /** Called when a device host is gone. */
  readonly tornDown: (host: bigint) => void;
}

/**
 * The one thread on which this process initializes its device host and tears it down. It exists as long as the device
 * host does, and with it keeps the process alive: a guest depends on it.
 */
export class DeviceHostThread implements DeviceHostCalls {
  readonly #options: DeviceHostThreadOptions;
  #worker: Promise<DeviceWorker> | undefined;
  /** The device host of this process, or the one that is being made. */
  #held: { readonly systemId: string | undefined; host: bigint } | undefined;

  constructor(options: DeviceHostThreadOptions) {
    this.#options = options;
  }

  /**
   * @throws HdvError ERROR_VID_PROCESS_ALREADY_SET when this process has a device host already: Windows allows one
   * @throws NotSupportedError, NativeLibraryError (by name)
   */
  async call(
    name: DeviceHostFunction,
    parameters: DeviceHostCommand['parameters'],
  ): Promise<DeviceHostResult> {
    return name === 'HdvTeardownDeviceHost'
      ? await this.#tearDown(parameters)
      : await this.#initialize(name, parameters);
  }

  /** Tears down what is left, and ends the thread. Safe to call twice. */
  async close(): Promise<void> {
    const held = this.#held;
    if (held !== undefined && held.host !== 0n) await this.#tearDown([held.host]);
    await this.#end();
  }

  async #initialize(
    name: DeviceHostFunction,
    parameters: DeviceHostCommand['parameters'],
  ): Promise<DeviceHostResult> {
    if (this.#held !== undefined) throw alreadySet(name, this.#held.systemId);
    const [first] = parameters;
    const systemId = typeof first === 'bigint' ? this.#options.systemIdOf(first) : undefined;
    const held = { systemId, host: 0n };
    this.#held = held;
    let result: DeviceHostResult | undefined;
    try {
      result = await this.#run({ name, parameters });
      held.host = result.host;
      return result;
    } finally {
      if (result === undefined || result.hresult >= 0x8000_0000) {
        this.#held = undefined;
        await this.#end();
      }
    }
  }

  async #tearDown(parameters: DeviceHostCommand['parameters']): Promise<DeviceHostResult> {
    const result = await this.#run({ name: 'HdvTeardownDeviceHost', parameters });
    const [host] = parameters;
    if (result.hresult < 0x8000_0000 && typeof host === 'bigint') {
      this.#options.tornDown(host);
      if (this.#held?.host === host) {
        this.#held = undefined;
        await this.#end();
      }
    }
    return result;
  }

  async #run(command: DeviceHostCommand): Promise<DeviceHostResult> {
    const data: DeviceHostWorkerData = { libraries: this.#options.libraries };
    this.#worker ??= DeviceWorker.start({ entry: ENTRY, data });
    const worker = await this.#worker;
    return (await worker.call('call', command)) as DeviceHostResult;
  }

  /** A thread that was not needed any more makes place for a new one at the next initialization. */
  async #end(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    if (worker === undefined) return;
    const started = await worker.catch(() => undefined);
    await started?.stop();
  }
}

function alreadySet(name: string, systemId: string | undefined): HdvError {
  const whose = systemId === undefined ? 'a compute system' : `the compute system ${systemId}`;
  return new HdvError(
    name,
    HDV_RESULTS.ERROR_VID_PROCESS_ALREADY_SET,
    `this process is the device host of ${whose} already, and Windows allows one for each process: attach to that device host, dispose of it first, or host this system's devices in another process`,
  );
}
