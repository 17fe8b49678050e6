import { closeSync, fstatSync, ftruncateSync, openSync } from 'node:fs';
import { expect, test } from 'vitest';
import {
  closeFd,
  createEventFd,
  createMemoryFile,
  duplicateFd,
  identifyFile,
  isEventFd,
  isWritable,
  sealAgainstShrinking,
  setNonBlocking,
  signalEventFd,
  takeEventFd,
} from '../../src/ffi/descriptors.ts';
import { errnoName, SystemCallError } from '../../src/ffi/system-call-error.ts';

test('an eventfd counts until it is taken', () => {
  const fd = createEventFd();
  expect(takeEventFd(fd)).toBe(0);
  expect(signalEventFd(fd)).toBe(0);
  expect(signalEventFd(fd)).toBe(0);
  expect(takeEventFd(fd)).toBe(2);
  expect(takeEventFd(fd)).toBe(0);
  closeFd(fd);
});

test('signalling what is no descriptor says so', () => {
  expect(errnoName(signalEventFd(-1))).toBe('EBADF');
});

test('a duplicate is the same open file, and outlives the first', () => {
  const fd = createEventFd();
  const second = duplicateFd(fd);
  closeFd(fd);
  signalEventFd(second);
  expect(takeEventFd(second)).toBe(1);
  closeFd(second);
  expect(() => duplicateFd(second)).toThrow(SystemCallError);
});

test('an eventfd is told from everything else', () => {
  const [event, file] = [createEventFd(), createMemoryFile('x', 16)];
  expect([isEventFd(event), isEventFd(file), isEventFd(-1)]).toEqual([true, false, false]);
  closeFd(event);
  closeFd(file);
});

test('a memory file has its size, zeros, and an identity of its own', () => {
  const [one, two] = [createMemoryFile('x', 12_345), createMemoryFile('x', 0)];
  expect(identifyFile(one)).toMatchObject({ size: 12_345, isRegular: true });
  expect(identifyFile(one).inode).not.toBe(identifyFile(two).inode);
  expect(isWritable(one)).toBe(true);
  closeFd(one);
  closeFd(two);
});

test('a sealed memory file can grow, but not shrink', () => {
  const fd = createMemoryFile('x', 8192);
  expect(sealAgainstShrinking(fd)).toBe(true);
  expect(() => ftruncateSync(fd, 4096)).toThrow('EPERM');
  ftruncateSync(fd, 16_384);
  expect(fstatSync(fd).size).toBe(16_384);
  closeFd(fd);
  const folder = openSync('/', 'r');
  expect(sealAgainstShrinking(folder)).toBe(false);
  expect(isWritable(folder)).toBe(false);
  closeSync(folder);
});

test('making a descriptor non-blocking fails for what is none', () => {
  const fd = createMemoryFile('x', 16);
  setNonBlocking(fd);
  closeFd(fd);
  expect(() => setNonBlocking(-1)).toThrow('Cannot get flags of descriptor -1: EBADF (9)');
});

test('closing what is not open is no error', () => {
  expect(() => closeFd(-1)).not.toThrow();
});

test('an errno that nobody knows keeps its number', () => {
  expect(errnoName(4711)).toBe('errno 4711');
  const error = new SystemCallError('bind', 13, '/run/x');
  expect([error.message, error.code, error.syscall, error.errno]).toEqual([
    'Cannot bind /run/x: EACCES (13)',
    'EACCES',
    'bind',
    13,
  ]);
});
