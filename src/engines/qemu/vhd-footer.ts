import { statSync } from 'node:fs';
import { Parser } from 'binary-parser';
import { filePart } from './file-part.ts';

/** Bytes of a footer, the last ones of every VHD (VHD format, "Hard Disk Footer Format"). */
export const VHD_FOOTER_SIZE = 512;
const COOKIE = 'conectix';
const CHECKSUM_OFFSET = 64;

/** What a VHD is by its footer's disk type. */
export const VhdType = { FIXED: 2, DYNAMIC: 3, DIFFERENCING: 4 } as const;

/** What the end of a VHD says of it, as far as it is asked for. */
export interface VhdFooter {
  readonly cookie: string;
  /** Bytes that a guest sees. */
  readonly currentSize: number;
  /** One of {@link VhdType}, or what nobody uses. */
  readonly diskType: number;
  readonly checksum: number;
}

const FOOTER = new Parser()
  .endianness('big')
  .string('cookie', { length: COOKIE.length, encoding: 'latin1' })
  .seek(40)
  .uint64('currentSize', { formatter: Number })
  .seek(4)
  .uint32('diskType')
  .uint32('checksum');

/** The footer of an image; undefined where the file does not end in one. @throws Error of the system */
export function vhdFooterOf(path: string): VhdFooter | undefined {
  const { size } = statSync(path);
  if (size < VHD_FOOTER_SIZE) return undefined;
  const bytes = filePart(path, size - VHD_FOOTER_SIZE, VHD_FOOTER_SIZE);
  if (bytes.length < VHD_FOOTER_SIZE) return undefined;
  const footer = FOOTER.parse(bytes) as VhdFooter;
  return footer.cookie === COOKIE && footer.checksum === checksumOf(bytes) ? footer : undefined;
}

/** The complement of the sum of all other bytes. */
function checksumOf(bytes: Buffer): number {
  let sum = 0;
  for (const [at, byte] of bytes.entries()) {
    if (at < CHECKSUM_OFFSET || at >= CHECKSUM_OFFSET + 4) sum += byte;
  }
  return ~sum >>> 0;
}
