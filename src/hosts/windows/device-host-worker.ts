import { NativeLibrary } from '../../ffi/native-library.ts';
import { windowsSystem } from '../../ffi/windows-system.ts';
import type { DeviceHostFunction, DeviceHostResult } from '../../hdv/native/device-host-calls.ts';
import { VM_DEVICE_HOST_ABI } from '../../hdv/native/vm-device-host-abi.ts';
import {
  type BootstrapTask,
  runWorker,
  type WorkerContext,
} from '../../transport/worker-context.ts';
import { type LibraryPaths, libraryPath } from './library-paths.ts';

/** What the thread of device hosts is started with. */
export interface DeviceHostWorkerData {
  readonly libraries: LibraryPaths;
}

/** Argument of its only command, `call`. */
export interface DeviceHostCommand {
  readonly name: DeviceHostFunction;
  readonly parameters: readonly (bigint | number | Uint8Array)[];
}

/** Longest wait, so that an ending process need not wait for this thread. */
const LONGEST_WAIT_MS = 500;

/** Entry of the thread that initializes device hosts and tears them down. It owns no callbacks, so its calls may block. */
export const run = (task: BootstrapTask): Promise<void> =>
  runWorker<DeviceHostWorkerData>(task, serve);

async function serve(context: WorkerContext<DeviceHostWorkerData>): Promise<void> {
  const { libraries } = context.data;
  const system = windowsSystem(libraries.system);
  const library = NativeLibrary.open(libraryPath(libraries, 'vmdevicehost'), VM_DEVICE_HOST_ABI);
  library.bindAll();
  // The platform calls into device hosts over COM: the process has to have a multi-threaded apartment by then.
  const apartment: [number | bigint] = [0];
  const entered = system.CoIncrementMTAUsage(apartment);
  if (entered !== 0) {
    throw new Error(
      `Cannot enter a multi-threaded apartment: CoIncrementMTAUsage gave 0x${entered.toString(16)}`,
    );
  }
  try {
    context.ready(undefined);
    while (!context.control.stopRequested) {
      system.WaitForSingleObject(context.attention, Math.min(context.patience, LONGEST_WAIT_MS));
      context.attend((_method, argument) => call(library, argument as DeviceHostCommand));
      await context.turn();
    }
  } finally {
    system.CoDecrementMTAUsage(apartment[0]);
  }
}

function call(
  library: NativeLibrary<typeof VM_DEVICE_HOST_ABI>,
  { name, parameters }: DeviceHostCommand,
): DeviceHostResult {
  const native = library.function(name) as unknown as (...parameters: unknown[]) => number;
  if (name === 'HdvTeardownDeviceHost') return { hresult: native(...parameters), host: 0n };
  const host: [number | bigint] = [0];
  const hresult = native(...parameters, host);
  return { hresult, host: BigInt(host[0]) };
}
