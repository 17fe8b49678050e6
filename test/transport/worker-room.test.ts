import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { requireWorkerRoom } from '../../src/transport/worker-room.ts';

const MiB = 2 ** 20;
const PLENTY = { memory: 4096 * MiB, descriptors: 10_000, mappings: 50_000 };

test.each([
  ['memory', { memory: 100 * MiB }, /beside 37 others: only 100 MiB of memory are left/],
  ['files', { descriptors: 40 }, /only 40 more files may be opened.*ulimit -n/],
  ['mappings', { mappings: 2100 }, /only 2100 more mappings of memory.*vm\.max_map_count/],
])('a worker for which there are too few %s is refused, with the remedies', (_, left, message) => {
  expect(() => requireWorkerRoom(37, 0, { ...PLENTY, ...left })).toThrow(message);
  expect(() => requireWorkerRoom(37, 0, { ...PLENTY, ...left })).toThrow('option group');
});

test('workers that are starting have taken nothing yet, and their share is kept for them', () => {
  const room = { ...PLENTY, memory: 700 * MiB };
  expect(() => requireWorkerRoom(0, 8, room)).not.toThrow();
  expect(() => requireWorkerRoom(0, 9, room)).toThrow('beside 9 others');
});

test('a system that tells nothing refuses nothing; this one has room for a worker', () => {
  expect(() => requireWorkerRoom(1000, 100, {})).not.toThrow();
  expect(() => requireWorkerRoom(0, 0)).not.toThrow();
  // Mappings are counted, too, when there are many workers.
  expect(() => requireWorkerRoom(64, 0)).not.toThrow();
});

test.runIf(process.platform === 'linux')(
  'a process that has too few descriptors left says so on each placement, and goes on',
  () => {
    const program = fileURLToPath(new URL('full-process.ts', import.meta.url));
    const node = [process.execPath, '--import', 'tsx', '--conditions=hdvkit-source', program];
    const output = execFileSync('sh', ['-c', 'ulimit -n 64; exec "$@"', 'sh', ...node]);
    const refused = expect.stringMatching(
      /^Cannot start a device worker beside 0 others: only \d+ more files may be opened; .*ulimit -n/,
    );
    expect(JSON.parse(output.toString())).toEqual({ simulated: refused, linux: refused });
  },
);
