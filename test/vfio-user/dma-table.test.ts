import {
  closeSync,
  ftruncateSync,
  openSync,
  readFileSync,
  readSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { describe, expect, test } from 'vitest';
import { closeFd, createMemoryFile, duplicateFd } from '../../src/ffi/descriptors.ts';
import { MAX_VIEW } from '../../src/ffi/memory.ts';
import { socketPair } from '../../src/ffi/unix-socket.ts';
import { DmaTable } from '../../src/vfio-user/dma-table.ts';
import { ServerState } from '../../src/vfio-user/server-state.ts';
import { DmaFlag, Errno } from '../../src/vfio-user/wire.ts';
import { TemporaryFolder } from './pair.ts';

const RW = DmaFlag.READ | DmaFlag.WRITE;
const PAGE = 4096;

/** A table, and files whose descriptors it gets duplicates of. */
class Memory implements Disposable {
  readonly state = ServerState.create();
  readonly table = new DmaTable(this.state);
  readonly #fds: number[] = [];

  /** A file of so many pages, each filled with its number. */
  file(pages: number): number {
    const fd = createMemoryFile('ram', pages * PAGE);
    for (let page = 0; page < pages; page++) {
      writeSync(fd, Buffer.alloc(PAGE, page + 1), 0, PAGE, page * PAGE);
    }
    this.#fds.push(fd);
    return fd;
  }

  map(gpa: number, length: number, fd: number, offset = 0, flags = RW): number {
    const own = fd < 0 ? -1 : this.state.own(duplicateFd(fd));
    return this.table.map(gpa, length, flags, own, offset);
  }

  /** First byte of a guest page, or undefined where there is no memory. */
  byte(gpa: number): number | undefined {
    const bytes = Buffer.alloc(1);
    return this.table.read(gpa, bytes) ? bytes[0] : undefined;
  }

  [Symbol.dispose](): void {
    this.table.release();
    for (const fd of this.#fds) closeFd(fd);
    expect(this.state.ownedFds()).toEqual([]);
  }
}

/** First byte of a page of a file. */
function fileByte(fd: number, page: number): number {
  const bytes = Buffer.alloc(1);
  readSync(fd, bytes, 0, 1, page * PAGE);
  return bytes[0]!;
}

describe('copies', () => {
  test('cross windows, whichever files they are of', () => {
    using memory = new Memory();
    const [one, two] = [memory.file(2), memory.file(2)];
    memory.map(0, 2 * PAGE, one);
    memory.map(2 * PAGE, PAGE, two, PAGE);
    memory.map(3 * PAGE, PAGE, two, 0);
    const bytes = Buffer.alloc(4 * PAGE);
    expect(memory.table.read(0, bytes)).toBe(true);
    expect([0, 1, 2, 3].map((page) => bytes[page * PAGE])).toEqual([1, 2, 2, 1]);
    expect(memory.table.write(PAGE, Buffer.alloc(3 * PAGE, 0x77))).toBe(true);
    expect([fileByte(one, 0), fileByte(one, 1), fileByte(two, 0), fileByte(two, 1)]).toEqual([
      1, 0x77, 0x77, 0x77,
    ]);
  });

  test('that meet a hole fail as a whole: all ones are read, nothing is written', () => {
    using memory = new Memory();
    const fd = memory.file(2);
    memory.map(0, PAGE, fd);
    memory.map(2 * PAGE, PAGE, fd, PAGE);
    const bytes = Buffer.alloc(3 * PAGE);
    expect(memory.table.read(0, bytes)).toBe(false);
    expect(bytes.every((byte) => byte === 0xff)).toBe(true);
    expect(memory.table.write(0, Buffer.alloc(3 * PAGE, 0x77))).toBe(false);
    expect([fileByte(fd, 0), fileByte(fd, 1)]).toEqual([1, 2]);
    expect(memory.table.read(3 * PAGE - 1, Buffer.alloc(2))).toBe(false);
    expect(memory.table.read(PAGE - 1, Buffer.alloc(1))).toBe(true);
  });

  test('of no bytes succeed anywhere; addresses past the last one fail', () => {
    using memory = new Memory();
    expect(memory.table.read(0x5000, Buffer.alloc(0))).toBe(true);
    expect(memory.table.write(0x5000, Buffer.alloc(0))).toBe(true);
    expect(memory.table.read(2 ** 53, Buffer.alloc(1))).toBe(false);
    expect(memory.table.read(-1, Buffer.alloc(1))).toBe(false);
    expect(memory.table.read(Number.MAX_SAFE_INTEGER, Buffer.alloc(16))).toBe(false);
    expect(memory.table.read(Number.NaN, Buffer.alloc(1))).toBe(false);
  });

  test('into read-only windows fail, also when only the last byte is', () => {
    using memory = new Memory();
    const fd = memory.file(2);
    memory.map(0, PAGE, fd);
    memory.map(PAGE, PAGE, fd, PAGE, DmaFlag.READ);
    expect(memory.table.write(0, Buffer.alloc(PAGE + 1, 0x77))).toBe(false);
    expect([fileByte(fd, 0), memory.byte(PAGE)]).toEqual([1, 2]);
  });

  test('work with files larger than one view', () => {
    using memory = new Memory();
    const fd = createMemoryFile('large', MAX_VIEW + 2 * PAGE);
    try {
      memory.map(0x1_0000_0000, MAX_VIEW + 2 * PAGE, fd);
      const seam = 0x1_0000_0000 + MAX_VIEW;
      expect(memory.table.write(seam - 3, Buffer.from('across'))).toBe(true);
      const bytes = Buffer.alloc(6);
      expect(memory.table.read(seam - 3, bytes)).toBe(true);
      expect(bytes.toString()).toBe('across');
      readSync(fd, bytes, 0, 6, MAX_VIEW - 3);
      expect(bytes.toString()).toBe('across');
      using aperture = memory.table.aperture(seam - 3, 6);
      expect(aperture?.bytes.toString()).toBe('across');
    } finally {
      closeFd(fd);
    }
  });

  test('reach windows without a file by messages, in one piece per window', () => {
    const calls: string[] = [];
    const state = ServerState.create();
    const table = new DmaTable(state, {
      read: (gpa, into) => {
        calls.push(`read ${gpa} ${into.length}`);
        into.fill(0xab);
        return true;
      },
      write: (gpa, from) => {
        calls.push(`write ${gpa} ${from.length}`);
        return false;
      },
    });
    const fd = createMemoryFile('ram', PAGE);
    table.map(0, PAGE, RW, state.own(fd), 0);
    table.map(PAGE, PAGE, RW, -1, 0);
    const bytes = Buffer.alloc(8);
    expect(table.read(PAGE - 4, bytes)).toBe(true);
    expect(bytes.toString('hex')).toBe('00000000abababab');
    expect(table.write(PAGE, bytes)).toBe(false);
    expect(table.aperture(PAGE, 8)).toBeUndefined();
    expect(calls).toEqual(['read 4096 4', 'write 4096 8']);
    table.release();
  });
});

describe('maps that are refused', () => {
  test.each([
    ['no access', 0, PAGE, 0, Errno.EINVAL],
    ['unknown flags', 0, PAGE, 7, Errno.EINVAL],
    ['no bytes', 0, 0, RW, Errno.EINVAL],
    ['an address past 2^53', 2 ** 53, PAGE, RW, Errno.EINVAL],
    ['a size that wraps around', PAGE, 2 ** 64, RW, Errno.EINVAL],
  ])('%s', (_, gpa, length, flags, error) => {
    using memory = new Memory();
    expect(memory.map(gpa, length, memory.file(1), 0, flags)).toBe(error);
    expect(memory.map(gpa, length, -1, 0, flags)).toBe(error);
    expect(memory.table.count).toBe(0);
  });

  test.each([
    ['the same', 4, 4],
    ['inside', 5, 1],
    ['around', 3, 6],
    ['over the start', 3, 2],
    ['over the end', 7, 2],
  ])('an overlap: %s', (_, page, pages) => {
    using memory = new Memory();
    const fd = memory.file(8);
    expect(memory.map(4 * PAGE, 4 * PAGE, fd)).toBe(0);
    expect(memory.map(page * PAGE, pages * PAGE, fd)).toBe(Errno.EEXIST);
    expect(memory.map(page * PAGE, pages * PAGE, -1)).toBe(Errno.EEXIST);
    expect(memory.map(3 * PAGE, PAGE, fd)).toBe(0);
    expect(memory.map(8 * PAGE, PAGE, fd)).toBe(0);
  });

  test('a window past the end of its file', () => {
    using memory = new Memory();
    const fd = memory.file(2);
    expect(memory.map(0, 3 * PAGE, fd)).toBe(Errno.EINVAL);
    expect(memory.map(0, PAGE, fd, 2 * PAGE)).toBe(Errno.EINVAL);
    expect(memory.map(0, PAGE, fd, 2 ** 60)).toBe(Errno.EINVAL);
  });

  test('what is no file', () => {
    using memory = new Memory();
    const [one, two] = socketPair();
    expect(memory.map(0, PAGE, one)).toBe(Errno.EINVAL);
    const folder = openSync('/', 'r');
    expect(memory.map(0, PAGE, folder)).toBe(Errno.EINVAL);
    closeSync(folder);
    closeFd(one);
    closeFd(two);
  });

  test('writing to a file that was opened for reading; reading is fine', () => {
    using folder = new TemporaryFolder();
    using memory = new Memory();
    const path = folder.file('rom');
    writeFileSync(path, Buffer.alloc(PAGE, 0x33));
    const fd = openSync(path, 'r');
    expect(memory.map(0, PAGE, fd)).toBe(Errno.EACCES);
    expect(memory.map(0, PAGE, fd, 0, DmaFlag.READ)).toBe(0);
    expect(memory.byte(0)).toBe(0x33);
    expect(memory.table.write(0, Buffer.from('x'))).toBe(false);
    closeSync(fd);
  });

  test('a file larger than there are addresses', () => {
    using memory = new Memory();
    const fd = createMemoryFile('sparse', PAGE);
    ftruncateSync(fd, 2 ** 50);
    expect(memory.map(0, PAGE, fd)).toBe(Errno.ENOSPC);
    expect(memory.table.count).toBe(0);
    closeFd(fd);
  });
});

describe('unmapping', () => {
  test('takes exactly what was mapped', () => {
    using memory = new Memory();
    const fd = memory.file(4);
    memory.map(0, 4 * PAGE, fd);
    expect(memory.table.unmap(0, PAGE)).toBe(Errno.ENOENT);
    expect(memory.table.unmap(PAGE, 3 * PAGE)).toBe(Errno.ENOENT);
    expect(memory.table.unmap(4 * PAGE, PAGE)).toBe(Errno.ENOENT);
    expect(memory.byte(0)).toBe(1);
    expect(memory.table.unmap(0, 4 * PAGE)).toBe(0);
    expect(memory.table.unmap(0, 4 * PAGE)).toBe(Errno.ENOENT);
    expect(memory.byte(0)).toBeUndefined();
  });

  test('everything at once', () => {
    using memory = new Memory();
    const fd = memory.file(4);
    for (let page = 0; page < 4; page++) memory.map(page * PAGE, PAGE, fd, page * PAGE);
    const bytes = memory.table.aperture(0, 8)!.bytes;
    memory.table.unmapAll();
    expect(memory.table.count).toBe(0);
    expect(bytes[0]).toBe(0);
    expect(memory.map(0, PAGE, fd)).toBe(0);
    expect(memory.byte(0)).toBe(1);
  });

  test('and mapping again in bursts, as firmware does, keeps one mapping and one descriptor per file', () => {
    using memory = new Memory();
    const fd = memory.file(8);
    for (let round = 0; round < 200; round++) {
      for (let page = 0; page < 8; page += 2) {
        memory.map(page * PAGE, 2 * PAGE, fd, page * PAGE, page === 2 ? DmaFlag.READ : RW);
      }
      expect(memory.byte(5 * PAGE)).toBe(6);
      for (let page = 0; page < 8; page += 2) {
        expect(memory.table.unmap(page * PAGE, 2 * PAGE)).toBe(0);
      }
    }
    expect(memory.state.mappingCount).toBe(1);
    expect(memory.state.ownedFds()).toHaveLength(1);
  });

  test('many files one after the other keeps only a few', () => {
    using memory = new Memory();
    for (let round = 0; round < 50; round++) {
      memory.map(0, PAGE, memory.file(1));
      expect(memory.byte(0)).toBe(1);
      memory.table.unmap(0, PAGE);
    }
    expect(memory.state.ownedFds().length).toBeLessThanOrEqual(4);
  });
});

test('memory is viewed only while its thread cannot be ended', () => {
  let views = 0;
  const state = ServerState.create((run) => {
    views++;
    return run();
  });
  const table = new DmaTable(state);
  const fd = createMemoryFile('ram', 2 * PAGE);
  table.map(0, PAGE, RW, state.own(duplicateFd(fd)), PAGE);
  expect(views).toBe(1);
  table.map(PAGE, PAGE, RW, state.own(fd), 0); // The same file.
  expect(views).toBe(1);
  table.aperture(0, 2 * PAGE);
  expect(views).toBe(2);
  table.release();
});

describe('an aperture', () => {
  test('is the guest memory itself', () => {
    using memory = new Memory();
    const fd = memory.file(2);
    memory.map(0x10000, 2 * PAGE, fd);
    using aperture = memory.table.aperture(0x10000 + PAGE - 2, 4);
    expect(aperture).toMatchObject({ gpa: 0x10000 + PAGE - 2, length: 4 });
    expect([...aperture!.bytes]).toEqual([1, 1, 2, 2]);
    aperture!.bytes[3] = 9;
    expect(memory.byte(0x10000 + PAGE + 1)).toBe(9);
    memory.table.write(0x10000 + PAGE, Buffer.of(8));
    expect([...aperture!.bytes]).toEqual([1, 1, 8, 9]);
  });

  test('over scattered pages is one piece all the same', () => {
    using memory = new Memory();
    const [one, two] = [memory.file(4), memory.file(2)];
    memory.map(0, PAGE, one, 3 * PAGE);
    memory.map(PAGE, PAGE, one, PAGE);
    memory.map(2 * PAGE, 2 * PAGE, two);
    using aperture = memory.table.aperture(16, 4 * PAGE - 16);
    expect(aperture?.length).toBe(4 * PAGE - 16);
    expect([0, 1, 2, 3].map((page) => aperture!.bytes[page * PAGE])).toEqual([4, 2, 1, 2]);
    aperture!.bytes.fill(0x55);
    expect([fileByte(one, 1), fileByte(two, 1)]).toEqual([0x55, 0x55]);
    expect(memory.byte(0)).toBe(4);
  });

  test('that reaches a hole, the end, or a window without a file is none', () => {
    using memory = new Memory();
    const fd = memory.file(2);
    memory.map(0, PAGE, fd);
    memory.map(2 * PAGE, PAGE, -1);
    expect(memory.table.aperture(0, PAGE + 1)).toBeUndefined();
    expect(memory.table.aperture(2 * PAGE, 1)).toBeUndefined();
    expect(memory.table.aperture(2 ** 53, 1)).toBeUndefined();
    expect(memory.table.aperture(0, 2 ** 40)).toBeUndefined();
    expect(memory.table.aperture(0, 0)?.bytes).toHaveLength(0);
  });

  test('over windows that do not meet on page boundaries is none: the caller copies', () => {
    using memory = new Memory();
    const fd = memory.file(2);
    memory.map(0, 100, fd);
    memory.map(100, 100, fd, PAGE);
    expect(memory.table.aperture(90, 20)).toBeUndefined();
    const bytes = Buffer.alloc(20);
    expect(memory.table.read(90, bytes)).toBe(true);
    expect([bytes[0], bytes[19]]).toEqual([1, 2]);
  });

  test('over a read-only window is for reading only, and a stray write is harmless', () => {
    using memory = new Memory();
    const fd = memory.file(2);
    memory.map(0, PAGE, fd, 0, DmaFlag.READ);
    memory.map(PAGE, PAGE, fd, PAGE);
    expect(memory.table.aperture(0, 8)).toBeUndefined();
    expect(memory.table.aperture(PAGE - 4, 8)).toBeUndefined();
    for (const [gpa, length] of [
      [0, 8],
      [PAGE - 4, 8],
    ] as const) {
      using aperture = memory.table.aperture(gpa, length, { readOnly: true });
      expect(aperture?.bytes[0]).toBe(1);
      aperture!.bytes[0] = 0x99;
    }
    expect([fileByte(fd, 0), memory.byte(0)]).toEqual([1, 1]);
  });

  test('after its end has bytes that are no longer the guest’s', () => {
    using memory = new Memory();
    const fd = memory.file(2);
    memory.map(0, PAGE, fd);
    memory.map(PAGE, PAGE, fd, PAGE);
    for (const length of [16, PAGE + 16]) {
      const aperture = memory.table.aperture(0, length)!;
      aperture[Symbol.dispose]();
      aperture[Symbol.dispose]();
      expect(aperture.bytes).toHaveLength(length);
      expect(aperture.bytes[0]).toBe(0);
      aperture.bytes.fill(0x99);
      expect(fileByte(fd, 0)).toBe(1);
    }
  });

  test('shows zeros once its window went, and the memory again never', () => {
    using memory = new Memory();
    const fd = memory.file(4);
    memory.map(0, 2 * PAGE, fd);
    memory.map(2 * PAGE, 2 * PAGE, fd, 2 * PAGE);
    const inOne = memory.table.aperture(0, PAGE)!.bytes;
    const across = memory.table.aperture(PAGE, 2 * PAGE)!.bytes;
    memory.table.unmap(0, 2 * PAGE);
    expect([inOne[0], across[0], across[PAGE]]).toEqual([0, 0, 3]);
    inOne.fill(0x99);
    across.fill(0x99, 0, PAGE);
    expect([fileByte(fd, 0), fileByte(fd, 1)]).toEqual([1, 2]);
  });

  test('across windows costs its mappings once, however often it is opened', () => {
    using memory = new Memory();
    const fd = memory.file(4);
    memory.map(0, PAGE, fd, 2 * PAGE);
    memory.map(PAGE, PAGE, fd);
    const before = memory.state.mappingCount;
    for (let round = 0; round < 100; round++) {
      using aperture = memory.table.aperture(16, PAGE);
      expect([aperture!.bytes[0], aperture!.bytes[PAGE - 1]]).toEqual([3, 1]);
      aperture!.bytes[PAGE - 1] = 1;
    }
    expect(memory.state.mappingCount).toBe(before + 1);
    // Two at a time are two.
    using one = memory.table.aperture(16, PAGE);
    using two = memory.table.aperture(16, PAGE);
    one!.bytes[0] = 0x77;
    expect(two!.bytes[0]).toBe(0x77);
  });

  test('is never one that was kept from before its window went', () => {
    using memory = new Memory();
    const fd = memory.file(4);
    for (const pages of [
      [0, 2],
      [3, 1],
    ] as const) {
      memory.map(0, PAGE, fd, pages[0] * PAGE);
      memory.map(PAGE, PAGE, fd, pages[1] * PAGE);
      {
        using aperture = memory.table.aperture(0, 2 * PAGE);
        expect([aperture!.bytes[0], aperture!.bytes[PAGE]]).toEqual([pages[0] + 1, pages[1] + 1]);
      }
      memory.table.unmap(0, PAGE);
      memory.table.unmap(PAGE, PAGE);
    }
  });

  test('for reading and writing is never one that was kept from reading', () => {
    using memory = new Memory();
    const fd = memory.file(2);
    memory.map(0, PAGE, fd, 0, DmaFlag.READ);
    memory.map(PAGE, PAGE, fd, PAGE);
    memory.table.aperture(0, 2 * PAGE, { readOnly: true })![Symbol.dispose]();
    memory.table.unmap(0, PAGE);
    memory.map(0, PAGE, fd, 0, RW);
    using aperture = memory.table.aperture(0, 2 * PAGE);
    aperture!.bytes[0] = 0x42;
    expect(fileByte(fd, 0)).toBe(0x42);
  });

  test('of which many are kept, are not kept without end', () => {
    using memory = new Memory();
    const fd = memory.file(2);
    memory.map(0, PAGE, fd, PAGE);
    memory.map(PAGE, PAGE, fd);
    const stale: Buffer[] = [];
    for (let i = 1; i < 100; i++) {
      using aperture = memory.table.aperture(PAGE - i, 2 * i);
      stale.push(aperture!.bytes);
    }
    // Those whose addresses were given up show zeros.
    expect(stale.filter((bytes) => bytes[0] !== 0)).toHaveLength(16);
  });

  test('in guest memory below the hole and above it is one, and over the hole none', () => {
    using memory = new Memory();
    const [low, high] = [0xc000_0000, 0x1_0000_0000];
    const fd = memory.file(4);
    memory.map(low - 2 * PAGE, 2 * PAGE, fd);
    memory.map(high, 2 * PAGE, fd, 2 * PAGE);
    expect(memory.table.aperture(low - 8, 8)?.bytes[0]).toBe(2);
    expect(memory.table.aperture(high, 2 * PAGE)?.bytes[0]).toBe(3);
    for (const [gpa, length] of [
      [low - 8, 16],
      [high - 8, 16],
      [low, 8],
      [low - PAGE, high - low + 2 * PAGE],
    ] as const) {
      expect(memory.table.aperture(gpa, length)).toBeUndefined();
      expect(memory.table.aperture(gpa, length, { readOnly: true })).toBeUndefined();
    }
  });

  test('can be touched after everything is gone', () => {
    let bytes: Buffer[];
    {
      using memory = new Memory();
      const fd = memory.file(4);
      memory.map(0, PAGE, fd);
      memory.map(PAGE, PAGE, fd, 2 * PAGE);
      bytes = [memory.table.aperture(0, 16)!.bytes, memory.table.aperture(0, PAGE + 1)!.bytes];
    }
    for (const stale of bytes) {
      expect(stale[0]).toBe(0);
      stale.fill(1);
    }
  });

  test('of a window whose pages another window shows too keeps the other in sight', () => {
    using memory = new Memory();
    const fd = memory.file(2);
    memory.map(0, 2 * PAGE, fd);
    memory.map(0x10000, PAGE, fd);
    memory.table.unmap(0, 2 * PAGE);
    expect(memory.byte(0x10000)).toBe(1);
    memory.map(0, 2 * PAGE, fd);
    memory.table.unmap(0x10000, PAGE);
    expect([memory.byte(0), memory.byte(PAGE)]).toEqual([1, 2]);
  });
});

test('windows whose pages are shared with a neighbour do not take them along', () => {
  using memory = new Memory();
  const fd = memory.file(1);
  memory.map(0, 100, fd);
  memory.map(0x1000, 100, fd, 100);
  memory.table.unmap(0, 100);
  expect(memory.byte(0x1000)).toBe(1);
});

test('thousands of scattered pages, as a guest IOMMU makes them, stay few mappings to the kernel', () => {
  using memory = new Memory();
  const pages = 20_000;
  const fd = createMemoryFile('ram', pages * PAGE);
  const mappings = () => readFileSync('/proc/self/maps', 'latin1').split('\n').length;
  const before = mappings();
  for (let page = 0; page < pages; page++) {
    expect(memory.map(2 * page * PAGE, PAGE, fd, (pages - 1 - page) * PAGE)).toBe(0);
  }
  expect(mappings() - before).toBeLessThan(10_000);
  memory.table.write(2 * 77 * PAGE, Buffer.from('x'));
  expect(fileByte(fd, pages - 1 - 77)).toBe(0x78);
  for (let page = 0; page < pages; page++) {
    expect(memory.table.unmap(2 * page * PAGE, PAGE)).toBe(0);
  }
  expect(memory.byte(0)).toBeUndefined();
  closeFd(fd);
});
