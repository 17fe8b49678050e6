import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const LONG = process.env.HDVKIT_LONG === '1';
const CYCLES = LONG ? 10_000 : 1000;
const SAVE_CYCLES = LONG ? 1000 : 20;
const MIB = 1024 * 1024;

/** What a script of this folder reports of its cycles. */
async function run(name: string, cycles: number) {
  const script = fileURLToPath(new URL(name, import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [
    // Young objects in little room, so that the heap is as large before as after.
    ...['--expose-gc', '--max-semi-space-size=2'],
    ...['--import', 'tsx', '--conditions=hdvkit-source', script, String(cycles)],
  ]);
  return JSON.parse(stdout);
}

test('systems that were created and terminated leave nothing in the process', async () => {
  const { cycles, exits, grown, used } = await run('create-cycles.ts', CYCLES);
  expect(cycles).toBe(CYCLES);
  expect(exits).toBeGreaterThanOrEqual(CYCLES);
  expect(grown).toBeLessThan(5 * MIB);
  expect(used).toBeLessThan(MIB);
}, 300_000);

test('machines that were saved, restored and cloned leave no file, handle or memory', async () => {
  const { cycles, restored, files, fds, grown, used } = await run('save-cycles.ts', SAVE_CYCLES);
  expect(cycles).toBe(SAVE_CYCLES);
  expect(restored).toBe(2 * SAVE_CYCLES);
  expect(files).toEqual(['saved']);
  // A descriptor or two come and go with the threads of Node's own pool.
  expect(fds).toBeLessThanOrEqual(2);
  // Without a long warm-up heaps still find their size.
  expect(grown).toBeLessThan((LONG ? 5 : 40) * MIB);
  expect(used).toBeLessThan(4 * MIB);
}, 300_000);
