import { NativeLibrary } from '../../ffi/native-library.ts';
import { windowsSystem } from '../../ffi/windows-system.ts';
import {
  type HostThreadRequest,
  type HostThreadResult,
  HostThreadServer,
} from '../../hdv/native/host-thread.ts';
import { VM_DEVICE_HOST_ABI } from '../../hdv/native/vm-device-host-abi.ts';
import { type LibraryPaths, libraryPath } from './library-paths.ts';

/** One call for the thread of device hosts. */
export interface DeviceHostTask {
  readonly libraries: LibraryPaths;
  readonly request: HostThreadRequest;
}

let server: HostThreadServer | undefined;

/** Entry of the thread that initializes device hosts and tears them down. It owns no callbacks, so its calls may block. */
export function run({ libraries, request }: DeviceHostTask): HostThreadResult {
  server ??= open(libraries);
  return server.run(request);
}

function open(libraries: LibraryPaths): HostThreadServer {
  const system = windowsSystem(libraries.system);
  const library = NativeLibrary.open(libraryPath(libraries, 'vmdevicehost'), VM_DEVICE_HOST_ABI);
  return new HostThreadServer(library, system);
}
