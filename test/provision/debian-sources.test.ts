import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { findDebianMirror } from '../../src/provision/debian-sources.ts';
import { ProvisionError } from '../../src/provision/provision-error.ts';

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'hdvd-'));
  file(KEYRING, '');
  file(
    '/etc/os-release',
    'ID=debian\nVERSION_CODENAME=bookworm\nPRETTY_NAME="Debian GNU/Linux 12"\n',
  );
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

function file(path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

describe('the Debian mirror', () => {
  test('is the one that sources.list names', () => {
    file(
      '/etc/apt/sources.list',
      '# deb http://old/debian bookworm main\ndeb-src http://src/debian bookworm main\ndeb http://mirror/debian bookworm main contrib # fast\n',
    );
    expect(findDebianMirror(root)).toEqual({ uri: 'http://mirror/debian', keyring: KEYRING });
  });

  test('is the one that a deb822 file names, with its key', () => {
    file('/usr/share/keyrings/own.gpg', '');
    file(
      '/etc/apt/sources.list.d/debian.sources',
      'Types: deb deb-src\n# a comment\nURIs: http://mirror/debian\nSuites: bookworm bookworm-updates\nComponents: main\nSigned-By: /usr/share/keyrings/own.gpg\n\nTypes: deb\nURIs: http://security/debian-security\nSuites: bookworm-security\nComponents: main\n',
    );
    expect(findDebianMirror(root)).toEqual({
      uri: 'http://mirror/debian',
      keyring: '/usr/share/keyrings/own.gpg',
    });
  });

  test('is not a source of another vendor, the security archive, or one that is turned off', () => {
    file(
      '/etc/apt/sources.list.d/a.list',
      'deb http://vendor/apt vendor-bookworm main\ndeb http://security.debian.org/debian-security bookworm main\ndeb [signed-by=/x.gpg] http://node nodistro main\n',
    );
    file(
      '/etc/apt/sources.list.d/b.sources',
      'Enabled: no\nTypes: deb\nURIs: http://off/debian\nSuites: bookworm\nComponents: main\n',
    );
    expect(() => findDebianMirror(root)).toThrow(/names no Debian mirror; add one/);
  });

  test('is refused on another system, with the way out', () => {
    file('/etc/os-release', 'ID=ubuntu\nPRETTY_NAME="Ubuntu 24.04"\n');
    expect(() => findDebianMirror(root)).toThrow(
      /^Cannot provision on Ubuntu 24.04: .*; install QEMU 10\.1\.1 or later .*HDVKIT_QEMU$/,
    );
  });

  test('is refused without the archive’s keys', () => {
    rmSync(join(root, KEYRING));
    file('/etc/apt/sources.list', 'deb http://mirror/debian bookworm main\n');
    try {
      findDebianMirror(root);
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(ProvisionError);
      expect((error as ProvisionError).remedy).toBe('run apt-get install debian-archive-keyring');
    }
  });
});
