import { existsSync } from 'node:fs';
import {
  koffiReceivedType,
  koffiType,
  type LibraryAbi,
  type NativeFunction,
  typeKind,
} from './abi.ts';
import { libraryFile } from './library-file.ts';
import { koffi } from './native-config.ts';
import { NativeLibraryError, NotSupportedError } from './native-library-error.ts';
import { pinLibrary } from './pin-library.ts';

type Loaded = ReturnType<typeof koffi.load>;
type AnyFunction = NativeFunction;

/** The function's name, checked against the table. */
export type FunctionName<Abi extends LibraryAbi> = keyof Abi['functions'] & string;

/** One library and its functions, each bound when it is first asked for. Belongs to the thread that opened it. */
export class NativeLibrary<Abi extends LibraryAbi> {
  readonly path: string;
  readonly abi: Abi;
  #loaded: Loaded | undefined;
  readonly #functions = new Map<string, AnyFunction>();

  private constructor(path: string, abi: Abi) {
    this.path = path;
    this.abi = abi;
  }

  /** Describes a library; it is loaded by the first call that needs it. */
  static open<const Abi extends LibraryAbi>(path: string, abi: Abi): NativeLibrary<Abi> {
    return new NativeLibrary(path, abi);
  }

  /** Loads the library now.
   * @throws NativeLibraryError */
  load(): void {
    this.#loaded ??= loadLibrary(this.path, this.abi.feature);
  }

  /** The function, bound. Keep it where it is called often.
   * @throws NotSupportedError when the library does not export it, or its signature is not known
   * @throws NativeLibraryError when the library cannot be loaded */
  function<Name extends FunctionName<Abi>>(
    name: Name,
  ): NativeFunction<Abi, Abi['functions'][Name]> {
    const bound = this.#functions.get(name) ?? this.#bind(name);
    return bound as NativeFunction<Abi, Abi['functions'][Name]>;
  }

  /**
   * Binds everything that the library exports, so that no later call makes JavaScript functions in native code: a
   * worker's end does not survive that.
   * @throws NativeLibraryError when the library cannot be loaded
   */
  bindAll(): void {
    for (const name of Object.keys(this.abi.functions)) {
      if (this.has(name)) this.function(name as FunctionName<Abi>);
    }
  }

  /** Whether the library exports this name.
   * @throws NativeLibraryError when the library cannot be loaded */
  has(name: string): boolean {
    return this.#symbol(name) !== undefined;
  }

  /** Address of an export, for native code to call.
   * @throws NotSupportedError when there is none */
  addressOf(name: string): number {
    const symbol = this.#symbol(name);
    if (symbol === undefined) throw this.#notExported(name);
    return Number(symbol);
  }

  #symbol(name: string): bigint | undefined {
    this.load();
    try {
      return this.#loaded?.symbol(name) as bigint | undefined;
    } catch {
      return undefined;
    }
  }

  #bind(name: string): AnyFunction {
    const declared = this.abi.functions[name];
    const reason = this.abi.unbound[name];
    if (reason !== undefined) throw new NotSupportedError(name, reason);
    if (declared === undefined) {
      throw new TypeError(`Cannot call ${name}: ${this.abi.file} does not declare it`);
    }
    this.load();
    if (!this.has(name)) throw this.#notExported(name);
    const parameters = declared.parameters.map(([type]) => koffiType(this.abi, type));
    const native = (this.#loaded as Loaded).func(
      name,
      koffiReceivedType(this.abi, declared.result),
      parameters,
    );
    const strings = declared.parameters.flatMap(([type, parameter], index) =>
      typeKind(this.abi, type).is === 'string' ? [[index, parameter] as const] : [],
    );
    const bound = callable(name, native, strings);
    this.#functions.set(name, bound);
    return bound;
  }

  #notExported(name: string): NotSupportedError {
    const since = this.abi.functions[name]?.since;
    return new NotSupportedError(name, `${this.path} does not export it`, since);
  }
}

type Koffi = ReturnType<Loaded['func']>;
type StringParameter = readonly [index: number, name: string];

/** Arguments of asynchronous calls: what they point to must outlive the call. */
const underWay = new Set<readonly unknown[]>();

function callable(name: string, native: Koffi, strings: readonly StringParameter[]): AnyFunction {
  const startAsync = native.async;
  const async = (...parameters: unknown[]): Promise<unknown> =>
    new Promise((resolve, reject) => {
      checkStrings(name, strings, parameters);
      // Throws where koffi does not take an argument: nothing is under way then.
      startAsync(...parameters, (error: unknown, result: unknown) => {
        underWay.delete(parameters);
        if (error) reject(error);
        else resolve(result);
      });
      underWay.add(parameters);
    });
  const checked = (...parameters: unknown[]): unknown => {
    checkStrings(name, strings, parameters);
    return native(...parameters);
  };
  // Without strings koffi's own function does: nothing is added to the calls that come with each access.
  const sync = strings.length > 0 ? checked : native;
  return Object.defineProperty(sync, 'async', { value: async }) as unknown as AnyFunction;
}

/** koffi takes a number for a string as an address, and cuts a string at its first NUL. */
function checkStrings(
  name: string,
  strings: readonly StringParameter[],
  parameters: readonly unknown[],
): void {
  for (const [index, parameter] of strings) {
    const value = parameters[index];
    if (value === null) continue;
    if (typeof value !== 'string') {
      throw new TypeError(`Cannot call ${name}: ${parameter} must be a string or null`);
    }
    if (value.includes('\0')) {
      throw new TypeError(`Cannot call ${name}: ${parameter} contains a NUL character`);
    }
  }
}

/** Format of this system's libraries. */
const FORMAT = process.platform === 'win32' ? 'PE' : 'ELF';

function loadLibrary(path: string, feature: string | undefined): Loaded {
  try {
    const loaded = koffi.load(path);
    pinLibrary(path);
    return loaded;
  } catch (cause) {
    throw explain(path, feature, cause);
  }
}

function explain(path: string, feature: string | undefined, cause: unknown): NativeLibraryError {
  const said = cause instanceof Error ? cause.message : String(cause);
  if (/[/\\]/.test(path)) {
    if (!existsSync(path)) {
      const remedy = feature === undefined ? '' : `; enable ${feature}`;
      return new NativeLibraryError(path, 'missing', `no such file${remedy}`, cause);
    }
    const file = readable(path);
    if (file !== undefined && file.format !== FORMAT) {
      const reason = `it is a library of the format ${file.format}, ${process.platform} has ${FORMAT}`;
      return new NativeLibraryError(path, 'architecture', reason, cause);
    }
    if (file !== undefined && file.architecture !== process.arch) {
      const reason = `it is a ${file.bits}-bit library for ${file.architecture}, this is Node for ${process.arch}`;
      return new NativeLibraryError(path, 'architecture', reason, cause);
    }
  }
  return new NativeLibraryError(path, 'unusable', said, cause);
}

function readable(path: string): ReturnType<typeof libraryFile> {
  try {
    return libraryFile(path);
  } catch {
    return undefined;
  }
}
