import { availableParallelism } from 'node:os';
import type { WindowsSystem } from '../windows-system.ts';
import {
  ANSWER_BYTES,
  DOORBELLS,
  Phase,
  REQUEST_BYTES,
  SLOT,
  SLOTS,
  SLOTS_OFFSET,
} from './gate-layout.ts';
import {
  DOORBELL_WORDS,
  doorbellWord,
  type GateHandle,
  SLOT_WORDS,
  slotWord,
  viewGate,
  word,
} from './gate-memory.ts';
import { LearnedSpin } from './learned-spin.ts';
import { PostedRequests } from './posted-requests.ts';

const RUNG_WORDS = DOORBELLS / 32;
const E_FAIL = 0x8000_4005;

/** Most polls of one spin, about 0.4 ms. */
const SPIN_LIMIT = 16_000;

/**
 * The consumer's side of a gate, on the one thread that serves it. A loop around it:
 *
 * ```text
 * for (;;) {
 *   while (server.next()) serve(server); // reads the request, ends in an answer…()
 *   for (let bell = server.nextDoorbell(); bell >= 0; bell = server.nextDoorbell()) ring(bell);
 *   if (server.spin()) continue;
 *   if (server.prepareToSleep()) waitFor(server.wakeEvent);
 *   server.wakeUp();
 * }
 * ```
 *
 * The event loop may have its turn anywhere between requests: native threads wait meanwhile. Make it before the thread
 * may be ended; after that it calls native code with numbers only, and allocates nothing.
 */
export class GateServer {
  /** Signalled when something arrives after {@link GateServer.prepareToSleep}. Auto-reset, unless the owner gave its own. */
  readonly wakeEvent: number;
  readonly #address: number;
  readonly #system: WindowsSystem;
  readonly #words: Int32Array<ArrayBuffer>;
  readonly #requestData: readonly Uint8Array[];
  readonly #answerData: readonly Uint8Array[];
  readonly #spin = new LearnedSpin(availableParallelism() > 1 ? SPIN_LIMIT : 0);
  readonly #posted: PostedRequests;
  /** Slot of the request being served, and its first word; slot negative: none. */
  #slot = -1;
  #at = 0;
  /** Rings that were looked for. */
  #rings = 0;
  /** Where the pass over the doorbells goes on, and the rings when it began. */
  #bell = 0;
  #ringsBefore = 0;

  constructor(system: WindowsSystem, handle: GateHandle) {
    const words = viewGate(handle.address);
    const { buffer } = words;
    const perSlot = (offset: number, length: number): Uint8Array[] =>
      Array.from(
        { length: SLOTS },
        (_, slot) => new Uint8Array(buffer, SLOTS_OFFSET + slot * SLOT.size + offset, length),
      );
    this.wakeEvent = handle.wakeEvent;
    this.#address = handle.address;
    this.#system = system;
    this.#words = words;
    this.#posted = new PostedRequests(words);
    this.#requestData = perSlot(SLOT.offset.data, REQUEST_BYTES);
    this.#answerData = perSlot(SLOT.offset.answer, ANSWER_BYTES);
    // What was rung before is still in the bits.
    const rings = Atomics.load(words, word.rings);
    const rung = words.subarray(word.rung, word.rung + RUNG_WORDS).some((bits) => bits !== 0);
    this.#rings = rung ? rings - 1 : rings;
  }

  /** Whether the owner has closed the gate: nothing comes any more. */
  get closed(): boolean {
    return Atomics.load(this.#words, word.closed) !== 0;
  }

  /**
   * Takes the request that came first, of those that wait. A request that was taken and not answered fails.
   * @returns whether there was one
   */
  next(): boolean {
    if (this.#slot >= 0) this.answer(E_FAIL);
    const slot = this.#posted.take();
    if (slot < 0) return false;
    this.#slot = slot;
    this.#at = slot * SLOT_WORDS;
    this.#advance();
    return true;
  }

  /** {@link Opcode} of the request; this and the following belong to the request taken, until it is answered. */
  get opcode(): number {
    return this.#words[this.#at + slotWord.opcode]!;
  }

  /** HDV_PCI_BAR_SELECTOR. */
  get bar(): number {
    return this.#words[this.#at + slotWord.bar]!;
  }

  /** Bytes from the start of the BAR or of config space; of text: code units from the start of the string. */
  get offset(): number {
    const at = this.#at + slotWord.offset;
    const high = this.#words[at + 1]!;
    return (this.#words[at]! >>> 0) + (high === 0 ? 0 : (high >>> 0) * 2 ** 32);
  }

  /** Bytes to read, or bytes of {@link GateServer.data}: 0 to 64. HDV asks for 1, 2, 4 or 8. */
  get length(): number {
    return this.#words[this.#at + slotWord.length]!;
  }

  /** Number of strings or BARs; of text: which string. */
  get count(): number {
    return this.#words[this.#at + slotWord.count]!;
  }

  /** The bytes written, the first 4 of them, as an unsigned number: little-endian, {@link GateServer.length} counts. */
  get low(): number {
    const value = this.#words[this.#at + slotWord.data]!;
    const length = this.length;
    return length >= 4 ? value >>> 0 : value & ((1 << (8 * length)) - 1);
  }

  /** Bytes 4 to 7 of the bytes written, as an unsigned number. */
  get high(): number {
    return this.#words[this.#at + slotWord.data + 1]! >>> 0;
  }

  /** The slot's 64 bytes of data, of which {@link GateServer.length} count. */
  get data(): Uint8Array {
    return this.#requestData[this.#slot]!;
  }

  /** 112 bytes for an answer longer than 8; end with {@link GateServer.answer}. Only until then. */
  get answerData(): Uint8Array {
    return this.#answerData[this.#slot]!;
  }

  /**
   * Answers without data, or with what {@link GateServer.answerData} holds.
   * @param hresult signed or unsigned; a failed read gives the caller all ones
   * @returns false when the owner has failed the request meanwhile
   */
  answer(hresult: number): boolean {
    return this.#begin() && this.#finish(hresult);
  }

  /** Answers a read of up to 8 bytes with S_OK. @returns as {@link GateServer.answer} */
  answerValue(low: number, high: number): boolean {
    if (!this.#begin()) return false;
    const at = this.#at + slotWord.answer;
    this.#words[at] = low;
    this.#words[at + 1] = high;
    return this.#finish(0);
  }

  /** Number of the last request that came, modulo 2^32. */
  get ticket(): number {
    return Atomics.load(this.#words, word.ticket) >>> 0;
  }

  /** Whether a request or a doorbell waits. */
  get pending(): boolean {
    return this.#posted.any || Atomics.load(this.#words, word.rings) !== this.#rings;
  }

  /** Looks for a request or a doorbell as long as that has lately been worth it. @returns whether there is one */
  spin(): boolean {
    const budget = this.#spin.budget;
    for (let polls = 0; polls < budget; polls++) {
      if (this.pending) {
        this.#spin.found(polls);
        return true;
      }
    }
    this.#spin.missed(budget);
    return this.pending;
  }

  /** Asks to be woken by the event. @returns false when something has arrived: do not wait */
  prepareToSleep(): boolean {
    Atomics.store(this.#words, word.sleeping, 1);
    if (!this.pending) return true;
    this.wakeUp();
    return false;
  }

  /** Says that this thread looks for itself again: after every {@link GateServer.prepareToSleep}. */
  wakeUp(): void {
    Atomics.store(this.#words, word.sleeping, 0);
  }

  /**
   * Index of a doorbell that was rung, or -1 at the end of a pass: in one pass each doorbell comes once at most, however
   * often it is rung meanwhile, so that a guest that rings without end starves neither requests nor other doorbells.
   */
  nextDoorbell(): number {
    const words = this.#words;
    if (this.#bell === 0) {
      this.#ringsBefore = Atomics.load(words, word.rings);
      if (this.#ringsBefore === this.#rings) return -1;
    }
    const first = this.#bell >>> 5;
    for (let i = first; i < RUNG_WORDS; i++) {
      const looked = i === first ? -1 << (this.#bell & 31) : -1;
      const bits = Atomics.load(words, word.rung + i) & looked;
      if (bits === 0) continue;
      const bit = bits & -bits;
      Atomics.and(words, word.rung + i, ~bit);
      this.#advance();
      const bell = i * 32 + 31 - Math.clz32(bit);
      this.#bell = bell + 1;
      return bell;
    }
    this.#bell = 0;
    this.#rings = this.#ringsBefore;
    return -1;
  }

  /** How often a doorbell was rung in its life, modulo 2^32. */
  ringsOf(doorbell: number): number {
    return Atomics.load(this.#words, doorbellWord.count + doorbell * DOORBELL_WORDS) >>> 0;
  }

  /** Gets the right to write the answer, and nobody else has it then. */
  #begin(): boolean {
    const { TAKEN, ANSWERING } = Phase;
    const { taken } = this.#posted;
    if (this.#slot < 0) throw new Error('Cannot answer as no request was taken');
    const answering = taken - TAKEN + ANSWERING;
    const index = this.#at + slotWord.state;
    if (Atomics.compareExchange(this.#words, index, taken, answering) === taken) return true;
    this.#slot = -1;
    return false;
  }

  #finish(hresult: number): boolean {
    const words = this.#words;
    const at = this.#at;
    words[at + slotWord.hresult] = hresult;
    Atomics.store(words, at + slotWord.answered, this.#posted.taken - Phase.TAKEN + Phase.ANSWERED);
    this.#slot = -1;
    this.#advance();
    if (Atomics.load(words, at + slotWord.waiting) !== 0) {
      this.#system.WakeByAddressSingle(this.#address + (at + slotWord.answered) * 4);
    }
    return true;
  }

  #advance(): void {
    this.#words[word.progress] = (this.#words[word.progress]! + 1) | 0;
  }
}
