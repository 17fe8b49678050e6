import { spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SideProcess } from '../../../src/engines/qemu/side-process.ts';
import { SideProcesses } from '../../../src/engines/qemu/side-processes.ts';
import { WatchedFolder } from '../../../src/engines/qemu/watched-folder.ts';
import type { SideProgram } from '../../../src/provision/find-side-program.ts';
import { identifyProcess } from '../../../src/provision/process-identity.ts';
import { until } from '../../cli/run-cli.ts';

const source = (name: string) => new URL(`../../../src/engines/qemu/${name}`, import.meta.url).href;
const { XDG_RUNTIME_DIR } = process.env;
let parent: string;

beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'hdvp-'));
  process.env.XDG_RUNTIME_DIR = parent;
});

afterEach(() => {
  if (XDG_RUNTIME_DIR === undefined) delete process.env.XDG_RUNTIME_DIR;
  else process.env.XDG_RUNTIME_DIR = XDG_RUNTIME_DIR;
  rmSync(parent, { recursive: true, force: true });
});

/** A program of the given text that stands for one that QEMU talks to. */
function program(text: string): SideProgram {
  const file = join(parent, 'program.cjs');
  writeFileSync(file, text);
  chmodSync(file, 0o755);
  const args = [file];
  return { name: 'virtiofsd', command: process.execPath, args, version: '1', source: 'installed' };
}

/** Listens, and has a child that holds its output open. */
const SERVER = `
const child = require('node:child_process').spawn('sleep', ['600'], { stdio: ['ignore', 1, 2] });
require('node:net').createServer((socket) => socket.end(process.pid + ' ' + child.pid)).listen(process.argv[2]);
`;

/** Process ids of the server and its child. */
function ask(socket: string): Promise<number[]> {
  return new Promise((resolve, reject) => {
    connect(socket)
      .on('error', reject)
      .on('data', (text) => resolve(text.toString().split(' ').map(Number)));
  });
}

describe('a program beside QEMU', () => {
  test('listens when it has started, and ends with all that it forked', async () => {
    const folder = WatchedFolder.create();
    const side = await SideProcess.start({
      program: program(SERVER),
      folder,
      socket: 'fs',
      args: (socket) => [socket],
    });
    const [pid = 0, child = 0] = await ask(side.socket);
    expect(pid).toBe(side.pid);
    expect(identifyProcess(child)).toBeDefined();
    expect((await side.end()).signal).toBe('SIGTERM');
    await side.end();
    expect(identifyProcess(pid)).toBeUndefined();
    await expect.poll(() => identifyProcess(child), { timeout: 30_000 }).toBeUndefined();
    await folder.remove();
  });

  test('fails to start with its own words', async () => {
    const folder = WatchedFolder.create();
    const options = { folder, socket: 'fs', args: () => [] };
    const bad = program("console.error('no such folder'); process.exit(2);");
    await expect(SideProcess.start({ ...options, program: bad })).rejects.toThrow(
      'virtiofsd did not start: exit code 2: no such folder',
    );
    const none = { ...bad, command: join(parent, 'nothing') };
    await expect(SideProcess.start({ ...options, program: none })).rejects.toThrow(/ENOENT/);
    await folder.remove();
  });

  test('goes when its owner is killed, with all that it forked', async () => {
    const owner = join(parent, 'owner.mts');
    const { args } = program(SERVER);
    const text = JSON.stringify({ name: 'virtiofsd', command: process.execPath, args });
    writeFileSync(
      owner,
      `import { SideProcess } from '${source('side-process.ts')}';
       import { WatchedFolder } from '${source('watched-folder.ts')}';
       const folder = WatchedFolder.create();
       void SideProcess.start({ program: ${text}, folder, socket: 'fs', args: (socket) => [socket] })
         .then((side) => console.log(side.socket + ' ' + folder.path));
       setInterval(() => {}, 1000);`,
    );
    const running = spawn(process.execPath, ['--import', 'tsx', owner], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [socket = '', path = ''] = (await until(running.stdout, '\n')).trim().split(' ');
    const ids = await ask(socket);
    running.kill('SIGKILL');
    for (const id of ids) {
      await expect.poll(() => identifyProcess(id), { timeout: 30_000 }).toBeUndefined();
    }
    await expect.poll(() => existsSync(path), { timeout: 30_000 }).toBe(false);
  });

  test('that was taken over and has ended is not looked for by its id, which another process has now', async () => {
    const other = spawn('sleep', ['600'], { detached: true, stdio: 'ignore' });
    const pid = other.pid!;
    const ended = new Promise((resolve) => other.once('exit', (_code, signal) => resolve(signal)));
    const socket = join(parent, 'side0');
    const identity = { pid, started: 'long ago' };
    await SideProcess.adopt({ name: 'virtiofsd', socket, identity }).end();
    process.kill(-pid, 'SIGKILL');
    expect(await ended).toBe('SIGKILL');
  });

  test('that was taken over fails by its end, unless QEMU was to leave it', async () => {
    const failures: string[] = [];
    const own = WatchedFolder.create();
    const started = new SideProcesses(own);
    await started.start('fs', { program: program(SERVER), args: (socket) => [socket] });
    const sides = new SideProcesses(own);
    sides.onFailure = (text) => failures.push(text);
    sides.adopt(started.records);
    const others = new SideProcesses(own);
    const isSeen = new Promise<string>((resolve) => {
      others.onFailure = resolve;
    });
    others.adopt(started.records);
    await sides.leave('fs', async () => {
      await started.endAll();
      await isSeen; // By those who look after the first ones do.
    });
    expect(failures).toEqual([]);

    await started.start('fs', { program: program(SERVER), args: (socket) => [socket] });
    sides.adopt(started.records);
    await expect(
      sides.leave('fs', async () => {
        await started.endAll();
        throw new Error('the guest does not let go');
      }),
    ).rejects.toThrow('the guest does not let go');
    await expect
      .poll(() => failures, { timeout: 30_000 })
      .toEqual(['virtiofsd ended: nobody saw how']);
    await own.remove();
  });

  test('writes through no link that stands for its output', async () => {
    const kept = WatchedFolder.kept(parent);
    const target = join(parent, 'target');
    writeFileSync(target, 'as it was');
    symlinkSync(target, kept.file('fs.log'));
    const options = { program: program(SERVER), folder: kept, socket: 'fs' };
    await expect(SideProcess.start({ ...options, args: (socket) => [socket] })).rejects.toThrow(
      /ELOOP/,
    );
    expect(readFileSync(target, 'utf8')).toBe('as it was');
    await kept.remove();
  });
});
