import { expect, test } from 'vitest';
import {
  DirectTable,
  DirectTableError,
  type DoorbellMatch,
  type SharedPages,
} from '../../src/pci/direct-table.ts';

const BARS = [
  { slot: 0, size: 0x4000 },
  { slot: 2, size: 2 ** 40 },
];

function tableWith(...matches: Partial<DoorbellMatch>[]) {
  const table = new DirectTable(BARS);
  const rung: number[] = [];
  for (const [index, match] of matches.entries()) {
    table.addDoorbell({ bar: 0, offset: 0, width: 0, value: undefined, ...match }, () =>
      rung.push(index),
    );
  }
  return { table, rung };
}

function kindOf(call: () => void): string {
  try {
    call();
  } catch (error) {
    expect(error).toBeInstanceOf(DirectTableError);
    return (error as DirectTableError).kind;
  }
  return 'granted';
}

test('a write rings the doorbell of its place, width and value, and nothing else', () => {
  const { table, rung } = tableWith(
    { offset: 0x10, width: 4, value: 7n },
    { offset: 0x10, width: 4, value: 8n },
    { offset: 0x10, width: 2, value: undefined },
    { offset: 0x18, width: 8, value: 0x1_0000_0002n },
    { bar: 2, offset: 2 ** 39, width: 0, value: undefined },
  );
  expect(table.doorbellCount).toBe(5);
  const writes: [number, number, number, number, number][] = [
    [0, 0x10, 4, 8, 0],
    [0, 0x10, 4, 7, 0],
    [0, 0x10, 2, 99, 0],
    [0, 0x18, 8, 2, 1],
    [2, 2 ** 39, 1, 0, 0],
  ];
  for (const write of writes) expect(table.ring(...write)).toBe(true);
  expect(rung).toEqual([1, 0, 2, 3, 4]);
  const others: [number, number, number, number, number][] = [
    [0, 0x10, 4, 9, 0],
    [0, 0x10, 1, 7, 0],
    [0, 0x12, 2, 0, 0],
    [0, 0x18, 8, 2, 0],
    [0, 0x18, 4, 2, 0],
    [2, 0x10, 4, 7, 0],
  ];
  for (const write of others) expect(table.ring(...write)).toBe(false);
  expect(rung).toHaveLength(5);
});

test('a value is compared over the width of the write', () => {
  const { table, rung } = tableWith({ width: 0, value: 0x1234_5678n });
  expect(table.ring(0, 0, 2, 0x5678, 0)).toBe(true);
  expect(table.ring(0, 0, 4, 0x1234_5678, 0)).toBe(true);
  expect(table.ring(0, 0, 8, 0x1234_5678, 0)).toBe(true);
  expect(table.ring(0, 0, 8, 0x1234_5678, 1)).toBe(false);
  expect(rung).toHaveLength(3);
});

test('one that is taken out rings no more, and its place is free again', () => {
  const match = { bar: 0, offset: 8, width: 4, value: 3n } as const;
  const { table, rung } = tableWith(match);
  expect(kindOf(() => table.removeDoorbell({ ...match, value: 4n }))).toBe('absent');
  expect(kindOf(() => table.removeDoorbell({ ...match, width: 0 }))).toBe('absent');
  table.removeDoorbell(match);
  expect(table.doorbellCount).toBe(0);
  expect(table.ring(0, 8, 4, 3, 0)).toBe(false);
  expect(kindOf(() => table.removeDoorbell(match))).toBe('absent');
  expect(kindOf(() => table.addDoorbell(match, () => {}))).toBe('granted');
  expect(rung).toEqual([]);
});

test.each<[string, Partial<DoorbellMatch>]>([
  ['in a BAR that there is not', { bar: 1 }],
  ['past the end', { offset: 0x4000 }],
  ['across the end', { offset: 0x3ffc, width: 8 }],
  ['before the start', { offset: -4 }],
  ['at half a byte', { offset: 0.5 }],
  ['that is not aligned', { offset: 2, width: 4 }],
  ['with a value that no write of its width has', { width: 1, value: 256n }],
  ['with a negative value', { value: -1n }],
  ['with a value of 65 bits', { value: 1n << 64n }],
])('a doorbell %s is refused', (_, match) => {
  expect(kindOf(() => tableWith(match))).toBe('invalid');
});

test.each<[string, Partial<DoorbellMatch>, Partial<DoorbellMatch>]>([
  ['the same again', { width: 4, value: 1n }, { width: 4, value: 1n }],
  ['any value beside one', { width: 4, value: 1n }, { width: 4, value: undefined }],
  ['any width beside one', { width: 4, value: undefined }, { width: 0, value: undefined }],
  ['a value that a narrower one has, too', { width: 0, value: 0x101n }, { width: 1, value: 1n }],
])('a doorbell is refused where another has its writes: %s', (_, first, second) => {
  expect(kindOf(() => tableWith(first, second))).toBe('taken');
});

test('every write that starts in a doorbell page rings, whatever it is', () => {
  const table = new DirectTable(BARS);
  let rings = 0;
  table.addDoorbellPage(0, 0x1000, () => rings++);
  expect(table.doorbellCount).toBe(1);
  expect(table.ring(0, 0x1000, 4, 1, 0)).toBe(true);
  expect(table.ring(0, 0x1fff, 1, 2, 0)).toBe(true);
  expect(table.ring(0, 0x2000, 4, 3, 0)).toBe(false);
  expect(rings).toBe(2);
  // It holds nothing that could be read.
  expect(table.read(0, 0x1000, 4)).toBe(-1);
  expect(kindOf(() => table.removeDoorbellPage(0, 0x2000))).toBe('absent');
  table.removeDoorbellPage(0, 0x1000);
  expect(table.ring(0, 0x1000, 4, 1, 0)).toBe(false);
});

test('pages with memory are read and written in place, of every width', () => {
  const table = new DirectTable(BARS);
  const bytes = Buffer.alloc(0x2000);
  table.addRange(2, 2 ** 39, { bytes, writable: true });
  expect(table.rangeCount).toBe(1);
  const at = 2 ** 39;
  expect(table.write(2, at + 4, 4, 0xdead_beef)).toBe(true);
  expect(table.write(2, at + 0x1fff, 1, 0x5a)).toBe(true);
  expect(table.write(2, at + 9, 2, 0x1234)).toBe(true);
  expect(bytes.readUInt32LE(4)).toBe(0xdead_beef);
  expect([bytes[0x1fff], bytes.readUInt16LE(9)]).toEqual([0x5a, 0x1234]);
  expect([table.read(2, at + 4, 4), table.read(2, at + 6, 1)]).toEqual([0xdead_beef, 0xad]);
  expect(table.read(2, at + 5, 4)).toBe(0x00de_adbe);
  // What is not all in it is the function's.
  expect(table.read(2, at + 0x1ffe, 4)).toBe(-1);
  expect(table.write(2, at - 1, 2, 0)).toBe(false);
  expect(table.read(0, 4, 4)).toBe(-1);
  table.removeRange(2, at);
  expect([table.read(2, at + 4, 4), table.rangeCount]).toEqual([-1, 0]);
});

test('writes to pages that are not writable are the function’s', () => {
  const table = new DirectTable(BARS);
  table.addRange(0, 0, { bytes: Buffer.alloc(4096, 7), writable: false });
  expect(table.read(0, 8, 1)).toBe(7);
  expect(table.write(0, 8, 1, 1)).toBe(false);
});

test.each<[string, number, number, number, string]>([
  ['is not aligned to pages', 0, 0x800, 0x1000, 'invalid'],
  ['is not whole pages', 0, 0, 0x800, 'invalid'],
  ['is empty', 0, 0, 0, 'invalid'],
  ['leaves its BAR', 0, 0x3000, 0x2000, 'invalid'],
  ['is in a BAR that there is not', 5, 0, 0x1000, 'invalid'],
  ['overlaps the end of another', 0, 0x2000, 0x1000, 'taken'],
  ['overlaps the start of another', 0, 0, 0x2000, 'taken'],
  ['is over a doorbell', 0, 0x3000, 0x1000, 'taken'],
  ['is between them', 0, 0, 0x1000, 'granted'],
])('a mapped range that %s is %s', (_, bar, offset, size, kind) => {
  const { table } = tableWith({ offset: 0x3ffc });
  table.addRange(0, 0x1000, { bytes: Buffer.alloc(0x2000), writable: true });
  const bytes = Buffer.alloc(size);
  expect(kindOf(() => table.addRange(bar, offset, { bytes, writable: true }))).toBe(kind);
  if (size === 0x1000)
    expect(kindOf(() => table.addDoorbellPage(bar, offset, () => {}))).toBe(
      kind === 'granted' ? 'taken' : kind,
    );
});

test('a doorbell in a mapped range or a doorbell page is refused', () => {
  const { table } = tableWith();
  table.addRange(0, 0x1000, { bytes: Buffer.alloc(0x1000), writable: true });
  table.addDoorbellPage(0, 0x2000, () => {});
  const add = (offset: number) => () =>
    table.addDoorbell({ bar: 0, offset, width: 4, value: undefined }, () => {});
  expect([0x1ffc, 0x2000, 0x3000].map((offset) => kindOf(add(offset)))).toEqual([
    'taken',
    'taken',
    'granted',
  ]);
  expect(kindOf(() => table.removeRange(0, 0x2000))).toBe('absent');
  expect(kindOf(() => table.removeDoorbellPage(0, 0x1000))).toBe('absent');
});

test('a table on another thread reaches the same memory, until it is hidden', () => {
  const table = new DirectTable(BARS);
  const memory = new SharedArrayBuffer(0x3000);
  const shared = { memory, start: 0x1000, shown: new SharedArrayBuffer(4) };
  const seen: (readonly SharedPages[])[] = [];
  table.onPagesChanged = () => seen.push(table.sharedPages);
  const bytes = new Uint8Array(memory, 0x1000, 0x1000);
  table.addRange(0, 0x2000, { bytes, writable: true, shared });
  table.addRange(0, 0, { bytes: Buffer.alloc(4096), writable: true });
  expect(seen.at(-1)).toEqual([
    { bar: 0, offset: 0x2000, size: 0x1000, writable: true, ...shared },
  ]);

  const elsewhere = new DirectTable(BARS);
  elsewhere.mirror(structuredClone(seen.at(-1)!));
  expect(elsewhere.write(0, 0x2004, 4, 0xcafe)).toBe(true);
  expect(table.read(0, 0x2004, 4)).toBe(0xcafe);
  table.removeRange(0, 0x2000);
  expect(elsewhere.read(0, 0x2004, 4)).toBe(-1);
  expect(elsewhere.write(0, 0x2004, 4, 1)).toBe(false);
  expect(new Uint32Array(memory)[0x1004 / 4]).toBe(0xcafe);
  elsewhere.mirror([]);
  expect(elsewhere.rangeCount).toBe(0);
});

test('cleared, it serves nothing', () => {
  const { table } = tableWith({ offset: 0x3000 });
  table.addRange(0, 0x1000, { bytes: Buffer.alloc(0x1000), writable: true });
  table.addDoorbellPage(0, 0x2000, () => {});
  table.clear();
  expect([table.doorbellCount, table.rangeCount]).toEqual([0, 0]);
  for (const offset of [0x1000, 0x2000, 0x3000]) {
    expect(table.ring(0, offset, 4, 0, 0)).toBe(false);
    expect(table.read(0, offset, 4)).toBe(-1);
  }
  expect(
    kindOf(() => table.addDoorbell({ bar: 0, offset: 0x1000, width: 4, value: 1n }, () => {})),
  ).toBe('granted');
});
