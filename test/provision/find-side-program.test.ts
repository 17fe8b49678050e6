import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { findSideProgram } from '../../src/provision/find-side-program.ts';

const { PATH } = process.env;
let folder: string;
let cache: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hdvs-'));
  cache = join(folder, 'cache');
  process.env.PATH = join(folder, 'bin');
  mkdirSync(join(folder, 'bin'));
  mkdirSync(join(folder, 'internal'));
});

afterEach(() => {
  process.env.PATH = PATH;
  rmSync(folder, { recursive: true, force: true });
});

/** A program that answers for its version and its options. */
function program(path: string, version: string, options: string): string {
  const file = join(folder, path);
  writeFileSync(
    file,
    `#!/bin/sh\ncase "$1" in\n--version) echo "virtiofsd ${version}";;\n--help) echo '${options}';;\nesac\n`,
  );
  chmodSync(file, 0o755);
  return file;
}

function provisioned(version: string): void {
  mkdirSync(join(cache, 'virtiofsd-1'), { recursive: true });
  writeFileSync(join(cache, 'virtiofsd-1/version'), version);
}

/** Nothing but what the test has. */
function find() {
  return findSideProgram('virtiofsd', { cache, folders: [join(folder, 'internal')] });
}

describe('the program that runs beside QEMU', () => {
  test('is an installed one that does what is needed', async () => {
    const command = program('bin/virtiofsd', '1.14.0', '--migration-mode <MODE>');
    provisioned('1.13.2');
    expect(await find()).toEqual({
      name: 'virtiofsd',
      command,
      args: [],
      version: '1.14.0',
      source: 'installed',
    });
  });

  test('is found where systems keep programs that nobody types', async () => {
    const command = program('internal/virtiofsd', '1.13.2', '--migration-mode <MODE>');
    expect(await find()).toMatchObject({ command, source: 'installed' });
  });

  test('is the provisioned one where the installed one cannot do it, by its own loader', async () => {
    program('bin/virtiofsd', '1.10.1', '--sandbox <SANDBOX>');
    provisioned('1.13.2');
    const root = join(cache, 'virtiofsd-1/root');
    const libraries = join(root, 'usr/lib/x86_64-linux-gnu');
    expect(await find()).toEqual({
      name: 'virtiofsd',
      command: join(libraries, 'ld-linux-x86-64.so.2'),
      args: ['--library-path', libraries, join(root, 'usr/libexec/virtiofsd')],
      version: '1.13.2',
      source: 'provisioned',
    });
  });

  test('is missing with the reason and the remedy', async () => {
    await expect(find()).rejects.toThrow(
      'Cannot find virtiofsd, by which a machine has folders that it shares with its host; run "hdvkit provision", or install virtiofsd 1.13 or later',
    );
    const command = program('bin/virtiofsd', '1.10.1', '--sandbox <SANDBOX>');
    await expect(find()).rejects.toThrow(
      `Cannot use ${command}: it is virtiofsd 1.10.1 without --migration-mode; run "hdvkit provision"`,
    );
  });
});
