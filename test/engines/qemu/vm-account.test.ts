import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { runsAs } from '../../../src/engines/qemu/vm-account.ts';

const statusOf = (pid: number): string => readFileSync(`/proc/${pid}/status`, 'utf8');

test('a process that has ended and that nobody has asked about has no account any more', async () => {
  const uid = process.getuid!();
  // A program that does not know of the child that it had as a shell.
  const parent = spawn('sh', ['-c', 'sleep 1000 & echo $!; exec sleep 1000']);
  try {
    const [text] = await once(parent.stdout, 'data');
    const ended = Number(text);
    const program = (): string => readFileSync(`/proc/${parent.pid}/comm`, 'utf8');
    await expect.poll(program, { timeout: 60_000 }).toBe('sleep\n');
    process.kill(ended, 'SIGKILL');
    await expect.poll(() => statusOf(ended), { timeout: 60_000 }).toMatch(/^State:\s*Z/m);
    expect(statusOf(ended)).toMatch(new RegExp(`^Uid:\\s*${uid}\\b`, 'm'));
    expect(runsAs(statusOf(ended), uid)).toBe(false);
    expect(runsAs(statusOf(parent.pid!), uid)).toBe(true);
    expect(runsAs(statusOf(parent.pid!), uid + 1)).toBe(false);
  } finally {
    parent.kill('SIGKILL');
  }
});
