import type { Bars } from '../device/bar.ts';
import { DoorbellRegion } from '../device/doorbells.ts';
import { MappedRegion } from '../device/mapped.ts';
import type { MmioRegion } from '../device/mmio-region.ts';
import { RamRegion } from '../device/ram.ts';
import { regionOf } from '../device/region-identity.ts';
import type { RegisterDescription } from '../device/register-description.ts';
import type { InterruptShape } from '../pci/device-callbacks.ts';
import { locateRegister } from './register-names.ts';

/** Bytes of one MSI-X table entry (PCIe 6.0, 7.7.2.2). */
const ENTRY_BYTES = 16;
const ENTRY_WORDS = ['ADDRESS', 'ADDRESS_HIGH', 'DATA', 'CONTROL'] as const;

/** What is known of an offset of a BAR. */
export interface NamedPlace {
  /** `'STATUS'`, `'CHANNEL[3]'`, `'ram+0x10'`, or empty where nothing is. */
  readonly name: string;
  readonly register?: RegisterDescription;
  /** Bytes from the start of the register. */
  readonly inside: number;
  /** False in a hole: reads give 0 or ones there, writes vanish. */
  readonly isModelled: boolean;
}

/** The registers of a region, of this or another copy of the package; undefined for other regions. */
export function registersOf(region: MmioRegion): readonly RegisterDescription[] | undefined {
  return (regionOf(region) as { readonly registers?: readonly RegisterDescription[] }).registers;
}

/** What a region that is no register block is called. */
export function regionKind(region: MmioRegion): string {
  if (region instanceof RamRegion) return 'ram';
  if (region instanceof MappedRegion) return 'mapped';
  if (region instanceof DoorbellRegion) return 'doorbell';
  return region.constructor.name.toLowerCase() || 'region';
}

/** Finds the name of what a guest accesses in the BARs of one device. */
export class BarNames {
  readonly #bars: Bars;
  readonly #interrupts: InterruptShape;

  constructor(bars: Bars, interrupts: InterruptShape) {
    this.#bars = bars;
    this.#interrupts = interrupts;
  }

  /** Says what is at an offset of a BAR. */
  locate(slot: number, offset: number): NamedPlace {
    const vector = this.#locateMsix(slot, offset);
    if (vector !== undefined) return { name: vector, inside: 0, isModelled: true };
    const bar = this.#bars[slot as keyof Bars];
    const part = bar?.parts.find(
      (candidate) =>
        offset >= candidate.offset && offset < candidate.offset + candidate.region.size,
    );
    if (part === undefined) return { name: '', inside: 0, isModelled: false };
    const within = offset - part.offset;
    const registers = registersOf(part.region);
    if (registers === undefined) {
      return { name: placeIn(part.region, within), inside: 0, isModelled: true };
    }
    const found = locateRegister(registers, within);
    if (found === undefined) return { name: '', inside: 0, isModelled: false };
    return {
      name: found.name,
      register: found.description,
      inside: found.inside,
      isModelled: true,
    };
  }

  #locateMsix(slot: number, offset: number): string | undefined {
    if (this.#interrupts.kind !== 'msix') return undefined;
    const { table, pendingBits, count } = this.#interrupts;
    const entry = offset - table.offset;
    if (slot === table.bar && entry >= 0 && entry < count * ENTRY_BYTES) {
      const word = ENTRY_WORDS[(entry % ENTRY_BYTES) >>> 2];
      return `MSIX_TABLE[${Math.floor(entry / ENTRY_BYTES)}].${word}`;
    }
    const pending = offset - pendingBits.offset;
    const isPending = pending >= 0 && pending < Math.ceil(count / 64) * 8;
    return slot === pendingBits.bar && isPending ? 'MSIX_PENDING' : undefined;
  }
}

function placeIn(region: MmioRegion, within: number): string {
  if (region instanceof DoorbellRegion) {
    return `doorbell[${Math.floor(within / region.stride)}]`;
  }
  return `${regionKind(region)}+0x${within.toString(16)}`;
}
