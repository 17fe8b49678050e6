import { expect, test } from 'vitest';
import { LocalEvents, openEventFd } from '../../src/device-host/local-events.ts';
import {
  closeFd,
  createEventFd,
  createMemoryFile,
  takeEventFd,
} from '../../src/ffi/descriptors.ts';

test('an event rings for each signal, whoever has opened it, until it is disposed', () => {
  const events = new LocalEvents();
  const rung: string[] = [];
  const [first, second] = [
    events.create(() => rung.push('first')),
    events.create(() => rung.push('second')),
  ];
  const opened = events.open(first.handle)!;
  opened.signal();
  events.open(second.handle)!.signal();
  opened.signal();
  expect(rung).toEqual(['first', 'second', 'first']);
  first[Symbol.dispose]();
  opened.signal();
  expect(rung).toHaveLength(3);
  expect(events.open(first.handle)).toBeUndefined();
});

test('an eventfd is opened as one, and signalled when its owner has closed it', () => {
  const fd = createEventFd();
  const opened = openEventFd(BigInt(fd))!;
  opened.signal();
  expect(takeEventFd(fd)).toBe(1);
  closeFd(fd);
  opened.signal();
  opened[Symbol.dispose]();
});

test('another descriptor, a closed one and no number are no events', () => {
  const fd = createMemoryFile('local-events-test', 4096);
  expect(openEventFd(BigInt(fd))).toBeUndefined();
  closeFd(fd);
  for (const handle of [BigInt(fd), 2n ** 40n, -1n]) expect(openEventFd(handle)).toBeUndefined();
});
