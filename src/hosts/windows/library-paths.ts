import { systemLibrary } from '../../ffi/windows-system.ts';

/** Where the libraries are; absent: the ones of Windows. Plain data, which workers get too. */
export interface LibraryPaths {
  readonly computecore?: string;
  readonly computestorage?: string;
  readonly vmdevicehost?: string;
  /** One library with the functions of kernel32.dll and ole32.dll that are needed. */
  readonly system?: string;
}

/** Name of a library of the three contracts. */
export type ContractLibrary = 'computecore' | 'computestorage' | 'vmdevicehost';

/** Path of a library: the one that was named, or the one in the system's folder, never one found by search. */
export function libraryPath(libraries: LibraryPaths, name: ContractLibrary): string {
  return libraries[name] ?? systemLibrary(`${name}.dll`);
}
