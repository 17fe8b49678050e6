import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AptRoot } from '../../src/provision/apt-root.ts';
import type { ProvisionProgress } from '../../src/provision/provision-options.ts';

const { PATH } = process.env;
const MIRROR = { uri: 'http://mirror/debian', keyring: '/keys.gpg' };
const REQUEST = { title: 'QEMU', suites: ['trixie', 'trixie-backports'], packages: ['qemu'] };
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hdva-'));
  mkdirSync(join(folder, 'bin'));
  program('apt-config', 'echo \'Acquire::http::Proxy "http://proxy";\'; echo \'Dir "/";\'');
  process.env.PATH = `${join(folder, 'bin')}:${PATH}`;
});

afterEach(() => {
  process.env.PATH = PATH;
  rmSync(folder, { recursive: true, force: true });
});

/** An apt of which only the words matter. */
function program(name: string, body: string): void {
  const file = join(folder, 'bin', name);
  writeFileSync(file, `#!/bin/sh\n${body}\n`);
  chmodSync(file, 0o755);
}

describe('a private apt', () => {
  test('has sources, packages and hooks of its own, and the machine’s way to the network', async () => {
    program(
      'apt-get',
      'case "$*" in *--print-uris*) echo "\'http://x/q_1.deb\' q_1_amd64.deb 10 SHA256:0";; esac',
    );
    const root = join(folder, 'root');
    const files = await new AptRoot(root, {}).fetch(MIRROR, {
      ...REQUEST,
      present: ['linux-base'],
    });
    expect(files).toEqual([join(root, 'var/cache/apt/archives/q_1_amd64.deb')]);
    expect(readFileSync(join(root, 'etc/apt/sources.list'), 'utf8')).toBe(
      'deb [arch=amd64 signed-by=/keys.gpg] http://mirror/debian trixie main\n' +
        'deb [arch=amd64 signed-by=/keys.gpg] http://mirror/debian trixie-backports main\n',
    );
    const configuration = readFileSync(join(root, 'apt.conf'), 'utf8');
    expect(configuration).toContain('Acquire::http::Proxy "http://proxy";');
    expect(configuration).toContain(`Dir::State::status "${root}/var/lib/dpkg/status";`);
    expect(configuration).not.toContain('Dir "/";');
    expect(readFileSync(join(root, 'var/lib/dpkg/status'), 'utf8')).toContain(
      'Package: linux-base',
    );
  });

  test('passes on how far a download is', async () => {
    program(
      'apt-get',
      'case "$*" in *--download-only*) echo "dlstatus:1:41.7:Retrieving file 1 of 3" >&3;; esac',
    );
    const seen: ProvisionProgress[] = [];
    await new AptRoot(join(folder, 'root'), { progress: (one) => seen.push(one) }).fetch(
      MIRROR,
      REQUEST,
    );
    expect(seen).toContainEqual({ step: 'download QEMU', done: 42, total: 100 });
    expect(seen.at(-1)).toEqual({ step: 'download QEMU', done: 100, total: 100 });
  });

  test('says what to do when there is no network', async () => {
    program(
      'apt-get',
      'echo "E: Failed to fetch http://mirror/x  Could not resolve \'mirror\'" >&2; exit 100',
    );
    await expect(new AptRoot(join(folder, 'root'), {}).fetch(MIRROR, REQUEST)).rejects.toThrow(
      /^Cannot fetch the package lists: E: Failed to fetch .*; connect this machine to the network .* it resumes$/,
    );
  });

  test('says what to do when the archive’s keys are old', async () => {
    program('apt-get', 'echo "E: The repository is not signed: NO_PUBKEY 1" >&2; exit 100');
    await expect(new AptRoot(join(folder, 'root'), {}).fetch(MIRROR, REQUEST)).rejects.toThrow(
      /; run apt-get install --only-upgrade debian-archive-keyring$/,
    );
  });

  test('asks again when the mirror is in the middle of a sync', async () => {
    program(
      'apt-get',
      `case "$1" in update) if [ -e ${folder}/asked ]; then exit 0; fi; touch ${folder}/asked; echo "E: Hash Sum mismatch" >&2; exit 100;; esac`,
    );
    await expect(new AptRoot(join(folder, 'root'), {}).fetch(MIRROR, REQUEST)).resolves.toEqual([]);
  });

  test('is refused where there is no apt', async () => {
    process.env.PATH = join(folder, 'nowhere');
    await expect(new AptRoot(join(folder, 'root'), {}).fetch(MIRROR, REQUEST)).rejects.toThrow(
      'Cannot provision: there is no apt-config on this machine; install QEMU 10.1.1 or later',
    );
  });
});
