import { existsSync } from 'node:fs';
import { type WindowsSystem, windowsSystem } from '../../ffi/windows-system.ts';
import { COMPUTE_CORE_ABI } from '../../hcs/native/compute-core-abi.ts';
import { createNativeComputeCore } from '../../hcs/native/native-compute-core.ts';
import { NativeComputeStorage } from '../../hcs/native/native-compute-storage.ts';
import { type HostBinding, HostUnavailableError } from '../host.ts';
import { type LibraryPaths, libraryPath } from './library-paths.ts';
import { WindowsHdv } from './windows-hdv.ts';

export { WINDOWS_CAPABILITIES } from './capabilities.ts';
export type { LibraryPaths } from './library-paths.ts';

/** Of a stall limit, in milliseconds; the longest that a timer takes. */
const LEAST_STALL_LIMIT_MS = 500;
const MOST_STALL_LIMIT_MS = 2 ** 31 - 1;

/** How a windows host is made; everything has a default. */
export interface WindowsHostOptions {
  /** Other libraries than those of Windows. */
  readonly libraries?: LibraryPaths;
  /**
   * Milliseconds after which a device that does not answer is given up; 1000. At least 500: Windows counts the time of
   * threads in steps of 16 ms and does not say which of them wait, so that within less a thread that got no processor
   * looks like one that is stuck; and a device may wait 400 ms for a mapping.
   */
  readonly stallLimitMs?: number;
  /** MiB of JavaScript objects that a device may hold; 512. */
  readonly heapLimit?: number;
}

/**
 * Makes a windows host: the compute service of Windows by computecore.dll and computestorage.dll, devices by
 * vmdevicehost.dll, each on a worker. A library is loaded when one of its functions is called first; what is missing
 * then is said by that call.
 * @throws RangeError when a limit is out of range
 * @throws HostUnavailableError where there is no Windows, or it has no compute service
 */
export function createWindowsHost({
  libraries = {},
  ...limits
}: WindowsHostOptions = {}): HostBinding {
  checkStallLimit(limits.stallLimitMs);
  const { system } = libraries;
  requireWindows(system);
  requireService(libraryPath(libraries, 'computecore'));
  const computeCore = createNativeComputeCore({
    path: libraryPath(libraries, 'computecore'),
    system,
  });
  const computeStorage = new NativeComputeStorage({
    path: libraryPath(libraries, 'computestorage'),
    system,
  });
  const hdv = new WindowsHdv({
    libraries,
    systemIdOf: (handle) => computeCore.systemIdOf(handle),
    useSystem: (name, computeSystem, call) => computeCore.useSystem(name, computeSystem, call),
    ...limits,
  });
  return {
    name: 'windows',
    computeCore,
    computeStorage,
    hdv: hdv.binding,
    async close() {
      await hdv.close();
      await computeCore.close();
    },
  };
}

function checkStallLimit(limitMs: number | undefined): void {
  if (limitMs === undefined) return;
  if (limitMs >= LEAST_STALL_LIMIT_MS && limitMs <= MOST_STALL_LIMIT_MS) return;
  throw new RangeError(
    `Cannot give up devices after ${limitMs} ms: stallLimitMs is ${LEAST_STALL_LIMIT_MS} to ${MOST_STALL_LIMIT_MS} on the host windows, as a thread that gets no processor looks stuck within less`,
  );
}

function requireWindows(path: string | undefined): WindowsSystem {
  try {
    return windowsSystem(path);
  } catch (cause) {
    if (process.platform === 'win32' || path !== undefined) throw cause;
    throw new HostUnavailableError(
      'windows',
      'it needs Windows; use HDVKIT_HOST=simulated or --host simulated',
      { cause },
    );
  }
}

function requireService(path: string): void {
  if (existsSync(path)) return;
  throw new HostUnavailableError(
    'windows',
    `there is no ${path}; enable ${COMPUTE_CORE_ABI.feature}, or use HDVKIT_HOST=simulated or --host simulated`,
  );
}
