/** What a trace record is about. The numbers are written into shared memory: never renumber, only add. */
export const TraceKind = {
  CONFIG_READ: 1,
  CONFIG_WRITE: 2,
  BAR_READ: 3,
  BAR_WRITE: 4,
  DMA_READ: 5,
  DMA_WRITE: 6,
  INTERRUPT: 7,
  RESET: 8,
  GUEST_ERROR: 9,
  INTERRUPT_LINE: 10,
  INTERRUPT_SENT: 11,
  APERTURE: 12,
  FAILED: 13,
  DOORBELL: 14,
} as const;

/** One of {@link TraceKind}. */
export type TraceKindValue = (typeof TraceKind)[keyof typeof TraceKind];

/** A record as it is read; one object, refilled for each record. */
export interface TraceRecord {
  kind: number;
  /** Milliseconds since the Unix epoch, with the precision of `performance.now()`. */
  time: number;
  /** Config offset, offset in the BAR, guest-physical address, vector, or kind of reset. */
  location: number;
  /** Value that was read or written, for DMA 1 when it went through. */
  value: number;
  /** Width of the access or length of the DMA, in bytes. */
  length: number;
  /** BAR slot. */
  slot: number;
}

/** Ints before the records: how many were ever written, and whether recording is paused. */
const HEADER_BYTES = 64;
const DOUBLES = 2;
const WORDS = 4;
const RECORD_BYTES = DOUBLES * 8 + WORDS * 4;

/**
 * A ring of fixed records in shared memory: one thread writes without allocating, any thread reads behind it.
 *
 * | Bytes of a record | Is |
 * |---|---|
 * | 0 to 7 | time, double |
 * | 8 to 15 | location, double |
 * | 16 to 19 | kind |
 * | 20 to 23 | slot |
 * | 24 to 27 | length |
 * | 28 to 31 | value |
 */
export class TraceRing {
  /** Hand this to the thread that writes or reads at the other end. */
  readonly memory: SharedArrayBuffer;
  readonly capacity: number;
  readonly #head: Int32Array;
  readonly #doubles: Float64Array;
  readonly #words: Uint32Array;
  /** Records written, modulo 2^32; the writer's own copy. */
  #written: number;

  /** @param memory made by {@link TraceRing.create} */
  constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
    this.capacity = (memory.byteLength - HEADER_BYTES) / RECORD_BYTES;
    this.#head = new Int32Array(memory, 0, 2);
    this.#doubles = new Float64Array(memory, HEADER_BYTES);
    this.#words = new Uint32Array(memory, HEADER_BYTES);
    this.#written = Atomics.load(this.#head, 0) >>> 0;
  }

  /**
   * @param capacity records kept, a power of two
   * @throws RangeError for another capacity
   */
  static create(capacity = 65_536): TraceRing {
    if (!Number.isInteger(Math.log2(capacity))) {
      throw new RangeError(`Cannot make a trace of ${capacity} records: not a power of two`);
    }
    return new TraceRing(new SharedArrayBuffer(HEADER_BYTES + capacity * RECORD_BYTES));
  }

  /** While true nothing is recorded, whichever thread has set it: for measurements. */
  get paused(): boolean {
    return Atomics.load(this.#head, 1) !== 0;
  }

  set paused(paused: boolean) {
    Atomics.store(this.#head, 1, paused ? 1 : 0);
  }

  /** Appends a record, over the oldest one when the ring is full. Only one thread may call this. */
  record(
    kind: TraceKindValue,
    slot: number,
    location: number,
    length: number,
    value: number,
  ): void {
    if (this.#head[1] !== 0) return;
    const index = this.#written & (this.capacity - 1);
    const double = index * (RECORD_BYTES / 8);
    const word = index * (RECORD_BYTES / 4) + DOUBLES * 2;
    this.#doubles[double] = performance.timeOrigin + performance.now();
    this.#doubles[double + 1] = location;
    this.#words[word] = kind;
    this.#words[word + 1] = slot;
    this.#words[word + 2] = length;
    this.#words[word + 3] = value;
    this.#written = (this.#written + 1) >>> 0;
    Atomics.store(this.#head, 0, this.#written | 0);
  }

  /** A reader of its own, from the oldest record that is still there. */
  reader(): TraceReader {
    return new TraceReader(this, this.#head, this.#doubles, this.#words);
  }
}

/** Reads a ring in order, and says how many records were overwritten before they could be read. */
export class TraceReader {
  /** Records that were overwritten before they were read. */
  lost = 0;
  readonly #ring: TraceRing;
  readonly #head: Int32Array;
  readonly #doubles: Float64Array;
  readonly #words: Uint32Array;
  readonly #record: TraceRecord = { kind: 0, time: 0, location: 0, value: 0, length: 0, slot: 0 };
  #next = 0;

  /** Made by {@link TraceRing.reader}. */
  constructor(ring: TraceRing, head: Int32Array, doubles: Float64Array, words: Uint32Array) {
    this.#ring = ring;
    this.#head = head;
    this.#doubles = doubles;
    this.#words = words;
  }

  /** Calls `visit` for each record since the last call. The record is borrowed until `visit` returns. */
  drain(visit: (record: TraceRecord) => void): void {
    const { capacity } = this.#ring;
    while (this.#pending() > 0) {
      const overwritten = this.#pending() - capacity;
      if (overwritten > 0) this.#skip(overwritten);
      this.#copy(this.#next & (capacity - 1));
      // The writer may have come round while the record was being copied.
      if (this.#pending() > capacity) continue;
      this.#next = (this.#next + 1) >>> 0;
      visit(this.#record);
    }
  }

  #pending(): number {
    return (Atomics.load(this.#head, 0) - this.#next) >>> 0;
  }

  #skip(count: number): void {
    this.lost += count;
    this.#next = (this.#next + count) >>> 0;
  }

  #copy(index: number): void {
    const double = index * (RECORD_BYTES / 8);
    const word = index * (RECORD_BYTES / 4) + DOUBLES * 2;
    const record = this.#record;
    record.time = this.#doubles[double] as number;
    record.location = this.#doubles[double + 1] as number;
    record.kind = this.#words[word] as number;
    record.slot = this.#words[word + 1] as number;
    record.length = this.#words[word + 2] as number;
    record.value = this.#words[word + 3] as number;
  }
}
