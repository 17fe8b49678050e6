import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  ProcessorCgroup,
  removeDeadControlGroups,
} from '../../../src/engines/qemu/processor-cgroup.ts';
import { HcsError } from '../../../src/hcs/hcs-error.ts';

let child: ChildProcess;

beforeAll(() => {
  child = spawn('sleep', ['1000'], { stdio: 'ignore' });
});

afterAll(() => {
  child.kill();
});

function create(pid: number): ProcessorCgroup | HcsError {
  try {
    return ProcessorCgroup.create(pid);
  } catch (error) {
    return error as HcsError;
  }
}

test('a process is limited in a group of its own, where this process may make one', async () => {
  const pid = child.pid!;
  const group = create(pid);
  if (group instanceof HcsError) {
    expect(group.code).toBe('ERROR_NOT_SUPPORTED');
    expect(group.reason).toMatch(
      /Cannot limit the processors .*: .*; run as root, or in a control/,
    );
    return;
  }
  const read = (name: string): string => readFileSync(join(group.path, name), 'utf8').trim();
  expect(read('cgroup.procs')).toBe(String(pid));
  group.limit(0.5, 200);
  const unified = existsSync(join(group.path, 'cpu.max'));
  if (unified) {
    expect([read('cpu.max'), read('cpu.weight')]).toEqual(['50000 100000', '200']);
  } else {
    expect([read('cpu.cfs_quota_us'), read('cpu.shares')]).toEqual(['50000', '2048']);
  }
  group.limit(undefined);
  expect(read(unified ? 'cpu.max' : 'cpu.cfs_quota_us')).toBe(unified ? 'max 100000' : '-1');
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
  expect(await group.remove()).toBe(true);
  expect(existsSync(group.path)).toBe(false);
});

test('a group goes as soon as the last thread of its process has, which may be a moment later', async () => {
  const late = spawn('sleep', ['1000'], { stdio: 'ignore' });
  try {
    const group = create(late.pid!);
    const removal = group instanceof HcsError ? true : group.remove();
    late.kill('SIGKILL');
    expect(await removal).toBe(true);
    expect(group instanceof HcsError || !existsSync(group.path)).toBe(true);
  } finally {
    late.kill('SIGKILL');
  }
});

test('the group of a process that is no more goes with the next look, and no other', async () => {
  const other = spawn('sleep', ['1000'], { stdio: 'ignore' });
  try {
    const group = create(other.pid!);
    if (group instanceof HcsError) return;
    const parent = dirname(group.path);
    const left = join(parent, `hdvkit-${2 ** 22 - 2}`);
    const foreign = join(parent, `hdvkit-test-${process.pid}`);
    for (const path of [left, foreign]) mkdirSync(path);
    removeDeadControlGroups();
    expect([left, foreign, group.path].map((path) => existsSync(path))).toEqual([
      false,
      true,
      true,
    ]);
    rmdirSync(foreign);
    other.kill('SIGKILL');
    expect(await group.remove()).toBe(true);
  } finally {
    other.kill('SIGKILL');
  }
});

test('a process that is not there is in no group', () => {
  const group = create(2 ** 22 - 1);
  expect(group).toBeInstanceOf(HcsError);
});
