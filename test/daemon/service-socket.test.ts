import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ServiceSocket } from '../../src/daemon/service-socket.ts';
import { closeFd } from '../../src/ffi/descriptors.ts';
import { listenUnix } from '../../src/ffi/unix-socket.ts';

let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hcsd-'));
  path = join(folder, 'run', 'hcsd.sock');
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

const listen = () => ServiceSocket.listen(path, (socket) => socket.destroy());

test('makes its folder and socket for its user alone, and removes the socket when it is closed', async () => {
  const socket = await listen();
  expect(statSync(join(folder, 'run')).mode & 0o777).toBe(0o700);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  socket.close();
  expect(existsSync(path)).toBe(false);
  (await listen()).close();
});

test('is there again when somebody has removed it, with its folder and its lock', async () => {
  const socket = await listen();
  for (const removed of [path, join(folder, 'run')]) {
    rmSync(removed, { recursive: true });
    await vi.waitUntil(() => existsSync(path), { timeout: 60_000 });
    await expect(listen()).rejects.toMatchObject({ isServed: true });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    await new Promise<void>((resolve, reject) => {
      connect(path).once('close', resolve).once('error', reject);
    });
  }
  socket.close();
  expect(existsSync(path)).toBe(false);
});

test('says when another daemon has come to its place, and leaves it there', async () => {
  let reason: string | undefined;
  const lost = (text: string): void => {
    reason = text;
  };
  const first = await ServiceSocket.listen(path, (client) => client.destroy(), { lost });
  rmSync(join(folder, 'run'), { recursive: true });
  const second = await listen();
  await vi.waitUntil(() => reason !== undefined, { timeout: 60_000 });
  expect(reason).toContain('a service is there already');
  first.close();
  await vi.waitUntil(() => existsSync(path), { timeout: 60_000 });
  second.close();
});

test('replaces a socket that nobody listens on any more', async () => {
  mkdirSync(join(folder, 'run'), { mode: 0o700 });
  closeFd(listenUnix(path));
  expect(existsSync(path)).toBe(true);
  (await listen()).close();
});

test('is refused where another daemon has the lock, and of many at once one listens', async () => {
  const attempts = await Promise.allSettled([listen(), listen(), listen()]);
  const sockets = attempts.flatMap((attempt) =>
    attempt.status === 'fulfilled' ? [attempt.value] : [],
  );
  expect(sockets).toHaveLength(1);
  await expect(listen()).rejects.toMatchObject({
    isServed: true,
    message: expect.stringContaining('a service is there already'),
  });
  sockets[0]?.close();
});

test('is refused where another program listens, a file is in the way, or others could replace it', async () => {
  mkdirSync(join(folder, 'run'), { mode: 0o700 });
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(path, resolve));
  await expect(listen()).rejects.toThrow('another program listens there; end it');
  await new Promise((resolve) => other.close(resolve));
  writeFileSync(path, '');
  await expect(listen()).rejects.toThrow('a file of another kind is in its place');
  chmodSync(join(folder, 'run'), 0o777);
  await expect(listen()).rejects.toThrow('chmod go-w');
  path = join(folder, 'x'.repeat(100), 'hcsd.sock');
  await expect(listen()).rejects.toThrow('a path has 1 to 107 bytes');
});

test.runIf(process.getuid?.() === 0)(
  'of another user is refused, and so is its folder',
  async () => {
    const { chownSync } = await import('node:fs');
    mkdirSync(join(folder, 'run'), { mode: 0o700 });
    closeFd(listenUnix(path));
    chownSync(path, 65_534, 65_534);
    await expect(listen()).rejects.toThrow('the socket there is that of user 65534');
    chownSync(join(folder, 'run'), 65_534, 65_534);
    await expect(listen()).rejects.toThrow('its folder is that of user 65534');
  },
);

test('is none where no service manager passes one to this very process', async () => {
  const environment = { LISTEN_PID: '1', LISTEN_FDS: '1' };
  expect(await ServiceSocket.passed(() => {}, environment)).toBeUndefined();
  const many = { LISTEN_PID: String(process.pid), LISTEN_FDS: '2' };
  await expect(ServiceSocket.passed(() => {}, many)).rejects.toThrow('one ListenStream');
});
