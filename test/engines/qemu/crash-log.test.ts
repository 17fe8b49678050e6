import { deflateRawSync } from 'node:zlib';
import { expect, test } from 'vitest';
import {
  CRASH_LOG_SIZE,
  hasPanicRecord,
  readCrashLog,
} from '../../../src/engines/qemu/crash-log.ts';

const SLOT = 8192;

/** A store with these sections, in order; undefined is a free slot. */
function store(...sections: readonly (Buffer | undefined)[]): Buffer {
  const bytes = Buffer.alloc(CRASH_LOG_SIZE);
  for (const [index, section] of sections.entries()) {
    if (section === undefined) continue;
    const record = bytes.subarray(SLOT * (index + 1), SLOT * (index + 2));
    record.write('CPER');
    record.writeUInt32LE(200, 128);
    record.writeUInt32LE(section.length, 132);
    section.copy(record, 200);
  }
  return bytes;
}

test('joins the parts of a log in the order in which they were written', () => {
  const log = store(
    deflateRawSync('Panic#1 Part1\nlast\n'),
    undefined,
    Buffer.from('Panic#1 Part2\nfirst\nsecond\n'),
  );
  expect(readCrashLog(log)).toBe('first\nsecond\nlast');
});

test('tells a panic from what a kernel has survived', () => {
  const oops = Buffer.from('Oops#1 Part1\nit went on\n');
  expect(hasPanicRecord(store(oops))).toBe(false);
  expect(hasPanicRecord(store(oops, Buffer.from('Panic#2 Part1\nit did not\n')))).toBe(true);
  expect(hasPanicRecord(store(Buffer.from('Panic in words\n')))).toBe(false);
});

test('finds nothing in a store that is empty, cut short or full of nonsense', () => {
  expect(readCrashLog(store())).toBeUndefined();
  expect(readCrashLog(Buffer.alloc(0))).toBeUndefined();
  expect(readCrashLog(Buffer.alloc(CRASH_LOG_SIZE, 0xff))).toBeUndefined();
  const beyond = store(Buffer.from('Panic#1 Part1\nx'));
  beyond.writeUInt32LE(0xffff_ffff, SLOT + 132);
  expect(readCrashLog(beyond)).toBeUndefined();
});

test('inflates no more than a megabyte of a record', () => {
  const bomb = deflateRawSync(Buffer.alloc(4 * 1024 * 1024, 'a'));
  expect(bomb.length).toBeLessThan(SLOT - 200);
  expect(readCrashLog(store(bomb))).toBeUndefined();
});
