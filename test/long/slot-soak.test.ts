import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { SlotChannel } from '../../src/transport/slot/slot-channel.ts';
import { workerExecArgv } from '../../src/transport/typescript-loader.ts';
import type { SoakResult, SoakThreadData } from './slot-soak-thread.ts';

const LONG = process.env.HDVKIT_LONG === '1';
const ROUNDS = LONG ? 20_000 : 60;
const TIMEOUT = LONG ? 3_600_000 : 120_000;
const SEED = Number(process.env.HDVKIT_SEED ?? Date.now() % 2 ** 31);
const PROCESSORS = 4;

const THREAD = new URL('./slot-soak-thread.ts', import.meta.url);

test(
  'processors that write, read, wait and stall at random lose nothing, with more busy threads than cores',
  async () => {
    const { buffer: channel } = new SlotChannel();
    const stop = new SharedArrayBuffer(4);
    const workers: Worker[] = [];
    const start = async (data: SoakThreadData): Promise<Worker> => {
      const worker = new Worker(THREAD, { workerData: data, execArgv: workerExecArgv(true) });
      workers.push(worker);
      await once(worker, 'message');
      return worker;
    };
    try {
      await start({ role: 'device', channel, stop });
      for (let i = 0; i < Math.min(availableParallelism(), 8); i++) {
        await start({ role: 'busy', stop });
      }
      const results = Array.from({ length: PROCESSORS }, async (_, index) => {
        const data = { role: 'processor', channel, index, seed: SEED, rounds: ROUNDS } as const;
        const [result] = await once(await start(data), 'message');
        return result as SoakResult;
      });
      for (const { wrong, accesses } of await Promise.all(results)) {
        expect(wrong, `HDVKIT_SEED=${SEED}`).toEqual([]);
        expect(accesses).toBeGreaterThan(ROUNDS / 2);
      }
    } finally {
      Atomics.store(new Int32Array(stop), 0, 1);
      await Promise.all(workers.map((worker) => worker.terminate()));
    }
  },
  TIMEOUT,
);
