import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { removeOldVersions } from '../../src/provision/old-versions.ts';
import { tryLock } from '../../src/provision/provision-lock.ts';
import { provisionFolder } from '../../src/provision/provisioned-folder.ts';

let cache: string;
const children: ChildProcess[] = [];

beforeEach(() => {
  cache = realpathSync(mkdtempSync(join(tmpdir(), 'hdvp-')));
});

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  rmSync(cache, { recursive: true, force: true });
});

async function provision(...names: string[]): Promise<void> {
  for (const name of names) {
    await provisionFolder(join(cache, name), {}, async (draft) => {
      writeFileSync(join(draft, 'kernel'), 'text');
      return { version: '1' };
    });
  }
}

const folders = (): string[] =>
  readdirSync(cache)
    .filter((name) => name !== 'locks')
    .sort();

/** A process that has something of a folder. */
async function user(command: string, args: readonly string[], cwd = cache): Promise<number> {
  const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  await once(child.stdout, 'data');
  return child.pid as number;
}

test('older versions go, and nothing else does', async () => {
  await provision('guest-2', 'guest-9', 'guest-10', 'guest-11', 'guest-extra-1', 'qemu-1');
  expect(removeOldVersions(cache, ['guest-10', 'qemu-1', 'firmware-3'])).toEqual([
    { name: 'guest-2', usedBy: undefined },
    { name: 'guest-9', usedBy: undefined },
  ]);
  expect(folders()).toEqual(['guest-10', 'guest-11', 'guest-extra-1', 'qemu-1']);
  expect(removeOldVersions(cache, ['guest-10'])).toEqual([]);
});

test('older versions stay as long as there is no whole folder of today', async () => {
  await provision('guest-3');
  mkdirSync(join(cache, 'guest-4'));
  expect(removeOldVersions(cache, ['guest-4'])).toEqual([]);
  expect(folders()).toEqual(['guest-3', 'guest-4']);
});

test('what was not provisioned stays, whatever it is called', async () => {
  await provision('guest-4');
  const elsewhere = join(cache, 'mine');
  mkdirSync(elsewhere);
  writeFileSync(join(elsewhere, 'version'), '1');
  mkdirSync(join(cache, 'locks/guest-0'));
  symlinkSync(elsewhere, join(cache, 'guest-0'));
  mkdirSync(join(cache, 'guest-1'));
  writeFileSync(join(cache, 'guest-1/version'), '1');
  mkdirSync(join(cache, 'locks/guest-2'));
  mkdirSync(join(cache, 'guest-2'));
  writeFileSync(join(cache, 'guest-3'), 'a file');
  expect(removeOldVersions(cache, ['guest-4'])).toEqual([]);
  expect(folders()).toEqual(['guest-0', 'guest-1', 'guest-2', 'guest-3', 'guest-4', 'mine']);
  expect(readFileSync(join(elsewhere, 'version'), 'utf8')).toBe('1');
});

test('what a removal has left that was ended in the middle goes, too', async () => {
  await provision('guest-3', 'guest-4');
  renameSync(join(cache, 'guest-3'), join(cache, 'guest-3.old'));
  mkdirSync(join(cache, 'guest-1.old'));
  expect(removeOldVersions(cache, ['guest-4'])).toEqual([]);
  // Nobody has provisioned a guest-1.
  expect(folders()).toEqual(['guest-1.old', 'guest-4']);
});

test('one that is being made stays', async () => {
  await provision('guest-3', 'guest-4');
  using lock = tryLock(join(cache, 'locks/guest-3'));
  expect(lock).toBeDefined();
  expect(removeOldVersions(cache, ['guest-4'])).toEqual([{ name: 'guest-3', usedBy: [] }]);
  lock?.release();
  expect(removeOldVersions(cache, ['guest-4'])).toEqual([{ name: 'guest-3', usedBy: undefined }]);
});

test('one that a process uses stays until it has ended', async () => {
  await provision('guest-3', 'guest-4');
  const kernel = join(cache, 'guest-3/kernel');
  const wait = 'echo ready; exec tail -f /dev/null';
  const users = [
    await user('sh', ['-c', `exec 7< guest-3/kernel; ${wait}`]),
    await user('sh', ['-c', wait], join(cache, 'guest-3')),
    await user(process.execPath, ['-e', 'console.log(1); setInterval(() => {}, 1e6)', kernel]),
  ];
  for (const pid of users) {
    const [kept] = removeOldVersions(cache, ['guest-4']);
    expect(kept?.usedBy).toContain(pid);
    const child = children.shift();
    child?.kill('SIGKILL');
    if (child !== undefined) await once(child, 'exit');
  }
  expect(removeOldVersions(cache, ['guest-4'])).toEqual([{ name: 'guest-3', usedBy: undefined }]);
});
