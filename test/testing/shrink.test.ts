import { expect, test } from 'vitest';
import { shrink } from '../../src/testing/shrink.ts';

test('only what the failure needs is left, in order', () => {
  const items = Array.from({ length: 200 }, (_, i) => i);
  const fails = (left: readonly number[]): boolean =>
    left.includes(17) && left.indexOf(17) < left.indexOf(150);
  expect(shrink(items, fails, () => [])).toEqual([17, 150]);
});

test('what is left is made simpler as long as it fails', () => {
  const fails = (left: readonly number[]): boolean => left.some((value) => value >= 8);
  const halves = (value: number): number[] => [0, 8, value - 1].filter((x) => x < value);
  expect(shrink([3, 100, 5], fails, halves)).toEqual([8]);
});

test('items that others needed go once the others are simpler', () => {
  const fails = (left: readonly number[]): boolean => {
    const most = Math.max(...left);
    return most >= 8 && (most < 16 || left.includes(1));
  };
  expect(shrink([1, 100], fails, (value) => (value > 8 ? [8] : []))).toEqual([8]);
});

test('it gives up after its budget and still returns something that fails', () => {
  let calls = 0;
  const fails = (left: readonly number[]): boolean => {
    calls++;
    return left.length >= 40;
  };
  const left = shrink(
    Array.from({ length: 100 }, (_, i) => i),
    fails,
    () => [],
    20,
  );
  expect(calls).toBeLessThanOrEqual(20);
  expect(left.length).toBeGreaterThanOrEqual(40);
});
