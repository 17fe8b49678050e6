import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { usesSystem } from './system-tests.ts';

/**
 * Folders and files of test/ that run under Wine besides test/windows: what is the same on every system, and may break
 * on one.
 */
const EVERYWHERE: readonly string[] = [
  'cli',
  'compute',
  'device',
  'device-host',
  'devices',
  'engines/simulated',
  'ffi',
  'hcs',
  'hdv',
  'host',
  'inspect',
  'pci',
  'sample-devices',
  'testing',
  'transport',
];

/** Files in these folders that cannot run there, and what they need. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  'cli/bad-input.test.ts': 'commands run from their source; test/windows has those of the build',
  'cli/commands.test.ts': 'commands run from their source; test/windows has those of the build',
  'cli/error.test.ts': 'commands run from their source',
  'cli/hcs/commands.test.ts': 'commands run from their source, on terminals of script(1)',
  'cli/hcs/daemon.test.ts': 'Unix sockets, and terminals of script(1)',
  'cli/hcs/page.test.ts': 'commands run from their source, on terminals of script(1)',
  'cli/hcs/patience.test.ts': 'the clock of Vitest',
  'cli/hcs/save.test.ts': 'spies of Vitest',
  'cli/schema.test.ts': 'commands run from their source',
  'cli/validate.test.ts': 'commands run from their source',
  'cli/vm-attach.test.ts': 'commands run from their source, on terminals of script(1)',
  'cli/vm-run.test.ts': 'commands run from their source, on terminals of script(1)',
  'compute/crash-reports.test.ts': 'modes of files, and programs that are scripts',
  'compute/document-fields.test.ts': 'Unix sockets and devices of Linux in documents',
  'compute/growth.test.ts': 'programs that run from their source',
  'compute/take-over.test.ts': 'the clock of Vitest',
  'device-host/runtime-folder.test.ts': 'Unix sockets',
  'device-host/vfio-user-platform.test.ts': 'Unix sockets',
  'device-host/vfio-user-restart.test.ts': 'Unix sockets',
  'device-host/vfio-user-worker-device.test.ts': 'Unix sockets',
  'ffi/memory-lock-limit.test.ts': 'system calls of Linux',
  'ffi/pin-library.test.ts': 'what Linux says of the memory of a process',
  'ffi/processor-affinity.test.ts': 'system calls of Linux',
  'hcs/documents.test.ts': 'compares a source file with what it is generated from',
  'inspect/config-space.test.ts': 'lspci',
  'inspect/devices.test.ts': 'lspci',
  'pci/heap.test.ts': 'a program that runs from its source',
  'sample-devices/failing.test.ts': 'Unix sockets',
  'windows/kept-builds.test.ts': 'builds that Linux keeps',
  'windows/stand-ins-build.test.ts': 'a compiler',
};

/** Modules over what Linux alone has: what a test imports of them it needs. */
const LINUX = /'[./]*\/src\/ffi\/(?:descriptors|libc|poll-set|readable-watch|unix-socket)\.ts'/;

/** Files that use the system, take long, and run with `--all` only: what they find under Wine is found by others. */
const LONG: Readonly<Record<string, string>> = {
  'transport/slot.test.ts': 'shared memory of V8, and threads as in transport/device-worker',
};

/** Which of the tests. */
export type Selection = 'system' | 'all';

/**
 * The test files for Windows, relative to the project's root, with slashes: those of test/windows, and of the others
 * those that use the system. `all`: also those that are JavaScript alone, and long ones.
 */
export function windowsTests(root: string, selection: Selection): string[] {
  const tests = (folder: string): string[] =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.test.ts'))
      .map((name) => `${folder}/${name.split(sep).join('/')}`);
  const own = tests('test/windows').filter((name) => !name.startsWith('test/windows/wine/'));
  const shared = EVERYWHERE.flatMap((folder) => tests(`test/${folder}`).sort());
  const needsLinux = (file: string): boolean =>
    inTest(file) in ELSEWHERE || LINUX.test(readFileSync(join(root, file), 'utf8'));
  const possible = [...own.sort(), ...shared].filter((file) => !needsLinux(file));
  if (selection === 'all') return possible;
  return possible.filter(
    (file) => own.includes(file) || (!(inTest(file) in LONG) && usesSystem(join(root, file))),
  );
}

const inTest = (file: string): string => file.slice('test/'.length);

/** Those whose path contains one of the words; all when there is none. */
export function selectTests(
  files: readonly string[],
  words: readonly string[],
  root: string,
): string[] {
  const wanted = words.map((word) => relative(root, join(root, word)).split(sep).join('/'));
  if (wanted.length === 0) return [...files];
  return files.filter((file) => wanted.some((word) => file.includes(word)));
}
