import { readFileSync, statSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { kernelOptionsFile } from '../../../src/engines/qemu/kernel-options.ts';
import { WatchedFolder } from '../../../src/engines/qemu/watched-folder.ts';

let folder: WatchedFolder;
const warnings: string[] = [];
const listen = ({ message }: Error): void => void warnings.push(message);

beforeEach(() => {
  folder = WatchedFolder.create();
  warnings.length = 0;
  process.on('warning', listen);
});

afterEach(async () => {
  process.off('warning', listen);
  await folder.remove();
});

test('a command line is in a file that nobody else may read', () => {
  const line = `console=ttyS0 path=C:\\x,y #=${'z'.repeat(900)}`;
  const path = kernelOptionsFile(folder, line) ?? '';
  expect(readFileSync(path, 'utf8')).toBe(`[machine]\n  append = "${line}"\n`);
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

test('one that such a file has no room or no words for is an argument, which is said, but not what it is', async () => {
  for (const line of ['key="secret"', 'secret '.repeat(200)]) {
    expect(kernelOptionsFile(folder, line)).toBeUndefined();
  }
  await new Promise((resolve) => setImmediate(resolve));
  expect(warnings).toEqual([
    expect.stringMatching(/^A kernel's command line .*: keep secrets out of it$/),
  ]);
  expect(warnings.join()).not.toMatch(/key=|secret secret/);
});

test('where there is none there is no file', () => {
  expect(kernelOptionsFile(folder, '')).toBeUndefined();
  expect(() => statSync(folder.file('kernel-options'))).toThrow('ENOENT');
});
