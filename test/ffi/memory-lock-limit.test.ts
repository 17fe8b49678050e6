import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';

const module = new URL('../../src/ffi/memory-lock-limit.ts', import.meta.url).href;

/** What programs that it starts may lock, before, while and after: soft and hard limit. */
const SCRIPT = `
import { execFileSync } from 'node:child_process';
import { raiseMemoryLockLimit } from ${JSON.stringify(module)};
const limits = () => /^Max locked memory +(\\S+) +(\\S+)/m.exec(execFileSync('cat', ['/proc/self/limits'], { encoding: 'utf8' })).slice(1, 3);
const before = limits();
const { limit, restore } = raiseMemoryLockLimit();
const raised = limits();
restore();
console.log(JSON.stringify({ before, limit: String(limit), raised, after: limits() }));`;

test('the limit of locked memory is as high as it may be, and then what it was', () => {
  // More than the soft limit of 4 MiB takes no privilege, more than the hard one does.
  const { stdout, stderr } = spawnSync(
    '/bin/sh',
    [
      '-c',
      'ulimit -Sl 4096; exec "$0" --import tsx --input-type=module -e "$1"',
      process.execPath,
      SCRIPT,
    ],
    { encoding: 'utf8' },
  );
  expect(stderr).toBe('');
  const { before, limit, raised, after } = JSON.parse(stdout);
  const [soft, hard] = before;
  expect(soft).toBe('4194304');
  expect([
    ['unlimited', 'unlimited'],
    [hard, hard],
  ]).toContainEqual(raised);
  expect(limit).toBe(raised[0] === 'unlimited' ? 'Infinity' : raised[0]);
  expect(after).toEqual(before);
});
