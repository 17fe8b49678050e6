import { guidBytes } from '../../ffi/guid.ts';
import type { NativeLibrary } from '../../ffi/native-library.ts';
import type { WindowsSystem } from '../../ffi/windows-system.ts';
import type { VM_DEVICE_HOST_ABI } from './vm-device-host-abi.ts';

/** The functions that one fixed thread calls: a device host is torn down by the thread that initialized it. */
export type HostThreadFunction =
  | 'HdvInitializeDeviceHost'
  | 'HdvInitializeDeviceHostEx'
  | 'HdvInitializeDeviceHostForProxy'
  | 'HdvInitializeDeviceHostForProxyEx'
  | 'HdvProxyDeviceHost'
  | 'HdvTeardownDeviceHost';

/** One call, as plain data. */
export interface HostThreadRequest {
  readonly name: HostThreadFunction;
  /** In the order of the function's parameters, without the out-parameter; a GUID as its text. */
  readonly parameters: readonly (bigint | number | string)[];
}

/** What came of it, as plain data. */
export interface HostThreadResult {
  /** Unsigned. */
  readonly hresult: number;
  /** What the out-parameter received; 0n where there is none. */
  readonly value: bigint;
}

/** Sends a call to the fixed thread. Calls run one after the other. */
export type HostThread = (request: HostThreadRequest) => Promise<HostThreadResult>;

type Library = NativeLibrary<typeof VM_DEVICE_HOST_ABI>;
type AnyFunction = (...parameters: unknown[]) => number;

/**
 * Runs on the fixed thread, which owns no callback and may block: initialization and teardown wait for the worker
 * process of the machine, and teardown for the devices. The process gets a multi-threaded apartment before the first
 * call, and keeps it: Hyper-V's worker process calls device hosts by COM.
 */
export class HostThreadServer {
  readonly #library: Library;
  readonly #system: WindowsSystem;
  #hasApartment = false;

  constructor(library: Library, system: WindowsSystem) {
    this.#library = library;
    this.#system = system;
  }

  /** Makes one call. @throws NotSupportedError when the library does not have the function */
  run({ name, parameters }: HostThreadRequest): HostThreadResult {
    const call = this.#library.function(name) as unknown as AnyFunction;
    this.#enterApartment();
    const passed: unknown[] = parameters.map((value) =>
      typeof value === 'string' ? guidBytes(value) : value,
    );
    const cell: [number | bigint] = [0];
    if (name !== 'HdvTeardownDeviceHost') passed.push(cell);
    const hresult = call(...passed);
    return { hresult: hresult >>> 0, value: BigInt(cell[0] ?? 0) };
  }

  #enterApartment(): void {
    if (this.#hasApartment) return;
    this.#hasApartment = true;
    // Without one calls fail by themselves, and say why better than this could.
    this.#system.CoIncrementMTAUsage([0]);
  }
}
