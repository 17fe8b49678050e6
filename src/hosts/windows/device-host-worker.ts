import { NativeLibrary } from '../../ffi/native-library.ts';
import { windowsSystem } from '../../ffi/windows-system.ts';
import { type HostThreadRequest, HostThreadServer } from '../../hdv/native/host-thread.ts';
import { VM_DEVICE_HOST_ABI } from '../../hdv/native/vm-device-host-abi.ts';
import { type BootstrapTask, runWorker } from '../../transport/worker-context.ts';
import { type LibraryPaths, libraryPath } from './library-paths.ts';

/** What the thread of device hosts is started with. */
export interface DeviceHostWorkerData {
  readonly libraries: LibraryPaths;
}

/** Entry of the thread that initializes device hosts and tears them down. It owns no callbacks, so its calls may block. */
export const run = (task: BootstrapTask): Promise<void> =>
  runWorker<DeviceHostWorkerData>(task, async (context) => {
    const { libraries } = context.data;
    const system = windowsSystem(libraries.system);
    const library = NativeLibrary.open(libraryPath(libraries, 'vmdevicehost'), VM_DEVICE_HOST_ABI);
    library.bindAll();
    const server = new HostThreadServer(library, system);
    context.ready(undefined);
    while (!context.control.stopRequested) {
      system.WaitForSingleObject(context.attention, context.patience);
      context.attend((_method, request) => server.run(request as HostThreadRequest));
      await context.turn();
    }
  });
