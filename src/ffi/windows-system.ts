import { join } from 'node:path';
import type { LibraryAbi, NativeFunction } from './abi.ts';
import { NativeLibrary } from './native-library.ts';
import { NotSupportedError } from './native-library-error.ts';
import { readWideString } from './wide-string.ts';
import { KERNEL32_ABI, KERNELBASE_ABI, OLE32_ABI } from './windows-system-abi.ts';

type Functions<Abi extends LibraryAbi> = {
  readonly [Name in keyof Abi['functions']]: NativeFunction<Abi, Abi['functions'][Name]>;
};

/** Name of a function of the Windows system that this package uses. */
export type WindowsSystemFunction =
  | keyof (typeof KERNEL32_ABI)['functions']
  | keyof (typeof KERNELBASE_ABI)['functions']
  | keyof (typeof OLE32_ABI)['functions'];

/**
 * Functions of Windows itself, by their own names. One that is missing throws {@link NotSupportedError} when it is
 * called.
 */
export interface WindowsSystem
  extends Functions<typeof KERNEL32_ABI>,
    Functions<typeof KERNELBASE_ABI>,
    Functions<typeof OLE32_ABI> {
  /** Address of a function, for native code to call.
   * @throws NotSupportedError */
  addressOf(name: WindowsSystemFunction): number;
  /** Decodes a string that a library returned, which is the caller's, and frees it; null at address 0. */
  takeString(address: number | bigint): string | null;
}

const systems = new Map<string, WindowsSystem>();

/**
 * The Windows system of this thread, with every function bound: no later call makes functions in native code.
 * @param path one library that has all of the functions, in place of those of Windows
 * @throws NativeLibraryError when a library cannot be loaded
 * @throws NotSupportedError on another system, when there is no `path`
 */
export function windowsSystem(path?: string): WindowsSystem {
  const known = systems.get(path ?? '');
  if (known !== undefined) return known;
  if (path === undefined && process.platform !== 'win32') {
    throw new NotSupportedError('windowsSystem', `this is ${process.platform}`, 'Windows');
  }
  const libraries: NativeLibrary<LibraryAbi>[] = [KERNEL32_ABI, KERNELBASE_ABI, OLE32_ABI].map(
    (abi: LibraryAbi) => NativeLibrary.open(path ?? systemLibrary(abi.file), abi),
  );
  const system = bindSystem(libraries);
  systems.set(path ?? '', system);
  return system;
}

/** Full path of a library of Windows: never what lies in the current folder or on PATH. */
export function systemLibrary(file: string): string {
  return join(process.env.SystemRoot ?? 'C:\\Windows', 'System32', file);
}

function bindSystem(libraries: readonly NativeLibrary<LibraryAbi>[]): WindowsSystem {
  const functions: Record<string, unknown> = {};
  for (const library of libraries) {
    for (const name of Object.keys(library.abi.functions)) {
      functions[name] = library.has(name) ? library.function(name) : absent(library, name);
    }
  }
  const system = functions as unknown as WindowsSystem;
  return Object.assign(system, {
    addressOf(name: string): number {
      const owner = libraries.find(({ abi }) => Object.hasOwn(abi.functions, name));
      if (owner === undefined) throw new TypeError(`Cannot find ${name}: no table declares it`);
      return owner.addressOf(name);
    },
    takeString(address: number | bigint): string | null {
      const text = readWideString(address);
      if (text !== null) system.LocalFree(address);
      return text;
    },
  });
}

function absent(library: NativeLibrary<LibraryAbi>, name: string): unknown {
  const refuse = (): never => {
    library.addressOf(name);
    throw new NotSupportedError(name, `${library.path} does not export it`);
  };
  return Object.assign(refuse, { async: async () => refuse() });
}
