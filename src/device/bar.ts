import type { MmioRegion } from './mmio-region.ts';

/** What stands where in a BAR: byte offsets and regions. Between regions reads give ones and writes vanish. */
export type BarParts = Readonly<Record<number, MmioRegion>>;

/** How a BAR may be declared beyond its size. */
export interface BarOptions {
  /** Reads have no side effects and writes may be merged; default false. */
  readonly prefetchable?: boolean;
}

/** One memory BAR, made by {@link mmio} or {@link mmio64}. */
export interface Bar<Is64Bit extends boolean = boolean> {
  /** Bytes, a power of two of at least 16. */
  readonly size: number;
  readonly is64Bit: Is64Bit;
  readonly prefetchable: boolean;
  /** Parts in order of offset, without overlap. */
  readonly parts: readonly BarPart[];
}

/** One region in a BAR. */
export interface BarPart {
  readonly offset: number;
  readonly region: MmioRegion;
}

/** The BARs of a device by slot. A 64-bit BAR takes its slot and the next one, so slot 5 cannot hold one. */
export interface Bars {
  readonly 0?: Bar;
  readonly 1?: Bar;
  readonly 2?: Bar;
  readonly 3?: Bar;
  readonly 4?: Bar;
  readonly 5?: Bar<false>;
}

/**
 * A BAR below 4 GiB.
 * @param size bytes, rounded up to a power of two of at least 16
 * @param parts regions by byte offset
 * @throws RangeError when parts overlap or leave the BAR, or the size is over 2 GiB
 *
 * @example
 * ```ts
 * const bar = mmio(0x900, { 0x800: ram(0x100) });
 * console.log(bar.size); // 4096
 * ```
 */
export function mmio(size: number, parts: BarParts, options: BarOptions = {}): Bar<false> {
  return makeBar(size, parts, options, false);
}

/**
 * A BAR anywhere in the guest's address space. Takes two slots.
 * @param size bytes, rounded up to a power of two of at least 16
 * @param parts regions by byte offset
 * @throws RangeError when parts overlap or leave the BAR, or the size is over 2^46
 */
export function mmio64(size: number, parts: BarParts, options: BarOptions = {}): Bar<true> {
  return makeBar(size, parts, options, true);
}

function makeBar<B extends boolean>(
  size: number,
  parts: BarParts,
  { prefetchable = false }: BarOptions,
  is64Bit: B,
): Bar<B> {
  const most = is64Bit ? 2 ** 46 : 2 ** 31;
  if (!Number.isInteger(size) || size < 1 || size > most) {
    throw new RangeError(`Cannot make a BAR of ${size} bytes: sizes are 1 to ${most}`);
  }
  let rounded = 16;
  while (rounded < size) rounded *= 2;
  return { size: rounded, is64Bit, prefetchable, parts: orderParts(rounded, parts) };
}

/**
 * Parts in order of offset.
 * @throws RangeError when they overlap, leave `size` bytes, or are not regions
 */
export function orderParts(size: number, parts: BarParts): BarPart[] {
  const ordered = Object.entries(parts)
    .map(([key, region]) => ({ offset: Number(key), region: region as MmioRegion }))
    .sort((a, b) => a.offset - b.offset);
  let end = 0;
  let before = '';
  for (const { offset, region } of ordered) {
    const at = `0x${offset.toString(16)}`;
    if (!Number.isSafeInteger(offset) || offset < 0 || offset % 4 !== 0) {
      throw new RangeError(`Cannot place a region at ${at}: offsets in a BAR are multiples of 4`);
    }
    if (!(region?.size > 0) || typeof region.read !== 'function') {
      throw new TypeError(`Cannot place ${String(region)} at ${at} of a BAR: it is not a region`);
    }
    if ('adopt' in region && offset % 4096 !== 0) {
      throw new RangeError(
        `Cannot place a mapped range at ${at}: guests map whole pages of 4096 bytes`,
      );
    }
    if (offset < end) {
      throw new RangeError(
        `Cannot place a region at ${at}: it overlaps the one at ${before}, which ends at 0x${end.toString(16)}`,
      );
    }
    end = offset + region.size;
    before = at;
    if (end > size) {
      throw new RangeError(
        `Cannot place a region of ${region.size} bytes at ${at}: the BAR has ${size} bytes`,
      );
    }
  }
  return ordered;
}
