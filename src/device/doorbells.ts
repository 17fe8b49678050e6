import type { MmioRegion, Width } from './mmio-region.ts';
import { refusePromise } from './promise-check.ts';

/** What {@link doorbells} needs to know. */
export interface DoorbellOptions {
  /** How many doorbells. */
  readonly count: number;
  /** Bytes from one doorbell to the next, a multiple of 4; default 4. */
  readonly stride?: number;
  /** Called for each write to the first bytes of a doorbell. */
  readonly ring: (index: number, value: number) => void;
}

/** A row of doorbells: writes call one function with the doorbell's index, reads give 0. Holds no state. */
export class DoorbellRegion implements MmioRegion {
  readonly size: number;
  readonly count: number;
  readonly stride: number;
  readonly #ring: (index: number, value: number) => unknown;

  /** Called by {@link doorbells}. */
  constructor({ count, stride = 4, ring }: DoorbellOptions) {
    if (!Number.isInteger(count) || count < 1) {
      throw new RangeError(`Cannot make ${count} doorbells: count is at least 1`);
    }
    if (!Number.isInteger(stride) || stride < 4 || stride % 4 !== 0) {
      throw new RangeError(`Cannot space doorbells by ${stride} bytes: stride is a multiple of 4`);
    }
    this.count = count;
    this.stride = stride;
    this.size = count * stride;
    this.#ring = ring;
  }

  read(_offset: number, _width: Width): number {
    return 0;
  }

  /** The upper half of an 8-byte write, and any other write past a doorbell's start, rings nothing. */
  write(offset: number, _width: Width, value: number): void {
    const index = Math.floor(offset / this.stride);
    if (offset !== index * this.stride || index >= this.count) return;
    const result = this.#ring(index, value);
    if (typeof result === 'object') refusePromise(result, `the ring hook of doorbell ${index}`);
  }
}

/**
 * Doorbells in a BAR, for queues.
 * @throws RangeError when count or stride make no sense
 *
 * @example
 * ```ts
 * const ring = (queue: number, tail: number): void => console.log(queue, tail);
 * const bar = mmio(0x4000, { 0x1000: doorbells({ count: 8, ring }) });
 * ```
 */
export function doorbells(options: DoorbellOptions): DoorbellRegion {
  return new DoorbellRegion(options);
}
