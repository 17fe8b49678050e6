import { threadId } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { TaskThread } from '../../src/transport/task-thread.ts';

const FIXTURE = new URL('./task-fixture.ts', import.meta.url);

test('all tasks run on one thread, which is another one, in order', async () => {
  const thread = new TaskThread(FIXTURE);
  const results = (await Promise.all([thread.run(1), thread.run(2), thread.run(3)])) as {
    threadId: number;
    tasks: number;
  }[];
  await thread.close();
  expect(results.map(({ tasks }) => tasks)).toEqual([1, 2, 3]);
  expect(new Set(results.map((result) => result.threadId)).size).toBe(1);
  expect(results[0]?.threadId).not.toBe(threadId);
});

test('what a task throws arrives with class, text and code, and the thread goes on', async () => {
  const thread = new TaskThread(FIXTURE);
  await expect(thread.run('refused')).rejects.toMatchObject({
    name: 'RangeError',
    message: 'refused',
    hresult: 0x8007_0057,
  });
  expect(await thread.run(0)).toMatchObject({ tasks: 2 });
  await thread.close();
});

test('closing waits for the task that was begun, and rejects those that were not', async () => {
  const thread = new TaskThread(FIXTURE);
  const begun = thread.run(0);
  await new Promise(setImmediate);
  const waiting = expect(thread.run(1)).rejects.toThrow('Cannot run a task: its thread is closed');
  await thread.close();
  expect(await begun).toMatchObject({ tasks: 1 });
  await waiting;
  await thread.close();
});

test('an entry that cannot be loaded is named', async () => {
  const thread = new TaskThread(new URL('./no-such-entry.ts', import.meta.url));
  await expect(thread.run(0)).rejects.toThrow('no-such-entry.ts');
  await thread.close();
});
