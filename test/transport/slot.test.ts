import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, test } from 'vitest';
import { SlotChannel } from '../../src/transport/slot/slot-channel.ts';
import {
  Entry,
  FAILED,
  MAX_REQUESTERS,
  Operation,
  POSTED_BATCH,
  packWhat,
  RING_ENTRIES,
  Slot,
  slotAt,
  Thread,
} from '../../src/transport/slot/slot-layout.ts';
import { serveSlots } from '../../src/transport/slot/slot-loop.ts';
import { SlotRequester } from '../../src/transport/slot/slot-requester.ts';
import { SlotResponder, type SlotTarget } from '../../src/transport/slot/slot-responder.ts';
import { workerExecArgv } from '../../src/transport/typescript-loader.ts';
import { HANG, type PolicyName, type SlotThreadData } from './slot-fixture.ts';

const FIXTURE = new URL('./slot-fixture.ts', import.meta.url);
const workers: Worker[] = [];
const stops: Int32Array[] = [];

afterEach(async () => {
  for (const stop of stops.splice(0)) Atomics.store(stop, 0, 1);
  await Promise.all(workers.splice(0).map((worker) => worker.terminate()));
});

async function start(data: SlotThreadData): Promise<Worker> {
  const worker = new Worker(FIXTURE, { workerData: data, execArgv: workerExecArgv(true) });
  workers.push(worker);
  await once(worker, 'message');
  return worker;
}

function stopWord(): SharedArrayBuffer {
  const stop = new SharedArrayBuffer(4);
  stops.push(new Int32Array(stop));
  return stop;
}

const startDevice = (channel: SlotChannel, policy: PolicyName = 'learned'): Promise<Worker> =>
  start({ role: 'device', channel: channel.buffer, policy, stop: stopWord() });

/** Starts a requester. @returns a promise of the number of wrong answers that it got */
async function startRequester(
  channel: SlotChannel,
  index: number,
  accesses: number,
  policy: PolicyName = 'learned',
  pauseMs = 0,
): Promise<{ readonly wrong: Promise<number> }> {
  const { buffer } = channel;
  const worker = await start({
    role: 'requester',
    channel: buffer,
    index,
    accesses,
    policy,
    pauseMs,
  });
  return { wrong: once(worker, 'message').then(([wrong]) => wrong as number) };
}

/** Waits for something that another thread does. */
async function until(isTrue: () => boolean): Promise<void> {
  const end = performance.now() + 30_000;
  while (!isTrue()) {
    if (performance.now() > end) throw new Error('It did not come to that');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** A request as a requester leaves it, without its waiting. */
function leaveRequest(channel: SlotChannel, sequence: number, offset = 0): void {
  const words = new Int32Array(channel.buffer);
  const at = slotAt(0);
  words[at + Slot.WHAT] = packWhat(Operation.READ, 0, 4, 0);
  words[at + Slot.OFFSET] = offset;
  Atomics.store(words, at + Slot.SEQUENCE, sequence);
}

const answered = ({ buffer }: SlotChannel): number =>
  new Int32Array(buffer)[slotAt(0) + Slot.ANSWERED]!;

describe('one access', () => {
  test('arrives as it was asked, with offsets past 4 GiB and unsigned values', () => {
    const channel = new SlotChannel();
    const requester = new SlotRequester(channel, 0);
    const seen: unknown[] = [];
    const responder = new SlotResponder(channel);
    requester.post(0xf_fffe, 5, 0x12_3456_789c, 4, 0xffff_fffe);
    requester.post(3, 0, 7, 1, 0x80);
    responder.serve({
      access: (...access) => {
        seen.push(access);
        return 0;
      },
    });
    expect(seen).toEqual([
      [Operation.WRITE, 0xf_fffe, 5, 0x12_3456_789c, 4, 0xffff_fffe],
      [Operation.WRITE, 3, 0, 7, 1, 0x80],
    ]);
  });

  test('what has different writers is 128 bytes apart', () => {
    const writers = [
      [Thread.DOORBELL],
      [Thread.STATE],
      [Thread.PROGRESS, Thread.SERVING, Thread.SLEEPS],
      [Thread.REQUESTERS, Thread.COMMANDS],
      ...[0, 1, MAX_REQUESTERS - 1]
        .map(slotAt)
        .flatMap((at) => [
          [Slot.SEQUENCE, Slot.WHAT, Slot.OFFSET, Slot.VALUE, Slot.OFFSET_HIGH, Slot.RING_TAIL].map(
            (word) => at + word,
          ),
          [at + Slot.ANSWERED, at + Slot.ANSWER],
          [at + Slot.SLEEPING],
          [at + Slot.RING_HEAD],
          [at + Slot.RING, at + Slot.WORDS - 1],
        ]),
    ];
    const lines = writers.map((words) => new Set(words.map((word) => Math.floor(word / 32))));
    for (const [i, mine] of lines.entries()) {
      for (const others of lines.slice(i + 1)) {
        expect([...mine].filter((line) => others.has(line))).toEqual([]);
      }
    }
    expect(Entry.VALUE).toBeLessThan(4);
  });
});

describe.each(['learned', 'sleep'] as const)('threads that wait by the policy %s', (policy) => {
  test('lose no access and no wake-up, and keep the order of posted writes', async () => {
    const channel = new SlotChannel();
    await startDevice(channel, policy);
    const { wrong } = await startRequester(channel, 0, 2000, policy);
    expect(await wrong).toBe(0);
  });

  test('find each other again when the device has gone to sleep', async () => {
    const channel = new SlotChannel();
    await startDevice(channel, policy);
    const { wrong } = await startRequester(channel, 0, 320, policy, 3);
    expect(await wrong).toBe(0);
    expect(channel.sleeps).toBeGreaterThan(0);
  });

  test('get through with more busy threads than processors', async () => {
    const channel = new SlotChannel();
    const stop = stopWord();
    await startDevice(channel, policy);
    for (let i = 0; i < 3; i++) await start({ role: 'busy', channel: channel.buffer, stop });
    const requesters = await Promise.all(
      [0, 1, 2, 3].map((index) => startRequester(channel, index, 150, policy)),
    );
    expect(await Promise.all(requesters.map(({ wrong }) => wrong))).toEqual([0, 0, 0, 0]);
  });
});

describe('one device thread', () => {
  /** Requests as other threads leave them, without their waiting. */
  function ask(channel: SlotChannel, requester: number, fn: number): void {
    const words = new Int32Array(channel.buffer);
    words[slotAt(requester) + Slot.WHAT] = packWhat(Operation.READ, 0, 4, fn);
    Atomics.store(words, slotAt(requester) + Slot.SEQUENCE, 2);
  }

  test('answers a read after no more than a batch of writes of each other requester, in a flood without end', () => {
    const channel = new SlotChannel();
    const floods = Array.from(
      { length: MAX_REQUESTERS - 1 },
      (_, i) => new SlotRequester(channel, i),
    );
    channel.useRequesters(MAX_REQUESTERS);
    const order: number[] = [];
    const target: SlotTarget = {
      access(_operation, fn) {
        order.push(fn);
        // For each write that was done there is a new one: the ring of a flood never empties.
        if (fn < floods.length && order.length < 100_000) floods[fn]!.post(fn, 0, 0, 4, 1);
        return 0;
      },
    };
    for (const [i, flood] of floods.entries()) {
      for (let n = 1; n < RING_ENTRIES; n++) flood.post(i, 0, 0, 4, n);
    }
    ask(channel, MAX_REQUESTERS - 1, 99);
    new SlotResponder(channel).serve(target);
    expect(order).toHaveLength(floods.length * POSTED_BATCH + 1);
    expect(order.at(-1)).toBe(99);
  });

  test('does all that a requester has posted before its read, however much that is, and serves others in between', () => {
    const channel = new SlotChannel();
    const poster = new SlotRequester(channel, 0);
    channel.useRequesters(2);
    const order: string[] = [];
    const target: SlotTarget = {
      access(operation, fn) {
        order.push(operation === Operation.WRITE ? 'write' : `read ${fn}`);
        return 0;
      },
    };
    for (let n = 0; n < RING_ENTRIES; n++) poster.post(0, 0, 0, 4, n);
    ask(channel, 0, 0);
    ask(channel, 1, 1);
    const responder = new SlotResponder(channel);
    while (responder.serve(target) > 0);
    expect(order.indexOf('read 1')).toBe(POSTED_BATCH);
    expect(order.slice(0, order.indexOf('read 0')).filter((what) => what === 'write')).toHaveLength(
      RING_ENTRIES,
    );
    expect(order).toHaveLength(RING_ENTRIES + 2);
  });

  test('has a turn of its event loop after so many milliseconds of accesses that never end, and no later', async () => {
    const channel = new SlotChannel();
    const flood = new SlotRequester(channel, 0);
    let time = 0;
    let accesses = 0;
    const turns: number[] = [];
    const target: SlotTarget = {
      access() {
        accesses++;
        time += 1;
        flood.post(0, 0, 0, 4, 0);
        return 0;
      },
    };
    flood.post(0, 0, 0, 4, 0);
    await serveSlots({
      responder: new SlotResponder(channel),
      target,
      now: () => time,
      over: () => turns.length === 20,
      turn: async () => void turns.push(accesses),
      called: () => undefined,
      resting: () => undefined,
    });
    const gaps = turns.map((at, i) => at - (turns[i - 1] ?? 0));
    // 64 accesses until the clock is looked at, which the pass over the slots ends that is then under way.
    expect(Math.max(...gaps)).toBeLessThanOrEqual(64 + POSTED_BATCH);
  });
});

test('more posted writes than the ring has room for all arrive, in order', async () => {
  const channel = new SlotChannel();
  await startDevice(channel);
  const requester = new SlotRequester(channel, 0);
  const count = 10 * RING_ENTRIES + 7;
  for (let i = 0; i < count; i++) requester.post(1, 0, 0, 4, i);
  expect(requester.request(Operation.READ, 1, 0, 0, 4, 0)).toBe((count * (count - 1)) / 2);
});

test('sequence numbers and ring positions wrap around', async () => {
  const channel = new SlotChannel();
  const words = new Int32Array(channel.buffer);
  const at = slotAt(0);
  words[at + Slot.SEQUENCE] = 0x7fff_fffa;
  words[at + Slot.ANSWERED] = 0x7fff_fffa;
  words[at + Slot.RING_TAIL] = 0x7fff_fffe;
  words[at + Slot.RING_HEAD] = 0x7fff_fffe;
  await startDevice(channel);
  const { wrong } = await startRequester(channel, 0, 200);
  expect(await wrong).toBe(0);
  expect(words[at + Slot.SEQUENCE]).toBeLessThan(0);
});

describe('a supervisor', () => {
  test('answers with all ones in the place of a device that hangs, and a new one serves on', async () => {
    const channel = new SlotChannel();
    const hanging = await startDevice(channel);
    const main = new SlotRequester(channel, 0, { onSlice: () => channel.close(), sliceMs: 50 });
    expect(main.request(Operation.READ, 2, 3, HANG, 2, 0)).toBe(0xffff_ffff);
    expect(channel.closed).toBe(true);
    expect(channel.serving).toEqual({ function: 2, text: 'a read of 2 bytes at 0x666 of BAR 3' });
    // Nobody serves: reads are all ones at once, writes vanish.
    main.post(2, 0, 0, 4, 1);
    expect(main.request(Operation.READ, 2, 0, 0, 4, 0)).toBe(0xffff_ffff);
    expect(main.flush()).toBe(false);
    await hanging.terminate();
    channel.reopen();
    await startDevice(channel);
    main.post(2, 0, 0, 4, 5);
    expect(main.request(Operation.READ, 2, 0, 0, 4, 0)).toBe(5);
  });

  test('frees every requester that waits, asleep or not', async () => {
    const channel = new SlotChannel();
    const waiting = await Promise.all(
      (['learned', 'sleep', 'spin'] as const).map((policy, index) =>
        startRequester(channel, index, 1, policy),
      ),
    );
    await until(() => channel.progress !== undefined);
    channel.close();
    // Those that come only now are freed as well.
    expect(await Promise.all(waiting.map(({ wrong }) => wrong))).toEqual([1, 1, 1]);
  });

  test('has answered for good: the late answer of a replaced device has no effect', () => {
    const channel = new SlotChannel();
    channel.useRequesters(1);
    const late = new SlotResponder(channel);
    leaveRequest(channel, 2);
    const replace = (): number => {
      channel.close();
      channel.reopen();
      return 0x1234;
    };
    late.serve({ access: replace });
    expect(answered(channel)).toBe(2 | FAILED);
    leaveRequest(channel, 4);
    new SlotResponder(channel).serve({ access: () => 0x5678 });
    expect(answered(channel)).toBe(4);
    expect(new Int32Array(channel.buffer)[slotAt(0) + Slot.ANSWER]).toBe(0x5678);
  });

  test('leaves a device that was replaced nothing more to do', () => {
    const channel = new SlotChannel();
    const requester = new SlotRequester(channel, 0);
    let done = 0;
    const target: SlotTarget = {
      access() {
        done++;
        channel.close();
        return 0;
      },
    };
    for (let i = 0; i < 3; i++) requester.post(0, 0, 0, 4, 1);
    const responder = new SlotResponder(channel);
    responder.serve(target);
    expect(done).toBe(1);
    expect(responder.closed).toBe(true);
  });

  test('sees work that makes no progress, and none where there is no work', async () => {
    const channel = new SlotChannel();
    const requester = new SlotRequester(channel, 0);
    expect(channel.progress).toBeUndefined();
    requester.post(0, 0, 0, 4, 1);
    const stuck = channel.progress;
    expect(stuck).toBeDefined();
    expect(channel.progress).toBe(stuck);
    new SlotResponder(channel).serve({ access: () => 0 });
    expect(channel.progress).toBeUndefined();
  });
});

test('a requester that was ended in the middle of an access leaves its slot usable', async () => {
  const channel = new SlotChannel();
  leaveRequest(channel, 2);
  const next = new SlotRequester(channel, 0);
  expect(answered(channel)).toBe(2 | FAILED);
  await startDevice(channel);
  next.post(0, 0, 0, 4, 9);
  expect(next.request(Operation.READ, 0, 0, 0, 4, 0)).toBe(9);
});

test('a device that nobody asks anything sleeps, and is woken once by an access, never by others’', async () => {
  const [idle, busy] = [new SlotChannel(), new SlotChannel()];
  await Promise.all([startDevice(idle), startDevice(busy)]);
  await until(() => idle.sleeps === 1);
  const { wrong } = await startRequester(busy, 0, 500);
  expect(await wrong).toBe(0);
  expect(idle.sleeps).toBe(1);
  new SlotRequester(idle, 0).request(Operation.SYNC, 0, 0, 0, 0, 0);
  await until(() => idle.sleeps === 2);
  await startRequester(busy, 1, 500).then(({ wrong }) => wrong);
  expect(idle.sleeps).toBe(2);
});

test('a slot that does not exist is refused', () => {
  expect(() => new SlotRequester(new SlotChannel(), MAX_REQUESTERS)).toThrow('slots are 0 to 15');
});
