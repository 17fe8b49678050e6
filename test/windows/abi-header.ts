import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CallbackAbi, FunctionAbi, LibraryAbi, Member } from '../../src/ffi/abi.ts';
import { KERNEL32_ABI, KERNELBASE_ABI, OLE32_ABI } from '../../src/ffi/windows-system-abi.ts';
import { COMPUTE_CORE_ABI } from '../../src/hcs/native/compute-core-abi.ts';
import { COMPUTE_STORAGE_ABI } from '../../src/hcs/native/compute-storage-abi.ts';
import { VM_DEVICE_HOST_ABI } from '../../src/hdv/native/vm-device-host-abi.ts';
import { mingwDeclarations } from './mingw.ts';

/** Compilers that the headers are written for. */
export type AbiTarget = 'elf' | 'mingw';

/** The tables of the functions of Windows itself. */
export const SYSTEM_ABIS: readonly LibraryAbi[] = [KERNEL32_ABI, KERNELBASE_ABI, OLE32_ABI];

/**
 * Writes C headers with what the tables declare: `hcs-abi.h` (computecore.dll and computestorage.dll), `hdv-abi.h`
 * (vmdevicehost.dll, includes the former) and `system-abi.h` (kernel32.dll and the like). For mingw they include
 * mingw-w64's own headers and add what those lack; prototypes are repeated, so that the compiler compares them. For ELF
 * compile with -fshort-wchar: WCHAR is wchar_t.
 */
export function writeAbiHeaders(folder: string, target: AbiTarget): void {
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of Object.entries(abiHeaders(target))) {
    writeFileSync(join(folder, name), text);
  }
}

/** The text of each header, by file name. */
export function abiHeaders(target: AbiTarget): Record<string, string> {
  const known = target === 'mingw' ? mingwDeclarations() : new Set<string>();
  const part = (abi: LibraryAbi): string => declarations(abi, known);
  const system = target === 'elf' ? SYSTEM_ABIS.map(part).join('\n') : '';
  return {
    'windows-abi.h': header('WINDOWS_ABI_H', [], BASICS),
    'system-abi.h': header('SYSTEM_ABI_H', ['windows-abi.h'], system),
    'hcs-abi.h': header(
      'HCS_ABI_H',
      ['windows-abi.h'],
      `${part(COMPUTE_CORE_ABI)}\n${part(COMPUTE_STORAGE_ABI)}`,
    ),
    'hdv-abi.h': header('HDV_ABI_H', ['hcs-abi.h'], part(VM_DEVICE_HOST_ABI)),
  };
}

const BASICS = `#ifdef _WIN32
#include <windows.h>
#include <objbase.h>
#include <computecore.h>
#include <computestorage.h>
#else
#include <stddef.h>
#include <stdint.h>
_Static_assert(sizeof(wchar_t) == 2, "compile with -fshort-wchar");
#define WINAPI
#define CALLBACK
#define TRUE 1
#define FALSE 0
#define INFINITE 0xffffffffu
#define GENERIC_ALL 0x10000000u
#define HCS_INVALID_OPERATION_ID UINT64_MAX
typedef int32_t HRESULT;
typedef int32_t BOOL;
typedef uint8_t BYTE, BOOLEAN, UINT8;
typedef uint16_t UINT16;
typedef uint32_t DWORD, ULONG, UINT32;
typedef uint64_t UINT64;
typedef size_t SIZE_T;
typedef wchar_t WCHAR;
typedef WCHAR *PWSTR;
typedef const WCHAR *PCWSTR, *LPCWSTR;
typedef void *HANDLE, *PVOID;
typedef struct SECURITY_DESCRIPTOR SECURITY_DESCRIPTOR;
typedef struct SECURITY_ATTRIBUTES SECURITY_ATTRIBUTES;
typedef struct OVERLAPPED OVERLAPPED;
typedef struct GUID {
  UINT32 Data1;
  UINT16 Data2;
  UINT16 Data3;
  UINT8 Data4[8];
} GUID;
#endif
`;

function header(guard: string, includes: readonly string[], text: string): string {
  const lines = includes.map((name) => `#include "${name}"\n`).join('');
  const start = '/* Generated from the ABI tables. Do not edit. */\n';
  return `${start}#ifndef ${guard}\n#define ${guard}\n${lines}${text}#endif\n`;
}

/** C declarations of everything in a table that is not among the known names. */
function declarations(abi: LibraryAbi, known: ReadonlySet<string>): string {
  const unknown = <T>(items: Readonly<Record<string, T>>): [string, T][] =>
    Object.entries(items).filter(([name]) => !known.has(name));
  return [
    `/* ${abi.file} */`,
    ...abi.handles
      .filter((name) => !known.has(name))
      .map((name) => `typedef struct ${name}__ *${name};`),
    ...Object.entries(abi.enums).map(([name, values]) => enumeration(name, values, known)),
    ...unknown(abi.structs).map(([name]) => `typedef struct ${name} ${name};`),
    ...unknown(abi.callbacks).map(([name, declared]) => `typedef ${pointerTo(declared, name)};`),
    ...unknown(abi.structs).map(
      ([name, fields]) => `struct ${name} {\n${fields.map((f) => `  ${member(f)};\n`).join('')}};`,
    ),
    ...Object.entries(abi.functions).map(([name, declared]) => `${prototype(name, declared)};`),
    '',
  ].join('\n');
}

/** The enum, or those of its members that the compiler's own header lacks. */
function enumeration(
  name: string,
  values: Readonly<Record<string, number>>,
  known: ReadonlySet<string>,
): string {
  const members = Object.entries(values).filter(([member]) => !known.has(member));
  const list = members.map(([member, value]) => `  ${member} = ${cNumber(value)},\n`).join('');
  if (!known.has(name)) return `typedef enum ${name} {\n${list}} ${name};`;
  return members.length === 0 ? `/* ${name}: complete */` : `enum {\n${list}};`;
}

/** A number as C reads it: hexadecimal and unsigned when it does not fit an int. */
export function cNumber(value: number): string {
  return value > 0x7fff_ffff ? `0x${value.toString(16)}u` : String(value);
}

/** `HRESULT WINAPI HcsX(HCS_SYSTEM computeSystem)` */
export function prototype(name: string, { result, parameters }: FunctionAbi): string {
  return `${result} WINAPI ${name}(${parameterList(parameters)})`;
}

/** `HRESULT (CALLBACK *name)(void *context)` */
export function pointerTo({ result, parameters }: CallbackAbi | FunctionAbi, name: string): string {
  return `${result} (CALLBACK *${name})(${parameterList(parameters)})`;
}

function parameterList(parameters: readonly Member[]): string {
  return parameters.length === 0 ? 'void' : parameters.map(member).join(', ');
}

function member([type, name]: Member): string {
  const array = /^(.*)\[(\d+)\]$/.exec(type);
  if (array !== null) return `${array[1]} ${name}[${array[2]}]`;
  return type.endsWith('*') ? `${type}${name}` : `${type} ${name}`;
}
