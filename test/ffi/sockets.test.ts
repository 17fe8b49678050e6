import { expect, test } from 'vitest';
import {
  closeFd,
  createEventFd,
  createMemoryFile,
  identifyFile,
  signalEventFd,
} from '../../src/ffi/descriptors.ts';
import { addressOf } from '../../src/ffi/libc.ts';
import { PollEvent, PollSet } from '../../src/ffi/poll-set.ts';
import { MAX_FDS, SocketMessage } from '../../src/ffi/socket-message.ts';
import {
  connectUnix,
  listenUnix,
  setSendBuffer,
  shutdownSocket,
  socketPair,
} from '../../src/ffi/unix-socket.ts';

const EAGAIN = -11;
const EPIPE = -32;

/** Two sockets, and memory to send from and receive into. */
class Wire implements Disposable {
  readonly ends = socketPair();
  readonly bytes = Buffer.from(new ArrayBuffer(1 << 20));
  readonly address = addressOf(this.bytes);
  readonly message = new SocketMessage();

  send(length: number, fds?: readonly number[]): number {
    return this.message.send(this.ends[0], this.address, length, fds);
  }

  receive(length: number): number {
    return this.message.receive(this.ends[1], this.address, length);
  }

  /** Descriptors of the last receive; closed with the wire. */
  taken(): number[] {
    const fds = Array.from(this.message.fds.subarray(0, this.message.fdCount));
    this.#taken.push(...fds);
    return fds;
  }

  readonly #taken: number[] = [];

  [Symbol.dispose](): void {
    for (const fd of [...this.ends, ...this.#taken]) closeFd(fd);
  }
}

test('bytes and descriptors arrive together', () => {
  using wire = new Wire();
  const fd = createMemoryFile('x', 77);
  wire.bytes.write('hello');
  expect(wire.send(5, [fd, fd])).toBe(5);
  wire.bytes.fill(0);
  expect(wire.receive(100)).toBe(5);
  expect(wire.bytes.toString('latin1', 0, 5)).toBe('hello');
  const fds = wire.taken();
  expect(fds.map((one) => identifyFile(one).size)).toEqual([77, 77]);
  expect(fds).not.toContain(fd);
  closeFd(fd);
});

test('as many descriptors as the kernel passes at once arrive, and no more are sent', () => {
  using wire = new Wire();
  const fd = createEventFd();
  expect(wire.send(1, Array<number>(MAX_FDS).fill(fd))).toBe(1);
  expect(wire.receive(100)).toBe(1);
  expect(wire.taken()).toHaveLength(MAX_FDS);
  expect(wire.message.truncated).toBe(false);
  closeFd(fd);
});

test('a receive stops behind bytes that carried descriptors, and may begin before them', () => {
  using wire = new Wire();
  const fd = createEventFd();
  wire.send(3);
  wire.send(4, [fd]);
  wire.send(5);
  expect(wire.receive(100)).toBe(7);
  expect(wire.taken()).toHaveLength(1);
  expect(wire.receive(100)).toBe(5);
  expect(wire.taken()).toHaveLength(0);
  closeFd(fd);
});

test('nothing to receive, the end, and a peer that is gone are told apart', () => {
  using wire = new Wire();
  expect(wire.receive(100)).toBe(EAGAIN);
  shutdownSocket(wire.ends[0]);
  expect(wire.receive(100)).toBe(0);
  expect(wire.send(1)).toBe(EPIPE);
});

test('a send that finds no room does not wait', () => {
  using wire = new Wire();
  setSendBuffer(wire.ends[0], 8192);
  let sent = 0;
  for (let one = wire.send(4096); one > 0; one = wire.send(4096)) sent += one;
  expect(wire.send(4096)).toBe(EAGAIN);
  expect(sent).toBeGreaterThan(0);
});

test('poll tells which descriptor is ready, and for what', () => {
  using wire = new Wire();
  const event = createEventFd();
  const set = new PollSet(3);
  set.watch(0, wire.ends[1], PollEvent.IN);
  set.watch(1, event, PollEvent.IN);
  expect(set.wait(0)).toBe(0);
  signalEventFd(event);
  expect(set.wait(-1)).toBe(1);
  expect([set.events(0), set.events(1), set.events(2)]).toEqual([0, PollEvent.IN, 0]);
  wire.send(1);
  expect(set.wait(0.5)).toBe(2);
  set.watch(1, -1, 0);
  expect(set.wait(0)).toBe(1);
  shutdownSocket(wire.ends[0]);
  set.wait(0);
  expect(set.events(0) & PollEvent.HANG_UP).toBe(PollEvent.HANG_UP);
  closeFd(event);
  set.watch(1, event, PollEvent.IN);
  set.wait(0);
  expect(set.events(1)).toBe(PollEvent.INVALID);
});

test('a path that is no socket path is refused before any call', () => {
  expect(() => listenUnix('')).toThrow('paths have 1 to 107 bytes, this one has 0');
  expect(() => connectUnix('x'.repeat(108))).toThrow('this one has 108');
  expect(() => connectUnix('a\0b')).toThrow(RangeError);
});

test('connecting to nobody says why', () => {
  expect(() => connectUnix('/nonexistent/socket')).toThrow(
    'Cannot connect to /nonexistent/socket: ENOENT (2)',
  );
});
