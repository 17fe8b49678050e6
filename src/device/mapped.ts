import type { MmioRegion, Width } from './mmio-region.ts';
import { RamRegion, savedBytes } from './ram.ts';

/** Bytes in a page of a BAR. */
export const PAGE_SIZE = 4096;

/**
 * Pages that the guest maps directly, where the host can, so that its accesses cost nothing; elsewhere they are
 * intercepted and the bytes are the same. Zero after a reset.
 *
 * The price is the device's: QEMU posts no writes to a device with mapped pages, so that each write of a register costs
 * what a read does, and virtual processors of the simulated machine wait for them likewise. Use {@link ram} where the
 * guest writes registers more often than pages.
 */
export class MappedRegion implements MmioRegion {
  readonly size: number;
  readonly pages: number;
  #ram: RamRegion;
  #bytes: Buffer;

  /** Called by {@link mapped}. */
  constructor(pages: number) {
    if (!Number.isInteger(pages) || pages < 1) {
      throw new RangeError(`Cannot map ${pages} pages: give a positive integer`);
    }
    this.pages = pages;
    this.size = pages * PAGE_SIZE;
    this.#bytes = Buffer.alloc(this.size);
    this.#ram = new RamRegion(this.#bytes);
  }

  /**
   * The memory that the guest sees. Ask again after each attach, from `configure` on: a host may have replaced it,
   * contents kept. What the guest writes where it maps the pages is seen by no one but who looks here.
   */
  get bytes(): Buffer {
    return this.#bytes;
  }

  /**
   * Puts other memory in place, with the present contents: a host's, which the guest can map.
   * @throws RangeError when the length differs
   */
  adopt(bytes: Buffer): void {
    if (bytes.length !== this.size) {
      throw new RangeError(
        `Cannot adopt ${bytes.length} bytes: the mapped range has ${this.size} bytes`,
      );
    }
    this.#bytes.copy(bytes);
    this.#bytes = bytes;
    this.#ram = new RamRegion(bytes);
  }

  read(offset: number, width: Width): number {
    return this.#ram.read(offset, width);
  }

  write(offset: number, width: Width, value: number): void {
    this.#ram.write(offset, width, value);
  }

  reset(): void {
    this.#ram.reset();
  }

  save(): Buffer {
    return this.#ram.save();
  }

  restore(state: unknown): void {
    this.#bytes.set(savedBytes(state, this.size));
  }
}

/**
 * Memory of a BAR that the guest maps directly and the device sees as `bytes`. Its offset in the BAR is a multiple of
 * the page size. On QEMU the pages stay with the guest until the device is removed, also when the device has failed.
 * @param pages pages of 4096 bytes
 */
export function mapped(pages: number): MappedRegion {
  return new MappedRegion(pages);
}
