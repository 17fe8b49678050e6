import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { DeviceWorker } from '../../src/transport/device-worker.ts';
import type { DeviceWorkerOptions } from '../../src/transport/worker-launch.ts';
import type { FixtureData } from './worker-fixture.ts';

const entry = new URL('./worker-fixture.ts', import.meta.url);
const started: DeviceWorker[] = [];

async function start(
  data: FixtureData = {},
  options: Partial<DeviceWorkerOptions> = {},
): Promise<DeviceWorker> {
  const worker = await DeviceWorker.start({ entry, data, ...options });
  started.push(worker);
  return worker;
}

afterEach(async () => {
  await Promise.all(started.splice(0).map((worker) => worker.stop()));
});

test('a worker answers commands in order once it is ready', async () => {
  const worker = await start();
  expect(worker.readyValue).toEqual({ pid: process.pid });
  const answers = await Promise.all([1, 2, 3].map((n) => worker.call('echo', n)));
  expect(answers).toEqual([1, 2, 3]);
});

test('each turn that a worker gives its event loop is a whole one', async () => {
  const worker = await start({ before: 'turn' });
  expect(worker.readyValue).toBe(20);
});

test('a command that throws rejects with class, code and message, and the worker goes on', async () => {
  const worker = await start();
  const error = await worker.call('throw').catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(TypeError);
  expect(error).toMatchObject({ message: 'Cannot do this', code: 'E_TEST' });
  expect(await worker.call('echo', 'still here')).toBe('still here');
});

test('a worker that is asked to stop ends without an error', async () => {
  const worker = await start();
  expect(await worker.stop()).toEqual({ error: undefined });
  await expect(worker.call('echo')).rejects.toThrow('has ended');
});

test('what the worker reports arrives before its end does', async () => {
  const notices: unknown[] = [];
  const worker = await start({}, { notice: (notice) => notices.push(notice) });
  await worker.call('notify', 'one');
  const end = worker.call('exit').catch(() => undefined);
  expect((await worker.ended).error?.message).toContain('process.exit(3)');
  await end;
  expect(notices).toEqual(['one']);
});

test('an entry that throws before it is ready makes start reject with the error and its cause', async () => {
  const error = await start({ before: 'throw' }).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(RangeError);
  expect(error).toMatchObject({ message: 'Cannot begin', cause: { message: 'no reason' } });
});

test.each([
  ['exit', 'process.exit(7)'],
  ['return', 'returned at once'],
] as const)(
  'an entry that ends by %s before it is ready makes start reject',
  async (before, text) => {
    await expect(start({ before })).rejects.toThrow(text);
  },
);

test('an entry that does not exist makes start reject and names the file', async () => {
  const missing = new URL('./no-such-entry.ts', import.meta.url);
  await expect(DeviceWorker.start({ entry: missing, data: {} })).rejects.toThrow(
    'no-such-entry.ts',
  );
});

test.each([
  ['exit', /process\.exit\(3\)/],
  ['fill', /out of heap/],
  ['late', /thrown late/],
] as const)(
  'a worker that dies by "%s" reports why and rejects the open command',
  async (how, reason) => {
    const worker = await start({}, { heapLimit: 32 });
    const command = worker.call(how).then(
      () => undefined,
      (error: unknown) => error,
    );
    const end = await worker.ended;
    expect(end.error?.message).toMatch(reason);
    expect(worker.over).toBe(true);
    await command;
  },
);

test('a worker that loops for ever is ended, and its neighbour is not', async () => {
  const [looping, neighbour] = await Promise.all([start(), start()]);
  const command = looping.call('loop').catch((error: unknown) => error);
  await looping.terminate();
  expect(await command).toBeInstanceOf(Error);
  expect(await neighbour.call('echo', 'fine')).toBe('fine');
});

test.runIf(process.platform === 'linux')(
  'a worker that makes native objects for ever is ended between two of them',
  async () => {
    for (let round = 0; round < 4; round++) {
      const worker = await start();
      const begun = worker.control.progress + 1000;
      const command = worker.call('view').catch((error: unknown) => error);
      while (worker.control.progress < begun) await nextTurn();
      await worker.terminate();
      expect(await command).toBeInstanceOf(Error);
    }
  },
);

test('aborting a start ends the thread', async () => {
  await expect(start({}, { signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow(
    'enough',
  );
  const controller = new AbortController();
  const starting = start({}, { signal: controller.signal });
  controller.abort(new Error('changed my mind'));
  await expect(starting).rejects.toThrow('changed my mind');
});

/** The processes of these tests run from source, which a Windows Node under Wine does not. */
const runsFromSource = import.meta.url.endsWith('.ts');

test.runIf(runsFromSource).each([0, 60, 120, 250, 500])(
  'a process that exits %d ms after it began to start a worker exits with its own code',
  async (delay) => {
    const source = `
      import { DeviceWorker } from ${JSON.stringify(new URL('../../src/transport/device-worker.ts', import.meta.url).href)};
      DeviceWorker.start({ entry: new URL(${JSON.stringify(entry.href)}), data: {} }).catch(() => {});
      setTimeout(() => process.exit(9), ${delay});`;
    expect(await endOf(source)).toEqual({ code: 9, signal: null });
  },
);

test.runIf(runsFromSource && process.platform === 'linux').each([1, 2, 3])(
  'a process that exits while workers make native objects exits with its own code (%d)',
  async () => {
    const source = `
      import { DeviceWorker } from ${JSON.stringify(new URL('../../src/transport/device-worker.ts', import.meta.url).href)};
      const start = () => DeviceWorker.start({ entry: new URL(${JSON.stringify(entry.href)}), data: {} });
      const workers = await Promise.all([start(), start(), start()]);
      for (const worker of workers) worker.call('view').catch(() => {});
      setTimeout(() => process.exit(9), 50);`;
    expect(await endOf(source)).toEqual({ code: 9, signal: null });
  },
);

/** How a process that runs `source` ends. */
async function endOf(
  source: string,
): Promise<{ readonly code: unknown; readonly signal: unknown }> {
  const args = [
    '--import',
    'tsx',
    '--conditions=hdvkit-source',
    '--input-type=module',
    '-e',
    source,
  ];
  const child = spawn(process.execPath, args, {
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const [code, signal] = await once(child, 'exit');
  return { code, signal };
}
