import type { MmioRegion, Width } from './mmio-region.ts';
import { refusePromise } from './promise-check.ts';

/** How many doorbells there are, and how far apart. */
export interface DoorbellRow {
  /** How many doorbells. */
  readonly count: number;
  /** Bytes from one doorbell to the next, a multiple of 4; default 4. */
  readonly stride?: number;
}

/** What {@link doorbells} needs to know. */
export type DoorbellOptions = DoorbellRow &
  (
    | {
        readonly valueless?: false;
        /** Called for each write to the first bytes of a doorbell. */
        readonly ring: (index: number, value: number) => void;
      }
    | {
        /**
         * The value says nothing, as that of a virtio queue's doorbell. A host that can turns writes into notices then,
         * which cost the guest a tenth of an intercept and come a little later than the write: several rings may become
         * one, rings of different doorbells may come in another order, and after a pause each doorbell rings once for
         * what may have been missed. Elsewhere every write is one ring.
         */
        readonly valueless: true;
        /** Called after one or more writes to the first bytes of a doorbell: looks for work, wherever it finds it. */
        readonly ring: (index: number) => void;
      }
  );

/** A row of doorbells: writes call one function with the doorbell's index, reads give 0. Holds no state. */
export class DoorbellRegion implements MmioRegion {
  readonly size: number;
  readonly count: number;
  readonly stride: number;
  /** May the host notify of writes without their value? */
  readonly valueless: boolean;
  readonly #ring: (index: number, value: number) => unknown;

  /** Called by {@link doorbells}. */
  constructor({ count, stride = 4, valueless = false, ring }: DoorbellOptions) {
    if (!Number.isInteger(count) || count < 1) {
      throw new RangeError(`Cannot make ${count} doorbells: count is at least 1`);
    }
    if (!Number.isInteger(stride) || stride < 4 || stride % 4 !== 0) {
      throw new RangeError(`Cannot space doorbells by ${stride} bytes: stride is a multiple of 4`);
    }
    this.count = count;
    this.stride = stride;
    this.size = count * stride;
    this.valueless = valueless;
    this.#ring = ring;
  }

  read(_offset: number, _width: Width): number {
    return 0;
  }

  /** The upper half of an 8-byte write, and any other write past a doorbell's start, rings nothing. */
  write(offset: number, _width: Width, value: number): void {
    const index = Math.floor(offset / this.stride);
    if (offset !== index * this.stride || index >= this.count) return;
    // A device must not come to depend on a value that only some hosts can give.
    const result = this.#ring(index, this.valueless ? 0 : value);
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
