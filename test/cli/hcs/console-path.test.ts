import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { holdConsoleFolder, removeEmptyConsoleFolder } from '../../../src/cli/hcs/console-path.ts';

const { XDG_RUNTIME_DIR } = process.env;
let parent: string;

beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'hdvt-'));
  process.env.XDG_RUNTIME_DIR = parent;
});

afterEach(() => {
  if (XDG_RUNTIME_DIR === undefined) delete process.env.XDG_RUNTIME_DIR;
  else process.env.XDG_RUNTIME_DIR = XDG_RUNTIME_DIR;
  rmSync(parent, { recursive: true, force: true });
});

test('the folder of consoles stays for a command that is making one, and not for one that was killed', () => {
  if (process.platform === 'win32') return; // Consoles have names there, and no folder.
  const letGo = holdConsoleFolder('linux');
  const [name = ''] = readdirSync(parent);
  const folder = join(parent, name);
  // No process has an id as high (Linux, include/linux/threads.h: PID_MAX_LIMIT).
  writeFileSync(join(folder, `.${2 ** 22}`), '');
  removeEmptyConsoleFolder();
  expect(readdirSync(folder)).toEqual([`.${process.pid}`]);
  letGo();
  removeEmptyConsoleFolder();
  expect(existsSync(folder)).toBe(false);
});
