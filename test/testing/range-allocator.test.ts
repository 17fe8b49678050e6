import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RangeAllocator } from '../../src/testing/range-allocator.ts';

test('pieces are aligned, inside the range and never overlap, whatever was given back before', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          length: fc.integer({ min: 1, max: 64 }),
          log2: fc.integer({ min: 0, max: 6 }),
        }),
        { maxLength: 60 },
      ),
      fc.array(fc.boolean(), { minLength: 60, maxLength: 60 }),
      (requests, frees) => {
        const allocator = new RangeAllocator(100, 1000, 'the range');
        let live: { start: number; end: number }[] = [];
        requests.forEach(({ length, log2 }, index) => {
          let start: number;
          try {
            start = allocator.allocate(length, 2 ** log2);
          } catch {
            return;
          }
          expect(start % 2 ** log2).toBe(0);
          expect(start).toBeGreaterThanOrEqual(100);
          expect(start + length).toBeLessThanOrEqual(1100);
          for (const other of live) {
            expect(start + length <= other.start || other.end <= start).toBe(true);
          }
          live.push({ start, end: start + length });
          if (frees[index] && live[0] !== undefined) {
            allocator.free(live[0].start);
            live = live.slice(1);
          }
        });
      },
    ),
  );
});

test('a full range says so by its name, and has room again after giving back', () => {
  const allocator = new RangeAllocator(0, 16, 'the window');
  const first = allocator.allocate(8, 8);
  allocator.allocate(8, 8);
  expect(() => allocator.allocate(1, 1)).toThrow('no room is left in the window');
  allocator.free(first);
  expect(allocator.allocate(8, 8)).toBe(first);
});
