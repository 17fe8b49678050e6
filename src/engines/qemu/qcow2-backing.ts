import { closeSync, openSync, readSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { Parser } from 'binary-parser';

const MAGIC = 0x5146_49fb;
/** QEMU, docs/interop/qcow2, as far as it is asked for. */
const HEADER = new Parser()
  .endianness('big')
  .uint32('magic')
  .uint32('version')
  .uint64('backingOffset', { formatter: Number })
  .uint32('backingLength')
  .seek(80)
  .uint32('headerLength');
/** Of version 2, which does not say it. */
const OLD_HEADER_LENGTH = 72;
const EXTENSION = new Parser().endianness('big').uint32('type').uint32('length');
const EXTENSION_HEAD = 8;
const FORMAT_EXTENSION = 0xe279_2aca;

interface Header {
  readonly magic: number;
  readonly version: number;
  readonly backingOffset: number;
  readonly backingLength: number;
  readonly headerLength: number;
}

interface Extension {
  readonly type: number;
  readonly length: number;
}

/** Header, extensions and the name are in the first cluster, the smallest of which has 512 bytes. */
const CLUSTER = 64 * 1024;

/** What an image stands on. */
export interface Backing {
  /** As the image names it: relative to its own folder, or absolute. */
  readonly path: string;
  readonly format: string;
}

/** What a qcow2 image stands on, if on anything that is a file. @throws Error of the system */
export function backingOf(image: string): Backing | undefined {
  const head = Buffer.alloc(CLUSTER);
  const file = openSync(image, 'r');
  try {
    readSync(file, head, 0, head.length, 0);
  } finally {
    closeSync(file);
  }
  const header = HEADER.parse(head) as Header;
  const { magic, backingOffset: offset, backingLength: length } = header;
  if (magic !== MAGIC) return undefined;
  if (offset === 0 || length === 0 || offset + length > head.length) return undefined;
  const path = head.toString('utf8', offset, offset + length).replace(/^file:/, '');
  // Others (json:, nbd:) are not files of this machine.
  if (/^[a-z][\w+.-]*:/i.test(path)) return undefined;
  return { path, format: formatOf(head, header) ?? 'raw' };
}

function formatOf(head: Buffer, { version, headerLength }: Header): string | undefined {
  let at = version === 2 ? OLD_HEADER_LENGTH : headerLength;
  while (at + EXTENSION_HEAD <= head.length) {
    const { type, length } = EXTENSION.parse(head.subarray(at)) as Extension;
    at += EXTENSION_HEAD;
    if (type === 0) return undefined;
    if (type === FORMAT_EXTENSION) return head.toString('utf8', at, at + length);
    at += Math.ceil(length / 8) * 8;
  }
  return undefined;
}

/** All images below a qcow2 one, by absolute path. */
export function backingChain(image: string): readonly string[] {
  const chain: string[] = [];
  for (let top = image; ; ) {
    const backing = backingOf(top);
    if (backing === undefined) return chain;
    top = resolve(dirname(top), backing.path);
    if (chain.includes(top)) return chain;
    chain.push(top);
    if (backing.format !== 'qcow2') return chain;
  }
}
