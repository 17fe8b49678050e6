import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { OwnedResource, OwnedResources } from '../../../src/compute/owned-resources.ts';
import { removeOwned } from '../../../src/engines/qemu/owned-files.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hdvo-'));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Notes files of the folder. */
function notes(...names: readonly string[]): OwnedResources & { all: readonly OwnedResource[] } {
  return {
    all: names.map((name) => ({ kind: 'file', name: join(folder, name) })),
    add() {},
    remove({ name }) {
      this.all = this.all.filter((one) => one.name !== name);
    },
  };
}

test('what a machine owned goes, and a folder that somebody has put in the place of a file stays', async () => {
  writeFileSync(join(folder, 'part'), '');
  mkdirSync(join(folder, '.hdvkit-1'));
  writeFileSync(join(folder, '.hdvkit-1', 'vnc'), '');
  mkdirSync(join(folder, 'kept'));
  writeFileSync(join(folder, 'kept', 'precious'), '');
  symlinkSync(join(folder, 'kept'), join(folder, 'link'));
  const owned = notes('part', '.hdvkit-1', 'kept', 'link', 'never made');
  await removeOwned(owned);
  expect(owned.all).toEqual([]);
  expect(readdirSync(folder)).toEqual(['kept']);
  expect(existsSync(join(folder, 'kept', 'precious'))).toBe(true);
});

test('what is a part of a machine that goes on stays, noted', async () => {
  writeFileSync(join(folder, 'used'), '');
  const owned = notes('used');
  await removeOwned(owned, ({ name }) => name === join(folder, 'used'));
  expect([owned.all.length, readdirSync(folder)]).toEqual([1, ['used']]);
});
