import { expect, test } from 'vitest';
import { chartLines } from '../../../src/cli/hcs/chart.ts';
import { size } from '../../../src/cli/hcs/stats-view.ts';

test('a chart stands on its bottom line, newest right', () => {
  expect(chartLines([0, 50, 100, 200], 100, 6, 2)).toEqual(['    ██', '   ███']);
  expect(chartLines([25, 75], 100, 2, 2)).toEqual([' ▄', '▄█']);
});

test('what is almost nothing is seen, and nothing is not', () => {
  expect(chartLines([0, 0.1, 100], 100, 3, 1)).toEqual([' ▁█']);
});

test('a chart shows the newest where not all of them fit', () => {
  expect(chartLines([100, 0, 100], 100, 2, 1)).toEqual([' █']);
});

test.for([
  [undefined, '-'],
  [0, '0 B'],
  [999, '999 B'],
  [1024, '1.0 KiB'],
  [1000 * 1024, '1.0 MiB'],
  [200 * 1024 * 1024, '200 MiB'],
  [2 ** 50, '1024 TiB'],
] as const)('%s bytes are %s', ([bytes, text]) => {
  expect(size(bytes)).toBe(text);
});
