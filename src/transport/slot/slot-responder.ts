import type { SlotChannel } from './slot-channel.ts';
import {
  barOf,
  ENTRY_WORDS,
  Entry,
  FAILED,
  FAR,
  functionOf,
  Operation,
  type OperationCode,
  operationOf,
  POSTED_BATCH,
  RING_ENTRIES,
  Slot,
  State,
  slotAt,
  Thread,
  widthOf,
} from './slot-layout.ts';
import { learnedPolicy, type WaitingPolicy } from './slot-requester.ts';

/** Most looks at all slots in one spin: about 0.4 ms with one requester. */
const RESPONDER_SPIN_LIMIT = 20_000;

/** What answers the accesses that come through a channel. */
export interface SlotTarget {
  /** Never throws. @returns the answer of a read, 32 bits */
  access(
    operation: OperationCode,
    fn: number,
    bar: number,
    offset: number,
    width: number,
    value: number,
  ): number;
}

/**
 * The device thread's end of a channel. A loop around it:
 *
 * ```text
 * while (!responder.closed) {
 *   if (responder.spin(target) > 0 || responder.takeCall()) continue;
 *   responder.sleep(); // or await responder.sleepAsync(), with turns of the event loop
 * }
 * ```
 */
export class SlotResponder {
  readonly #words: Int32Array;
  readonly #policy: WaitingPolicy;
  #commands: number;

  constructor(channel: SlotChannel, policy: WaitingPolicy = learnedPolicy(RESPONDER_SPIN_LIMIT)) {
    this.#words = new Int32Array(channel.buffer);
    this.#policy = policy;
    this.#commands = 0;
  }

  /** Has a supervisor answered in this thread's place? It must serve nothing more then. */
  get closed(): boolean {
    return (this.#words[Thread.STATE]! & State.CLOSED) !== 0;
  }

  /** Whether a command has come since this was asked last. */
  takeCall(): boolean {
    if (this.#words[Thread.COMMANDS] === this.#commands) return false;
    this.#commands = Atomics.load(this.#words, Thread.COMMANDS);
    return true;
  }

  /**
   * Looks at every requester once, does up to {@link POSTED_BATCH} writes that it has posted, and, when none are left,
   * answers its request. So a request of one waits, whatever the others do, for no more than a batch and a request of
   * each, and for the writes that it posted itself.
   * @returns how many accesses there were
   */
  serve(target: SlotTarget): number {
    const words = this.#words;
    const requesters = words[Thread.REQUESTERS]!;
    let served = 0;
    for (let requester = 0, at = slotAt(0); requester < requesters; requester++) {
      // Before the tail: a request comes after all that was posted before it.
      const sequence = Atomics.load(words, at + Slot.SEQUENCE);
      const answered = words[at + Slot.ANSWERED]!;
      let isDrained = true;
      if (words[at + Slot.RING_TAIL] !== words[at + Slot.RING_HEAD]) {
        const posted = this.#drain(target, requester, at);
        served += posted;
        isDrained = words[at + Slot.RING_TAIL] === words[at + Slot.RING_HEAD];
      }
      if (isDrained && (answered & ~FAILED) !== sequence) {
        this.#answer(target, requester, at, sequence, answered);
        served++;
      }
      at += Slot.WORDS;
    }
    return served;
  }

  /**
   * Serves until nothing has come for as long as looking has lately been worth it, or a command comes.
   * @returns how many accesses there were; 0 as well when there was a command: {@link SlotResponder.takeCall}
   */
  spin(target: SlotTarget): number {
    const policy = this.#policy;
    const budget = policy.budget;
    for (let polls = 0; polls < budget; polls++) {
      const served = this.serve(target);
      if (served === 0 && this.#words[Thread.COMMANDS] === this.#commands) continue;
      policy.found(polls);
      return served;
    }
    policy.missed(budget);
    return this.serve(target);
  }

  /** Whether an access or a command waits. */
  get pending(): boolean {
    const words = this.#words;
    const requesters = Atomics.load(words, Thread.REQUESTERS);
    for (let requester = 0; requester < requesters; requester++) {
      const at = slotAt(requester);
      if (Atomics.load(words, at + Slot.SEQUENCE) !== (words[at + Slot.ANSWERED]! & ~FAILED)) {
        return true;
      }
      if (Atomics.load(words, at + Slot.RING_TAIL) !== words[at + Slot.RING_HEAD]) return true;
    }
    return Atomics.load(words, Thread.COMMANDS) !== this.#commands;
  }

  /** Blocks this thread until there is something to do, or the time is over. */
  sleep(timeoutMs = Number.POSITIVE_INFINITY): void {
    const words = this.#words;
    const doorbell = Atomics.load(words, Thread.DOORBELL);
    if (this.#prepareToSleep()) Atomics.wait(words, Thread.DOORBELL, doorbell, timeoutMs);
    Atomics.and(words, Thread.STATE, ~State.SLEEPING);
  }

  /** As {@link SlotResponder.sleep}, and the event loop goes on meanwhile. It does not keep the event loop alive. */
  async sleepAsync(timeoutMs = Number.POSITIVE_INFINITY): Promise<void> {
    const words = this.#words;
    const doorbell = Atomics.load(words, Thread.DOORBELL);
    if (this.#prepareToSleep()) {
      const wait = Atomics.waitAsync(words, Thread.DOORBELL, doorbell, timeoutMs);
      if (wait.async) await wait.value;
    }
    Atomics.and(words, Thread.STATE, ~State.SLEEPING);
  }

  /** After the doorbell was read, and before it is waited for: whoever comes from now on rings it. */
  #prepareToSleep(): boolean {
    const words = this.#words;
    const before = Atomics.or(words, Thread.STATE, State.SLEEPING);
    if ((before & State.CLOSED) !== 0 || this.pending) return false;
    words[Thread.SLEEPS] = (words[Thread.SLEEPS]! + 1) | 0;
    return true;
  }

  /** Does posted writes of a requester, no more than a batch. @returns how many */
  #drain(target: SlotTarget, requester: number, at: number): number {
    const words = this.#words;
    const tail = Atomics.load(words, at + Slot.RING_TAIL);
    const first = words[at + Slot.RING_HEAD]!;
    const count = Math.min((tail - first) | 0, POSTED_BATCH);
    let done = 0;
    words[Thread.SERVING] = ((requester + 1) << 1) | 1;
    for (; done < count && !this.closed; done++) {
      const head = (first + done) | 0;
      const entry = at + Slot.RING + (head & (RING_ENTRIES - 1)) * ENTRY_WORDS;
      const what = words[entry + Entry.WHAT]!;
      const high = (what & FAR) === 0 ? 0 : words[entry + Entry.OFFSET_HIGH]!;
      const offset = join(words[entry + Entry.OFFSET]!, high);
      const value = words[entry + Entry.VALUE]! >>> 0;
      target.access(Operation.WRITE, functionOf(what), barOf(what), offset, widthOf(what), value);
      words[Thread.PROGRESS] = (words[Thread.PROGRESS]! + 1) | 0;
      Atomics.store(words, at + Slot.RING_HEAD, (head + 1) | 0);
    }
    words[Thread.SERVING] = 0;
    return done;
  }

  #answer(
    target: SlotTarget,
    requester: number,
    at: number,
    sequence: number,
    answered: number,
  ): void {
    const words = this.#words;
    const what = words[at + Slot.WHAT]!;
    const high = (what & FAR) === 0 ? 0 : words[at + Slot.OFFSET_HIGH]!;
    const offset = join(words[at + Slot.OFFSET]!, high);
    words[Thread.SERVING] = (requester + 1) << 1;
    const value = target.access(
      operationOf(what) as OperationCode,
      functionOf(what),
      barOf(what),
      offset,
      widthOf(what),
      words[at + Slot.VALUE]! >>> 0,
    );
    words[Thread.PROGRESS] = (words[Thread.PROGRESS]! + 1) | 0;
    words[Thread.SERVING] = 0;
    if ((words[Thread.STATE]! & State.CLOSED) !== 0) return;
    words[at + Slot.ANSWER] = value;
    const before = Atomics.compareExchange(words, at + Slot.ANSWERED, answered, sequence);
    // Otherwise somebody else has answered: the requester gave up, or its supervisor did.
    if (before !== answered) return;
    if (Atomics.load(words, at + Slot.SLEEPING) !== 0) Atomics.notify(words, at + Slot.ANSWERED);
  }
}

function join(low: number, high: number): number {
  return high === 0 ? low >>> 0 : (low >>> 0) + (high >>> 0) * 0x1_0000_0000;
}
