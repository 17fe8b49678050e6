import { eventLoopClock } from '../../device-host/event-loop-clock.ts';
import { SupportObject } from '../../ffi/gate/support-object.ts';
import { guidBytes } from '../../ffi/guid.ts';
import { NativeLibrary } from '../../ffi/native-library.ts';
import { windowsSystem } from '../../ffi/windows-system.ts';
import type { NativeComputeCore } from '../../hcs/native/native-compute-core.ts';
import type { HdvBinding } from '../../hdv/hdv-binding.ts';
import { NativeVmDeviceHost } from '../../hdv/native/native-vm-device-host.ts';
import { VM_DEVICE_HOST_ABI } from '../../hdv/native/vm-device-host-abi.ts';
import { WINDOWS_CAPABILITIES } from './capabilities.ts';
import { DeviceHostThread } from './device-host-thread.ts';
import { type LibraryPaths, libraryPath } from './library-paths.ts';
import { WindowsPlacement } from './placement.ts';

/** IID of IVmDeviceHostSupport. */
const IVM_DEVICE_HOST_SUPPORT = 'e31aa49b-0914-465e-b145-1b9ba13efb10';

/** What a {@link WindowsHdv} needs. */
export interface WindowsHdvOptions {
  readonly libraries: LibraryPaths;
  /** Id of a compute system by its handle, where it is known. */
  readonly systemIdOf: (computeSystem: bigint) => string | undefined;
  /** Makes a call that has the handle of a compute system, which stays open meanwhile. */
  readonly useSystem: NativeComputeCore['useSystem'];
  readonly stallLimitMs?: number | undefined;
  readonly heapLimit?: number | undefined;
}

/** HDV by vmdevicehost.dll, with devices on workers and device hosts on a thread of their own. */
export class WindowsHdv {
  readonly binding: HdvBinding;
  readonly #thread: DeviceHostThread;
  readonly #placement: WindowsPlacement;

  constructor({ libraries, systemIdOf, useSystem, ...limits }: WindowsHdvOptions) {
    const library = NativeLibrary.open(libraryPath(libraries, 'vmdevicehost'), VM_DEVICE_HOST_ABI);
    const system = windowsSystem(libraries.system);
    const thread = new DeviceHostThread({
      libraries,
      systemIdOf,
      useSystem,
      tornDown: (host) => placement.forget(host),
    });
    const vmDeviceHost = new NativeVmDeviceHost({
      library,
      system,
      hostThread: (request) => thread.call(request),
    });
    const placement = new WindowsPlacement({
      libraries,
      system,
      vmDeviceHost,
      tornDownWord: (host) => thread.tornDownWord(host),
      ...limits,
    });
    this.#thread = thread;
    this.#placement = placement;
    this.binding = {
      hostName: 'windows',
      vmDeviceHost,
      capabilities: WINDOWS_CAPABILITIES,
      placement,
      platform: {
        clock: () => eventLoopClock,
        storesFault: true,
        proxyInterface: (computeSystem) => {
          const object = SupportObject.create(system, {
            interfaceId: guidBytes(IVM_DEVICE_HOST_SUPPORT),
            computeSystem: Number(computeSystem),
            proxyDeviceHost: library.addressOf('HdvProxyDeviceHost'),
          });
          return BigInt(object.address);
        },
      },
    };
  }

  /** Tears the device host down, and ends the devices that nobody stopped. Safe to call twice. */
  async close(): Promise<void> {
    // While the devices are there to answer Stop and Teardown.
    await this.#thread.close();
    await this.#placement.close();
  }
}
