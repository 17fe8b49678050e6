import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { callback, hresult, type LibraryAbi, returns } from '../../src/ffi/abi.ts';

/** The table of the library in abi-probe.c; it declares one export more than the library has. */
export const PROBE_ABI = {
  file: 'abi-probe.dll',
  handles: ['PROBE_HANDLE'],
  enums: { PROBE_SIGN: { ProbeMinus: -1, ProbePlus: 1 } },
  structs: {
    ProbeRecord: [
      ['UINT8', 'first'],
      ['UINT64', 'second'],
      ['UINT16', 'third'],
      ['PROBE_SIGN', 'fourth'],
    ],
  },
  callbacks: {
    PROBE_QUESTION: callback(
      'HRESULT',
      ['void *', 'context'],
      ['UINT32', 'number'],
      ['UINT64', 'offset'],
      ['PCWSTR', 'text'],
      ['UINT32 *', 'answer'],
    ),
    PROBE_NOTICE: callback('void', ['void *', 'context']),
  },
  functions: {
    ProbeAllocated: returns('UINT64', ''),
    ProbeLength: returns('UINT32', '', ['PCWSTR', 'text']),
    ProbeUnit: returns('UINT32', '', ['PCWSTR', 'text'], ['UINT32', 'index']),
    ProbeEcho: hresult('', ['PCWSTR', 'text'], ['PWSTR *', 'copy']),
    ProbeResult: hresult('', ['UINT32', 'result']),
    ProbeWide: returns('UINT64', '', ['UINT64', 'value']),
    ProbeSigned: returns('PROBE_SIGN', '', ['PROBE_SIGN', 'value']),
    ProbeOut: hresult(
      '',
      ['PROBE_HANDLE', 'handle'],
      ['PROBE_HANDLE *', 'copy'],
      ['UINT64 *', 'large'],
      ['UINT32 *', 'small'],
    ),
    ProbeFill: hresult('', ['BYTE *', 'bytes'], ['UINT32', 'count']),
    ProbePointer: returns('PVOID', '', ['const void *', 'pointer']),
    ProbeSum: returns('UINT64', '', ['const ProbeRecord *', 'record']),
    ProbeAsk: hresult(
      '',
      ['PROBE_QUESTION', 'question'],
      ['void *', 'context'],
      ['UINT32 *', 'answer'],
    ),
    ProbeNotify: returns('void', '', ['PROBE_NOTICE', 'notice'], ['void *', 'context']),
    ProbeAskOnThreads: hresult(
      '',
      ['PROBE_QUESTION', 'question'],
      ['void *', 'context'],
      ['UINT32', 'threads'],
      ['UINT32', 'times'],
      ['UINT32 *', 'sum'],
    ),
    ProbeWaiting: returns('UINT32', ''),
    ProbeAbsent: hresult('Windows 99', ['PCWSTR', 'text']),
  },
  unbound: { ProbeSecret: 'its signature is not published' },
} as const satisfies LibraryAbi;

const source = fileURLToPath(new URL('abi-probe.c', import.meta.url));
/** Under Windows no compiler is at hand: the DLL was built beside this file. */
const prebuilt = fileURLToPath(new URL('abi-probe.dll', import.meta.url));

/** Whether the library can be had here. */
export const hasProbe: boolean =
  process.platform === 'win32' ||
  process.env.CI === 'true' ||
  spawnSync('gcc', ['--version']).status === 0;
if (!hasProbe) console.log('Not tested against a C library: gcc is not installed');

/** Path of the library, built for this system. Whoever builds it on Linux removes its folder. */
export function probeLibrary(): string {
  if (process.platform === 'win32') return prebuilt;
  const path = join(mkdtempSync(join(tmpdir(), 'hdvkit-probe-')), 'abi-probe.so');
  compileProbe('gcc', path);
  return path;
}

/** Builds the DLL for the tests that run on Windows, into a folder of tests compiled for it. */
export function buildProbeForWindows(testFolder: string): void {
  compileProbe('x86_64-w64-mingw32-gcc', join(testFolder, 'ffi', 'abi-probe.dll'));
}

function compileProbe(compiler: string, path: string): void {
  mkdirSync(dirname(path), { recursive: true });
  const flags = ['-std=c11', '-O1', '-Wall', '-Werror', '-fshort-wchar', '-shared', '-pthread'];
  if (compiler === 'gcc') flags.push('-fPIC');
  const { status, stderr, error } = spawnSync(compiler, [...flags, '-o', path, source], {
    encoding: 'utf8',
  });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`Cannot compile abi-probe.c: ${stderr}`);
}
