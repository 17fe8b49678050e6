import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const CYCLES = process.env.HDVKIT_LONG === '1' ? 10_000 : 400;

test('clients that come, create and end systems and go leave nothing in the daemon', async () => {
  const script = fileURLToPath(new URL('session-cycles.ts', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [
    ...['--expose-gc', '--import', import.meta.resolve('tsx'), '--conditions=hdvkit-source'],
    ...[script, String(CYCLES)],
  ]);
  const { grown, left } = JSON.parse(stdout);
  expect(left).toEqual({ sessions: 0, handles: 0, systems: 0 });
  expect(grown).toBeLessThan(1024 * 1024);
}, 300_000);
