import { expect, test } from 'vitest';
import { BlockingCalls } from '../../src/hcs/native/blocking-calls.ts';

/** Calls that are under way until they are ended by name. */
class Calls {
  readonly running: string[] = [];
  readonly #ends = new Map<string, () => void>();

  begin(name: string): () => Promise<string> {
    return () => {
      this.running.push(name);
      return new Promise((resolve) => this.#ends.set(name, () => resolve(name)));
    };
  }

  async end(name: string): Promise<void> {
    this.running.splice(this.running.indexOf(name), 1);
    this.#ends.get(name)?.();
    await new Promise(setImmediate);
  }
}

test('runs two calls at once, and the others in their order', async () => {
  const queue = new BlockingCalls();
  const calls = new Calls();
  const results = ['a', 'b', 'c', 'd'].map((name) => queue.run(calls.begin(name)));
  expect(calls.running).toEqual(['a', 'b']);
  await calls.end('b');
  expect(calls.running).toEqual(['a', 'c']);
  await calls.end('a');
  await calls.end('c');
  await calls.end('d');
  expect(await Promise.all(results)).toEqual(['a', 'b', 'c', 'd']);
});

test('leaves a thread to others while slow calls wait for each other', async () => {
  const queue = new BlockingCalls();
  const calls = new Calls();
  const results = [
    queue.runSlow(calls.begin('slow 1')),
    queue.runSlow(calls.begin('slow 2')),
    queue.run(calls.begin('a')),
    queue.run(calls.begin('b')),
  ];
  expect(calls.running).toEqual(['slow 1', 'a']);
  await calls.end('slow 1');
  expect(calls.running).toEqual(['a', 'slow 2']);
  for (const name of ['a', 'slow 2', 'b']) await calls.end(name);
  await Promise.all(results);
});

test('goes on after a call that failed', async () => {
  const queue = new BlockingCalls();
  const failing = [1, 2, 3].map((n) => queue.run(async () => Promise.reject(new Error(`${n}`))));
  expect((await Promise.allSettled(failing)).map(({ status }) => status)).toEqual([
    'rejected',
    'rejected',
    'rejected',
  ]);
  expect(await queue.run(async () => 'next')).toBe('next');
});

test('gives waits shorter slices the more of them there are', async () => {
  const queue = new BlockingCalls();
  const calls = new Calls();
  const alone = queue.slice;
  const names = ['a', 'b', 'c', 'd', 'e', 'f'];
  const results = names.map((name) => queue.run(calls.begin(name)));
  expect(queue.slice).toBeLessThan(alone / 4);
  for (const name of names) await calls.end(name);
  await Promise.all(results);
  expect(queue.slice).toBe(alone);
});
