import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { HostSocket } from '../../devices/host-socket.ts';

const folder = mkdtempSync(join(tmpdir(), 'hs-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('lets a peer go that stays, after all that was sent, and hears nothing more of it', async () => {
  let received = 0;
  let connected = (): void => undefined;
  const accepted = new Promise<void>((resolve) => {
    connected = resolve;
  });
  const socket = new HostSocket(join(folder, 's'), {
    connected: () => connected(),
    received: (bytes) => {
      received += bytes.length;
    },
  });
  socket.open();
  const peer = connect({ path: socket.path, allowHalfOpen: true });
  let heard = '';
  peer.on('data', (bytes) => {
    heard += bytes;
  });
  // The peer keeps its half open, and goes on writing until it is told that nobody reads.
  const refused = new Promise((resolve) => peer.on('error', resolve));
  const ended = once(peer, 'end');
  await accepted;
  socket.send('the last words');
  socket.close();
  await ended;
  peer.write('too late');
  expect(await refused).toMatchObject({ code: 'EPIPE' });
  expect(heard).toBe('the last words');
  expect(received).toBe(0);
});

test('turns a second program away, and goes on with the first', async () => {
  let connected = (): void => undefined;
  const accepted = new Promise<void>((resolve) => {
    connected = resolve;
  });
  const socket = new HostSocket(join(folder, 't'), {
    connected: () => connected(),
    received: (bytes) => socket.send(bytes),
  });
  socket.open();
  const first = connect(socket.path);
  await accepted;
  const second = connect({ path: socket.path, allowHalfOpen: true });
  await once(second, 'end');
  second.destroy();
  first.write('still here');
  const [echo] = await once(first, 'data');
  expect(String(echo)).toBe('still here');
  socket.close();
  await once(first, 'close');
});
