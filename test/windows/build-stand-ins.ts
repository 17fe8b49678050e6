import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheDirectory } from '../../src/provision/cache-directory.ts';
import { abiHeaders, writeAbiHeaders } from './abi-header.ts';
import { keptBuild } from './kept-builds.ts';
import { MINGW_GCC } from './mingw.ts';

/** Shared objects for the machine's own system, or DLLs for Windows x64. */
export type StandInFormat = 'elf' | 'dll';

const SOURCES = fileURLToPath(new URL('./stand-ins/', import.meta.url));

/** Library → its sources, in an order in which each finds what it links to. */
const LIBRARIES: Readonly<Record<string, readonly string[]>> = {
  'stand-in-recorder': ['recorder.c'],
  system: ['system.c'],
  computecore: [
    'computecore-documents.c',
    'computecore-operations.c',
    'computecore-processes.c',
    'computecore-service.c',
    'computecore-systems.c',
    'json.c',
  ],
  computestorage: ['computestorage.c'],
  vmdevicehost: ['vmdevicehost.c'],
};

const FLAGS = ['-std=gnu11', '-O2', '-g', '-Wall', '-Wextra', '-Werror', '-shared'];

interface Toolchain {
  readonly compiler: string;
  readonly target: 'elf' | 'mingw';
  readonly extension: 'so' | 'dll';
  readonly flags: readonly string[];
  readonly libraries: readonly string[];
}

const TOOLCHAINS: Readonly<Record<StandInFormat, Toolchain>> = {
  elf: {
    compiler: 'gcc',
    target: 'elf',
    extension: 'so',
    flags: [
      '-D_GNU_SOURCE',
      '-fPIC',
      '-fshort-wchar',
      '-fvisibility=hidden',
      '-pthread',
      '-Wl,-rpath,$ORIGIN',
    ],
    libraries: ['-ldl'],
  },
  dll: {
    compiler: MINGW_GCC,
    target: 'mingw',
    extension: 'dll',
    flags: ['-static-libgcc'],
    libraries: ['-lole32'],
  },
};

/** Names of the libraries, without extension. `system` is for Linux only: Windows has its own. */
export function standInNames(format: StandInFormat): readonly string[] {
  return Object.keys(LIBRARIES).filter((name) => format === 'elf' || name !== 'system');
}

/** File name of a library: `computecore.so`, `computecore.dll`. */
export function standInFile(format: StandInFormat, name: string): string {
  return `${name}.${TOOLCHAINS[format].extension}`;
}

/** Whether the compiler of this format is installed. */
export function canBuildStandIns(format: StandInFormat): boolean {
  return spawnSync(TOOLCHAINS[format].compiler, ['--version']).status === 0;
}

/**
 * The folder with the stand-ins, in the cache, built unless it is there already: its name is made from the sources, the
 * tables and the compiler. Several processes may build at once. Builds that nobody uses any more are removed.
 * @param extraFlags for the compiler, sanitizers for instance
 * @throws Error with the compiler's output
 */
export function buildStandIns(format: StandInFormat, extraFlags: readonly string[] = []): string {
  const name = `${format}-${fingerprint(format, extraFlags)}`;
  const folder = join(cacheDirectory(), 'stand-ins', name);
  keptBuild(folder, (draft) => {
    writeAbiHeaders(join(draft, 'include'), TOOLCHAINS[format].target);
    for (const library of standInNames(format)) compile(format, library, draft, extraFlags);
  });
  return folder;
}

function compile(
  format: StandInFormat,
  name: string,
  folder: string,
  extraFlags: readonly string[],
): void {
  const { compiler, flags, libraries } = TOOLCHAINS[format];
  const recorder = join(folder, standInFile(format, 'stand-in-recorder'));
  run(compiler, [
    ...FLAGS,
    ...flags,
    ...extraFlags,
    `-I${join(folder, 'include')}`,
    `-I${SOURCES}`,
    ...(LIBRARIES[name] ?? []).map((source) => join(SOURCES, source)),
    '-o',
    join(folder, standInFile(format, name)),
    // Loaded by name, so that one copy serves all.
    ...(existsSync(recorder)
      ? [`-L${folder}`, `-l:${standInFile(format, 'stand-in-recorder')}`]
      : []),
    ...libraries,
  ]);
}

/**
 * Compiles the program that uses the stand-ins from several threads (`exercise.c`), with a sanitizer in all of it.
 * @param folder where it and the headers go
 * @returns its path
 */
export function buildExercise(folder: string, sanitizer: 'address,undefined' | 'thread'): string {
  const program = join(folder, `exercise-${sanitizer}`);
  writeAbiHeaders(join(folder, 'include'), 'elf');
  const libraries = ['stand-in-recorder', 'system', 'computecore'];
  run('gcc', [
    ...FLAGS.filter((flag) => flag !== '-shared'),
    ...TOOLCHAINS.elf.flags,
    '-O0',
    `-fsanitize=${sanitizer}`,
    `-I${join(folder, 'include')}`,
    ...libraries.flatMap((name) => LIBRARIES[name] ?? []).map((source) => join(SOURCES, source)),
    join(SOURCES, 'exercise.c'),
    '-o',
    program,
    ...TOOLCHAINS.elf.libraries,
  ]);
  return program;
}

function run(command: string, parameters: readonly string[]): void {
  const { status, stderr, error } = spawnSync(command, parameters, { encoding: 'utf8' });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`Cannot build the stand-ins: ${command} says\n${stderr}`);
}

function fingerprint(format: StandInFormat, extraFlags: readonly string[]): string {
  const { compiler, target, flags, libraries } = TOOLCHAINS[format];
  const version = spawnSync(compiler, ['--version'], { encoding: 'utf8' });
  if (version.error !== undefined) throw version.error;
  const hash = createHash('sha256').update(version.stdout);
  hash.update(JSON.stringify([LIBRARIES, FLAGS, flags, libraries, extraFlags]));
  for (const name of readdirSync(SOURCES).sort()) {
    hash.update(`\0${name}\0`).update(readFileSync(join(SOURCES, name)));
  }
  for (const [name, text] of Object.entries(abiHeaders(target))) hash.update(`\0${name}\0${text}`);
  return hash.digest('hex').slice(0, 16);
}
