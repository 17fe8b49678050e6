import { expect, test } from 'vitest';
import {
  KeptWindows,
  WINDOW_LEDGER_SIZE,
  WindowLedger,
} from '../../src/vfio-user/window-ledger.ts';
import { DmaFlag, Errno } from '../../src/vfio-user/wire.ts';

const RW = DmaFlag.READ | DmaFlag.WRITE;

/** Two threads' views of one ledger, and which descriptors are open. */
function twice() {
  const memory = new Float64Array(new SharedArrayBuffer(WINDOW_LEDGER_SIZE));
  const open = new Set([10, 11, 12]);
  const fds = { owns: (fd: number) => open.has(fd), close: (fd: number) => void open.delete(fd) };
  return { mine: new WindowLedger(memory), theirs: new WindowLedger(memory), open, fds };
}

const plain = (ledger: WindowLedger) =>
  ledger.open().map(({ gpa, length, offset, fd, flags }) => [gpa, length, offset, fd, flags]);

test('another thread finds what was entered and not left', () => {
  const { mine, theirs } = twice();
  mine.enter(0x1000, 0x2000, 0x8000, 10, RW);
  const row = mine.enter(0x10_0000, 0x1000, 0, -1, DmaFlag.READ);
  mine.enter(2 ** 40, 2 ** 33, 2 ** 34, 11, RW);
  mine.leave(row);
  expect(plain(theirs)).toEqual([
    [0x1000, 0x2000, 0x8000, 10, RW],
    [2 ** 40, 2 ** 33, 2 ** 34, 11, RW],
  ]);
});

test('rows that were left are used again', () => {
  const { mine, theirs } = twice();
  const rows = [1, 2, 3].map((page) => mine.enter(page << 12, 0x1000, 0, 10, RW));
  mine.leave(rows[1]!);
  expect(mine.enter(0x9000, 0x1000, 0, 10, RW)).toBe(rows[1]);
  theirs.open();
  theirs.leave(rows[0]!);
  expect(theirs.enter(0xa000, 0x1000, 0, 10, RW)).toBe(rows[0]);
  expect(theirs.entries()).toHaveLength(3);
});

test('a window that a dying thread had entered is no error when its message is served anew', () => {
  const { mine, theirs, fds, open } = twice();
  mine.enter(0x1000, 0x1000, 0, 10, RW);
  const kept = new KeptWindows(theirs, fds);
  expect(kept.map(0x1000, 0x1000, RW, 10, 0)).toBe(0);
  open.delete(11);
  expect(kept.map(0x1000, 0x1000, RW, 11, 0)).toBe(0);
  expect(kept.windows()).toHaveLength(1);
  expect(open.has(10)).toBe(true);
});

test('windows that come while nobody maps them keep their descriptors, and give them back', () => {
  const { mine, theirs, fds, open } = twice();
  mine.enter(0x1000, 0x1000, 0, 10, RW);
  const kept = new KeptWindows(theirs, fds);
  expect(kept.map(0x4000, 0x1000, RW, 11, 0)).toBe(0);
  expect(kept.map(0x4800, 0x1000, RW, 12, 0)).toBe(Errno.EEXIST);
  expect([...open]).toEqual([10, 11]);
  expect(kept.unmap(0x4000, 0x1000)).toBe(0);
  // The first one's may be known to the thread that died.
  expect(kept.unmap(0x1000, 0x1000)).toBe(0);
  expect([...open]).toEqual([10]);
  expect(kept.unmap(0x1000, 0x1000)).toBe(0);
  expect(kept.windows()).toEqual([]);
});
