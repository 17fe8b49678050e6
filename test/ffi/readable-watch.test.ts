import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { closeFd, createEventFd, signalEventFd, takeEventFd } from '../../src/ffi/descriptors.ts';
import { watchReadable } from '../../src/ffi/readable-watch.ts';
import { workerExecArgv } from '../../src/transport/typescript-loader.ts';

test('a watch calls once for each time something became readable, until it is closed', async () => {
  const fd = createEventFd();
  let seen = 0;
  let wake = (): void => undefined;
  const watch = watchReadable(fd, () => {
    seen += takeEventFd(fd);
    wake();
  });
  for (let round = 1; round <= 3; round++) {
    const woken = new Promise<void>((resolve) => {
      wake = resolve;
    });
    signalEventFd(fd);
    await woken;
    expect(seen).toBe(round);
  }
  watch.close();
  watch.close();
  closeFd(fd);
});

test('a thread that ends with an open watch takes nothing with it', async () => {
  const descriptors = new URL('../../src/ffi/descriptors.ts', import.meta.url).href;
  const module = new URL('../../src/ffi/readable-watch.ts', import.meta.url).href;
  const fd = createEventFd();
  const source = `
    import { workerData, parentPort } from 'node:worker_threads';
    const { takeEventFd } = await import(${JSON.stringify(descriptors)});
    const { watchReadable } = await import(${JSON.stringify(module)});
    watchReadable(workerData, () => { parentPort.postMessage(takeEventFd(workerData)); });
    parentPort.postMessage('ready');`;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`), {
    workerData: fd,
    execArgv: workerExecArgv(true),
  });
  const messages: unknown[] = [];
  const ended = new Promise((resolve) => worker.once('exit', resolve));
  await new Promise<void>((resolve, reject) => {
    worker.on('error', reject);
    worker.on('message', (message) => {
      messages.push(message);
      if (message === 'ready') signalEventFd(fd);
      else resolve();
    });
  });
  await worker.terminate();
  await ended;
  expect(messages).toEqual(['ready', 1]);
  closeFd(fd);
});
