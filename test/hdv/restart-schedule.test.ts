import { expect, test } from 'vitest';
import { RestartSchedule } from '../../src/hdv/restart-schedule.ts';

test('pauses double, and the sixth failure within a minute is the end', () => {
  const schedule = new RestartSchedule();
  const pauses = [0, 1, 2, 3, 4, 5].map((i) => schedule.next(1000 * i));
  expect(pauses).toEqual([50, 100, 200, 400, 800, undefined]);
  expect(schedule.count).toBe(5);
});

test('what was more than a minute ago does not count', () => {
  const schedule = new RestartSchedule();
  for (let i = 0; i < 5; i++) schedule.next(1000 * i);
  expect(schedule.next(59_999)).toBeUndefined();
  expect(schedule.next(61_000)).toBe(50 * 2 ** 3);
  expect(schedule.next(200_000)).toBe(50);
});
