import { expect, test } from 'vitest';
import { eventLoopClock } from '../../src/device-host/event-loop-clock.ts';

test('a timer of months does not run before one of milliseconds, and can be cancelled', async () => {
  const ran: string[] = [];
  const months = eventLoopClock.after(2 ** 33, () => ran.push('months'));
  await new Promise<void>((resolve) => {
    eventLoopClock.after(20, () => {
      ran.push('milliseconds');
      resolve();
    });
  });
  months.cancel();
  expect(ran).toEqual(['milliseconds']);
});
