/** Bytes in the order they came, taken one at a time. */
export class ByteQueue {
  readonly #chunks: Uint8Array[] = [];
  #offset = 0;
  #length = 0;

  /** Bytes that wait. */
  get length(): number {
    return this.#length;
  }

  /** Appends a copy of the bytes. */
  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#chunks.push(Uint8Array.from(bytes));
    this.#length += bytes.length;
  }

  /** Takes the next byte; undefined when there is none. */
  shift(): number | undefined {
    const chunk = this.#chunks[0];
    if (chunk === undefined) return undefined;
    const byte = chunk[this.#offset];
    this.#offset += 1;
    this.#length -= 1;
    if (this.#offset === chunk.length) {
      this.#chunks.shift();
      this.#offset = 0;
    }
    return byte;
  }

  /** A copy of what waits. */
  peek(): Buffer {
    return Buffer.concat(this.#chunks).subarray(this.#offset);
  }

  clear(): void {
    this.#chunks.length = 0;
    this.#offset = 0;
    this.#length = 0;
  }
}
