import { statSync } from 'node:fs';
import { filePart } from './file-part.ts';
import { parseQcow2Header, QCOW2_HEADER_SIZE, type Qcow2Header } from './qcow2-header.ts';

/** Bits of {@link Qcow2Header.incompatible}. */
const Feature = { DIRTY: 0x1, EXTERNAL_DATA: 0x4, EXTENDED_L2: 0x10 } as const;
/** What QEMU takes (block/qcow2.h): it refuses the rest itself. */
const SMALLEST_CLUSTER_BITS = 9;
const LARGEST_CLUSTER_BITS = 21;
const LARGEST_L1_BYTES = 32 * 1024 * 1024;
const LARGEST_REFCOUNT_BYTES = 8 * 1024 * 1024;
const ENTRY_SIZE = 8;
/** Tables of clusters that are looked at, those of 1 TiB in clusters of 64 KiB: nobody else is served meanwhile. */
const MOST_TABLE_BYTES = 128 * 1024 * 1024;
const TWO_32 = 2 ** 32;

/**
 * Where a qcow2 image has something beyond the end of its file: it was cut off. QEMU reads zeros there, and says nothing.
 * What is missing of the last cluster is not seen, as the file may end in the midst of it.
 * @returns undefined where nothing is missing, or the file is of another format
 * @throws Error of the system
 */
export function qcow2Beyond(path: string): number | undefined {
  const header = parseQcow2Header(filePart(path, 0, QCOW2_HEADER_SIZE));
  if (header === undefined) return undefined;
  const { clusterBits, l1Size, refcountClusters, incompatible } = header;
  if (clusterBits < SMALLEST_CLUSTER_BITS || clusterBits > LARGEST_CLUSTER_BITS) return undefined;
  if (l1Size * ENTRY_SIZE > LARGEST_L1_BYTES) return undefined;
  if (refcountClusters * 2 ** clusterBits > LARGEST_REFCOUNT_BYTES) return undefined;
  if ((incompatible & Feature.EXTERNAL_DATA) !== 0) return undefined;
  const { size } = statSync(path);
  // Counts may be behind in an image that was not closed.
  if ((incompatible & Feature.DIRTY) === 0 && lastCounted(path, header) < size) return undefined;
  return firstBeyond(path, header, size);
}

/**
 * Offset of the last cluster that is counted, which is quickly found. One whose write a crash has kept from the file may be
 * counted too, so it is a reason to look, and no proof.
 */
function lastCounted(path: string, header: Qcow2Header): number {
  const { clusterBits, refcountOffset, refcountClusters, refcountOrder } = header;
  const clusterSize = 2 ** clusterBits;
  const table = filePart(path, refcountOffset, refcountClusters * clusterSize);
  if (table.length < refcountClusters * clusterSize) return Number.POSITIVE_INFINITY;
  for (let index = table.length / ENTRY_SIZE - 1; index >= 0; index--) {
    const block = offsetAt(table, index * ENTRY_SIZE);
    if (block === 0) continue;
    const counts = filePart(path, block, clusterSize);
    if (counts.length < clusterSize) return Number.POSITIVE_INFINITY;
    const last = counts.findLastIndex((byte) => byte !== 0);
    if (last < 0) continue;
    const countsPerBlock = (clusterSize * 8) / 2 ** refcountOrder;
    const inBlock = Math.floor(((last + 1) * 8 - 1) / 2 ** refcountOrder);
    return (index * countsPerBlock + inBlock) * clusterSize;
  }
  return 0;
}

/** Looks at every table and every cluster that a table has, up to {@link MOST_TABLE_BYTES}. */
function firstBeyond(path: string, header: Qcow2Header, size: number): number | undefined {
  const { clusterBits, l1Size, l1Offset, incompatible } = header;
  const clusterSize = 2 ** clusterBits;
  const step = (incompatible & Feature.EXTENDED_L2) === 0 ? ENTRY_SIZE : 2 * ENTRY_SIZE;
  const l1 = filePart(path, l1Offset, l1Size * ENTRY_SIZE);
  if (l1.length < l1Size * ENTRY_SIZE) return l1Offset;
  let left = MOST_TABLE_BYTES;
  for (let at = 0; at < l1.length && left > 0; at += ENTRY_SIZE) {
    const table = offsetAt(l1, at);
    if (table === 0) continue;
    left -= clusterSize;
    const l2 = filePart(path, table, clusterSize);
    if (l2.length < clusterSize) return table;
    for (let entry = 0; entry < l2.length; entry += step) {
      const offset = clusterAt(l2, entry, clusterBits);
      if (offset >= size) return offset;
    }
  }
  return undefined;
}

/** Bits 9 to 55 of an entry. */
function offsetAt(table: Buffer, at: number): number {
  const high = table.readUInt32BE(at) & 0x00ff_ffff;
  return high * TWO_32 + ((table.readUInt32BE(at + 4) & 0xffff_fe00) >>> 0);
}

/** The offset in an entry of a table of clusters; compressed ones begin at any byte. */
function clusterAt(table: Buffer, at: number, clusterBits: number): number {
  const high = table.readUInt32BE(at);
  if ((high & 0x4000_0000) === 0) return offsetAt(table, at);
  const bits = 62 - (clusterBits - 8);
  return (high % 2 ** (bits - 32)) * TWO_32 + table.readUInt32BE(at + 4);
}
