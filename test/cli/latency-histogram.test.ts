import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  formatDuration,
  formatHistogram,
  LatencyHistogram,
} from '../../src/cli/latency-histogram.ts';

const filled = (values: readonly number[]): LatencyHistogram => {
  const histogram = new LatencyHistogram();
  for (const value of values) histogram.record(value);
  return histogram;
};

describe('LatencyHistogram', () => {
  test('keeps every percentile within a sixteenth of the exact one', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 2 ** 40 }), { minLength: 1, maxLength: 200 }),
        fc.double({ min: 0.001, max: 1, noNaN: true }),
        (values, share) => {
          const sorted = [...values].sort((a, b) => a - b);
          const exact = sorted[Math.max(0, Math.ceil(share * values.length) - 1)] as number;
          const found = filled(values).percentile(share);
          expect(found).toBeGreaterThanOrEqual(exact);
          expect(found).toBeLessThanOrEqual(exact + exact / 16);
        },
      ),
    );
  });

  test('counts everything once, by powers of two', () => {
    const octaves = filled([3, 20, 40, 40, 200]).octaves();
    expect(octaves).toEqual([
      { from: 0, to: 16, count: 1 },
      { from: 16, to: 32, count: 1 },
      { from: 32, to: 64, count: 2 },
      { from: 64, to: 128, count: 0 },
      { from: 128, to: 256, count: 1 },
    ]);
  });

  test('is empty when nothing was recorded', () => {
    expect(filled([]).percentile(0.5)).toBe(0);
    expect(filled([]).octaves()).toEqual([]);
  });

  test('is drawn with its percentiles and the rate', () => {
    const text = formatHistogram(filled([100, 100, 100, 1000]));
    expect(text).toContain('########################################');
    expect(text).toContain('max 1 µs');
    expect(text).toContain('3,076,923 accesses/s');
  });

  test.each([
    [0, '0 ns'],
    [999, '999 ns'],
    [1000, '1 µs'],
    [12_400, '12.4 µs'],
    [20_000, '20 µs'],
    [200_000, '200 µs'],
    [3_210_000, '3.21 ms'],
    [2e9, '2 s'],
  ])('writes %i ns as %s', (ns, text) => {
    expect(formatDuration(ns)).toBe(text);
  });
});
