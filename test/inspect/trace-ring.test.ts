import { describe, expect, test } from 'vitest';
import { TraceKind, type TraceReader, TraceRing } from '../../src/inspect/trace-ring.ts';

const values = (reader: TraceReader): number[] => {
  const found: number[] = [];
  reader.drain((record) => found.push(record.value));
  return found;
};

describe('TraceRing', () => {
  test('gives back every field of a record', () => {
    const ring = TraceRing.create(4);
    const before = performance.timeOrigin + performance.now();
    ring.record(TraceKind.DMA_WRITE, 5, 2 ** 52 - 1, 4096, 0xffff_ffff);
    const found: unknown[] = [];
    ring.reader().drain((record) => found.push({ ...record }));
    expect(found).toEqual([
      {
        kind: TraceKind.DMA_WRITE,
        slot: 5,
        location: 2 ** 52 - 1,
        length: 4096,
        value: 0xffff_ffff,
        time: expect.any(Number),
      },
    ]);
    expect((found[0] as { time: number }).time).toBeGreaterThanOrEqual(before);
  });

  test('hands each record to a reader once, in order', () => {
    const ring = TraceRing.create(8);
    const reader = ring.reader();
    for (const value of [1, 2, 3]) ring.record(TraceKind.BAR_READ, 0, 0, 4, value);
    expect(values(reader)).toEqual([1, 2, 3]);
    ring.record(TraceKind.BAR_READ, 0, 0, 4, 4);
    expect(values(reader)).toEqual([4]);
    expect(values(reader)).toEqual([]);
  });

  test('counts what was overwritten, and keeps the newest', () => {
    const ring = TraceRing.create(4);
    const reader = ring.reader();
    for (let value = 0; value < 11; value++) ring.record(TraceKind.BAR_READ, 0, 0, 4, value);
    expect(values(reader)).toEqual([7, 8, 9, 10]);
    expect(reader.lost).toBe(7);
  });

  test('is seen from a second view of the same memory, as another thread has it', () => {
    const ring = TraceRing.create(4);
    const reader = new TraceRing(ring.memory).reader();
    ring.record(TraceKind.RESET, 0, 1, 0, 0);
    expect(values(reader)).toEqual([0]);
  });

  test('records nothing while another thread has paused it', () => {
    const ring = TraceRing.create(4);
    const reader = ring.reader();
    const other = new TraceRing(ring.memory);
    other.paused = true;
    ring.record(TraceKind.BAR_READ, 0, 0, 4, 1);
    other.paused = false;
    ring.record(TraceKind.BAR_READ, 0, 0, 4, 2);
    expect(values(reader)).toEqual([2]);
  });

  test('refuses a capacity that is no power of two', () => {
    expect(() => TraceRing.create(100)).toThrow(
      'Cannot make a trace of 100 records: not a power of two',
    );
  });
});
