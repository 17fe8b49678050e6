/** Why a library cannot be used. */
export type NativeLibraryProblem = 'missing' | 'architecture' | 'unusable';

/** A native library that cannot be loaded. */
export class NativeLibraryError extends Error {
  override readonly name = 'NativeLibraryError';
  readonly path: string;
  /** `missing`: no such file; `architecture`: built for another processor or system; `unusable`: anything else. */
  readonly problem: NativeLibraryProblem;

  constructor(path: string, problem: NativeLibraryProblem, reason: string, cause?: unknown) {
    super(`Cannot load ${path}: ${reason}`, { cause });
    this.path = path;
    this.problem = problem;
  }
}

/** A function that this Windows, or this package, does not have; everything else goes on working. */
export class NotSupportedError extends Error {
  override readonly name = 'NotSupportedError';
  /** The function's name: `'HcsGrantVmGroupAccess'`. */
  readonly function: string;
  /** First Windows that has it, or undefined when the function cannot be called on any. */
  readonly since: string | undefined;

  constructor(name: string, reason: string, since?: string) {
    super(`Cannot call ${name} as ${reason}${since === undefined ? '' : `: it needs ${since}`}`);
    this.function = name;
    this.since = since;
  }
}
