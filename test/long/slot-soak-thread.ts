import { parentPort, workerData } from 'node:worker_threads';
import { SlotChannel } from '../../src/transport/slot/slot-channel.ts';
import { Operation } from '../../src/transport/slot/slot-layout.ts';
import { SlotRequester } from '../../src/transport/slot/slot-requester.ts';
import { SlotResponder, type SlotTarget } from '../../src/transport/slot/slot-responder.ts';

/** What a thread of the soak is started with. */
export type SoakThreadData =
  | { readonly role: 'busy'; readonly stop: SharedArrayBuffer }
  | {
      readonly role: 'device';
      readonly channel: SharedArrayBuffer;
      readonly stop: SharedArrayBuffer;
    }
  | {
      readonly role: 'processor';
      readonly channel: SharedArrayBuffer;
      readonly index: number;
      readonly seed: number;
      readonly rounds: number;
    };

/** What a processor has seen. */
export interface SoakResult {
  readonly accesses: number;
  /** The first things that were not as they had to be. */
  readonly wrong: readonly string[];
}

/** Offsets of the device: the last number written, how often the order was wrong, and how long not to answer, in µs. */
const At = { LAST: 0, DISORDER: 4, STALL: 8 } as const;

/** Each function is one processor's, which writes 1, 2, 3, … to it. */
class OrderedTarget implements SlotTarget {
  readonly #last = new Uint32Array(16);
  readonly #disorder = new Uint32Array(16);

  access(operation: number, fn: number, _bar: number, offset: number, _w: number, value: number) {
    if (offset === At.STALL) busy(value / 1000);
    else if (operation === Operation.WRITE) {
      if (value !== this.#last[fn]! + 1) this.#disorder[fn]!++;
      this.#last[fn] = value;
    }
    return offset === At.DISORDER ? this.#disorder[fn]! : this.#last[fn]!;
  }
}

/** mulberry32: the same numbers for the same seed. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b_79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function busy(ms: number): void {
  for (const end = performance.now() + ms; performance.now() < end; );
}

function serve(channel: SlotChannel, stop: Int32Array): void {
  const responder = new SlotResponder(channel);
  const target = new OrderedTarget();
  while (Atomics.load(stop, 0) === 0) {
    if (responder.spin(target) > 0 || responder.takeCall()) continue;
    responder.sleep();
  }
}

function drive(channel: SlotChannel, index: number, seed: number, rounds: number): SoakResult {
  const random = generator(seed + index);
  const upTo = (limit: number): number => 1 + Math.floor(random() * limit);
  const requester = new SlotRequester(channel, index);
  const wrong: string[] = [];
  let accesses = 0;
  let written = 0;
  const write = (count: number): void => {
    for (let i = 0; i < count; i++) requester.post(index, 0, At.LAST, 4, ++written);
    accesses += count;
  };
  const check = (what: string, offset: number, expected: number): void => {
    const value = requester.request(Operation.READ, index, 0, offset, 4, 0);
    accesses++;
    if (value !== expected && wrong.length < 5) wrong.push(`${what} is ${value}, not ${expected}`);
  };
  for (let round = 0; round < rounds; round++) {
    const choice = random();
    if (choice < 0.5) write(upTo(8));
    else if (choice < 0.6) write(upTo(700));
    else if (choice < 0.65) requester.request(Operation.WRITE, index, 0, At.STALL, 4, upTo(3000));
    else if (choice < 0.7) requester.post(index, 0, At.STALL, 4, upTo(3000));
    else if (choice < 0.75) busy(random() * 3);
    else if (choice < 0.8) requester.flush();
    if (random() < 0.7) check(`the last write of round ${round}`, At.LAST, written);
  }
  check('the last write', At.LAST, written);
  check('writes out of order', At.DISORDER, 0);
  return { accesses, wrong };
}

const data = workerData as SoakThreadData | null;
if (data?.role !== undefined) {
  parentPort!.postMessage('ready');
  if (data.role === 'busy') {
    const stop = new Int32Array(data.stop);
    while (Atomics.load(stop, 0) === 0);
  } else if (data.role === 'device') {
    serve(new SlotChannel(data.channel), new Int32Array(data.stop));
  } else {
    const { channel, index, seed, rounds } = data;
    parentPort!.postMessage(drive(new SlotChannel(channel), index, seed, rounds));
  }
}
