/** gate-threads.c, compiled and loaded: native threads that call a device table and check what they get. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type LibraryAbi, returns } from '../../../src/ffi/abi.ts';
import { koffi } from '../../../src/ffi/native-config.ts';
import { NativeLibrary } from '../../../src/ffi/native-library.ts';

const SINCE = 'Windows 10';
const TARGET = [
  ['UINT64', 'table'],
  ['UINT64', 'context'],
] as const;

const ABI = {
  file: 'gate-threads',
  handles: [],
  enums: {},
  structs: {},
  callbacks: {},
  functions: {
    run_start: returns(
      'HANDLE',
      SINCE,
      ...TARGET,
      ['UINT32', 'threads'],
      ['UINT32', 'calls'],
      ['UINT32', 'pause'],
      ['UINT32', 'kind'],
    ),
    run_times: returns('HANDLE', SINCE, ['HANDLE', 'run']),
    run_elapsed: returns('UINT64', SINCE, ['HANDLE', 'run']),
    call_hook: returns('HRESULT', SINCE, ...TARGET, ['UINT32', 'which']),
    call_set_configuration: returns(
      'HRESULT',
      SINCE,
      ...TARGET,
      ['UINT32', 'count'],
      ['PVOID', 'values'],
    ),
    call_get_details: returns(
      'HRESULT',
      SINCE,
      ...TARGET,
      ['PVOID', 'pnp'],
      ['UINT32', 'count'],
      ['PVOID', 'bars'],
    ),
    call_read: returns(
      'HRESULT',
      SINCE,
      ...TARGET,
      ['UINT32', 'bar'],
      ['UINT64', 'offset'],
      ['UINT64', 'length'],
      ['PVOID', 'value'],
    ),
    call_write: returns(
      'HRESULT',
      SINCE,
      ...TARGET,
      ['UINT32', 'bar'],
      ['UINT64', 'offset'],
      ['UINT64', 'length'],
      ['PVOID', 'value'],
    ),
    table_version: returns('UINT32', SINCE, ['UINT64', 'table']),
    ring: returns(
      'void',
      SINCE,
      ['UINT64', 'callback'],
      ['UINT64', 'context'],
      ['UINT32', 'times'],
    ),
    support_query: returns(
      'HRESULT',
      SINCE,
      ['HANDLE', 'support'],
      ['PVOID', 'id'],
      ['UINT64 *', 'object'],
    ),
    support_register: returns(
      'HRESULT',
      SINCE,
      ['HANDLE', 'support'],
      ['UINT64', 'host'],
      ['UINT32', 'process'],
      ['UINT64 *', 'section'],
    ),
    support_count: returns('UINT32', SINCE, ['HANDLE', 'support'], ['UINT32', 'rounds']),
    was_walked: returns('UINT32', SINCE),
    proxied_value: returns('UINT64', SINCE, ['UINT32', 'index']),
  },
  unbound: {},
} as const satisfies LibraryAbi;

const WORD = { live: 0, entered: 1, done: 2, failed: 3, wrong: 4, stop: 5 } as const;

/** Threads under way. */
export class Run {
  readonly #words: Int32Array<ArrayBuffer>;

  constructor(address: number) {
    this.#words = new Int32Array(koffi.view(BigInt(address), 24));
  }

  /** Threads that have not ended. */
  get live(): number {
    return Atomics.load(this.#words, WORD.live);
  }

  /** Calls begun. */
  get entered(): number {
    return Atomics.load(this.#words, WORD.entered);
  }

  /** Calls that returned; of these, reads that a closed gate has answered, as far as can be known; and what was wrong. */
  get done(): number {
    return Atomics.load(this.#words, WORD.done);
  }

  get failed(): number {
    return Atomics.load(this.#words, WORD.failed);
  }

  get wrong(): number {
    return Atomics.load(this.#words, WORD.wrong);
  }

  /** Lets each thread end after its call. */
  stop(): void {
    Atomics.store(this.#words, WORD.stop, 1);
  }
}

const SOURCE = fileURLToPath(new URL('./gate-threads.c', import.meta.url));
const WARNINGS = ['-O2', '-Wall', '-Wextra', '-Werror', '-shared'];

/** Compiles the library for Windows into `folder`, where {@link loadNativeThreads} finds it when it runs from there. */
export function buildNativeThreadsForWindows(folder: string): void {
  execFileSync('x86_64-w64-mingw32-gcc', [...WARNINGS, SOURCE, '-o', join(folder, DLL)]);
}

const DLL = 'gate-threads.dll';

/** Loads the library; where there is no Windows it is compiled first. */
export function loadNativeThreads(): NativeThreads {
  if (process.platform === 'win32') {
    return open(fileURLToPath(new URL(`./${DLL}`, import.meta.url)));
  }
  const folder = mkdtempSync(join(tmpdir(), 'gate-'));
  try {
    const file = join(folder, 'gate-threads.so');
    execFileSync('gcc', [...WARNINGS, '-fPIC', '-pthread', SOURCE, '-o', file]);
    return open(file);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function open(file: string): NativeThreads {
  const library = NativeLibrary.open(file, ABI);
  library.bindAll();
  return library;
}

/** The library, loaded. */
export type NativeThreads = NativeLibrary<typeof ABI>;
