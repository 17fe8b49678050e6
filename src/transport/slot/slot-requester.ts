import { availableParallelism } from 'node:os';
import { LearnedSpin } from '../../ffi/gate/learned-spin.ts';
import { failRequest, type SlotChannel } from './slot-channel.ts';
import {
  ENTRY_WORDS,
  Entry,
  FAILED,
  FAR,
  MAX_REQUESTERS,
  Operation,
  type OperationCode,
  packWhat,
  RING_ENTRIES,
  Slot,
  State,
  slotAt,
  Thread,
} from './slot-layout.ts';

/** Most polls of one spin: about 0.4 ms. */
const SPIN_LIMIT = 50_000;

/** How long to look before sleeping. */
export type WaitingPolicy = Pick<LearnedSpin, 'budget' | 'found' | 'missed'>;

/** The policy for this machine: with one processor, looking keeps the other side from answering. */
export function learnedPolicy(limit = SPIN_LIMIT): WaitingPolicy {
  return new LearnedSpin(availableParallelism() > 1 ? limit : 0);
}

/** How a requester waits; everything has a default. */
export interface RequesterOptions {
  readonly policy?: WaitingPolicy;
  /**
   * Called every `sliceMs` of a wait, by a thread that must supervise the device thread as nobody else can while it is
   * blocked here.
   */
  readonly onSlice?: () => void;
  readonly sliceMs?: number;
}

/**
 * The end of a channel that accesses functions: main's, or a virtual processor's. One thread owns it; an access
 * allocates nothing, and always returns: in a closed channel reads are all ones and writes vanish.
 */
export class SlotRequester {
  readonly #words: Int32Array;
  readonly #at: number;
  readonly #policy: WaitingPolicy;
  readonly #onSlice: (() => void) | undefined;
  readonly #sliceMs: number;
  #sequence: number;
  #answered: number;
  #tail: number;
  /** Of the posted writes, how many were done when this thread last looked: their line is the device thread's. */
  #head: number;

  /** @param index of the slot, which no other requester has */
  constructor(
    channel: SlotChannel,
    index: number,
    {
      policy = learnedPolicy(),
      onSlice,
      sliceMs = Number.POSITIVE_INFINITY,
    }: RequesterOptions = {},
  ) {
    if (!(Number.isInteger(index) && index >= 0 && index < MAX_REQUESTERS)) {
      throw new RangeError(`Cannot use slot ${index}: slots are 0 to ${MAX_REQUESTERS - 1}`);
    }
    const words = new Int32Array(channel.buffer);
    this.#words = words;
    this.#at = slotAt(index);
    this.#policy = policy;
    this.#onSlice = onSlice;
    this.#sliceMs = sliceMs;
    // The former owner may have ended in the middle of an access.
    failRequest(words, this.#at);
    this.#sequence = Atomics.load(words, this.#at + Slot.SEQUENCE);
    this.#answered = Atomics.load(words, this.#at + Slot.ANSWERED);
    this.#tail = Atomics.load(words, this.#at + Slot.RING_TAIL);
    this.#head = Atomics.load(words, this.#at + Slot.RING_HEAD);
    Atomics.store(words, this.#at + Slot.SLEEPING, 0);
    channel.useRequesters(index + 1);
  }

  /** Posts a write to a BAR and goes on; a later request of this requester comes after it. */
  post(fn: number, bar: number, offset: number, width: number, value: number): void {
    const words = this.#words;
    const at = this.#at;
    const tail = this.#tail;
    if (((tail - this.#head) | 0) >= RING_ENTRIES && !this.#makeRoom()) return;
    const entry = at + Slot.RING + (tail & (RING_ENTRIES - 1)) * ENTRY_WORDS;
    let what = packWhat(Operation.WRITE, bar, width, fn);
    if (offset >= 0x1_0000_0000) {
      what |= FAR;
      words[entry + Entry.OFFSET_HIGH] = offset / 0x1_0000_0000;
    }
    words[entry + Entry.WHAT] = what;
    words[entry + Entry.OFFSET] = offset;
    words[entry + Entry.VALUE] = value;
    this.#tail = (tail + 1) | 0;
    Atomics.store(words, at + Slot.RING_TAIL, this.#tail);
    if ((Atomics.load(words, Thread.STATE) & State.SLEEPING) !== 0) this.#ring();
  }

  /**
   * Waits for an answer. Posted writes of this requester are done first (PCIe 6.0, 2.4.1).
   * @returns 32 bits, unsigned: all ones when the device thread is gone
   */
  request(
    operation: OperationCode,
    fn: number,
    bar: number,
    offset: number,
    width: number,
    value: number,
  ): number {
    const words = this.#words;
    const at = this.#at;
    let what = packWhat(operation, bar, width, fn);
    if (offset >= 0x1_0000_0000) {
      what |= FAR;
      words[at + Slot.OFFSET_HIGH] = offset / 0x1_0000_0000;
    }
    words[at + Slot.WHAT] = what;
    words[at + Slot.OFFSET] = offset;
    words[at + Slot.VALUE] = value;
    const sequence = (this.#sequence + 2) | 0;
    this.#sequence = sequence;
    Atomics.store(words, at + Slot.SEQUENCE, sequence);
    const state = Atomics.load(words, Thread.STATE);
    if (state !== 0) {
      if ((state & State.CLOSED) !== 0) failRequest(words, at);
      else this.#ring();
    }
    this.#answered = this.#wait(this.#answered);
    return (this.#answered & FAILED) !== 0 ? 0xffff_ffff : words[at + Slot.ANSWER]! >>> 0;
  }

  /** Waits until every posted write has been done. @returns false when the device thread is gone */
  flush(): boolean {
    this.request(Operation.SYNC, 0, 0, 0, 0, 0);
    return (this.#answered & FAILED) === 0;
  }

  /** Waits until the ring has room. @returns false when the device thread is gone */
  #makeRoom(): boolean {
    const head = this.#at + Slot.RING_HEAD;
    this.#head = Atomics.load(this.#words, head);
    if (((this.#tail - this.#head) | 0) < RING_ENTRIES) return true;
    if (!this.flush()) return false;
    this.#head = Atomics.load(this.#words, head);
    return true;
  }

  #ring(): void {
    const words = this.#words;
    const before = Atomics.and(words, Thread.STATE, ~State.SLEEPING);
    if ((before & State.SLEEPING) === 0) return;
    Atomics.add(words, Thread.DOORBELL, 1);
    Atomics.notify(words, Thread.DOORBELL);
  }

  /** Waits until ANSWERED is no longer `previous`. @returns what it is */
  #wait(previous: number): number {
    const words = this.#words;
    const answered = this.#at + Slot.ANSWERED;
    const policy = this.#policy;
    const budget = policy.budget;
    for (let polls = 0; polls < budget; polls++) {
      const now = Atomics.load(words, answered);
      if (now === previous) continue;
      policy.found(polls);
      return now;
    }
    policy.missed(budget);
    return this.#sleep(previous);
  }

  #sleep(previous: number): number {
    const words = this.#words;
    const answered = this.#at + Slot.ANSWERED;
    const sleeping = this.#at + Slot.SLEEPING;
    Atomics.store(words, sleeping, 1);
    for (;;) {
      const woken = Atomics.wait(words, answered, previous, this.#sliceMs);
      const now = Atomics.load(words, answered);
      if (now !== previous) {
        Atomics.store(words, sleeping, 0);
        return now;
      }
      if (woken === 'timed-out') this.#onSlice?.();
    }
  }
}
