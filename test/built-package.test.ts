import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { BUILD_VARIABLE, builtPackage, sourceDigest } from './built-package.ts';

function checkout(): string {
  const folder = mkdtempSync(join(tmpdir(), 'hdvkit-built-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  for (const name of ['src/cli', 'devices', 'bench'])
    mkdirSync(join(folder, name), { recursive: true });
  for (const name of ['package.json', 'tsconfig.json', 'tsconfig.build.json', 'join-modules.ts']) {
    writeFileSync(join(folder, name), name);
  }
  for (const name of ['src/a.ts', 'src/cli/b.ts']) writeFileSync(join(folder, name), name);
  return folder;
}

test('commands of the build are run where it was made of this very source', () => {
  const folder = checkout();
  const environment = { [BUILD_VARIABLE]: sourceDigest(folder) };
  expect(builtPackage(environment, folder)).toBe(join(folder, 'dist'));
  expect(builtPackage({}, folder)).toBeUndefined();
  expect(builtPackage({ [BUILD_VARIABLE]: '' }, folder)).toBeUndefined();
});

test.each([
  [
    'a file is another one',
    (at: string) => writeFileSync(join(at, 'src/cli/b.ts'), 'src/cli/c.ts'),
  ],
  ['a file is new', (at: string) => writeFileSync(join(at, 'devices/c.ts'), '')],
  ['a file is gone', (at: string) => rmSync(join(at, 'src/a.ts'))],
  [
    'a file has another name',
    (at: string) => renameSync(join(at, 'src/a.ts'), join(at, 'src/c.ts')),
  ],
  ['it is built in another way', (at: string) => writeFileSync(join(at, 'join-modules.ts'), '')],
])('those of the source are run as soon as %s', (_what, change) => {
  const folder = checkout();
  const environment = { [BUILD_VARIABLE]: sourceDigest(folder) };
  change(folder);
  expect(builtPackage(environment, folder)).toBeUndefined();
});
