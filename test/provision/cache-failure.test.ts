import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { cacheFailure } from '../../src/provision/cache-failure.ts';
import { storeImage } from '../../src/provision/image-store.ts';
import { provisionFolder } from '../../src/provision/provisioned-folder.ts';

/** A folder that is removed at the end of the test. */
function workplace(): { readonly path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), 'cf-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** As Node reports a failed system call. */
function systemError(code: string, syscall: string): Error {
  return Object.assign(new Error(`${code}: no matter, ${syscall}`), { code, syscall });
}

test('a cache whose place a file has is refused by name, with the remedy', async () => {
  using place = workplace();
  const cache = join(place.path, 'cache');
  writeFileSync(cache, '');
  const refusal = {
    name: 'ProvisionError',
    message: `Cannot write the cache ${cache}: a file is in its place; make it a folder that can be written, or set HDVKIT_CACHE to another one`,
  };
  await expect(storeImage(cache, ['x'], () => Buffer.alloc(1))).rejects.toMatchObject(refusal);
  const made = provisionFolder(join(cache, 'guest'), {}, async () => ({ version: '1' }));
  await expect(made).rejects.toMatchObject(refusal);
});

test('an image whose content cannot be made leaves nothing in the cache', async () => {
  using place = workplace();
  const image = storeImage(place.path, ['x'], () => Promise.reject(new Error('no content')));
  await expect(image).rejects.toThrow('no content');
  expect(readdirSync(place.path)).toEqual([]);
});

test.each([
  ['EROFS', 'open', 'read-only file system'],
  ['EACCES', 'mkdir', 'access is denied'],
  ['ENOENT', 'mkdir', 'read-only file system'],
  ['ENOSPC', 'write', 'the disk is full; make room'],
])('%s is told in words', (code, syscall, words) => {
  expect(String(cacheFailure('/c', systemError(code, syscall)))).toContain(words);
});

test('a failure that is not of the cache stays what it is', () => {
  const error = systemError('EACCES', 'spawn dpkg-deb');
  expect(cacheFailure('/c', error)).toBe(error);
  const told = new Error('something else');
  expect(cacheFailure('/c', told)).toBe(told);
});
