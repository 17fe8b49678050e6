import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { setProcessorAffinity } from '../../src/ffi/processor-affinity.ts';

let child: ChildProcess;

beforeAll(() => {
  child = spawn('sleep', ['1000'], { stdio: 'ignore' });
});

afterAll(() => {
  child.kill();
});

const allowed = (pid: number): string | undefined =>
  /^Cpus_allowed_list:\s+(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];

test('a thread runs on the processors that it is given, whatever others are named', () => {
  const [first = '0'] = allowed(child.pid!)?.split(/[,-]/) ?? [];
  setProcessorAffinity(child.pid!, [Number(first), 1023]);
  expect(allowed(child.pid!)).toBe(first);
});

test('a thread cannot run on processors that are not there', () => {
  expect(() => setProcessorAffinity(child.pid!, [1023])).toThrow(/EINVAL/);
  expect(() => setProcessorAffinity(child.pid!, [1024])).toThrow(/whole numbers from 0 to 1023/);
});
