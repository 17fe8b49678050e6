import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { closeFd, createEventFd } from '../../src/ffi/descriptors.ts';
import { addressOf } from '../../src/ffi/libc.ts';
import { SocketMessage } from '../../src/ffi/socket-message.ts';
import { socketPair } from '../../src/ffi/unix-socket.ts';
import { VfioUserClient } from '../../src/vfio-user/client.ts';

const descriptors = (): number => readdirSync('/proc/self/fd').length;

test('a server that sends descriptors and no whole message is given up, with none of them left open', () => {
  const before = descriptors();
  const [mine, theirs] = socketPair();
  const client = new VfioUserClient(mine, { timeoutMs: 200 });
  const sent = createEventFd();
  const byte = new Uint8Array(1);
  const message = new SocketMessage();
  for (let i = 0; i < 10; i++) message.send(theirs, addressOf(byte), 1, Array(8).fill(sent));
  expect(() => client.read(0, 0, 4)).toThrow(/too many descriptors/);
  client.close();
  for (const fd of [theirs, sent]) closeFd(fd);
  expect(descriptors()).toBe(before);
});
