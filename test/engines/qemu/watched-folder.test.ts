import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WatchedFolder } from '../../../src/engines/qemu/watched-folder.ts';
import { identifyProcess } from '../../../src/provision/process-identity.ts';
import { until } from '../../cli/run-cli.ts';

const watchedFolder = new URL('../../../src/engines/qemu/watched-folder.ts', import.meta.url);
let parent: string;
const { XDG_RUNTIME_DIR } = process.env;

beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'hdvw-'));
  process.env.XDG_RUNTIME_DIR = parent;
});

afterEach(() => {
  if (XDG_RUNTIME_DIR === undefined) delete process.env.XDG_RUNTIME_DIR;
  else process.env.XDG_RUNTIME_DIR = XDG_RUNTIME_DIR;
  rmSync(parent, { recursive: true, force: true });
});

describe('the folder of a machine', () => {
  test('is for its owner alone, and goes with all that is in it', async () => {
    const folder = WatchedFolder.create();
    expect(statSync(folder.path).mode & 0o777).toBe(0o700);
    writeFileSync(folder.file('qmp'), '');
    await folder.remove();
    expect(readdirSync(parent)).toEqual([]);
  });

  test('is somewhere short when the runtime folder’s path is long', async () => {
    process.env.XDG_RUNTIME_DIR = join(parent, 'x'.repeat(80));
    const folder = WatchedFolder.create();
    expect(folder.path.startsWith(parent)).toBe(false);
    await folder.remove();
  });

  test('is where no program takes a part of its path for something else', async () => {
    const comma = join(parent, 'a,b');
    mkdirSync(comma);
    process.env.XDG_RUNTIME_DIR = comma;
    const folder = WatchedFolder.create();
    expect(folder.path.startsWith(comma)).toBe(false);
    await folder.remove();
    expect(() => WatchedFolder.kept(comma)).toThrow(
      `Cannot keep sockets in "${comma}": use an absolute path of at most 80 bytes without commas`,
    );
  });

  test('goes when its owner is killed, with the process and the files that it watches', async () => {
    const socket = join(parent, 'com1');
    writeFileSync(socket, '');
    const elsewhere = join(parent, '.hdvkit-1');
    mkdirSync(elsewhere);
    writeFileSync(join(elsewhere, 'vnc'), '');
    // Somebody has put it in the place of a file.
    const replaced = join(parent, 'com2');
    mkdirSync(replaced);
    writeFileSync(join(replaced, 'precious'), '');
    const program = join(parent, 'owner.mts');
    writeFileSync(
      program,
      `import { spawn } from 'node:child_process';
       import { WatchedFolder } from '${watchedFolder.href}';
       const child = spawn('sleep', ['600'], { detached: true, stdio: 'ignore' });
       const folder = WatchedFolder.create();
       folder.watchProcess(child.pid);
       for (const path of ['${replaced}', '${elsewhere}', '${socket}']) folder.watchFile(path);
       console.log(child.pid + ' ' + folder.path);
       setInterval(() => {}, 1000);`,
    );
    const owner = spawn(process.execPath, ['--import', 'tsx', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [pid = '', path = ''] = (await until(owner.stdout, '\n')).trim().split(' ');
    expect(identifyProcess(Number(pid))).toBeDefined();
    expect(existsSync(path)).toBe(true);
    owner.kill('SIGKILL');
    await expect.poll(() => identifyProcess(Number(pid))).toBeUndefined();
    await expect.poll(() => existsSync(path)).toBe(false);
    await expect.poll(() => existsSync(socket)).toBe(false);
    expect(existsSync(elsewhere)).toBe(false);
    expect(readdirSync(replaced)).toEqual(['precious']);
  });
});
