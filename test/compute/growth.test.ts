import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const CYCLES = process.env.HDVKIT_LONG === '1' ? 10_000 : 1000;
const script = fileURLToPath(new URL('create-cycles.ts', import.meta.url));

test('systems that were created and terminated leave nothing in the process', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [
    // Young objects in little room, so that the heap is as large before as after.
    ...['--expose-gc', '--max-semi-space-size=2'],
    ...['--import', 'tsx', '--conditions=hdvkit-source', script, String(CYCLES)],
  ]);
  const { cycles, exits, grown, used } = JSON.parse(stdout);
  expect(cycles).toBe(CYCLES);
  expect(exits).toBeGreaterThanOrEqual(CYCLES);
  expect(grown).toBeLessThan(5 * 1024 * 1024);
  expect(used).toBeLessThan(1024 * 1024);
}, 300_000);
