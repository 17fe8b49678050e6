import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { lockedPackage, provisionPackage } from './npm-package.ts';

let folder: string;
const { PATH } = process.env;

/** Puts an `npm` of our own in front. */
function npmIs(script: string): void {
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  writeFileSync(join(bin, 'npm'), `#!/bin/sh\n${script}\n`);
  chmodSync(join(bin, 'npm'), 0o755);
  process.env.PATH = `${bin}${delimiter}${PATH}`;
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hdvnpm-'));
});

afterEach(() => {
  process.env.PATH = PATH;
  rmSync(folder, { recursive: true, force: true });
});

describe('a package for Windows', () => {
  const wanted = { name: '@scope/thing', version: '1.2.3', integrity: 'sha512-other' };
  const packs = 'mkdir package; echo x > package/file; tar -czf thing.tgz package; echo thing.tgz';

  test('is what the lock file says', () => {
    const { version, integrity } = lockedPackage('@koromix/koffi-win32-x64');
    expect(version).toMatch(/^\d+\.\d+\.\d+$/);
    expect(integrity).toMatch(/^sha512-/);
    expect(() => lockedPackage('no-such-package')).toThrow('Cannot find no-such-package');
  });

  test('that hashes to something else is refused, and nothing of it stays', async () => {
    npmIs(packs);
    await expect(provisionPackage(folder, wanted)).rejects.toThrow(
      /Cannot use @scope\/thing@1.2.3: its archive hashes to sha512-.*, not to sha512-other/,
    );
    expect(existsSync(join(folder, 'scope-thing-1.2.3'))).toBe(false);
  });

  test('that cannot be fetched is refused with the reason and what to do', async () => {
    npmIs('echo "npm error code ENETUNREACH" >&2; exit 1');
    await expect(provisionPackage(folder, wanted)).rejects.toThrow(
      /Cannot fetch @scope\/thing@1.2.3: npm error code ENETUNREACH; give npm access/,
    );
  });
});
