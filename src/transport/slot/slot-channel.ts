import {
  barOf,
  CHANNEL_WORDS,
  ENTRY_WORDS,
  Entry,
  FAILED,
  FAR,
  functionOf,
  Operation,
  operationOf,
  RING_ENTRIES,
  Slot,
  State,
  slotAt,
  Thread,
  widthOf,
} from './slot-layout.ts';

/** What a device thread is at work on. */
export interface ServedAccess {
  /** Number of the function. */
  readonly function: number;
  /** To be said after "did not return from". */
  readonly text: string;
}

/**
 * The memory between one device thread and whoever accesses its functions: 32-bit words in a SharedArrayBuffer. What
 * has different writers is 128 bytes apart. Sequence numbers are even and count up by 2 from 0.
 *
 * | once per device thread | line | writer | meaning |
 * |---|---|---|---|
 * | DOORBELL | 0 | whoever wakes | grows, and is what the device thread sleeps on |
 * | STATE | 1 | bits, see below | looked at after each request |
 * | PROGRESS, SERVING, SLEEPS | 2 | device thread | grows with each access; what it is at work on; times it went to sleep |
 * | REQUESTERS, COMMANDS | 3 | main, seldom | slots in use; grows with each command |
 *
 * | STATE | set by | cleared by | meaning |
 * |---|---|---|---|
 * | SLEEPING | device thread | who rings, or the device thread | ring the doorbell |
 * | CLOSED | supervisor | supervisor | nobody serves: requesters answer themselves |
 *
 * | once per requester | line | writer | meaning |
 * |---|---|---|---|
 * | SEQUENCE, WHAT, OFFSET, VALUE, OFFSET_HIGH | 0 | requester | the request, valid once SEQUENCE is stored |
 * | RING_TAIL | 0 | requester | posted writes so far; with SEQUENCE, as the device thread looks at both all the time |
 * | ANSWERED, ANSWER | 1 | device thread | the SEQUENCE that was answered, and the value; bit 0: failed, all ones |
 * | SLEEPING | 2 | requester | 1: notify ANSWERED |
 * | RING_HEAD | 3 | device thread | those of them that were done |
 * | RING | 4 … | requester | 256 entries of 16 bytes |
 *
 * This class is the supervisor's end: it can answer in the place of a device thread that does not. Such an answer wins
 * over one that comes later, as both are a compare-and-exchange of ANSWERED.
 */
export class SlotChannel {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;

  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(CHANNEL_WORDS * 4)) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
  }

  /** Makes the device thread look at the slots up to this many. Before the first access through the last of them. */
  useRequesters(count: number): void {
    const words = this.#words;
    for (;;) {
      const before = Atomics.load(words, Thread.REQUESTERS);
      if (before >= count) return;
      if (Atomics.compareExchange(words, Thread.REQUESTERS, before, count) === before) return;
    }
  }

  /** Wakes the device thread: a command was sent to it, or it shall stop. */
  call(): void {
    Atomics.add(this.#words, Thread.COMMANDS, 1);
    Atomics.add(this.#words, Thread.DOORBELL, 1);
    Atomics.notify(this.#words, Thread.DOORBELL);
  }

  /** Does nobody serve? */
  get closed(): boolean {
    return (Atomics.load(this.#words, Thread.STATE) & State.CLOSED) !== 0;
  }

  /** Answers every access with all ones, now and until {@link SlotChannel.reopen}. From any thread. */
  close(): void {
    const words = this.#words;
    Atomics.or(words, Thread.STATE, State.CLOSED);
    const requesters = Atomics.load(words, Thread.REQUESTERS);
    for (let i = 0; i < requesters; i++) failRequest(words, slotAt(i));
    // A device thread that sleeps finds that it was replaced.
    this.call();
  }

  /**
   * Lets a new device thread serve the same requesters. The former one must have ended. What was posted to it and not
   * done is dropped.
   */
  reopen(): void {
    const words = this.#words;
    const requesters = Atomics.load(words, Thread.REQUESTERS);
    for (let i = 0; i < requesters; i++) {
      const at = slotAt(i);
      failRequest(words, at);
      Atomics.store(words, at + Slot.RING_HEAD, Atomics.load(words, at + Slot.RING_TAIL));
    }
    words[Thread.SERVING] = 0;
    Atomics.store(words, Thread.STATE, 0);
  }

  /** A number that changes with each access begun or done; undefined while nothing is asked of the device thread. */
  get progress(): number | undefined {
    const words = this.#words;
    const requesters = Atomics.load(words, Thread.REQUESTERS);
    for (let i = 0; i < requesters; i++) {
      const at = slotAt(i);
      const asked = Atomics.load(words, at + Slot.SEQUENCE);
      const posted = Atomics.load(words, at + Slot.RING_TAIL);
      if (
        (Atomics.load(words, at + Slot.ANSWERED) & ~FAILED) !== asked ||
        Atomics.load(words, at + Slot.RING_HEAD) !== posted
      ) {
        return Atomics.load(words, Thread.PROGRESS) >>> 0;
      }
    }
    return undefined;
  }

  /** Does the device thread sleep, and nobody has woken it? */
  get asleep(): boolean {
    return (Atomics.load(this.#words, Thread.STATE) & State.SLEEPING) !== 0;
  }

  /** How often the device thread went to sleep, modulo 2^32. */
  get sleeps(): number {
    return Atomics.load(this.#words, Thread.SLEEPS) >>> 0;
  }

  /** What the device thread is at work on, or was when it ended. */
  get serving(): ServedAccess | undefined {
    const words = this.#words;
    const serving = Atomics.load(words, Thread.SERVING);
    if (serving === 0) return undefined;
    const slot = slotAt((serving >>> 1) - 1);
    const isPosted = (serving & 1) !== 0;
    const index = words[slot + Slot.RING_HEAD]! & (RING_ENTRIES - 1);
    const entry = slot + Slot.RING + index * ENTRY_WORDS;
    const what = words[isPosted ? entry + Entry.WHAT : slot + Slot.WHAT]!;
    const low = words[isPosted ? entry + Entry.OFFSET : slot + Slot.OFFSET]!;
    const high = words[isPosted ? entry + Entry.OFFSET_HIGH : slot + Slot.OFFSET_HIGH]!;
    const offset = (low >>> 0) + ((what & FAR) === 0 ? 0 : (high >>> 0) * 2 ** 32);
    return { function: functionOf(what), text: describe(what, offset) };
  }
}

/** Answers the request in a slot in the place of the device thread, if one is open. */
export function failRequest(words: Int32Array, at: number): void {
  const asked = Atomics.load(words, at + Slot.SEQUENCE);
  const answered = Atomics.load(words, at + Slot.ANSWERED);
  if ((answered & ~FAILED) === asked) return;
  const failed = asked | FAILED;
  const before = Atomics.compareExchange(words, at + Slot.ANSWERED, answered, failed);
  if (before === answered) Atomics.notify(words, at + Slot.ANSWERED);
}

function describe(what: number, offset: number): string {
  const width = widthOf(what);
  const bytes = width === 1 ? '1 byte' : `${width} bytes`;
  const place = `${bytes} at 0x${offset.toString(16)} of`;
  switch (operationOf(what)) {
    case Operation.READ:
      return `a read of ${place} BAR ${barOf(what)}`;
    case Operation.WRITE:
      return `a write of ${place} BAR ${barOf(what)}`;
    case Operation.READ_CONFIG:
    case Operation.PEEK_CONFIG:
      return `a read of ${place} config space`;
    case Operation.WRITE_CONFIG:
      return `a write of ${place} config space`;
    default:
      return 'a reset';
  }
}
