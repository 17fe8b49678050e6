import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const PROGRAM = new URL('./host-process.ts', import.meta.url);

/** The program runs from its source where this does. */
const OPTIONS = import.meta.url.endsWith('.ts')
  ? ['--import', 'tsx', '--conditions=hdvkit-source']
  : [];

test('a device in a running machine keeps the process alive, and nothing does after the close', async () => {
  const child = spawn(process.execPath, [...OPTIONS, fileURLToPath(PROGRAM)], {
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (text: Buffer) => {
    output += text.toString();
  });
  const [code] = await once(child, 'close');
  expect({ output, code }).toEqual({ output: 'running\nalive\nclosed\n', code: 0 });
});
