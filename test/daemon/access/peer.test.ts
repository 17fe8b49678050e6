import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { peerOf } from '../../../src/daemon/access/peer.ts';

const isRoot = process.getuid?.() === 0;
/** Connects, and stays until the other end is closed. */
const CLIENT = `const s = require('net').connect(process.argv[1]); s.on('end', () => process.exit()); s.resume();`;

let folder: string;
let server: Server;
let child: ChildProcess | undefined;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'hdvkit-peer-'));
  chmodSync(folder, 0o755);
  server = createServer({ allowHalfOpen: true });
  server.listen(join(folder, 's'));
  await once(server, 'listening');
  chmodSync(join(folder, 's'), 0o777);
});
afterEach(async () => {
  child?.kill('SIGKILL');
  child = undefined;
  await new Promise((resolve) => server.close(resolve));
  rmSync(folder, { recursive: true, force: true });
});

/** The connection of a client that runs with these commands in front. */
async function connect(...before: readonly string[]): Promise<Socket> {
  const [command = '', ...args] = [...before, process.execPath, '-e', CLIENT, join(folder, 's')];
  child = spawn(command, args, { stdio: 'ignore' });
  const [socket] = (await once(server, 'connection')) as [Socket];
  return socket;
}

test('the process that connected is told with its user, groups and program', async () => {
  const socket = await connect();
  const peer = peerOf(socket);
  expect(peer).toMatchObject({
    pid: child!.pid,
    uid: process.getuid!(),
    gid: process.getgid!(),
    program: process.execPath,
  });
  const [, groups = ''] = /^Groups:(.*)$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  expect(peer.groups).toEqual(groups.trim().split(/\s+/).filter(Boolean).map(Number));
  socket.destroy();
});

test.runIf(isRoot)('another user is told by its own ids, with all of its groups', async () => {
  const groups = Array.from({ length: 300 }, (_, i) => 5000 + i);
  const socket = await connect(
    ...['setpriv', '--reuid=4711', '--regid=4712', `--groups=${groups.join(',')}`],
  );
  expect(peerOf(socket)).toMatchObject({ uid: 4711, gid: 4712, groups });
  socket.destroy();
});

test('who connected stays the same when that process has ended', async () => {
  const socket = await connect();
  const { pid } = child!;
  child!.kill('SIGKILL');
  await once(child!, 'exit');
  expect(peerOf(socket)).toMatchObject({ pid, uid: process.getuid!() });
  expect(peerOf(socket).program).toBeUndefined();
  socket.destroy();
});

test('a connection that is closed, or no Unix socket, has nobody', async () => {
  const socket = await connect();
  socket.destroy();
  expect(() => peerOf(socket)).toThrow('the connection is closed');
  const tcp = createServer();
  tcp.listen(0, '127.0.0.1');
  await once(tcp, 'listening');
  const { port } = tcp.address() as { port: number };
  const { connect: connectTcp } = await import('node:net');
  const client = connectTcp(port, '127.0.0.1');
  const [accepted] = (await once(tcp, 'connection')) as [Socket];
  expect(() => peerOf(accepted)).toThrow('Cannot');
  client.destroy();
  accepted.destroy();
  tcp.close();
});
