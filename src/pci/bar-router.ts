import type { BarPart } from '../device/bar.ts';
import type { MmioRegion, Width } from '../device/mmio-region.ts';
import { refusePromise } from '../device/promise-check.ts';
import { regionOf } from '../device/region-identity.ts';
import { RegisterFile } from '../device/register-file.ts';

/** All ones by width. */
export const ALL_ONES: Uint32Array = Uint32Array.of(0, 0xff, 0xffff, 0, 0xffff_ffff);

/**
 * Routes accesses of one BAR to its parts. Register files are dispatched at a call site of their own, which sees one
 * class however many devices there are. Between parts reads give ones and writes vanish.
 */
export class BarRouter {
  readonly #starts: readonly number[];
  readonly #ends: readonly number[];
  readonly #files: readonly (RegisterFile | undefined)[];
  readonly #regions: readonly MmioRegion[];
  /** The part of the last access, as most accesses go there again. Fields, because fields cost less than elements. */
  #part = -1;
  #start = 0;
  #end = 0;
  #file: RegisterFile | undefined;

  constructor(parts: readonly BarPart[]) {
    const regions = parts.map(({ region }) => regionOf(region));
    this.#starts = parts.map(({ offset }) => offset);
    this.#ends = parts.map(({ offset, region }) => offset + region.size);
    this.#files = regions.map((region) => (region instanceof RegisterFile ? region : undefined));
    this.#regions = regions;
  }

  read(offset: number, width: Width): number {
    if (!(offset >= this.#start && offset + width <= this.#end) && this.#find(offset, width) < 0) {
      return this.#readAcross(offset, width);
    }
    const file = this.#file;
    if (file !== undefined) return file.read(offset - this.#start, width);
    return this.#readOther(this.#part, offset, width);
  }

  write(offset: number, width: Width, value: number): void {
    if (!(offset >= this.#start && offset + width <= this.#end) && this.#find(offset, width) < 0) {
      this.#writeAcross(offset, width, value);
      return;
    }
    const file = this.#file;
    if (file !== undefined) file.write(offset - this.#start, width, value);
    else this.#writeOther(this.#part, offset, value, width);
  }

  #readOther(part: number, offset: number, width: Width): number {
    const value: unknown = this.#regions[part]!.read(offset - this.#starts[part]!, width);
    if (typeof value !== 'number') {
      refusePromise(value, 'the read of a region');
      throw new TypeError(`Cannot read a region: it returned ${String(value)}`);
    }
    return (value & ALL_ONES[width]!) >>> 0;
  }

  #writeOther(part: number, offset: number, value: number, width: Width): void {
    const result: unknown = this.#regions[part]!.write(offset - this.#starts[part]!, width, value);
    if (result !== undefined) refusePromise(result, 'the write of a region');
  }

  /** The part that holds all of an access, which becomes the last one; or -1. */
  #find(offset: number, width: number): number {
    let low = 0;
    let high = this.#starts.length - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      if (offset < this.#starts[middle]!) high = middle - 1;
      else if (offset >= this.#ends[middle]!) low = middle + 1;
      else if (offset + width > this.#ends[middle]!) return -1;
      else {
        this.#part = middle;
        this.#start = this.#starts[middle]!;
        this.#end = this.#ends[middle]!;
        this.#file = this.#files[middle];
        return middle;
      }
    }
    return -1;
  }

  /** An access that leaves a part goes byte by byte. */
  #readAcross(offset: number, width: Width): number {
    let value = 0;
    for (let byte = 0; byte < width; byte++) {
      const part = this.#find(offset + byte, 1);
      const lane = part < 0 ? 0xff : this.#readOther(part, offset + byte, 1);
      value |= lane << (byte * 8);
    }
    return value >>> 0;
  }

  #writeAcross(offset: number, width: Width, value: number): void {
    for (let byte = 0; byte < width; byte++) {
      const part = this.#find(offset + byte, 1);
      if (part >= 0) this.#writeOther(part, offset + byte, (value >>> (byte * 8)) & 0xff, 1);
    }
  }
}
