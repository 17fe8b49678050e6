import { expect, test } from 'vitest';
import { ReadStreak } from '../../src/device-host/read-streak.ts';

/** Serves reads until one wait may be for messages alone. @returns waits that watched everything before */
function untilIgnored(streak: ReadStreak): number {
  for (let waits = 0; ; waits++) {
    if (streak.mayIgnoreEvents) return waits;
    streak.watched(false, true);
  }
}

test('a device is watched from the start, until its guest has read for long without an event', () => {
  expect(untilIgnored(new ReadStreak())).toBe(1024);
});

test('while a guest goes on reading, one wait of 33 watches everything', () => {
  const streak = new ReadStreak();
  untilIgnored(streak);
  const watched: number[] = [];
  for (let wait = 0; wait < 100; wait++) {
    if (streak.mayIgnoreEvents) streak.ignored(true);
    else {
      streak.watched(false, true);
      watched.push(wait);
    }
  }
  expect(watched).toEqual([32, 65, 98]);
});

test('what may start work of the event loop is watched for the next waits', () => {
  const streak = new ReadStreak();
  untilIgnored(streak);
  streak.ignored(false);
  expect(untilIgnored(streak)).toBe(8);
  streak.ignored(true);
  expect(streak.mayIgnoreEvents).toBe(true);
  streak.turned();
  streak.watched(false, false);
  expect(untilIgnored(streak)).toBe(8);
});

test('a device whose event loop has work is watched as at the start', () => {
  const streak = new ReadStreak();
  untilIgnored(streak);
  streak.turned();
  streak.watched(true, true);
  expect(untilIgnored(streak)).toBe(1024);
});

test('after a turn of the event loop one wait watches what that left', () => {
  const streak = new ReadStreak();
  untilIgnored(streak);
  streak.ignored(true);
  streak.turned();
  expect(untilIgnored(streak)).toBe(1);
  streak.ignored(false);
  streak.turned();
  expect(untilIgnored(streak)).toBe(8);
});
