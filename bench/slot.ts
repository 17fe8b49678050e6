/**
 * How long does a processor wait for a device on another thread?
 *
 * *awake*: round trips back to back. *asleep*: the processor works for 1 ms before each, so that the device's thread
 * has gone to sleep. Each way is measured in every round, in turns, so that they see the same machine; ratios are of one round.
 */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { remark } from '../src/cli/terminal.ts';
import { UsageError } from '../src/cli/usage-error.ts';
import { LearnedSpin } from '../src/ffi/gate/learned-spin.ts';
import { SlotChannel } from '../src/transport/slot/slot-channel.ts';
import { Operation } from '../src/transport/slot/slot-layout.ts';
import { serveSlots } from '../src/transport/slot/slot-loop.ts';
import { SlotRequester, type WaitingPolicy } from '../src/transport/slot/slot-requester.ts';
import { SlotResponder, type SlotTarget } from '../src/transport/slot/slot-responder.ts';
import { runsFromSource, workerExecArgv } from '../src/transport/typescript-loader.ts';
import { compilePeer, type Peer } from './peers/compile-peer.ts';
import { count, eachRound, type Measurement, median, print, ratio } from './report.ts';

const ROUNDS = count('--rounds', 15);
/** Round trips between two looks at the clock, while both are awake. */
const TRIPS = 20;
const AWAKE_BATCHES = 1500;
const ASLEEP_TRIPS = 60;
const PAUSE_MS = 1;

const MESSAGE = 'postMessage and back';
const TASK = 'piscina.run per access';

type Policy = 'polling' | 'adaptive' | 'sleeping';

const policyOf = (policy: Policy): WaitingPolicy =>
  policy === 'polling'
    ? { budget: Number.POSITIVE_INFINITY, found() {}, missed() {} }
    : new LearnedSpin(policy === 'adaptive' ? 50_000 : 0);

/** 32 registers without side effects. */
class Registers implements SlotTarget {
  readonly #words = new Uint32Array(32);

  access(operation: number, _fn: number, _bar: number, offset: number, _w: number, value: number) {
    const index = (offset >>> 2) & 31;
    if (operation === Operation.WRITE) this.#words[index] = value;
    return this.#words[index]!;
  }
}

interface DeviceData {
  readonly policy: Policy;
  readonly channel: SharedArrayBuffer;
  /** Word 0: 0: a thread that polls waits until it is 1. */
  readonly gate: SharedArrayBuffer;
}

/** Runs on a worker until that is ended. `adaptive` is the loop that devices have; the others are for comparison. */
async function serve({ policy, channel, gate }: DeviceData): Promise<void> {
  const responder = new SlotResponder(
    new SlotChannel(channel),
    policy === 'adaptive' ? undefined : policyOf(policy),
  );
  const target = new Registers();
  const open = new Int32Array(gate);
  parentPort!.on('message', (message) => parentPort!.postMessage(message));
  parentPort!.postMessage('ready');
  if (policy === 'adaptive') {
    await serveSlots({
      responder,
      target,
      over: () => false,
      turn: () => new Promise((resolve) => setImmediate(resolve)),
      called: () => undefined,
      resting: () => undefined,
    });
  }
  for (let idle = 0; ; ) {
    if (responder.serve(target)) idle = 0;
    else if (policy === 'sleeping') responder.sleep();
    else if (++idle % 4096 === 0) Atomics.wait(open, 0, 0);
  }
}

/** One way across. Awake: nanoseconds per round trip; asleep: microseconds. */
interface Way {
  readonly name: string;
  awake?(): number | Promise<number>;
  asleep?(): number | Promise<number>;
}

async function startThread(data: object): Promise<Worker> {
  const worker = new Worker(new URL(import.meta.url), {
    workerData: data,
    execArgv: workerExecArgv(runsFromSource),
  });
  await once(worker, 'message');
  return worker;
}

function pause(): void {
  for (const end = performance.now() + PAUSE_MS; performance.now() < end; );
}

async function slotWay(policy: Policy): Promise<Way> {
  const channel = new SlotChannel();
  const gate = new SharedArrayBuffer(4);
  const open = new Int32Array(gate);
  await startThread({ policy, channel: channel.buffer, gate } satisfies DeviceData);
  const requester = new SlotRequester(channel, 0, { policy: policyOf(policy) });
  const read = (): number => requester.request(Operation.READ, 0, 0, 4, 4, 0);
  return {
    name: `slot, ${policy}`,
    awake() {
      Atomics.store(open, 0, 1);
      Atomics.notify(open, 0);
      for (let i = 0; i < 20_000; i++) read();
      const times: number[] = [];
      for (let batch = 0; batch < AWAKE_BATCHES; batch++) {
        const started = process.hrtime.bigint();
        for (let i = 0; i < TRIPS; i++) read();
        times.push(Number(process.hrtime.bigint() - started) / TRIPS);
      }
      Atomics.store(open, 0, 0);
      return median(times);
    },
    ...(policy === 'polling'
      ? {}
      : {
          // Turns of this thread's event loop in between would let nothing else happen: this blocks as a processor does.
          asleep() {
            const times: number[] = [];
            for (let trip = 0; trip < ASLEEP_TRIPS; trip++) {
              pause();
              const started = process.hrtime.bigint();
              read();
              times.push(Number(process.hrtime.bigint() - started) / 1000);
            }
            return median(times);
          },
        }),
  };
}

/** Ways that need this thread's event loop. */
function asyncWay(name: string, trip: () => Promise<unknown>): Way {
  const measure = async (trips: number, before: () => void): Promise<number> => {
    const times: number[] = [];
    for (let i = 0; i < trips; i++) {
      before();
      const started = process.hrtime.bigint();
      await trip();
      times.push(Number(process.hrtime.bigint() - started));
    }
    return median(times);
  };
  return {
    name,
    awake: () => measure(1000, () => undefined),
    asleep: async () => (await measure(ASLEEP_TRIPS, pause)) / 1000,
  };
}

async function messageWay(): Promise<Way> {
  const data = {
    policy: 'adaptive',
    channel: new SlotChannel().buffer,
    gate: new SharedArrayBuffer(4),
  };
  const worker = await startThread(data);
  let answered: () => void = () => undefined;
  worker.on('message', () => answered());
  const access = { fn: 0, bar: 0, offset: 4, width: 4 };
  return asyncWay(
    MESSAGE,
    () =>
      new Promise<void>((resolve) => {
        answered = resolve;
        worker.postMessage(access);
      }),
  );
}

function taskWay(folder: string): { readonly way: Way; readonly pool: Piscina } {
  const pool = new Piscina({
    filename: join(folder, 'task.mjs'),
    minThreads: 1,
    maxThreads: 1,
    idleTimeout: Number.POSITIVE_INFINITY,
  });
  const access = { fn: 0, bar: 0, offset: 4, width: 4 };
  return { way: asyncWay(TASK, () => pool.run(access)), pool };
}

interface PeerWays {
  readonly spin: Way;
  readonly half: Way;
  readonly futex: Way;
  readonly compiler: string;
}

/** Two threads in C; undefined where there is no compiler, or no futex. */
async function peerWays(folder: string): Promise<PeerWays | undefined> {
  let peer: Peer;
  try {
    peer = await compilePeer('ping-pong.c', folder);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    remark(`Without two threads in C: ${error.message}; ${error.remedy}`);
    return undefined;
  }
  const { program, compiler } = peer;
  const run = (mode: string, batches: number, trips: number, pauseNs: number): number =>
    Number(
      execFileSync(program, [mode, batches, trips, pauseNs].map(String), { encoding: 'utf8' }),
    );
  return {
    compiler,
    spin: { name: 'C, polling', awake: () => run('spin', AWAKE_BATCHES, TRIPS, 0) },
    half: {
      name: 'C, the device sleeps in a futex, the processor polls',
      asleep: () => run('half', ASLEEP_TRIPS, 1, PAUSE_MS * 1e6) / 1000,
    },
    futex: {
      name: 'C, both sleep in a futex',
      awake: () => run('futex', 100, TRIPS, 0),
      asleep: () => run('futex', ASLEEP_TRIPS, 1, PAUSE_MS * 1e6) / 1000,
    },
  };
}

/** Every way in every round. */
async function measure(
  ways: readonly Way[],
  regime: 'awake' | 'asleep',
): Promise<Map<string, number[]>> {
  const results = new Map<string, number[]>();
  await eachRound(regime, ROUNDS, async (_, counts) => {
    for (const way of ways) {
      const time = await way[regime]?.();
      if (time === undefined || !counts) continue;
      results.set(way.name, [...(results.get(way.name) ?? []), time]);
    }
  });
  return results;
}

function rows(results: Map<string, number[]>, regime: string, unit: string): Measurement[] {
  return [...results].map(([name, samples]) => ({ name: `${regime}: ${name}`, unit, samples }));
}

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'hdvkit-slot-'));
  writeFileSync(join(folder, 'task.mjs'), 'export default ({ offset }) => offset;\n');
  const peers = await peerWays(folder);
  const { way: task, pool } = taskWay(folder);
  try {
    const slots = [await slotWay('polling'), await slotWay('adaptive'), await slotWay('sleeping')];
    const peerList = peers === undefined ? [] : [peers.spin, peers.half, peers.futex];
    const ways = [...peerList, ...slots, await messageWay(), task];
    const awake = await measure(ways, 'awake');
    const asleep = await measure(ways, 'asleep');
    print({
      versions: peers === undefined ? undefined : { compiler: peers.compiler },
      title: 'Round trip from a processor to a device on another thread, median of a round',
      measurements: [
        ...rows(awake, 'awake', 'ns'),
        ...rows(asleep, 'asleep', 'µs'),
        ...ratio(
          'awake: slot, polling, to C, polling',
          awake.get('slot, polling'),
          awake.get('C, polling'),
        ),
        ...ratio(
          'awake: slot, adaptive, to C, polling',
          awake.get('slot, adaptive'),
          awake.get('C, polling'),
        ),
        ...ratio(
          'asleep: slot, adaptive, to C, which sleeps and polls as it does',
          asleep.get('slot, adaptive'),
          asleep.get('C, the device sleeps in a futex, the processor polls'),
        ),
        ...['awake', 'asleep'].flatMap((regime) => {
          const times = regime === 'awake' ? awake : asleep;
          return [MESSAGE, TASK].flatMap((other) =>
            ratio(
              `${regime}: ${other}, to slot, adaptive`,
              times.get(other),
              times.get('slot, adaptive'),
            ),
          );
        }),
        ...ratio(
          'asleep: slot, adaptive, to C, both sleep in a futex',
          asleep.get('slot, adaptive'),
          asleep.get('C, both sleep in a futex'),
        ),
      ],
    });
  } finally {
    await pool.destroy();
    rmSync(folder, { recursive: true, force: true });
  }
}

if (isMainThread) {
  await main();
  process.exit();
} else {
  await serve(workerData as DeviceData);
}
