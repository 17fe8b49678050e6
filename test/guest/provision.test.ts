import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { cacheDirectory } from '../../src/provision/cache-directory.ts';
import { tryLock } from '../../src/provision/provision-lock.ts';
import { provisionFolder } from '../../src/provision/provisioned-folder.ts';
import { Workplace } from '../cli/run-cli.ts';

test('hdvkit provision keeps what is there, and removes what older versions have left', async () => {
  // Beside the cache, whose files it shares by hard links.
  const cache = mkdtempSync(`${cacheDirectory()}-test-`);
  try {
    const kept = readdirSync(cacheDirectory()).filter((name) => /-\d+$|^agent$/.test(name));
    const [guest = ''] = kept
      .filter((name) => name.startsWith('guest-'))
      .sort((one, other) => Number(other.slice(6)) - Number(one.slice(6)));
    const present = kept.filter((name) => !name.startsWith('guest-') || name === guest);
    execFileSync('cp', ['-al', ...present.map((name) => join(cacheDirectory(), name)), cache]);
    for (const name of ['guest-0', 'guest-1']) {
      await provisionFolder(join(cache, name), {}, async () => ({ version: 'old' }));
    }
    using lock = tryLock(join(cache, 'locks/guest-1'));
    expect(lock).toBeDefined();
    using place = new Workplace();
    const { code, stdout } = await place.run(['provision'], { env: { HDVKIT_CACHE: cache } });
    expect(code).toBe(0);
    expect(stdout.trim().split('\n').slice(-2)).toEqual([
      'removed guest-0, of an older version of hdvkit',
      'kept guest-1, of an older version of hdvkit: another process is at it',
    ]);
    expect(readdirSync(cache)).toEqual(expect.arrayContaining([...present, 'guest-1']));
    expect(readdirSync(cache)).not.toContain('guest-0');
  } finally {
    rmSync(cache, { recursive: true, force: true });
  }
});
