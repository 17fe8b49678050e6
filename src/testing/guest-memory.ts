import { AddressMap } from '../engines/simulated/address-map.ts';
import type { GuestRam } from '../engines/simulated/guest-ram.ts';
import { RangeAllocator } from './range-allocator.ts';

/** Where allocation starts: the first megabyte is left alone, as on a PC. */
const FIRST = 0x10_0000;

/** RAM as a program in the guest uses it: it allocates, and reads and writes what it allocated. */
export class VmMemory {
  readonly #ram: GuestRam;
  readonly #low: RangeAllocator;
  readonly #high: RangeAllocator;

  constructor(ram: GuestRam) {
    this.#ram = ram;
    const [low, high] = ram.windows;
    const start = Math.min(FIRST, low!.length);
    this.#low = new RangeAllocator(start, low!.length - start, 'guest memory below 4 GiB');
    this.#high = new RangeAllocator(
      AddressMap.HIGH_RAM,
      high?.length ?? 0,
      'guest memory above 4 GiB',
    );
  }

  /** Bytes of RAM. */
  get size(): number {
    return this.#ram.size;
  }

  /** First address past the RAM below the hole: a device that goes on from here meets no memory. */
  get end(): number {
    return this.#ram.windows[0]!.length;
  }

  /**
   * Memory for a device to use, with zeros in it.
   * @returns its guest-physical address
   * @throws RangeError when none is left
   */
  allocate(
    bytes: number,
    { align = 4096, above4G = false }: { readonly align?: number; readonly above4G?: boolean } = {},
  ): number {
    const gpa = (above4G ? this.#high : this.#low).allocate(bytes, align);
    this.view(gpa, bytes).fill(0);
    return gpa;
  }

  /** Gives memory back that {@link allocate} returned. */
  free(gpa: number): void {
    this.#low.free(gpa);
    this.#high.free(gpa);
  }

  /** A copy of guest memory. */
  read(gpa: number, length: number): Buffer {
    return Buffer.from(this.view(gpa, length));
  }

  /** Copies bytes, or text as UTF-8, to guest memory. */
  write(gpa: number, bytes: Uint8Array | string): void {
    const from = typeof bytes === 'string' ? Buffer.from(bytes) : bytes;
    this.view(gpa, from.length).set(from);
  }

  read32(gpa: number): number {
    return this.view(gpa, 4).readUInt32LE();
  }

  write32(gpa: number, value: number): void {
    this.view(gpa, 4).writeUInt32LE(value >>> 0);
  }

  /**
   * The guest's own bytes, in place.
   * @throws RangeError when the range is not all RAM
   */
  view(gpa: number, length: number): Buffer {
    const window = this.#ram.windowAt(gpa, length);
    if (window === undefined) {
      throw new RangeError(
        `Cannot access ${length} bytes of guest memory at 0x${gpa.toString(16)}: it is not all memory`,
      );
    }
    return Buffer.from(window.buffer, gpa - window.gpa, length);
  }
}
