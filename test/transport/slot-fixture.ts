import { parentPort, workerData } from 'node:worker_threads';
import { LearnedSpin } from '../../src/ffi/gate/learned-spin.ts';
import { SlotChannel } from '../../src/transport/slot/slot-channel.ts';
import { Operation } from '../../src/transport/slot/slot-layout.ts';
import { SlotRequester, type WaitingPolicy } from '../../src/transport/slot/slot-requester.ts';
import { SlotResponder, type SlotTarget } from '../../src/transport/slot/slot-responder.ts';

/** What the threads of the slot tests are started with. */
export type SlotThreadData = { readonly channel: SharedArrayBuffer } & (
  | { readonly role: 'device'; readonly policy: PolicyName; readonly stop: SharedArrayBuffer }
  | {
      readonly role: 'requester';
      readonly policy: PolicyName;
      readonly index: number;
      readonly accesses: number;
      /** Milliseconds of work before some accesses, so that the device has gone to sleep by then. */
      readonly pauseMs?: number;
    }
  | { readonly role: 'busy'; readonly stop: SharedArrayBuffer }
);

/** How a thread waits: as learned, never looking, or always looking. */
export type PolicyName = 'learned' | 'sleep' | 'spin';

/** What the device does not come back from. */
export const HANG = 0x666;

export function policyOf(name: PolicyName): WaitingPolicy {
  if (name === 'spin') return { budget: Number.MAX_SAFE_INTEGER, found() {}, missed() {} };
  return new LearnedSpin(name === 'learned' ? 50_000 : 0);
}

/** A word per function: reads give it, writes add to it, so that a lost or repeated write shows. */
export class CountingTarget implements SlotTarget {
  readonly sums = new Uint32Array(32);

  access(operation: number, fn: number, _bar: number, offset: number, _w: number, value: number) {
    if (offset === HANG) for (;;);
    if (operation === Operation.WRITE) this.sums[fn] = (this.sums[fn] ?? 0) + value;
    return this.sums[fn] ?? 0;
  }
}

function serve(channel: SlotChannel, policy: PolicyName, stop: Int32Array): void {
  const responder = new SlotResponder(channel, policyOf(policy));
  const target = new CountingTarget();
  while (Atomics.load(stop, 0) === 0 && !responder.closed) {
    if (responder.spin(target)) responder.takeCall();
    else responder.sleep();
  }
}

/** Each round posts three writes and reads the sum. @returns rounds whose sum was wrong */
function access(
  channel: SlotChannel,
  index: number,
  rounds: number,
  policy: PolicyName,
  pauseMs: number,
) {
  const requester = new SlotRequester(channel, index, { policy: policyOf(policy) });
  let wrong = 0;
  for (let round = 1; round <= rounds; round++) {
    if (pauseMs > 0 && round % 16 === 0) {
      const end = performance.now() + pauseMs;
      while (performance.now() < end);
    }
    for (let i = 1; i <= 3; i++) requester.post(index, 0, 0, 4, i);
    const sum = requester.request(Operation.READ, index, 0, 0, 4, 0);
    if (sum !== round * 6) wrong++;
  }
  return wrong;
}

const data = workerData as SlotThreadData | null;
if (data?.role !== undefined) {
  parentPort!.postMessage('ready');
  const channel = new SlotChannel(data.channel);
  if (data.role === 'device') {
    serve(channel, data.policy, new Int32Array(data.stop));
  } else if (data.role === 'busy') {
    const stop = new Int32Array(data.stop);
    while (Atomics.load(stop, 0) === 0);
  } else {
    const { index, accesses, policy, pauseMs = 0 } = data;
    parentPort!.postMessage(access(channel, index, accesses, policy, pauseMs));
  }
}
