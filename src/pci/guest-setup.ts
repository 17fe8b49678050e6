/** Words before the first table: dwords of config space, MSI-X vectors. */
const HEADER_WORDS = 2;

/** Dwords of an MSI-X table entry (PCIe 6.0, 7.7.2.4), and the bit of the last one that masks it. */
const ENTRY_WORDS = 4;
const ENTRY_MASKED = 1;

/**
 * What a guest sets up in a function before it uses it: configuration space and MSI-X table. It lies in shared memory,
 * so that it is at hand when the thread of the function is gone, and another function can go on with it.
 *
 * | dword | holds |
 * |---|---|
 * | 0 | c: dwords of configuration space |
 * | 1 | v: MSI-X vectors |
 * | 2 | c dwords: present values |
 * | 2 + c | c dwords: bits that a guest's write replaces |
 * | 2 + 2 c | c dwords: read-only bits that change by themselves |
 * | 2 + 3 c | c dwords: values after a reset |
 * | 2 + 4 c | 4 v dwords: MSI-X table |
 */
export class GuestSetup {
  readonly buffer: SharedArrayBuffer;
  readonly words: Uint32Array;
  readonly writable: Uint32Array;
  readonly live: Uint32Array;
  readonly initial: Uint32Array;
  readonly table: Uint32Array;

  private constructor(buffer: SharedArrayBuffer) {
    const [dwords, vectors] = new Uint32Array(buffer, 0, HEADER_WORDS) as unknown as [
      number,
      number,
    ];
    const part = (index: number, length = dwords): Uint32Array =>
      new Uint32Array(buffer, (HEADER_WORDS + index * dwords) * 4, length);
    this.buffer = buffer;
    this.words = part(0);
    this.writable = part(1);
    this.live = part(2);
    this.initial = part(3);
    this.table = part(4, vectors * ENTRY_WORDS);
  }

  /**
   * Of a function that is being built.
   * @param configSize bytes of configuration space
   * @param vectors of MSI-X; 0 where it has none
   */
  static create(configSize: number, vectors: number): GuestSetup {
    const dwords = configSize / 4;
    const total = HEADER_WORDS + 4 * dwords + ENTRY_WORDS * vectors;
    const buffer = new SharedArrayBuffer(total * 4);
    new Uint32Array(buffer).set([dwords, vectors]);
    const setup = new GuestSetup(buffer);
    setup.#resetTable();
    return setup;
  }

  /** The same on another thread. */
  static of(buffer: SharedArrayBuffer): GuestSetup {
    return new GuestSetup(buffer);
  }

  /** As it is now, apart from whoever has this one. */
  copy(): GuestSetup {
    const buffer = new SharedArrayBuffer(this.buffer.byteLength);
    new Uint32Array(buffer).set(new Uint32Array(this.buffer));
    return new GuestSetup(buffer);
  }

  /**
   * A guest's write of 1, 2 or 4 bytes of config space while no function is there to see it: what can be written
   * changes, and nothing follows from it.
   */
  write(offset: number, width: number, value: number): void {
    for (let i = 0; i < width; i++) {
      const dword = (offset + i) >>> 2;
      if (dword >= this.words.length) return;
      const shift = ((offset + i) & 3) * 8;
      const mask = this.writable[dword]! & (0xff << shift);
      const byte = ((value >>> (8 * i)) & 0xff) << shift;
      this.words[dword] = (this.words[dword]! & ~mask) | (byte & mask);
    }
  }

  /** All as after power-on. */
  reset(): void {
    this.words.set(this.initial);
    this.#resetTable();
  }

  #resetTable(): void {
    this.table.fill(0);
    for (let at = ENTRY_WORDS - 1; at < this.table.length; at += ENTRY_WORDS) {
      this.table[at] = ENTRY_MASKED;
    }
  }
}
