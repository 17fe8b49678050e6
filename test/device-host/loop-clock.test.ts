import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LoopClock } from '../../src/device-host/loop-clock.ts';

/** A clock whose time the test moves. */
class SteppedClock extends LoopClock {
  time = 0;

  override get now(): number {
    return this.time;
  }
}

test('timers run in the order of their due times, equal ones in the order they were made', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(20), { maxLength: 40 }), (delays) => {
      const clock = new SteppedClock();
      const ran: number[] = [];
      for (const [index, ms] of delays.entries()) clock.after(ms, () => ran.push(index));
      clock.time = 20;
      clock.runDue();
      const expected = delays.map((ms, index) => ({ ms, index }));
      expected.sort((a, b) => a.ms - b.ms || a.index - b.index);
      expect(ran).toEqual(expected.map(({ index }) => index));
      expect(clock.nextTimeout()).toBe(-1);
    }),
  );
});

test('cancelled timers never run, whatever else was cancelled', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(9), fc.boolean()), { maxLength: 40 }), (timers) => {
      const clock = new SteppedClock();
      const ran = new Set<number>();
      const made = timers.map(([ms], index) => clock.after(ms, () => ran.add(index)));
      for (const [index, [, cancel]] of timers.entries()) if (cancel) made[index]!.cancel();
      for (clock.time = 0; clock.time < 10; clock.time++) clock.runDue();
      for (const [index, [, cancel]] of timers.entries()) expect(ran.has(index)).toBe(!cancel);
      for (const timer of made) timer.cancel();
      expect(clock.nextTimeout()).toBe(-1);
    }),
  );
});

test('a wait of months is cut into ones that the kernel takes', () => {
  const clock = new SteppedClock();
  clock.after(2 ** 33, () => undefined);
  expect(clock.nextTimeout()).toBe(2 ** 31 - 1);
});

test('a wait ends when the next timer is due, not before', () => {
  const clock = new SteppedClock();
  clock.after(7.25, () => undefined);
  clock.time = 3;
  expect(clock.nextTimeout()).toBe(5);
  clock.time = 9;
  expect(clock.nextTimeout()).toBe(0);
});

test('a timer that makes a timer of 0 ms lets the loop go on', () => {
  const clock = new SteppedClock();
  let runs = 0;
  const again = (): void => {
    runs++;
    clock.after(0, again);
  };
  clock.after(0, again);
  clock.runDue();
  expect(runs).toBe(1);
  clock.runDue();
  expect(runs).toBe(2);
});

test('one timer at a time can be run, the one due first, and none that is not due', () => {
  const clock = new SteppedClock();
  const ran: string[] = [];
  clock.after(2, () => ran.push('second'));
  clock.after(1, () => ran.push('first'));
  clock.after(3, () => ran.push('third'));
  clock.time = 2;
  for (let i = 0; i < 3; i++) clock.runNext();
  expect(ran).toEqual(['first', 'second']);
});

test('timers that ask for the next slice at once have their turns in order', () => {
  const clock = new SteppedClock();
  const ran: number[] = [];
  const slice = (id: number): void => {
    ran.push(id);
    clock.after(0, () => slice(id));
  };
  for (const id of [0, 1, 2]) clock.after(0, () => slice(id));
  for (let i = 0; i < 7; i++) clock.runNext();
  expect(ran).toEqual([0, 1, 2, 0, 1, 2, 0]);
});
