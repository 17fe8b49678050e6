import { NativeLibrary } from '../../ffi/native-library.ts';
import { type WindowsSystem, windowsSystem } from '../../ffi/windows-system.ts';
import { COMPUTE_CORE_ABI } from './compute-core-abi.ts';

/** Where the libraries of the compute service are, as full paths. */
export interface NativeLibraryOptions {
  /** computecore.dll or computestorage.dll. */
  readonly path: string;
  /** One library that has what is used of kernel32.dll; by default the system's own. */
  readonly system?: string | undefined;
}

/** computecore.dll, and the functions of the system that it takes to use it. Loaded by the first call. */
export interface ComputeCoreLibrary {
  readonly core: NativeLibrary<typeof COMPUTE_CORE_ABI>;
  system(): WindowsSystem;
}

/** Describes computecore.dll at a path; loads nothing. */
export function computeCoreLibrary({ path, system }: NativeLibraryOptions): ComputeCoreLibrary {
  return {
    core: NativeLibrary.open(path, COMPUTE_CORE_ABI),
    system: () => windowsSystem(system),
  };
}
