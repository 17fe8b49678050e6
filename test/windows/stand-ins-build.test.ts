import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { COMPUTE_CORE_ABI } from '../../src/hcs/native/compute-core-abi.ts';
import { COMPUTE_STORAGE_ABI } from '../../src/hcs/native/compute-storage-abi.ts';
import { VM_DEVICE_HOST_ABI } from '../../src/hdv/native/vm-device-host-abi.ts';
import { SYSTEM_ABIS } from './abi-header.ts';
import {
  buildExercise,
  buildStandIns,
  canBuildStandIns,
  standInFile,
  standInNames,
} from './build-stand-ins.ts';
import { exportsOf } from './mingw.ts';

const required = process.env.CI === 'true';
const onLinux = process.platform === 'linux';
const hasGcc = onLinux && (required || canBuildStandIns('elf'));
const hasMingw = onLinux && (required || canBuildStandIns('dll'));
if (onLinux && !hasMingw) console.log('Not built as DLLs: mingw-w64 is not installed');

const HYPER_V = [COMPUTE_CORE_ABI, COMPUTE_STORAGE_ABI, VM_DEVICE_HOST_ABI] as const;

function output(command: string, ...parameters: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, parameters, { encoding: 'utf8' });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${command} says ${stderr}`);
  return stdout;
}

test('are the same for both systems, but for the system itself, which Windows has', () => {
  const own = standInNames('elf').filter((name) => !standInNames('dll').includes(name));
  expect(own).toEqual(['system']);
  expect(standInNames('dll').map((name) => standInFile('dll', name))).toEqual([
    'stand-in-recorder.dll',
    'computecore.dll',
    'computestorage.dll',
    'vmdevicehost.dll',
  ]);
});

describe.runIf(hasGcc)('the stand-ins as shared objects', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'hdvkit-exercise-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const exported = (path: string): string[] =>
    [...output('nm', '-D', '--defined-only', path).matchAll(/ T (\w+)$/gm)].map(
      ([, name]) => name as string,
    );

  test('are built once for one state of the sources', () => {
    const built = buildStandIns('elf');
    expect(buildStandIns('elf')).toBe(built);
    expect(readdirSync(built).sort()).toEqual(
      ['include', ...standInNames('elf').map((name) => standInFile('elf', name))].sort(),
    );
  });

  test.each(HYPER_V)('export every function of $file and nothing else of its', (abi) => {
    const name = abi.file.replace('.dll', '');
    const names = exported(join(buildStandIns('elf'), standInFile('elf', name)));
    const own = names.filter((found) => !found.startsWith('StandIn'));
    expect(own.sort()).toEqual(Object.keys(abi.functions).sort());
  });

  test('the stand-in of the system exports every function that the package uses', () => {
    const names = exported(join(buildStandIns('elf'), standInFile('elf', 'system')));
    const used = SYSTEM_ABIS.flatMap((abi) => Object.keys(abi.functions));
    expect(used.filter((name) => !names.includes(name))).toEqual([]);
  });

  function exercise(sanitizer: Parameters<typeof buildExercise>[1]): void {
    const program = buildExercise(folder, sanitizer);
    // Objects of the service live as long as the process, by design.
    const env = { ...process.env, ASAN_OPTIONS: 'detect_leaks=0' };
    const { status, stdout, stderr } = spawnSync(program, { encoding: 'utf8', env });
    expect(stderr).toBe('');
    expect(stdout).toMatch(/^160 lives, \d+ events$/m);
    expect(status).toBe(0);
  }

  test('neither misuse memory nor rely on undefined behaviour', () => {
    exercise('address,undefined');
  });

  test('have no data race', () => {
    exercise('thread');
  });
});

describe.runIf(hasMingw)('the stand-ins as DLLs', () => {
  const exported = (path: string): string[] => {
    const listing = output('x86_64-w64-mingw32-objdump', '-p', path);
    const names = /\[Ordinal\/Name Pointer\] Table\n([\s\S]*?)\n\n/.exec(listing)?.[1] ?? '';
    return [...names.matchAll(/\] (\w+)$/gm)].map(([, name]) => name as string);
  };

  test.each(HYPER_V)('export every function of $file', (abi) => {
    const name = abi.file.replace('.dll', '');
    const names = exported(join(buildStandIns('dll'), standInFile('dll', name)));
    const own = names.filter((found) => !found.startsWith('StandIn'));
    expect(own.sort()).toEqual(Object.keys(abi.functions).sort());
  });

  test.each([COMPUTE_CORE_ABI, COMPUTE_STORAGE_ABI])(
    'can take the place of $file for a program linked to it',
    (abi) => {
      const name = abi.file.replace('.dll', '');
      const names = exported(join(buildStandIns('dll'), standInFile('dll', name)));
      const linked = exportsOf(`lib${name}.a`).filter((found) => !(found in abi.unbound));
      expect(linked.length).toBeGreaterThan(10);
      expect(linked.filter((found) => !names.includes(found))).toEqual([]);
    },
  );

  test('need nothing that Windows does not have', () => {
    const folder = buildStandIns('dll');
    const needed = standInNames('dll').flatMap((name) => {
      const listing = output('x86_64-w64-mingw32-objdump', '-p', join(folder, `${name}.dll`));
      return [...listing.matchAll(/DLL Name: (\S+)/g)].map(([, dll]) => (dll ?? '').toLowerCase());
    });
    const ours = standInNames('dll').map((name) => standInFile('dll', name));
    const foreign = [...new Set(needed)].filter((dll) => !ours.includes(dll));
    expect(
      foreign.filter((dll) => !/^(kernel32|msvcrt|ole32|api-ms-win-.*)(\.dll)$/.test(dll)),
    ).toEqual([]);
  });
});
