import { spawn } from 'node:child_process';
import { existsSync, statSync, watch, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { RuntimeFolder } from '../../src/device-host/runtime-folder.ts';
import { until } from '../cli/run-cli.ts';

test('the folder belongs to its user alone and goes with what is in it', async () => {
  const folder = RuntimeFolder.create();
  expect(statSync(folder.path).mode & 0o777).toBe(0o700);
  const [first, second] = [folder.fresh('.sock'), folder.fresh('.sock')];
  expect(first).not.toBe(second);
  writeFileSync(first, '');
  await folder.remove();
  expect(existsSync(folder.path)).toBe(false);
  await folder.remove();
});

test('the folder of a process that is killed goes too', async () => {
  const module = fileURLToPath(new URL('../../src/device-host/runtime-folder.ts', import.meta.url));
  const source = `
    const { RuntimeFolder } = await import(${JSON.stringify(module)});
    console.log(RuntimeFolder.create().path);
    setInterval(() => {}, 1000);`;
  const owner = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', source], {
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const path = (await until(owner.stdout, '\n')).trim();
  writeFileSync(join(path, 'a.sock'), '');
  const gone = new Promise<void>((resolve) => {
    const watcher = watch(dirname(path), () => {
      if (existsSync(path)) return;
      watcher.close();
      resolve();
    });
  });
  expect(existsSync(path)).toBe(true);
  owner.kill('SIGKILL');
  await gone;
});
