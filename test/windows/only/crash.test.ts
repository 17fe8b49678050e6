import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

/** The package, built as npm installs it; this file lies in dist/test/windows/only. */
const packageFolder = fileURLToPath(new URL('../../../../', import.meta.url));

/** STATUS_ACCESS_VIOLATION, as what ends of it says. */
const ACCESS_VIOLATION = 0xc000_0005;

test('a program that crashes ends, with a code that says why, and waits for no debugger', async () => {
  const child = spawn(process.execPath, ['-e', `require('koffi').decode(8, 'int')`], {
    cwd: packageFolder,
    stdio: 'ignore',
  });
  expect(await once(child, 'exit')).toEqual([ACCESS_VIOLATION, null]);
});
