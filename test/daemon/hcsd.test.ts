import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { connectService } from '../../src/daemon/connect-service.ts';
import { ServiceSocket } from '../../src/daemon/service-socket.ts';
import { defaultSocketPath } from '../../src/daemon/socket-path.ts';
import { StateStore } from '../../src/daemon/store/state-store.ts';
import { closeFd } from '../../src/ffi/descriptors.ts';
import { listenUnix } from '../../src/ffi/unix-socket.ts';
import { GENERIC_ALL, HCS_EVENT_TYPE, INFINITE } from '../../src/hcs/core/constants.ts';
import type { HCS_OPERATION, HCS_SYSTEM } from '../../src/hcs/core/handles.ts';
import { programCommand } from '../cli/run-cli.ts';
import { codeOf } from '../compute/recording-engine.ts';

const [NODE = '', ...ARGUMENTS] = programCommand('hcsd');

let folder: string;
let socket: string;
const children: ChildProcess[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hcsd-'));
  socket = join(folder, 'run', 'hcsd.sock');
});

afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
  }
  rmSync(folder, { recursive: true, force: true });
});

/** A daemon that listens, or its exit code and what it said. */
async function start(
  ...options: string[]
): Promise<{ readonly child: ChildProcess; readonly code?: number | null; readonly said: string }> {
  const child = spawn(
    NODE,
    [...ARGUMENTS, '--host', 'simulated', '--state', folder, '--socket', socket, ...options],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  children.push(child);
  return await outcome(child);
}

async function outcome(child: ChildProcess): ReturnType<typeof start> {
  let said = '';
  child.stderr!.on('data', (data) => {
    said += data;
  });
  const listening = once(child.stdout!, 'data').then(() => undefined);
  const code = await Promise.race([listening, once(child, 'close').then(([code]) => code)]);
  return code === undefined ? { child, said } : { child, code, said };
}

const document = JSON.stringify({
  Owner: 'test',
  SchemaVersion: { Major: 2, Minor: 1 },
  VirtualMachine: { ComputeTopology: { Memory: { SizeInMB: 16 } } },
});

test('serves the functions of the contract from a process of its own, and ends cleanly by SIGTERM', async () => {
  const { child } = await start();
  expect(statSync(join(folder, 'run')).mode & 0o777).toBe(0o700);
  expect(statSync(socket).mode & 0o777).toBe(0o600);
  await using connection = await connectService({ socket });
  const { core, service } = connection;
  expect(service).toMatchObject({ pid: child.pid, host: 'simulated', protocol: 1 });
  const operation = core.HcsCreateOperation(null, null);
  const system = core.HcsCreateComputeSystem('vm', document, operation, null);
  await core.HcsWaitForOperationResult(operation, INFINITE);
  const events: number[] = [];
  core.HcsSetComputeSystemCallback(system, 0, null, ({ Type }) => events.push(Type));
  child.kill('SIGTERM');
  expect(await once(child, 'exit')).toEqual([0, null]);
  expect(existsSync(socket)).toBe(false);
  const audit = join(folder, 'audit.log');
  expect(statSync(audit).mode & 0o777).toBe(0o600);
  const [line] = readFileSync(audit, 'utf8').trim().split('\n');
  const { pid } = process;
  const made = { pid, function: 'HcsCreateComputeSystem', system: 'vm', result: '0x00000000' };
  expect(JSON.parse(line!)).toMatchObject(made);
  while (events.length < 2) await new Promise((resolve) => setImmediate(resolve));
  expect(events).toEqual([
    HCS_EVENT_TYPE.HcsEventSystemExited,
    HCS_EVENT_TYPE.HcsEventServiceDisconnect,
  ]);
});

test('that was killed leaves a socket that the next one replaces, and clients go on with that', async () => {
  const { child } = await start();
  await using connection = await connectService({ socket });
  const { core } = connection;
  let system = 0n as HCS_SYSTEM;
  const operation: HCS_OPERATION = core.HcsCreateOperation(null, null);
  system = core.HcsCreateComputeSystem('vm', document, operation, null);
  await core.HcsWaitForOperationResult(operation, INFINITE);
  const exit = codeOf(() => core.HcsWaitForComputeSystemExit(system, INFINITE));
  child.kill('SIGKILL');
  expect(await exit).toBe('HCS_E_SERVICE_DISCONNECT');
  expect(existsSync(socket)).toBe(true);
  expect(await codeOf(() => core.HcsGetServiceProperties(null))).toBe(
    'HCS_E_SERVICE_NOT_AVAILABLE',
  );
  await start();
  core.HcsEnumerateComputeSystems(null, operation);
  expect(await core.HcsWaitForOperationResult(operation, INFINITE)).toBe('[]');
  // A simulated machine ends with its daemon: who opens it hears that, once.
  system = await core.HcsOpenComputeSystem('vm', GENERIC_ALL);
  const status = await core.HcsWaitForComputeSystemExit(system, INFINITE);
  expect(JSON.parse(status!)).toMatchObject({
    ExitType: 'UnexpectedExit',
    Detail: expect.stringContaining('has ended'),
  });
  await core.HcsCloseComputeSystem(system);
  expect(await codeOf(() => core.HcsOpenComputeSystem('vm', GENERIC_ALL))).toBe(
    'HCS_E_SYSTEM_NOT_FOUND',
  );
});

test('refuses a socket that is served, with a code of its own', async () => {
  const served = await ServiceSocket.listen(socket, () => {});
  const second = await start();
  served.close();
  expect([second.code, second.said]).toEqual([
    3,
    expect.stringContaining('a service is there already'),
  ]);
});

test('serves a socket that a service manager passes, and leaves it in its place', async () => {
  mkdirSync(join(folder, 'run'));
  const fd = listenUnix(socket);
  const child = spawn(
    '/bin/sh',
    [
      '-c',
      'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"',
      'sh',
      NODE,
      ...ARGUMENTS,
      '--host',
      'simulated',
      '--state',
      folder,
    ],
    { stdio: ['ignore', 'pipe', 'pipe', fd] },
  );
  children.push(child);
  closeFd(fd);
  expect((await outcome(child)).code).toBeUndefined();
  const connection = await connectService({ socket });
  expect(connection.service.pid).toBe(child.pid);
  await connection.close();
  child.kill('SIGTERM');
  expect(await once(child, 'exit')).toEqual([0, null]);
  expect(existsSync(socket)).toBe(true);
});

test('is started on demand, once however many ask, and ends when nobody needs it', async () => {
  const startOnDemand = { host: 'simulated', idleExitMs: 100, stateFolder: folder } as const;
  const options = { socket, startOnDemand };
  expect(await codeOf(() => connectService({ socket }))).toBe('HCS_E_SERVICE_NOT_AVAILABLE');
  const connections = await Promise.all([1, 2].map(() => connectService(options)));
  const pids = new Set(connections.map(({ service }) => service.pid));
  expect(pids.size).toBe(1);
  for (const connection of connections) await connection.close();
  while (existsSync(socket)) await new Promise((resolve) => setTimeout(resolve, 10));
  const [pid] = pids;
  while (existsSync(`/proc/${pid}`)) await new Promise((resolve) => setTimeout(resolve, 10));
});

test('that is starting says so to clients, which wait for it longer than for a program that does not greet', async () => {
  // The daemon before it has not given up the state.
  const before = StateStore.open(folder);
  const starting = start();
  while (!existsSync(socket)) await new Promise((resolve) => setTimeout(resolve, 10));
  const limit = { socket, greetingLimitMs: 4_000 };
  const patient = connectService(limit);
  const watcher = createConnection(socket);
  let said = '';
  watcher.on('data', (data) => {
    said += data;
  });
  while (said.split('"starting"').length <= 6) await once(watcher, 'data');
  before.close();
  expect((await starting).code).toBeUndefined();
  expect((await patient).service).toMatchObject({ host: 'simulated' });
  await (await patient).close();
  watcher.destroy();
});

test('that cannot be started says why, with its last lines and no other', async () => {
  mkdirSync(join(folder, 'run'));
  writeFileSync(socket, '');
  writeFileSync(`${socket}.log`, 'hcsd: one before\n');
  const startOnDemand = { host: 'simulated', stateFolder: folder } as const;
  const broken = { socket, startOnDemand };
  const error = await connectService(broken).catch((reason: Error) => reason);
  expect(error).toMatchObject({ code: 'HCS_E_SERVICE_NOT_AVAILABLE' });
  expect(String(error)).toMatch(/it ended with code 1: hcsd: .*another kind/);
  expect(readFileSync(`${socket}.log`, 'utf8')).toContain('one before');
  writeFileSync(`${socket}.log`, `hcsd: a long one\n${'.'.repeat(1 << 20)}`);
  await expect(connectService(broken)).rejects.toThrow('another kind');
  expect(readFileSync(`${socket}.log`, 'utf8')).not.toContain('a long one');
  expect(readFileSync(`${socket}.log.1`, 'utf8')).toContain('a long one');
});

test('the socket is in a folder of the user', () => {
  expect(defaultSocketPath({ HDVKIT_SOCKET: '/a/b' })).toBe('/a/b');
  const isRoot = process.getuid?.() === 0;
  expect(defaultSocketPath({ XDG_RUNTIME_DIR: '/run/user/7' })).toBe(
    isRoot ? '/run/hdvkit/hcsd.sock' : '/run/user/7/hdvkit/hcsd.sock',
  );
});
