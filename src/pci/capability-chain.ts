import {
  CAPABILITIES_START,
  CONVENTIONAL_SIZE,
  EXPRESS_SIZE,
  EXTENDED_START,
  Header,
  Status,
} from './config-registers.ts';
import type { ConfigSpace } from './config-space.ts';

/** One capability before it has a place. */
export interface CapabilityBlock {
  /** For error messages. */
  readonly name: string;
  readonly id: number;
  /** Bytes, header included. */
  readonly size: number;
  /** Writes everything but id and next pointer, and says what guests can write. */
  fill(space: ConfigSpace, offset: number): void;
}

/** One extended capability before it has a place. */
export interface ExtendedCapabilityBlock extends CapabilityBlock {
  /** Capability version, 4 bits. */
  readonly version: number;
}

/**
 * Lays capabilities one after the other from 0x40 and links them (PCIe 6.0, 7.5.1.1.11).
 * @throws RangeError naming the one that does not fit
 */
export function layCapabilities(space: ConfigSpace, blocks: readonly CapabilityBlock[]): void {
  const offsets = place(blocks, CAPABILITIES_START, CONVENTIONAL_SIZE);
  let link: number = Header.CAPABILITIES;
  blocks.forEach((block, index) => {
    const offset = offsets[index] as number;
    space.bytes[link] = offset;
    space.bytes[offset] = block.id;
    link = offset + 1;
    block.fill(space, offset);
  });
  if (blocks.length > 0) {
    space.bytes[Header.STATUS] = (space.bytes[Header.STATUS] as number) | Status.CAPABILITIES_LIST;
  }
}

/**
 * Lays extended capabilities one after the other from 0x100 and links them (PCIe 6.0, 7.6.3).
 * @throws RangeError naming the one that does not fit
 */
export function layExtendedCapabilities(
  space: ConfigSpace,
  blocks: readonly ExtendedCapabilityBlock[],
): void {
  const offsets = place(blocks, EXTENDED_START, EXPRESS_SIZE);
  blocks.forEach((block, index) => {
    const offset = offsets[index] as number;
    const next = offsets[index + 1] ?? 0;
    space.view.setUint32(offset, (block.id | (block.version << 16) | (next << 20)) >>> 0, true);
    block.fill(space, offset);
  });
}

function place(blocks: readonly CapabilityBlock[], start: number, end: number): number[] {
  let free = start;
  return blocks.map(({ name, size }) => {
    const offset = free;
    free = offset + Math.ceil(size / 4) * 4;
    if (free > end) {
      throw new RangeError(
        `Cannot place capability ${name} of ${size} bytes at 0x${offset.toString(16)}: the list ends at 0x${end.toString(16)}`,
      );
    }
    return offset;
  });
}

/** Offset of a capability in a configuration space, or 0 where it has none with this id. */
export function findCapability(config: Uint8Array, id: number): number {
  let offset = config[Header.CAPABILITIES] ?? 0;
  for (let steps = 0; offset >= CAPABILITIES_START && steps < 48; steps++) {
    if (config[offset] === id) return offset;
    offset = config[offset + 1] ?? 0;
  }
  return 0;
}
