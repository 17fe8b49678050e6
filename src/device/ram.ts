import type { MmioRegion, Width } from './mmio-region.ts';

/** Memory in a BAR that the guest reads and writes, and the device has as bytes. Zero after a reset. */
export class RamRegion implements MmioRegion {
  readonly size: number;
  /** The memory itself. */
  readonly bytes: Uint8Array;
  readonly #view: DataView;

  /** Called by {@link ram}. */
  constructor(bytes: Uint8Array) {
    this.size = bytes.length;
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  read(offset: number, width: Width): number {
    if (offset + width > this.size) return this.#readEnd(offset);
    if (width === 4) return this.#view.getUint32(offset, true);
    return width === 2 ? this.#view.getUint16(offset, true) : this.#view.getUint8(offset);
  }

  write(offset: number, width: Width, value: number): void {
    if (offset + width > this.size) this.#writeEnd(offset, value);
    else if (width === 4) this.#view.setUint32(offset, value, true);
    else if (width === 2) this.#view.setUint16(offset, value, true);
    else this.#view.setUint8(offset, value);
  }

  reset(): void {
    this.bytes.fill(0);
  }

  /** A copy of the bytes. */
  save(): Buffer {
    return Buffer.from(this.bytes);
  }

  /** @throws TypeError when `state` is not as many bytes */
  restore(state: unknown): void {
    this.bytes.set(savedBytes(state, this.size));
  }

  /** Bytes past the end read as 0. */
  #readEnd(offset: number): number {
    let value = 0;
    for (let i = this.size - 1; i >= offset; i--) value = (value << 8) | this.#view.getUint8(i);
    return value >>> 0;
  }

  #writeEnd(offset: number, value: number): void {
    for (let i = offset; i < this.size; i++) {
      this.#view.setUint8(i, value >>> ((i - offset) * 8));
    }
  }
}

/**
 * Bytes of a snapshot: a Buffer, or what `JSON.parse(JSON.stringify(buffer))` made of it.
 * @throws TypeError when it is neither, or not `size` bytes long
 */
export function savedBytes(state: unknown, size: number): Uint8Array {
  const data: unknown =
    typeof state === 'object' && state !== null && 'data' in state ? state.data : state;
  if (!(data instanceof Uint8Array || Array.isArray(data)) || data.length !== size) {
    throw new TypeError(`Cannot restore memory: the snapshot does not hold ${size} bytes of it`);
  }
  return data instanceof Uint8Array ? data : Uint8Array.from(data as number[]);
}

/**
 * Memory in a BAR.
 * @param memory bytes that stay the caller's and are shared with the guest, or how many to make
 * @throws RangeError when there are none
 */
export function ram(memory: Uint8Array | number): RamRegion {
  const bytes = typeof memory === 'number' ? Buffer.alloc(memory) : memory;
  if (bytes.length === 0) throw new RangeError('Cannot make RAM of 0 bytes: give it at least one');
  return new RamRegion(bytes);
}
