import { dirname, resolve } from 'node:path';
import { Parser } from 'binary-parser';
import { filePart } from './file-part.ts';
import { parseQcow2Header, type Qcow2Header } from './qcow2-header.ts';

const EXTENSION = new Parser().endianness('big').uint32('type').uint32('length');
const EXTENSION_HEAD = 8;
const FORMAT_EXTENSION = 0xe279_2aca;

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
  const head = filePart(image, 0, CLUSTER);
  const header = parseQcow2Header(head);
  if (header === undefined) return undefined;
  const { backingOffset: offset, backingLength: length } = header;
  if (offset === 0 || length === 0 || offset + length > head.length) return undefined;
  const path = head.toString('utf8', offset, offset + length).replace(/^file:/, '');
  // Others (json:, nbd:) are not files of this machine.
  if (/^[a-z][\w+.-]*:/i.test(path)) return undefined;
  return { path, format: formatOf(head, header) ?? 'raw' };
}

function formatOf(head: Buffer, { headerLength }: Qcow2Header): string | undefined {
  let at = headerLength;
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
