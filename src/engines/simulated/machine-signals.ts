import { availableParallelism } from 'node:os';
import { LearnedSpin } from '../../ffi/gate/learned-spin.ts';
import type { BusSignals } from './root-complex.ts';

/** Words between things with different writers: 128 bytes. */
const LINE = 32;

/** Virtual processors of one machine. */
export const MAX_PROCESSORS = 15;

/** Messages that a processor need not have taken. A power of two. */
const ENTRIES = 4096;
const ENTRY_WORDS = 4;

/** Interrupt lines whose levels are kept. Their numbers count on, and a machine has 32 at a time. */
const LEVELS = 256;

const Word = {
  GENERATION: 0,
  PROCESSORS: LINE,
  PAUSED: LINE + 1,
  SHUT_DOWN: LINE + 2,
  NEXT_LINE: LINE + 3,
  LEVELS: 2 * LINE,
  QUEUES: 2 * LINE + LEVELS,
} as const;

/** Word offsets in a queue. */
const Queue = {
  TAIL: 0,
  LOST: 1,
  HEAD: LINE,
  DOORBELL: 2 * LINE,
  SLEEPING: 2 * LINE + 1,
  ENTRIES: 3 * LINE,
  WORDS: 3 * LINE + ENTRIES * ENTRY_WORDS,
} as const;

/** Word offsets in an entry. */
const Entry = { TICKET: 0, ADDRESS: 1, DATA: 2 } as const;

/** In place of a message's address, which is never 0: a line has changed its level. */
const LINE_CHANGE = 0;

/** Longest look for an interrupt before a processor sleeps, in polls of about 8 ns. */
const SPIN_LIMIT = 50_000;

/** Receives what a processor takes from its queue. */
export interface SignalSink {
  message(address: number, data: number): void;
  line(line: number, asserted: boolean): void;
}

/**
 * What the threads of one machine tell each other through shared memory: 32-bit words, 128 bytes apart where writers
 * differ.
 *
 * | word | writer | meaning |
 * |---|---|---|
 * | GENERATION | whoever changes the bus | grows |
 * | PROCESSORS | main | virtual processors that run; 0: main is the processor |
 * | PAUSED, SHUT_DOWN | main | the machine stands still; the guest is asked to go |
 * | NEXT_LINE | main | number of the next interrupt line |
 * | LEVELS | device threads | a word per interrupt line, by its number modulo 256: its level |
 *
 * | queue, one for main and one per processor | writer | meaning |
 * |---|---|---|
 * | TAIL, LOST | device threads | entries claimed so far, by compare-and-exchange; messages for which there was no room |
 * | HEAD | processor | entries taken so far |
 * | DOORBELL, SLEEPING | device threads; processor | what a processor sleeps on, and whether it does |
 * | entry: TICKET, ADDRESS, DATA | the device thread that claimed it | valid once TICKET is its number plus 1 |
 */
export class MachineSignals implements BusSignals {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #spin = new LearnedSpin(availableParallelism() > 1 ? SPIN_LIMIT : 0);

  constructor(
    buffer: SharedArrayBuffer = new SharedArrayBuffer(
      (Word.QUEUES + (MAX_PROCESSORS + 1) * Queue.WORDS) * 4,
    ),
  ) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
  }

  get busGeneration(): number {
    return Atomics.load(this.#words, Word.GENERATION);
  }

  busChanged(): void {
    Atomics.add(this.#words, Word.GENERATION, 1);
  }

  /** Virtual processors that run; 0: main is the processor. */
  get processors(): number {
    return Atomics.load(this.#words, Word.PROCESSORS);
  }

  set processors(count: number) {
    Atomics.store(this.#words, Word.PROCESSORS, count);
  }

  get shutDownRequested(): boolean {
    return Atomics.load(this.#words, Word.SHUT_DOWN) !== 0;
  }

  /** Asks the guest program to come to its end, and wakes its processors. */
  set shutDownRequested(value: boolean) {
    Atomics.store(this.#words, Word.SHUT_DOWN, value ? 1 : 0);
    for (let queue = 0; queue <= MAX_PROCESSORS; queue++) this.#wake(queueAt(queue));
  }

  set paused(value: boolean) {
    Atomics.store(this.#words, Word.PAUSED, value ? 1 : 0);
    Atomics.notify(this.#words, Word.PAUSED);
  }

  /** Blocks a processor while its machine is paused. */
  standStill(): void {
    while (this.#words[Word.PAUSED] !== 0) Atomics.wait(this.#words, Word.PAUSED, 1);
  }

  /** A number for an interrupt line of this machine. */
  newLine(): number {
    const number = Atomics.add(this.#words, Word.NEXT_LINE, 1) + 1;
    Atomics.store(this.#words, Word.LEVELS + (number % LEVELS), 0);
    return number;
  }

  /** Is a line asserted? */
  level(line: number): boolean {
    return Atomics.load(this.#words, Word.LEVELS + (line % LEVELS)) !== 0;
  }

  /**
   * Sends a message to the processor that its address names: bits 19:12 are the processor's id, which counts modulo the
   * processors there are. From any thread.
   */
  sendMessage(address: number, data: number): void {
    const count = this.processors;
    const queue = count === 0 ? 0 : 1 + (((address >>> 12) & 0xff) % count);
    this.#push(queueAt(queue), address, data);
  }

  /** Tells every processor the new level of a line. From any thread. */
  sendLine(line: number, asserted: boolean): void {
    const count = this.processors;
    const data = (line << 1) | (asserted ? 1 : 0);
    Atomics.store(this.#words, Word.LEVELS + (line % LEVELS), asserted ? 1 : 0);
    if (count === 0) this.#push(queueAt(0), LINE_CHANGE, data);
    for (let queue = 1; queue <= count; queue++) this.#push(queueAt(queue), LINE_CHANGE, data);
  }

  /** Takes what has arrived for a processor, 0 being main. Only that thread may call this. */
  take(queue: number, sink: SignalSink): void {
    const words = this.#words;
    const at = queueAt(queue);
    for (let head = words[at + Queue.HEAD]!; ; head = (head + 1) | 0) {
      const entry = at + Queue.ENTRIES + (head & (ENTRIES - 1)) * ENTRY_WORDS;
      if (Atomics.load(words, entry + Entry.TICKET) !== ((head + 1) | 0)) return;
      const address = words[entry + Entry.ADDRESS]! >>> 0;
      const data = words[entry + Entry.DATA]! >>> 0;
      Atomics.store(words, at + Queue.HEAD, (head + 1) | 0);
      if (address === LINE_CHANGE) sink.line(data >>> 1, (data & 1) !== 0);
      else sink.message(address, data);
    }
  }

  /** Messages to a processor that were dropped as it did not take those before. */
  lost(queue: number): number {
    return Atomics.load(this.#words, queueAt(queue) + Queue.LOST) >>> 0;
  }

  /**
   * Blocks a processor until something has arrived, the guest shall shut down, or the time is over.
   * @returns whether something has arrived
   */
  wait(queue: number, timeoutMs: number): boolean {
    const words = this.#words;
    const at = queueAt(queue);
    const budget = timeoutMs > 0 ? this.#spin.budget : 0;
    for (let polls = 0; polls < budget; polls++) {
      if (!this.#any(at)) continue;
      this.#spin.found(polls);
      return true;
    }
    this.#spin.missed(budget);
    const doorbell = Atomics.load(words, at + Queue.DOORBELL);
    Atomics.store(words, at + Queue.SLEEPING, 1);
    if (!this.#any(at) && !this.shutDownRequested && timeoutMs > 0) {
      Atomics.wait(words, at + Queue.DOORBELL, doorbell, timeoutMs);
    }
    Atomics.store(words, at + Queue.SLEEPING, 0);
    return this.#any(at);
  }

  #any(at: number): boolean {
    const words = this.#words;
    const head = words[at + Queue.HEAD]!;
    const entry = at + Queue.ENTRIES + (head & (ENTRIES - 1)) * ENTRY_WORDS;
    return Atomics.load(words, entry + Entry.TICKET) === ((head + 1) | 0);
  }

  #push(at: number, address: number, data: number): void {
    const words = this.#words;
    for (;;) {
      const tail = Atomics.load(words, at + Queue.TAIL);
      if (((tail - Atomics.load(words, at + Queue.HEAD)) | 0) >= ENTRIES) {
        Atomics.add(words, at + Queue.LOST, 1);
        return;
      }
      const next = (tail + 1) | 0;
      if (Atomics.compareExchange(words, at + Queue.TAIL, tail, next) !== tail) continue;
      // Nothing from here to the ticket may call a function: a thread that were ended in between would leave a hole.
      const entry = at + Queue.ENTRIES + (tail & (ENTRIES - 1)) * ENTRY_WORDS;
      words[entry + Entry.ADDRESS] = address;
      words[entry + Entry.DATA] = data;
      Atomics.store(words, entry + Entry.TICKET, next);
      if (Atomics.load(words, at + Queue.SLEEPING) !== 0) this.#wake(at);
      return;
    }
  }

  #wake(at: number): void {
    Atomics.add(this.#words, at + Queue.DOORBELL, 1);
    Atomics.notify(this.#words, at + Queue.DOORBELL);
  }
}

function queueAt(queue: number): number {
  return Word.QUEUES + queue * Queue.WORDS;
}
