import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { HandedFiles } from '../../../src/engines/qemu/handed-files.ts';
import type { PlannedConsole } from '../../../src/engines/qemu/machine-plan.ts';
import { giveFolderTo, giveSocketTo } from '../../../src/engines/qemu/own-file.ts';
import {
  type OwnMonitorSocket,
  ownMonitorSocket,
} from '../../../src/engines/qemu/own-monitor-socket.ts';

const OWN = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
/** Only root can give files away; others give them to themselves, and see what is refused. */
const ACCOUNT = OWN.uid === 0 ? { uid: 0x7000_1234, gid: 0x7000_0000 } : OWN;

let folder: string;
let theirs: string;
const servers: Server[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hdvo-'));
  theirs = join(folder, 'theirs');
  writeFileSync(theirs, 'of somebody else');
});

afterEach(async () => {
  for (const server of servers.splice(0)) await new Promise((closed) => server.close(closed));
  rmSync(folder, { recursive: true, force: true });
});

async function listen(path: string): Promise<void> {
  const server = createServer();
  servers.push(server);
  await new Promise<void>((listening) => void server.listen(path, listening));
}

describe("a socket in a folder that is not the service's", () => {
  test('is given away', async () => {
    await listen(join(folder, 'socket'));
    giveSocketTo(ACCOUNT, join(folder, 'socket'));
    expect(statSync(join(folder, 'socket')).uid).toBe(ACCOUNT.uid);
  });

  test('is refused where a link is in its place, which stays whose it is', async () => {
    const socket = join(folder, 'other');
    await listen(socket);
    for (const [name, make] of [
      ['a link to a file', (path: string) => symlinkSync(theirs, path)],
      ['a link to a socket', (path: string) => symlinkSync(socket, path)],
      ['another name of a file', (path: string) => linkSync(theirs, path)],
      ['another name of a socket', (path: string) => linkSync(socket, path)],
    ] as const) {
      const path = join(folder, name);
      make(path);
      expect(() => giveSocketTo(ACCOUNT, path)).toThrow('something else was put in the place');
    }
    expect([theirs, socket].map((path) => statSync(path).uid)).toEqual([OWN.uid, OWN.uid]);
  });
});

test("a machine's folder is given to it, and nothing that its programs have linked there", () => {
  const machine = join(folder, 'machine');
  mkdirSync(machine);
  writeFileSync(join(machine, 'own'), '');
  linkSync(theirs, join(machine, 'hard'));
  symlinkSync(theirs, join(machine, 'soft'));
  giveFolderTo(ACCOUNT, machine);
  expect(statSync(machine).uid).toBe(ACCOUNT.uid);
  expect(statSync(join(machine, 'own')).uid).toBe(ACCOUNT.uid);
  expect(lstatSync(join(machine, 'soft')).uid).toBe(OWN.uid);
  expect(statSync(theirs).uid).toBe(OWN.uid);
});

describe('the socket of a monitor', () => {
  let users: string;
  let socket: string;
  let files: HandedFiles;
  let monitor: OwnMonitorSocket;

  beforeEach(() => {
    users = join(folder, 'users');
    mkdirSync(users);
    socket = join(users, 'vnc.sock');
    files = new HandedFiles(ACCOUNT);
    const console = { monitor: { socket } } as unknown as PlannedConsole;
    const machine = { watchFile: () => undefined, leaveFile: () => undefined };
    monitor = ownMonitorSocket(console, new Set(), files, machine)!;
  });

  afterEach(() => {
    monitor.discard();
    files.close();
  });

  const inside = (): string => join(users, readdirSync(users).find((name) => name !== 'vnc.sock')!);

  test("is put in its place as the service's own, and leaves nothing beside it", async () => {
    expect(statSync(inside()).uid).toBe(ACCOUNT.uid);
    await listen(join(inside(), 'vnc'));
    monitor.place();
    expect(statSync(socket)).toMatchObject(OWN);
    expect(statSync(socket).isSocket()).toBe(true);
    expect(readdirSync(users)).toEqual(['vnc.sock']);
  });

  test('is not taken for a link that QEMU has made instead', () => {
    symlinkSync(theirs, join(inside(), 'vnc'));
    expect(() => monitor.place()).toThrow('something else was put in the place');
    expect(existsSync(socket)).toBe(false);
    monitor.discard();
    expect(readdirSync(users)).toEqual([]);
    expect(existsSync(theirs)).toBe(true);
  });

  test('takes no place that somebody has taken meanwhile', async () => {
    await listen(join(inside(), 'vnc'));
    symlinkSync(theirs, socket);
    expect(() => monitor.place()).toThrow('EEXIST');
    expect(lstatSync(socket).isSymbolicLink()).toBe(true);
  });

  test('is found where it was made, whatever comes to be at the path', async () => {
    const path = inside();
    await listen(join(path, 'vnc'));
    renameSync(path, join(users, 'moved'));
    mkdirSync(join(folder, 'elsewhere'));
    chmodSync(join(folder, 'elsewhere'), 0o755);
    writeFileSync(join(folder, 'elsewhere/vnc'), '');
    symlinkSync(join(folder, 'elsewhere'), path);
    expect(() => monitor.place()).toThrow('ENOTDIR');
    expect(statSync(socket).isSocket()).toBe(true);
    expect(existsSync(join(folder, 'elsewhere/vnc'))).toBe(true);
  });
});
