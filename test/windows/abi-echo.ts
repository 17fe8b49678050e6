import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CallbackAbi, FunctionAbi, LibraryAbi, Member } from '../../src/ffi/abi.ts';
import { typeKind } from '../../src/ffi/abi.ts';
import { COMPUTE_CORE_ABI } from '../../src/hcs/native/compute-core-abi.ts';
import { COMPUTE_STORAGE_ABI } from '../../src/hcs/native/compute-storage-abi.ts';
import { VM_DEVICE_HOST_ABI } from '../../src/hdv/native/vm-device-host-abi.ts';
import { type AbiTarget, prototype, writeAbiHeaders } from './abi-header.ts';
import { MINGW_GCC } from './mingw.ts';

/** The libraries whose every function is echoed. */
export const ECHOED: readonly LibraryAbi[] = [
  COMPUTE_CORE_ABI,
  COMPUTE_STORAGE_ABI,
  VM_DEVICE_HOST_ABI,
];

/** What an echoed function or callback is given at a place, as 64 bits. */
export function echoValue(index: number): bigint {
  return 0x8edc_ba98_7654_3210n + BigInt(index) * 0x0101_0101_0101_0101n;
}

/** What an echoed function returns, as 64 bits. */
export const ECHO_RESULT = 0x9b8a_7968_8037_010dn;

/** FNV-1a over the code units of a string, as the C side has it. */
export function echoHash(text: string): bigint {
  let hash = 0xcbf2_9ce4_8422_2325n;
  for (let i = 0; i < text.length; i++) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(text.charCodeAt(i))) * 0x100_0000_01b3n);
  }
  return hash;
}

/**
 * C with every function of the tables: each notes what it was given, 64 bits for a parameter, stores something in its
 * out-parameters, and returns something; and with a caller for each callback.
 */
export function echoSource(): string {
  return [
    '#include "hdv-abi.h"',
    '#ifdef _WIN32',
    '#define EXPORT __declspec(dllexport)',
    '#else',
    '#define EXPORT __attribute__((visibility("default")))',
    '#endif',
    'static UINT64 noted[16];',
    'static UINT32 count;',
    'static void note(UINT64 value) { noted[count++ % 16] = value; }',
    'static UINT64 hash(PCWSTR text) {',
    '  UINT64 hash = 0xcbf29ce484222325u;',
    '  while (*text != 0) hash = (hash ^ (UINT16)*text++) * 0x100000001b3u;',
    '  return hash;',
    '}',
    'EXPORT UINT32 EchoCount(void) { return count; }',
    'EXPORT UINT64 EchoNoted(UINT32 index) { return noted[index % 16]; }',
    ...ECHOED.flatMap((abi) => [
      ...Object.entries(abi.functions).map(([name, declared]) => echo(abi, name, declared)),
      ...Object.entries(abi.callbacks).map(([name, declared]) => caller(name, declared)),
    ]),
    '',
  ].join('\n');
}

function echo(abi: LibraryAbi, name: string, declared: FunctionAbi): string {
  const { result, parameters } = declared;
  const lines = parameters.map((parameter, index) => `  ${noting(abi, parameter, index)}`);
  const answer = result === 'void' ? '' : `  return ${cast(result, ECHO_RESULT)};\n`;
  return `EXPORT ${prototype(name, declared)} {\n  count = 0;\n${lines.join('\n')}\n${answer}}`;
}

function noting(abi: LibraryAbi, [type, name]: Member, index: number): string {
  const kind = typeKind(abi, type);
  if (kind.is === 'string') return `note(${name} == NULL ? 0 : hash(${name}));`;
  if (kind.is === 'pointer' && isOut(abi, type)) {
    return `note(${name} != NULL); *${name} = ${cast(kind.to, echoValue(index))};`;
  }
  const isNumber = kind.is === 'enum' || (kind.is === 'scalar' && kind.size < 8);
  return isNumber ? `note((UINT32)${name});` : `note((UINT64)${name});`;
}

/** Does a parameter of this type take an out-cell? */
export function isOut(abi: LibraryAbi, type: string): boolean {
  const kind = typeKind(abi, type);
  if (kind.is !== 'pointer' || kind.constant || ['void', 'BYTE'].includes(kind.to)) return false;
  const to = typeKind(abi, kind.to).is;
  return to === 'address' || to === 'string' || to === 'scalar';
}

function cast(type: string, value: bigint): string {
  return `(${type})0x${value.toString(16)}u`;
}

function caller(name: string, { result, parameters }: CallbackAbi): string {
  const values = parameters.map(([type], index) => cast(type, echoValue(index))).join(', ');
  const call = `callback(${values})`;
  const body = result === 'void' ? `${call}; return 0;` : `return (UINT32)${call};`;
  return `EXPORT UINT32 EchoCall_${name}(${name} callback) { ${body} }`;
}

/** Compiles the echo against the headers for a target, which on Windows compares prototypes with mingw-w64's. */
export function buildEcho(target: AbiTarget, path: string): void {
  const folder = mkdtempSync(join(tmpdir(), 'hdvkit-echo-'));
  try {
    writeAbiHeaders(folder, target);
    const source = join(folder, 'echo.c');
    writeFileSync(source, echoSource());
    const flags = ['-std=c11', '-O1', '-Wall', '-Werror', '-shared', `-I${folder}`];
    if (target === 'elf') flags.push('-fPIC', '-fshort-wchar', '-Wno-overflow');
    else flags.push('-DWIN32_LEAN_AND_MEAN', '-Wno-overflow');
    const compiler = target === 'elf' ? 'gcc' : MINGW_GCC;
    const { status, stderr, error } = spawnSync(compiler, [...flags, '-o', path, source], {
      encoding: 'utf8',
    });
    if (error !== undefined) throw error;
    if (status !== 0) throw new Error(`Cannot compile the echo: ${stderr}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Builds the DLL for the tests that run on Windows, into a folder of tests compiled for it. */
export function buildEchoForWindows(testFolder: string): void {
  mkdirSync(join(testFolder, 'windows'), { recursive: true });
  buildEcho('mingw', join(testFolder, 'windows', 'abi-echo.dll'));
}
