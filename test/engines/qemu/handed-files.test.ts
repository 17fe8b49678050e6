import {
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { pathsIn, renamed, socketsIn } from '../../../src/engines/qemu/backend-files.ts';
import { HandedFiles } from '../../../src/engines/qemu/handed-files.ts';
import { backingChain } from '../../../src/engines/qemu/qcow2-backing.ts';
import { QmpClient } from '../../../src/engines/qemu/qmp.ts';
import { closeFd } from '../../../src/ffi/descriptors.ts';
import { addressOf, nativeBuffer } from '../../../src/ffi/libc.ts';
import { SocketMessage } from '../../../src/ffi/socket-message.ts';
import { acceptUnix, connectUnix, listenUnix } from '../../../src/ffi/unix-socket.ts';

const folder = mkdtempSync(join(tmpdir(), 'hdvkit-handed-'));
afterAll(() => rmSync(folder, { recursive: true }));
const ACCOUNT = { uid: 0x7000_0001, gid: 0x7000_0000 };

test('the service itself names files by their paths, and hands nothing', () => {
  const files = new HandedFiles(undefined);
  expect(files.name('/some/file')).toBe('/some/file');
  const args = { driver: 'file', filename: '/some/file' };
  expect(files.backend(args)).toEqual(args);
  expect(files.socket('/some/socket', false)).toBeUndefined();
  expect(files.descriptors).toEqual([]);
});

test('an account is handed each file once, and finds its folder by one descriptor', () => {
  const files = new HandedFiles(ACCOUNT);
  const path = join(folder, 'disk');
  writeFileSync(path, 'disk');
  files.giveFolder(folder);
  const other = join(tmpdir(), 'hdvkit-handed-other');
  writeFileSync(other, 'other');
  try {
    expect(files.name(path)).toBe('/proc/self/fd/3/disk');
    expect([files.name(other), files.name(other)]).toEqual(['/proc/self/fd/4', '/proc/self/fd/4']);
    const [, own = -1] = files.descriptors;
    expect(readFileSync(`/proc/self/fd/${own}`, 'utf8')).toBe('other');
    // It names the file, and opens nothing.
    expect(() => readFileSync(own)).toThrow(/EBADF/);
    files.close();
    expect(files.descriptors).toEqual([]);
  } finally {
    rmSync(other);
  }
});

test('a listener that accepts nobody is not waited for without end', () => {
  const path = join(folder, 'full');
  const open = [listenUnix(path, 0)];
  const files = new HandedFiles(ACCOUNT);
  try {
    expect(() => {
      for (let i = 0; i < 8; i++) open.push(connectUnix(path, 0));
    }).toThrow(/EAGAIN/);
    expect(() => files.socket(path, true)).toThrow(/Cannot connect to .*full: EAGAIN/);
  } finally {
    for (const fd of open) closeFd(fd);
    files.close();
    rmSync(path);
  }
});

test('files and sockets of backends are found and renamed, however deep', () => {
  const disk = {
    driver: 'throttle',
    file: { driver: 'raw', file: { driver: 'file', filename: '/a' } },
  };
  const network = { type: 'stream', id: 'n', server: false, addr: { type: 'unix', path: '/n' } };
  const port = {
    id: 'p',
    backend: {
      type: 'socket',
      data: { addr: { type: 'unix', data: { path: '/p' } }, server: true },
    },
  };
  const tap = { type: 'tap', id: 't', ifname: 'tap0', script: 'no', downscript: 'no' };
  expect(pathsIn([disk, { 'mem-path': '/b' }, { filename: '/proc/self/fd/3' }])).toEqual([
    '/a',
    '/b',
  ]);
  const sockets = [network, port, tap].flatMap((args) => socketsIn(args, () => false));
  expect(sockets.map(({ kind, path }) => [kind, path])).toEqual([
    ['connect', '/n'],
    ['listen', '/p'],
    ['tap', 'tap0'],
  ]);
  const names = new Map([
    ['/a', '/proc/self/fd/9'],
    ...sockets.map(({ key }) => [key, 'x'] as const),
  ]);
  expect(renamed(disk, names)).toEqual({
    driver: 'throttle',
    file: { driver: 'raw', file: { driver: 'file', filename: '/proc/self/fd/9' } },
  });
  expect(renamed(network, names)).toEqual({ type: 'socket', id: 'n', fd: 'x' });
  expect(renamed(port, names)).toEqual({
    id: 'p',
    backend: { type: 'socket', data: { addr: { type: 'fd', data: { str: 'x' } }, server: true } },
  });
  expect(renamed(tap, names)).toEqual({ type: 'tap', id: 't', fd: 'x' });
});

/** The head of a qcow2 image that stands on another one (QEMU, docs/interop/qcow2). */
function overlay(below: string, format: string): Buffer {
  const head = Buffer.alloc(1024);
  head.writeUInt32BE(0x5146_49fb, 0);
  head.writeUInt32BE(3, 4);
  head.writeBigUInt64BE(512n, 8);
  head.writeUInt32BE(below.length, 16);
  head.writeUInt32BE(104, 100);
  head.writeUInt32BE(0xe279_2aca, 104);
  head.writeUInt32BE(format.length, 108);
  head.write(format, 112);
  head.write(below, 512);
  return head;
}

test('what qcow2 images stand on is found by their own folders, and a circle ends', () => {
  const [top, middle, base] = ['top.qcow2', 'middle.qcow2', 'base.raw'].map((name) =>
    join(folder, name),
  );
  writeFileSync(top!, overlay('middle.qcow2', 'qcow2'));
  writeFileSync(middle!, overlay(base!, 'raw'));
  writeFileSync(base!, '');
  expect(backingChain(top!)).toEqual([middle, base]);
  expect(backingChain(base!)).toEqual([]);
  writeFileSync(middle!, overlay('top.qcow2', 'qcow2'));
  expect(backingChain(top!)).toEqual([middle, top]);
  const disk = { driver: 'qcow2', file: { driver: 'file', filename: top } };
  expect(() => new HandedFiles(ACCOUNT).backend(disk)).toThrow(`"${top}" stands on itself`);
});

test('a machine is lent no file for writing by a link, which it may have put there', async () => {
  const link = join(folder, 'state');
  writeFileSync(join(folder, 'secret'), 'of the service');
  symlinkSync(join(folder, 'secret'), link);
  const qmp = { execute: () => Promise.reject(new Error('nothing is to be lent')) };
  const lent = new HandedFiles(ACCOUNT).lendForWriting(qmp as unknown as QmpClient, link);
  await expect(lent).rejects.toMatchObject({ code: 'ELOOP' });
});

test('descriptors go along with commands, one command at a time', async () => {
  const path = join(folder, 'qmp');
  const listener = listenUnix(path);
  const socket = connect(path);
  await new Promise((resolve) => socket.once('connect', resolve));
  const peer = acceptUnix(listener);
  const message = new SocketMessage();
  const buffer = nativeBuffer(65_536);
  const say = (value: unknown): void => {
    const bytes = nativeBuffer(4096);
    const text = Buffer.from(`${JSON.stringify(value)}\n`);
    bytes.set(text);
    message.send(peer, addressOf(bytes), text.length);
  };
  /** Answers what has come, and what descriptors came along, as soon as anything has. */
  const answer = async (): Promise<{ readonly execute: string; readonly fds: number }> => {
    for (;;) {
      const length = message.receive(peer, addressOf(buffer), buffer.length);
      if (length > 0) {
        const text = Buffer.from(buffer.subarray(0, length)).toString();
        const fds = message.fdCount;
        for (const fd of message.fds.subarray(0, fds)) closeSync(fd);
        const { execute, id } = JSON.parse(text) as { execute: string; id: number };
        say({ return: {}, id });
        return { execute, fds };
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  say({ QMP: {} });
  const opening = QmpClient.open(socket);
  expect(await answer()).toEqual({ execute: 'qmp_capabilities', fds: 0 });
  const qmp = await opening;
  const fd = openSync(folder, 'r');
  const both = Promise.all([qmp.execute('getfd', {}, fd), qmp.execute('add-fd', {}, fd)]);
  expect(await answer()).toEqual({ execute: 'getfd', fds: 1 });
  expect(await answer()).toEqual({ execute: 'add-fd', fds: 1 });
  await both;
  qmp.close();
  for (const one of [fd, peer, listener]) closeSync(one);
});
