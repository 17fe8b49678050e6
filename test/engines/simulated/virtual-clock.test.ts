import fc from 'fast-check';
import { expect, test } from 'vitest';
import { VirtualClock } from '../../../src/engines/simulated/virtual-clock.ts';

test('time stands still until it is advanced', () => {
  const clock = new VirtualClock();
  const fired: number[] = [];
  clock.after(0, () => fired.push(clock.now));
  expect(fired).toEqual([]);
  clock.advance(0);
  expect(fired).toEqual([0]);
  expect(clock.now).toBe(0);
});

test('timers fire in the order of their times, and together in the order they were set', () => {
  const clock = new VirtualClock();
  const fired: string[] = [];
  clock.after(20, () => fired.push('late'));
  clock.after(10, () => fired.push('first of ten'));
  clock.after(10, () => fired.push('second of ten'));
  clock.after(5, () => fired.push('early'));
  clock.advance(15);
  expect(fired).toEqual(['early', 'first of ten', 'second of ten']);
  clock.advance(5);
  expect(fired).toEqual(['early', 'first of ten', 'second of ten', 'late']);
});

test('a timer sees the time it was set for, and may set another that still fires', () => {
  const clock = new VirtualClock();
  const times: number[] = [];
  clock.after(10, () => {
    times.push(clock.now);
    clock.after(10, () => times.push(clock.now));
  });
  clock.advance(100);
  expect(times).toEqual([10, 20]);
  expect(clock.now).toBe(100);
});

test('a cancelled timer does not fire, nor does cancelling one that fired do anything', () => {
  const clock = new VirtualClock();
  let fired = 0;
  const cancelled = clock.after(1, () => fired++);
  const kept = clock.after(1, () => fired++);
  cancelled.cancel();
  clock.advance(1);
  kept.cancel();
  expect(fired).toBe(1);
  expect(clock.pending).toBe(0);
});

test('a timer that is set again and again holds the place of one', () => {
  const clock = new VirtualClock();
  let fired = 0;
  let timer = clock.after(1000, () => fired++);
  for (let i = 1; i < 100_000; i++) {
    timer.cancel();
    timer = clock.after(1000, () => fired++);
    if (clock.pending !== 1) break;
  }
  expect(clock.pending).toBe(1);
  clock.advance(1000);
  expect(fired).toBe(1);
  expect(clock.pending).toBe(0);
});

test('whichever timers are cancelled, the others fire in order', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ due: fc.nat(20), isCancelled: fc.boolean() }), { maxLength: 60 }),
      (wanted) => {
        const clock = new VirtualClock();
        const fired: number[] = [];
        const timers = wanted.map(({ due }, i) => clock.after(due, () => fired.push(i)));
        for (const [i, { isCancelled }] of wanted.entries()) if (isCancelled) timers[i]!.cancel();
        const kept = wanted.flatMap(({ due, isCancelled }, i) => (isCancelled ? [] : [{ due, i }]));
        expect(clock.pending).toBe(kept.length);
        clock.advance(20);
        expect(fired).toEqual(kept.sort((a, b) => a.due - b.due || a.i - b.i).map(({ i }) => i));
      },
    ),
  );
});

test('a timer that advances time itself does not make it go back', () => {
  const clock = new VirtualClock();
  const seen: number[] = [];
  clock.after(1, () => clock.advance(10));
  clock.after(5, () => seen.push(clock.now));
  clock.advance(2);
  expect([clock.now, seen]).toEqual([11, [5]]);
});

test('many timers in random order fire in order', () => {
  const clock = new VirtualClock();
  const fired: number[] = [];
  for (let i = 0; i < 500; i++) {
    const due = (i * 7919) % 503;
    clock.after(due, () => fired.push(due));
  }
  clock.advance(503);
  expect(fired).toEqual([...fired].sort((a, b) => a - b));
  expect(fired).toHaveLength(500);
});

test('negative and endless advances are refused, and no delay is taken as none', () => {
  const clock = new VirtualClock();
  expect(() => clock.advance(-1)).toThrow(RangeError);
  expect(() => clock.advance(Number.POSITIVE_INFINITY)).toThrow(RangeError);
  expect(() => clock.advance(Number.NaN)).toThrow(RangeError);
  let fired = 0;
  clock.after(-5, () => fired++);
  clock.after(Number.NaN, () => fired++);
  clock.advance(0);
  expect(fired).toBe(2);
});

test('timers that keep each other alive at one instant end in an error, not in silence', () => {
  const clock = new VirtualClock();
  const again = (): void => {
    clock.after(0, again);
  };
  again();
  expect(() => clock.advance(1)).toThrow('Cannot advance time past 0 ms');
});
