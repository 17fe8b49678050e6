import type { HCS_SYSTEM } from '../../hcs/core/handles.ts';
import type { NativeComputeCore } from '../../hcs/native/native-compute-core.ts';
import { HdvError } from '../../hdv/hdv-error.ts';
import { isFailure } from '../../hdv/native/hdv-result.ts';
import type { HostThreadRequest, HostThreadResult } from '../../hdv/native/host-thread.ts';
import { TaskThread } from '../../transport/task-thread.ts';
import { moduleExtension } from '../../transport/typescript-loader.ts';
import type { DeviceHostTask } from './device-host-worker.ts';
import type { LibraryPaths } from './library-paths.ts';

const ENTRY = new URL(`./device-host-worker${moduleExtension}`, import.meta.url);

/** What a {@link DeviceHostThread} needs. */
export interface DeviceHostThreadOptions {
  readonly libraries: LibraryPaths;
  /** Id of a compute system by its handle, where it is known. */
  readonly systemIdOf: (computeSystem: bigint) => string | undefined;
  /** Makes a call that has the handle of a compute system, which stays open meanwhile. */
  readonly useSystem: NativeComputeCore['useSystem'];
  /** Called when a device host is gone. */
  readonly tornDown: (host: bigint) => void;
}

/** The device host of a process. */
interface HeldHost {
  readonly systemId: string | undefined;
  /** 0n while it is being initialized. */
  handle: bigint;
  /** Shared with the threads of its devices: not 0 once its teardown began. */
  readonly tornDown: Int32Array;
}

/**
 * The one thread on which this process initializes its device host and tears it down. It exists as long as the device
 * host does, and keeps the process alive during calls only: a guest depends on devices, each of which has a thread that
 * does, and not on a device host without any.
 */
export class DeviceHostThread {
  readonly #options: DeviceHostThreadOptions;
  #thread: TaskThread | undefined;
  /** Calls under way. */
  #calls = 0;
  #held: HeldHost | undefined;

  constructor(options: DeviceHostThreadOptions) {
    this.#options = options;
  }

  /**
   * Makes one call there.
   * @throws HdvError ERROR_VID_PROCESS_ALREADY_SET when this process has a device host already: Windows allows one;
   *   E_HANDLE when the compute system's handle is closed: to hand it on would end the process
   * @throws NotSupportedError, NativeLibraryError (by name)
   */
  async call(request: HostThreadRequest): Promise<HostThreadResult> {
    this.#calls++;
    try {
      switch (request.name) {
        case 'HdvTeardownDeviceHost':
          return await this.#tearDown(request);
        case 'HdvProxyDeviceHost':
          return await this.#runOnSystem(request);
        default:
          return await this.#initialize(request);
      }
    } finally {
      this.#calls--;
      // The next initialization makes a new thread.
      if (this.#held === undefined && this.#calls === 0) await this.#end();
    }
  }

  /** The word that threads of devices look at before they touch what a device host has made. */
  tornDownWord(host: bigint): Int32Array {
    return this.#held?.handle === host ? this.#held.tornDown : new Int32Array([1]);
  }

  /** Tears down what is left, and ends the thread. Safe to call twice. */
  async close(): Promise<void> {
    const handle = this.#held?.handle ?? 0n;
    if (handle !== 0n) await this.call({ name: 'HdvTeardownDeviceHost', parameters: [handle] });
  }

  async #initialize(request: HostThreadRequest): Promise<HostThreadResult> {
    if (this.#held !== undefined) throw alreadySet(request.name, this.#held.systemId);
    const [first] = request.parameters;
    const held: HeldHost = {
      systemId: typeof first === 'bigint' ? this.#options.systemIdOf(first) : undefined,
      handle: 0n,
      tornDown: new Int32Array(new SharedArrayBuffer(4)),
    };
    this.#held = held;
    try {
      const result = await this.#runOnSystem(request);
      if (isFailure(result.hresult)) this.#held = undefined;
      else held.handle = result.value;
      return result;
    } catch (error) {
      this.#held = undefined;
      throw error;
    }
  }

  async #tearDown(request: HostThreadRequest): Promise<HostThreadResult> {
    const [handle] = request.parameters;
    const held = this.#held?.handle === handle ? this.#held : undefined;
    if (held !== undefined) Atomics.store(held.tornDown, 0, 1);
    const result = await this.#run(request);
    if (held === undefined || isFailure(result.hresult)) return result;
    this.#options.tornDown(held.handle);
    if (this.#held === held) this.#held = undefined;
    return result;
  }

  /** Makes a call whose first parameter is a compute system, or none. */
  async #runOnSystem(request: HostThreadRequest): Promise<HostThreadResult> {
    const [first] = request.parameters;
    if (typeof first !== 'bigint') return await this.#run(request);
    if (this.#options.systemIdOf(first) === undefined) throw notOpen(request.name, first);
    return await this.#options.useSystem(request.name, first as HCS_SYSTEM, () =>
      this.#run(request),
    );
  }

  async #run(request: HostThreadRequest): Promise<HostThreadResult> {
    this.#thread ??= new TaskThread(ENTRY);
    const task: DeviceHostTask = { libraries: this.#options.libraries, request };
    return (await this.#thread.run(task)) as HostThreadResult;
  }

  async #end(): Promise<void> {
    const thread = this.#thread;
    this.#thread = undefined;
    await thread?.close();
  }
}

function notOpen(name: string, computeSystem: bigint): HdvError {
  return new HdvError(
    name,
    'E_HANDLE',
    `the compute system's handle ${computeSystem} is not open: it was closed, or is of another host`,
  );
}

function alreadySet(name: string, systemId: string | undefined): HdvError {
  const whose = systemId === undefined ? 'a compute system' : `the compute system ${systemId}`;
  return new HdvError(
    name,
    'ERROR_VID_PROCESS_ALREADY_SET',
    `this process is the device host of ${whose} already, and Windows allows one for each process: attach to that device host, dispose of it first, or host the devices of this system in another process`,
  );
}
