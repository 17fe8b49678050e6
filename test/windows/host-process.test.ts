import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const PROGRAM = new URL('./host-process.ts', import.meta.url);

/** The program runs from its source where this does. */
const OPTIONS = import.meta.url.endsWith('.ts')
  ? ['--import', 'tsx', '--conditions=hdvkit-source']
  : [];

/** What the program has written, and how it ended. */
async function run(what: 'device' | 'none'): Promise<{ output: string; code: unknown }> {
  const child = spawn(process.execPath, [...OPTIONS, fileURLToPath(PROGRAM), what], {
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (text: Buffer) => {
    output += text.toString();
  });
  const [code] = await once(child, 'close');
  return { output, code };
}

test('a device in a running machine keeps the process alive, and nothing does after the close', async () => {
  expect(await run('device')).toEqual({ output: 'running\nalive\nclosed\n', code: 0 });
});

test('a device host without devices does not: nobody depends on it', async () => {
  expect(await run('none')).toEqual({ output: 'running\n', code: 0 });
});
