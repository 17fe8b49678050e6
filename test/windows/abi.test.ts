import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LibraryAbi } from '../../src/ffi/abi.ts';
import { NativeLibrary } from '../../src/ffi/native-library.ts';
import { COMPUTE_CORE_FUNCTIONS } from '../../src/hcs/compute-core.ts';
import { COMPUTE_STORAGE_FUNCTIONS } from '../../src/hcs/compute-storage.ts';
import { COMPUTE_CORE_ABI } from '../../src/hcs/native/compute-core-abi.ts';
import { COMPUTE_STORAGE_ABI } from '../../src/hcs/native/compute-storage-abi.ts';
import { VM_DEVICE_HOST_ABI } from '../../src/hdv/native/vm-device-host-abi.ts';
import { VM_DEVICE_HOST_FUNCTIONS } from '../../src/hdv/vm-device-host.ts';
import { abiChecks } from './abi-checks.ts';
import { type AbiTarget, SYSTEM_ABIS, writeAbiHeaders } from './abi-header.ts';
import { exportsOf, hasMingw, MINGW_GCC, mingwDeclarations } from './mingw.ts';

const required = process.env.CI === 'true';
const onLinux = process.platform === 'linux';
const hasGcc = onLinux && (required || spawnSync('gcc', ['--version']).status === 0);
const mingw = onLinux && (required || hasMingw());
if (onLinux && !hasGcc) console.log('Not checked against gcc: it is not installed');
if (onLinux && !mingw) console.log(`Not checked against mingw-w64: ${MINGW_GCC} is not installed`);

const HYPER_V = [COMPUTE_CORE_ABI, COMPUTE_STORAGE_ABI, VM_DEVICE_HOST_ABI] as const;
/** Without what Windows programs seldom need: half the time. */
const LEAN = ['-DWIN32_LEAN_AND_MEAN'];
const WINDOWS_HEADERS = ['windows.h', 'computecore.h', 'computestorage.h'];

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'hdvkit-abi-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** @returns what the compiler complains about: nothing when the checks hold */
function compile(compiler: string, name: string, source: string, flags: readonly string[]): string {
  const file = join(folder, `${name}.c`);
  writeFileSync(file, source);
  const all = ['-std=c11', '-Wall', '-Werror', '-fsyntax-only', ...flags, file];
  const { stdout, stderr, status, error } = spawnSync(compiler, all, { encoding: 'utf8' });
  if (error !== undefined) throw error;
  return status === 0 ? '' : `${stdout}${stderr}`;
}

/** Compiles the checks of a table against the headers written from it. */
function checkOwnHeaders(abi: LibraryAbi, target: AbiTarget, include: string): string {
  const headers = join(folder, target);
  writeAbiHeaders(headers, target);
  const { source } = abiChecks(abi, [include]);
  const flags = [`-I${headers}`, ...(target === 'elf' ? ['-fshort-wchar'] : LEAN)];
  return compile(target === 'elf' ? 'gcc' : MINGW_GCC, `own-${target}-${abi.file}`, source, flags);
}

describe('the tables', () => {
  test('have each function of the contracts, and no other', () => {
    const names = (abi: LibraryAbi): string[] => Object.keys(abi.functions).sort();
    expect(names(COMPUTE_CORE_ABI)).toEqual([...COMPUTE_CORE_FUNCTIONS].sort());
    expect(names(COMPUTE_STORAGE_ABI)).toEqual([...COMPUTE_STORAGE_FUNCTIONS].sort());
    expect(names(VM_DEVICE_HOST_ABI)).toEqual([...VM_DEVICE_HOST_FUNCTIONS].sort());
    expect(HYPER_V.map((abi) => names(abi).length)).toEqual([60, 14, 18]);
  });

  /** What the newest computecore.dll exports and no header declares. */
  const UNBOUND = [
    'HcsStartSystemPreservation',
    'HcsFinalizeSystemPreservation',
    'HcsAbortSystemPreservation',
    'HcsSystemControl',
    'HcsEnumerateVmWorkerProcesses',
    'HcsFindVmWorkerProcesses',
    'HcsGetWorkerProcessJob',
    'HcsStartVmWorkerProcess',
  ];

  test('name the exports of current builds that cannot be called', () => {
    expect(Object.keys(COMPUTE_CORE_ABI.unbound)).toEqual(UNBOUND);
    const status = readFileSync(new URL('../../docs/status.md', import.meta.url), 'utf8');
    for (const name of UNBOUND) expect(status).toContain(`\`${name}\``);
  });

  test.each(UNBOUND)('%s says that it cannot be called, without a library', (name) => {
    const library = NativeLibrary.open('/nowhere/computecore.dll', COMPUTE_CORE_ABI);
    const open = library as unknown as { function(name: string): unknown };
    expect(() => open.function(name)).toThrow(
      `Cannot call ${name} as its signature is not published`,
    );
  });
});

describe.runIf(mingw)('the tables against mingw-w64', () => {
  /** What the headers of mingw-w64 10 (Debian 12) lack; later releases may lack less. */
  const ABSENT: Readonly<Record<string, readonly string[]>> = {
    'computecore.dll': [
      'HcsOperationTypeReserved1',
      'HcsOperationTypeReserved2',
      'HcsOperationTypeReserved3',
      'HcsOperationTypeLiveMigration',
      'HcsEventGroupVmLifecycle',
      'HcsEventGroupLiveMigration',
      'HcsEventGroupOperationInfo',
      'HcsEventOptionEnableVmLifecycle',
      'HcsEventOptionEnableLiveMigrationEvents',
      'HCS_OPERATION_OPTIONS',
      'HcsOperationOptionNone',
      'HcsOperationOptionProgressUpdate',
      'HcsOperationOptionReserved1',
      'HCS_RESOURCE_TYPE',
      'HcsResourceTypeNone',
      'HcsResourceTypeFile',
      'HcsResourceTypeJob',
      'HcsResourceTypeComObject',
      'HcsResourceTypeSocket',
      'HcsCreateOperationWithNotifications',
      'HcsGetOperationProperties',
      'HcsAddResourceToOperation',
      'HcsInitializeLiveMigrationOnSource',
      'HcsStartLiveMigrationOnSource',
      'HcsStartLiveMigrationTransfer',
      'HcsFinalizeLiveMigration',
      'HcsCancelLiveMigration',
    ],
    'computestorage.dll': ['HcsAttachOverlayFilter', 'HcsDetachOverlayFilter'],
  };

  test.each([COMPUTE_CORE_ABI, COMPUTE_STORAGE_ABI])('$file agrees with its headers', (abi) => {
    const names = mingwDeclarations();
    const { source, absent } = abiChecks(abi, WINDOWS_HEADERS, (name) => names.has(name));
    expect(compile(MINGW_GCC, abi.file, source, LEAN)).toBe('');
    expect(absent.filter((name) => !ABSENT[abi.file]?.includes(name))).toEqual([]);
  });

  test.each([COMPUTE_CORE_ABI, COMPUTE_STORAGE_ABI])('$file is what they are linked to', (abi) => {
    const library = `lib${abi.file.replace('.dll', '.a')}`;
    const exported = exportsOf(library);
    expect(exported.length).toBeGreaterThanOrEqual(abi.file === 'computecore.dll' ? 52 : 12);
    const missing = exported.filter((name) => !Object.hasOwn(abi.functions, name));
    expect(missing.filter((name) => !Object.hasOwn(abi.unbound, name))).toEqual([]);
    const unknown = Object.keys(abi.functions).filter((name) => !exported.includes(name));
    expect(unknown.filter((name) => !ABSENT[abi.file]?.includes(name))).toEqual([]);
  });

  test.each(SYSTEM_ABIS)('$file agrees with windows.h', (abi) => {
    const { source } = abiChecks(abi, ['windows.h', 'objbase.h']);
    expect(compile(MINGW_GCC, abi.file, source, ['-D_WIN32_WINNT=0x0A00', ...LEAN])).toBe('');
  });

  test.each(HYPER_V)('$file agrees with the headers written for mingw-w64', (abi) => {
    expect(checkOwnHeaders(abi, 'mingw', 'hdv-abi.h')).toBe('');
  });

  test('a wrong prototype, offset or value is found', () => {
    const wrong: LibraryAbi = {
      ...COMPUTE_CORE_ABI,
      enums: { HCS_EVENT_OPTIONS: { HcsEventOptionEnableOperationCallbacks: 2 } },
      structs: {
        HCS_EVENT: [
          ['HCS_EVENT_TYPE', 'Type'],
          ['HCS_OPERATION', 'Operation'],
        ],
      },
      callbacks: { HCS_EVENT_CALLBACK: { result: 'HRESULT', parameters: [] } },
      functions: {
        HcsGrantVmAccess: { result: 'HRESULT', parameters: [['PCWSTR', 'vmId']], since: '' },
        HcsOpenProcess: {
          ...COMPUTE_CORE_ABI.functions.HcsOpenProcess,
          result: 'BOOL',
        },
      },
    };
    const { source } = abiChecks(
      { ...wrong, enums: { ...wrong.enums, HCS_EVENT_TYPE: {} } },
      WINDOWS_HEADERS,
    );
    const complaints = compile(MINGW_GCC, 'wrong', source, LEAN);
    expect(complaints).toContain('"HcsEventOptionEnableOperationCallbacks"');
    expect(complaints).toContain('"HCS_EVENT.Operation"');
    expect(complaints).toContain('check_HCS_EVENT_CALLBACK');
    expect(complaints).toContain('check_HcsGrantVmAccess');
    expect(complaints).toContain('check_HcsOpenProcess');
  });
});

describe.runIf(hasGcc)('the tables against gcc', () => {
  test.each(HYPER_V)('$file agrees with the headers written for Linux', (abi) => {
    expect(checkOwnHeaders(abi, 'elf', 'hdv-abi.h')).toBe('');
  });

  test.each(SYSTEM_ABIS)('$file agrees with the headers written for Linux', (abi) => {
    expect(checkOwnHeaders(abi, 'elf', 'system-abi.h')).toBe('');
  });
});
