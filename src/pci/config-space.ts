import type { ResetKind } from '../device/services.ts';
import { GuestSetup } from './guest-setup.ts';

/**
 * The bytes of a configuration space, and which of their bits a guest can write. Access is by dword, as HDV has it.
 *
 * | array | holds |
 * |---|---|
 * | words | present values |
 * | writable | bits that a guest's write replaces |
 * | kept | bits that a function-level reset leaves alone |
 * | live | read-only bits that change by themselves, which a snapshot need not agree with |
 */
export class ConfigSpace {
  readonly size: number;
  readonly words: Uint32Array;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly writable: Uint32Array;
  readonly live: Uint32Array;
  /** The memory of all but `kept`. */
  readonly setup: GuestSetup;
  readonly #kept: Uint32Array;
  readonly #initial: Uint32Array;
  readonly #readers: (((stored: number) => number) | undefined)[] = [];
  readonly #writers: (((value: number, old: number) => void) | undefined)[] = [];

  /** @param vectors entries of the MSI-X table that goes with it */
  constructor(size: number, vectors = 0) {
    const setup = GuestSetup.create(size, vectors);
    const { buffer, byteOffset, byteLength } = setup.words;
    this.size = size;
    this.setup = setup;
    this.words = setup.words;
    this.bytes = new Uint8Array(buffer, byteOffset, byteLength);
    this.view = new DataView(buffer, byteOffset, byteLength);
    this.writable = setup.writable;
    this.live = setup.live;
    this.#kept = new Uint32Array(size / 4);
    this.#initial = setup.initial;
  }

  /** Makes the present contents those after a reset. */
  seal(): void {
    this.#initial.set(this.words);
  }

  reset(kind: ResetKind): void {
    if (kind !== 'function') {
      this.words.set(this.#initial);
      return;
    }
    this.words.forEach((word, dword) => {
      const kept = this.#kept[dword]!;
      this.words[dword] = (this.#initial[dword]! & ~kept) | (word & kept);
    });
  }

  /** @returns 0 above the implemented size */
  read(offset: number): number {
    const dword = offset >>> 2;
    if (dword >= this.words.length) return 0;
    const stored = this.words[dword]!;
    const reader = this.#readers[dword];
    return reader === undefined ? stored : reader(stored) >>> 0;
  }

  /** Replaces writable bits, then tells whoever watches this dword. */
  write(offset: number, value: number): void {
    const dword = offset >>> 2;
    if (dword >= this.words.length) return;
    const old = this.words[dword]!;
    const mask = this.writable[dword]!;
    this.words[dword] = (old & ~mask) | (value & mask);
    this.#writers[dword]?.(value >>> 0, old);
  }

  /** Computes reads of the dword at `offset`. */
  onRead(offset: number, reader: (stored: number) => number): void {
    this.#readers[offset >>> 2] = reader;
  }

  /** Calls `writer` after each write of the dword at `offset`: what was written, and what stood there. */
  onWrite(offset: number, writer: (value: number, old: number) => void): void {
    this.#writers[offset >>> 2] = writer;
  }

  /** Lets guests write these bits of the dword at `offset`. */
  allow(offset: number, mask: number): void {
    const dword = offset >>> 2;
    this.writable[dword] = this.writable[dword]! | mask;
  }

  /** Has a function-level reset leave these bits of the dword at `offset` alone (PCIe 6.0, 6.6.2). */
  keep(offset: number, mask: number): void {
    const dword = offset >>> 2;
    this.#kept[dword] = this.#kept[dword]! | mask;
  }

  /** All bytes as hexadecimal text. */
  save(): string {
    return Buffer.from(this.bytes).toString('hex');
  }

  /**
   * Checks that a snapshot fits: same size, same read-only bits.
   * @returns its words, for {@link ConfigSpace.apply}
   * @throws TypeError naming the first byte that differs
   */
  check(state: unknown): Uint32Array {
    if (typeof state !== 'string' || state.length !== this.size * 2 || /[^0-9a-f]/i.test(state)) {
      throw new TypeError(
        `Cannot restore config space: the snapshot does not hold ${this.size} bytes of it`,
      );
    }
    const bytes = Uint8Array.from(Buffer.from(state, 'hex'));
    return this.checkWords(new Uint32Array(bytes.buffer));
  }

  /** As {@link ConfigSpace.check}, of words. @throws TypeError */
  checkWords(words: Uint32Array): Uint32Array {
    if (words.length !== this.words.length) {
      throw new TypeError(
        `Cannot restore config space: ${words.length * 4} bytes were saved, and there are ${this.size}`,
      );
    }
    words.forEach((word, dword) => {
      const fixed = ~(this.writable[dword]! | this.live[dword]!);
      if (((word ^ this.#initial[dword]!) & fixed) !== 0) {
        throw new TypeError(
          `Cannot restore config space: offset 0x${(dword * 4).toString(16)} holds 0x${word.toString(16)} in the snapshot, 0x${this.#initial[dword]!.toString(16)} here`,
        );
      }
    });
    return words;
  }

  /** Takes the writable bits of words that were checked. */
  apply(words: Uint32Array): void {
    words.forEach((word, dword) => {
      const mask = this.writable[dword]!;
      this.words[dword] = (this.#initial[dword]! & ~mask) | (word & mask);
    });
  }
}
