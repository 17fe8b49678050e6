import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { currentThreadId, threadWork } from '../../src/ffi/thread-work.ts';
import { ProgressWatch } from '../../src/transport/progress-watch.ts';

/** Watches this thread, which waits in its event loop, and gives the number of looks until it is given up. */
function looksUntilStalled(progress: (look: number) => number | undefined): Promise<number> {
  return new Promise((resolve) => {
    let looks = 0;
    const keepAlive = setInterval(() => undefined, 1000);
    new ProgressWatch({
      limitMs: 20,
      threadId: currentThreadId(),
      progress: () => progress(++looks),
      stalled: () => {
        clearInterval(keepAlive);
        resolve(looks);
      },
    });
  });
}

test('a worker without progress is given up, and not before it had ten looks', async () => {
  expect(await looksUntilStalled(() => 7)).toBeGreaterThan(10);
});

test('progress, and having nothing to do, start the count anew', async () => {
  const looks = await looksUntilStalled((look) => (look < 12 ? look : look < 24 ? undefined : 1));
  expect(looks).toBeGreaterThan(24 + 10 - 1);
});

test.runIf(process.platform === 'linux')(
  'the kernel says whether a thread works or waits',
  async () => {
    const source = 'Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);';
    const before = new Set(threads());
    const worker = new Worker(source, { eval: true });
    await once(worker, 'online');
    const waits = (id: number): boolean => threadWork(id)?.runnable === false;
    const own = threads().filter((id) => !before.has(id));
    while (!own.some(waits)) await new Promise((resolve) => setImmediate(resolve));
    await worker.terminate();

    const id = currentThreadId();
    const start = threadWork(id)!.cpuMs;
    while (threadWork(id)!.cpuMs < start + 20);
    expect(threadWork(id)?.runnable).toBe(true);
    expect(threadWork(0x7fff_ffff)).toBeUndefined();
  },
);

test('processor time is counted for a thread that works, and there is none for one that is not there', () => {
  const id = currentThreadId();
  const start = threadWork(id)!.cpuMs;
  while (threadWork(id)!.cpuMs < start + 20);
  expect(threadWork(id)?.runnable).not.toBe(false);
  expect(threadWork(0x7fff_fff0)).toBeUndefined();
});

function threads(): number[] {
  return readdirSync('/proc/self/task').map(Number);
}
