import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ProvisionError } from '../../../src/provision/provision-error.ts';
import { lockedPackage, npmFailure, provisionPackage } from './npm-package.ts';

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
  vi.unstubAllEnvs();
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
    npmIs('echo "npm error code E404\nnpm error 404 Not Found - GET http://there" >&2; exit 1');
    await expect(provisionPackage(folder, wanted)).rejects.toThrow(
      /Cannot fetch @scope\/thing@1.2.3: Not Found - GET http:\/\/there; give npm access/,
    );
  });

  test.each([
    ['npm error code ENETUNREACH\nnpm error errno ENETUNREACH\n', 'code ENETUNREACH'],
    [
      'npm warn old\nnpm ERR! code E1\nnpm ERR! network request to x failed\n',
      'request to x failed',
    ],
    ['', 'npm ended with code 1'],
  ])('npm that says %j has failed as of %j', (stderr, reason) => {
    expect(npmFailure({ code: 1, stdout: '', stderr })).toBe(reason);
  });

  test('is refused by name and address where there is no network', async () => {
    // A port on which nothing can listen.
    vi.stubEnv('npm_config_registry', 'http://127.0.0.1:0/');
    const refusal = await provisionPackage(folder, wanted).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(ProvisionError);
    expect((refusal as Error).message).toMatch(
      /^Cannot fetch @scope\/thing@1\.2\.3: .*request to http:\/\/127\.0\.0\.1.* failed/,
    );
    expect(existsSync(join(folder, 'scope-thing-1.2.3'))).toBe(false);
  });
});
