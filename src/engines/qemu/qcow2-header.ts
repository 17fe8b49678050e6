import { Parser } from 'binary-parser';

const MAGIC = 0x5146_49fb;
/** Bytes of the header that are asked for; what a version 2 has instead of the last ones means nothing. */
export const QCOW2_HEADER_SIZE = 104;

/** The header of an image as far as it is asked for (QEMU, docs/interop/qcow2); offsets are bytes of the file. */
export interface Qcow2Header {
  readonly magic: number;
  readonly version: number;
  readonly backingOffset: number;
  readonly backingLength: number;
  readonly clusterBits: number;
  /** Entries. */
  readonly l1Size: number;
  readonly l1Offset: number;
  readonly refcountOffset: number;
  readonly refcountClusters: number;
  readonly incompatible: number;
  /** A count has two to the power of this many bits. */
  readonly refcountOrder: number;
  readonly headerLength: number;
}

const HEADER = new Parser()
  .endianness('big')
  .uint32('magic')
  .uint32('version')
  .uint64('backingOffset', { formatter: Number })
  .uint32('backingLength')
  .uint32('clusterBits')
  .seek(12)
  .uint32('l1Size')
  .uint64('l1Offset', { formatter: Number })
  .uint64('refcountOffset', { formatter: Number })
  .uint32('refcountClusters')
  .seek(12)
  .uint64('incompatible', { formatter: Number })
  .seek(16)
  .uint32('refcountOrder')
  .uint32('headerLength');

/** Version 2 has neither features nor counts of another width, and ends before them. */
const OLD = { incompatible: 0, refcountOrder: 4, headerLength: 72 };

/** Reads the beginning of an image; undefined where it is of another format. */
export function parseQcow2Header(head: Buffer): Qcow2Header | undefined {
  if (head.length < QCOW2_HEADER_SIZE) return undefined;
  const header = HEADER.parse(head) as Qcow2Header;
  if (header.magic !== MAGIC) return undefined;
  return header.version === 2 ? { ...header, ...OLD } : header;
}
