import { readSync, writeSync } from 'node:fs';
import { expect, test } from 'vitest';
import { closeFd, createMemoryFile } from '../../src/ffi/descriptors.ts';
import {
  MAX_VIEW,
  mapFileOver,
  mapZerosOver,
  PAGE_SIZE,
  reserve,
  unmap,
  view,
} from '../../src/ffi/memory.ts';

test('reserved addresses show a file, then zeros, to the same view', () => {
  const fd = createMemoryFile('ram', 2 * PAGE_SIZE);
  writeSync(fd, 'second', PAGE_SIZE);
  const address = reserve(2 * PAGE_SIZE);
  mapZerosOver(address, 2 * PAGE_SIZE);
  const bytes = Buffer.from(view(address, 2 * PAGE_SIZE));
  expect(bytes.every((byte) => byte === 0)).toBe(true);
  mapFileOver(address, PAGE_SIZE, fd, PAGE_SIZE);
  expect(bytes.toString('latin1', 0, 6)).toBe('second');
  bytes.write('SECOND');
  const back = Buffer.alloc(6);
  readSync(fd, back, 0, 6, PAGE_SIZE);
  expect(back.toString()).toBe('SECOND');
  mapZerosOver(address, PAGE_SIZE);
  expect(bytes[0]).toBe(0);
  bytes[0] = 1;
  readSync(fd, back, 0, 6, PAGE_SIZE);
  expect(back.toString()).toBe('SECOND');
  closeFd(fd);
});

test('a copy-on-write mapping keeps writes from the file', () => {
  const fd = createMemoryFile('ram', PAGE_SIZE);
  const address = reserve(PAGE_SIZE);
  mapFileOver(address, PAGE_SIZE, fd, 0, { copyOnWrite: true });
  const bytes = Buffer.from(view(address, PAGE_SIZE));
  bytes[0] = 9;
  const back = Buffer.alloc(1);
  readSync(fd, back, 0, 1, 0);
  expect([bytes[0], back[0]]).toEqual([9, 0]);
  closeFd(fd);
});

test('several views of one address show the same bytes', () => {
  const address = reserve(PAGE_SIZE);
  mapZerosOver(address, PAGE_SIZE);
  const [one, two] = [new Uint8Array(view(address, 16)), new Uint8Array(view(address, 8))];
  one[7] = 42;
  expect(two[7]).toBe(42);
});

test('a view of more than there may be is refused, not attempted', () => {
  expect(MAX_VIEW).toBeLessThanOrEqual(2 ** 32);
  for (const length of [0, -1, MAX_VIEW + 1, Number.NaN]) {
    expect(() => view(4096, length)).toThrow(
      `Cannot view ${length} bytes: views have 1 to ${MAX_VIEW}`,
    );
  }
});

test('what cannot be mapped says why', () => {
  expect(() => reserve(2 ** 52)).toThrow('ENOMEM');
  const address = reserve(PAGE_SIZE);
  expect(() => mapFileOver(address, PAGE_SIZE, -1, 0)).toThrow('EBADF');
  unmap(address, PAGE_SIZE);
});
