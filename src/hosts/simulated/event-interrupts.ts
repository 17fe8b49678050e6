import { takeEventFd } from '../../ffi/descriptors.ts';

/** Vectors that a function may have (PCIe 6.0, 7.7.2). */
export const MAX_VECTORS = 2048;

/** Words of a vector: its eventfd plus 1, the address of its message in two halves, its data. */
const VECTOR_WORDS = 4;
const LINE = 0;
const COUNT = 1;
const CONNECTION = 2;
const VECTORS = 3;

/**
 * The eventfds by which a device of another process interrupts, and what each of them stands for. Its worker looks at
 * them after each access, so that what came before the answer is there with the answer; main does when nobody accesses
 * the device. An eventfd is taken by one of them only.
 *
 * | word | writer | meaning |
 * |---|---|---|
 * | LINE | worker, and main from 0 to 1 | 1: INTx was signalled; until it is unmasked no signal comes but to the worker |
 * | COUNT | worker | vectors that may have an eventfd |
 * | CONNECTION | worker | socket to the device's process plus 1; main closes it, when the worker has ended |
 * | VECTORS, 4 words each | worker | eventfd plus 1, address low and high, data |
 */
export class EventInterrupts {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;

  constructor(
    buffer: SharedArrayBuffer = new SharedArrayBuffer((VECTORS + MAX_VECTORS * VECTOR_WORDS) * 4),
  ) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
  }

  /** Was INTx signalled, and not unmasked since? */
  get isLineSignalled(): boolean {
    return Atomics.load(this.#words, LINE) !== 0;
  }

  /** The socket to the device's process; -1 while there is none. */
  get connection(): number {
    return Atomics.load(this.#words, CONNECTION) - 1;
  }

  setConnection(fd: number): void {
    Atomics.store(this.#words, CONNECTION, fd + 1);
  }

  /** The eventfd of a vector; -1 while it has none. */
  fdOf(vector: number): number {
    return Atomics.load(this.#words, VECTORS + vector * VECTOR_WORDS) - 1;
  }

  setFd(vector: number, fd: number): void {
    const words = this.#words;
    Atomics.store(words, VECTORS + vector * VECTOR_WORDS, fd + 1);
    if (vector >= words[COUNT]!) Atomics.store(words, COUNT, vector + 1);
  }

  /** What the vector's eventfd stands for from now on. */
  setMessage(vector: number, low: number, high: number, data: number): void {
    const at = VECTORS + vector * VECTOR_WORDS;
    Atomics.store(this.#words, at + 1, low);
    Atomics.store(this.#words, at + 2, high);
    Atomics.store(this.#words, at + 3, data);
  }

  /** Sends the messages of the vectors that have been signalled. */
  takeMessages(deliver: (address: number, data: number) => void): void {
    const words = this.#words;
    const count = Atomics.load(words, COUNT);
    for (let vector = 0, at = VECTORS; vector < count; vector++, at += VECTOR_WORDS) {
      const fd = Atomics.load(words, at) - 1;
      if (fd < 0 || takeEventFd(fd) === 0) continue;
      const high = Atomics.load(words, at + 2) >>> 0;
      const address = high * 2 ** 32 + (Atomics.load(words, at + 1) >>> 0);
      deliver(address, Atomics.load(words, at + 3) >>> 0);
    }
  }

  /**
   * Notes that INTx was signalled, unless that is known already.
   * @returns whether it was: the line is asserted from now on
   */
  takeLine(): boolean {
    const fd = this.fdOf(0);
    if (this.isLineSignalled || fd < 0 || takeEventFd(fd) === 0) return false;
    Atomics.store(this.#words, LINE, 1);
    return true;
  }

  /** Whether INTx, which was signalled and then unmasked, has been signalled again. Of the worker alone. */
  takeLineAgain(): boolean {
    return takeEventFd(this.fdOf(0)) > 0;
  }

  /** The line is known to be not asserted, and everybody was told: main may look at it again. */
  forgetLine(): void {
    Atomics.store(this.#words, LINE, 0);
  }

  /** Every eventfd there is. */
  get fds(): readonly number[] {
    const count = Atomics.load(this.#words, COUNT);
    const all = Array.from({ length: count }, (_, vector) => this.fdOf(vector));
    return all.filter((fd) => fd >= 0);
  }
}
