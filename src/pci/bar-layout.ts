import type { Bar, BarPart, Bars } from '../device/bar.ts';
import type { DoorbellRegion } from '../device/doorbells.ts';
import type { MsixOptions } from '../device/interrupts.ts';
import type { MappedRegion } from '../device/mapped.ts';
import type { MmioRegion } from '../device/mmio-region.ts';
import { BarType } from './config-registers.ts';
import type { BarShape, DoorbellShape } from './device-callbacks.ts';
import { type MsixPlace, msixSizes } from './msix.ts';

/** One BAR in its slot, with what the framework added. */
export interface PlacedBar extends BarShape {
  readonly parts: readonly BarPart[];
}

/**
 * Checks the slots of a device's BARs.
 * @throws RangeError when a slot does not exist, or a 64-bit BAR has no room for its upper half
 */
export function placeBars(bars: Bars): PlacedBar[] {
  const placed: PlacedBar[] = [];
  for (const [key, bar] of Object.entries(bars as Record<string, Bar | undefined>)) {
    if (bar === undefined) continue;
    const slot = Number(key);
    if (!Number.isInteger(slot) || slot < 0 || slot > 5) {
      throw new RangeError(`Cannot place BAR ${key}: slots are 0 to 5`);
    }
    if (bar.is64Bit && slot === 5) {
      throw new RangeError('Cannot place BAR 5 as a 64-bit BAR takes two slots: slots are 0 to 5');
    }
    const below = placed.find((other) => other.is64Bit && other.slot === slot - 1);
    if (below !== undefined) {
      throw new RangeError(
        `Cannot place BAR ${slot}: the 64-bit BAR ${slot - 1} takes slots ${slot - 1} and ${slot}`,
      );
    }
    placed.push({ slot, ...bar });
  }
  return placed;
}

/**
 * Finds room for the MSI-X table and pending bits, each on pages of its own.
 * @throws RangeError when there is none
 */
export function placeMsix(
  bars: readonly PlacedBar[],
  count: number,
  { bar, offset }: MsixOptions,
): MsixPlace {
  const slot = bar ?? freeSlot(bars);
  const there = bars.find((candidate) => candidate.slot === slot);
  if (!Number.isInteger(slot) || slot < 0 || slot > 5 || (!there && !isFree(bars, slot))) {
    throw new RangeError(`Cannot place the MSI-X table in BAR ${slot}: there is no such slot`);
  }
  const end = there?.parts.at(-1);
  const after = end === undefined ? 0 : end.offset + end.region.size;
  const table = offset ?? Math.ceil(after / 4096) * 4096;
  if (table % 4096 !== 0 || table < 0 || table >= 2 ** 31) {
    throw new RangeError(
      `Cannot place the MSI-X table at 0x${table.toString(16)} of BAR ${slot}: offsets are multiples of 4096 below 2^31`,
    );
  }
  return { bar: slot, table, pendingBits: table + msixSizes(count).table };
}

/**
 * Adds the MSI-X parts to their BAR, which grows when it must, or makes one.
 * @throws RangeError when they overlap what the device put there
 */
export function addMsix(
  bars: readonly PlacedBar[],
  place: MsixPlace,
  table: MmioRegion,
  pendingBits: MmioRegion,
): PlacedBar[] {
  const parts: BarPart[] = [
    { offset: place.table, region: table },
    { offset: place.pendingBits, region: pendingBits },
  ];
  const end = place.pendingBits + pendingBits.size;
  const { is64Bit, prefetchable, ...there } = bars.find(({ slot }) => slot === place.bar) ?? {
    size: 4096,
    is64Bit: false,
    prefetchable: false,
    parts: [],
  };
  for (const { offset, region } of there.parts) {
    if (offset < end && offset + region.size > place.table) {
      throw new RangeError(
        `Cannot place the MSI-X table at 0x${place.table.toString(16)} of BAR ${place.bar}: it overlaps the part at 0x${offset.toString(16)}`,
      );
    }
  }
  let size = there.size;
  while (size < end) size *= 2;
  if (!is64Bit && size > 2 ** 31) {
    throw new RangeError(
      `Cannot place the MSI-X table in BAR ${place.bar}: a 32-bit BAR has at most 2^31 bytes; use mmio64 or another slot`,
    );
  }
  const grown: PlacedBar = {
    slot: place.bar,
    size,
    is64Bit,
    prefetchable,
    parts: [...there.parts, ...parts].sort((a, b) => a.offset - b.offset),
  };
  return [...bars.filter(({ slot }) => slot !== place.bar), grown].sort((a, b) => a.slot - b.slot);
}

const isFree = (bars: readonly PlacedBar[], slot: number): boolean =>
  !bars.some((bar) => bar.slot === slot || (bar.is64Bit && bar.slot === slot - 1));

function freeSlot(bars: readonly PlacedBar[]): number {
  const slot = [0, 1, 2, 3, 4, 5].find((candidate) => isFree(bars, candidate));
  if (slot !== undefined) return slot;
  throw new RangeError(
    'Cannot place the MSI-X table: no BAR slot is free; name a BAR of the device, as in msix(2, { bar: 0 })',
  );
}

/** The low dword's bits that a guest cannot write (PCIe 6.0, 7.5.1.2.1). */
export function barTypeBits({ is64Bit, prefetchable }: BarShape): number {
  return (is64Bit ? BarType.MEMORY_64 : 0) | (prefetchable ? BarType.PREFETCHABLE : 0);
}

/** Address bits of a BAR that a guest can write: low dword, high dword. */
export function barAddressMask({ size, is64Bit }: BarShape): readonly [number, number] {
  const low = size >= 2 ** 32 ? 0 : ~(size - 1) >>> 0;
  const high = !is64Bit ? 0 : size <= 2 ** 32 ? 0xffff_ffff : ~(size / 2 ** 32 - 1) >>> 0;
  return [low, high];
}

/** What the six BAR registers read back after all ones were written: HDV's probedBars. */
export function probedBars(bars: readonly BarShape[]): number[] {
  const probed = [0, 0, 0, 0, 0, 0];
  for (const bar of bars) {
    const [low, high] = barAddressMask(bar);
    probed[bar.slot] = (low | barTypeBits(bar)) >>> 0;
    if (bar.is64Bit) probed[bar.slot + 1] = high;
  }
  return probed;
}

/** A `mapped` part of a BAR, for hosts that can let the guest map it. */
export interface MappedRange {
  readonly bar: number;
  readonly offset: number;
  readonly region: MappedRegion;
}

/** The `mapped` parts of all BARs. */
export function mappedRanges(bars: readonly PlacedBar[]): MappedRange[] {
  return bars.flatMap(({ slot, parts }) =>
    parts.flatMap(({ offset, region }) => {
      const candidate = region as Partial<MappedRegion>;
      const isMapped = typeof candidate.adopt === 'function' && candidate.pages !== undefined;
      return isMapped ? [{ bar: slot, offset, region: region as MappedRegion }] : [];
    }),
  );
}

/** The rows of doorbells whose value does not count, in all BARs. */
export function doorbellRows(bars: readonly PlacedBar[]): DoorbellShape[] {
  return bars.flatMap(({ slot, parts }) =>
    parts.flatMap(({ offset, region }) => {
      const { valueless, count, stride } = region as Partial<DoorbellRegion>;
      const isRow = valueless === true && count !== undefined && stride !== undefined;
      return isRow ? [{ bar: slot, offset, count, stride }] : [];
    }),
  );
}
