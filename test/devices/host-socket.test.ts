import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { HostSocket } from '../../devices/host-socket.ts';
import { socketPath } from './socket-path.ts';

test('lets a peer go that stays, after all that was sent, and hears nothing more of it', async () => {
  let received = 0;
  let connected = (): void => undefined;
  const accepted = new Promise<void>((resolve) => {
    connected = resolve;
  });
  const socket = new HostSocket(socketPath(), {
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
  // Windows has another word for it.
  expect(['EPIPE', 'EOF', 'ECONNRESET']).toContain(((await refused) as NodeJS.ErrnoException).code);
  expect(heard).toBe('the last words');
  expect(received).toBe(0);
});

test('turns a second program away, and goes on with the first', async () => {
  let connected = (): void => undefined;
  const accepted = new Promise<void>((resolve) => {
    connected = resolve;
  });
  const socket = new HostSocket(socketPath(), {
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
