import { expect, test } from 'vitest';
import { EventStream } from '../../src/hcs/event-stream.ts';

async function all<T>(events: AsyncIterable<T>): Promise<readonly T[]> {
  const seen: T[] = [];
  for await (const event of events) seen.push(event);
  return seen;
}

test('gives every reader what comes from its opening on, in order', async () => {
  const stream = new EventStream<number>();
  stream.push(1);
  const early = stream.open([0]);
  stream.push(2);
  const late = all(stream.open());
  stream.push(3);
  stream.end();
  expect(await all(early)).toEqual([0, 2, 3]);
  expect(await late).toEqual([3]);
  expect(await all(stream.open([4]))).toEqual([4]);
});

test('lets a reader that waits have the event, and the end', async () => {
  const stream = new EventStream<number>();
  const reader = stream.open();
  const [first, second] = [reader.next(), reader.next()];
  stream.push(1);
  stream.end();
  expect(await first).toEqual({ value: 1, done: false });
  expect(await second).toEqual({ value: undefined, done: true });
});

test('tells each reader once why there is nothing more, until the end', async () => {
  const stream = new EventStream<number>();
  const waiting = stream.open();
  const [first, second] = [waiting.next(), waiting.next()];
  const holding = stream.open([1]);
  stream.fail(new Error('nobody calls'));
  await expect(first).rejects.toThrow('nobody calls');
  expect(await second).toEqual({ value: undefined, done: true });
  expect(await holding.next()).toEqual({ value: 1, done: false });
  await expect(holding.next()).rejects.toThrow('nobody calls');
  expect(await holding.next()).toEqual({ value: undefined, done: true });
  await expect(all(stream.open())).rejects.toThrow('nobody calls');
  stream.end();
  expect(await all(stream.open([2]))).toEqual([2]);
});

test('forgets a reader that leaves the loop', async () => {
  const stream = new EventStream<number>();
  const reader = stream.open([1, 2]);
  for await (const event of reader) {
    expect(event).toBe(1);
    break;
  }
  stream.push(3);
  expect(await reader.next()).toEqual({ value: undefined, done: true });
});
