import { regionOf } from '../device/region-identity.ts';
import type { RegisterDescription } from '../device/register-description.ts';
import type { PciFunction } from './pci-function.ts';

/** What an offset in a BAR is, for traces and inspectors. */
export interface OffsetDescription {
  /** `STATUS`, `CHANNEL[3]`, `RAM`, `doorbell 2`, `MSI-X table`, `MSI-X pending bits`, or the region's class. */
  readonly name: string;
  /** The row of the register map, where there is one. */
  readonly register: RegisterDescription | undefined;
  /** Element of an array register, or number of a doorbell; else 0. */
  readonly index: number;
  /** Bytes from the start of the register, doorbell or region. */
  readonly byte: number;
}

interface Named {
  at?(offset: number): { register: RegisterDescription; index: number } | undefined;
  readonly registers?: readonly RegisterDescription[];
  readonly stride?: number;
  readonly count?: number;
}

/** Names a byte of a BAR; undefined where the device models nothing. Not for the hot path. */
export function describeOffset(
  fn: PciFunction,
  bar: number,
  offset: number,
): OffsetDescription | undefined {
  const parts = fn.bars.find(({ slot }) => slot === bar)?.parts ?? [];
  const part = parts.find((p) => offset >= p.offset && offset < p.offset + p.region.size);
  if (part === undefined) return undefined;
  const byte = offset - part.offset;
  const { interrupts } = fn.shape;
  if (interrupts.kind === 'msix' && bar === interrupts.table.bar) {
    const plain = { register: undefined, index: 0, byte };
    if (part.offset === interrupts.table.offset) return { name: 'MSI-X table', ...plain };
    if (part.offset === interrupts.pendingBits.offset) {
      return { name: 'MSI-X pending bits', ...plain };
    }
  }
  const region = regionOf(part.region) as Named;
  if (typeof region.at === 'function' && region.registers !== undefined) {
    const found = region.at(byte);
    if (found === undefined) return undefined;
    const { register, index } = found;
    const name = register.isArray ? `${register.name}[${index}]` : register.name;
    return { name, register, index, byte: byte - register.offset - index * register.stride };
  }
  if (region.stride !== undefined && region.count !== undefined) {
    const index = Math.floor(byte / region.stride);
    return { name: `doorbell ${index}`, register: undefined, index, byte: byte % region.stride };
  }
  const name = region.constructor.name;
  return {
    name: name === 'RamRegion' || name === 'MappedRegion' ? 'RAM' : name,
    register: undefined,
    index: 0,
    byte,
  };
}
