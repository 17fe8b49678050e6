import { closeSync, openSync, readSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

/** QEMU, docs/interop/qcow2: the header, big endian. */
const MAGIC = 0x5146_49fb;
const BACKING_OFFSET = 8;
const BACKING_SIZE = 16;
const HEADER_LENGTH = 100;
const OLD_HEADER_LENGTH = 72;
const FORMAT_EXTENSION = 0xe279_2aca;
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
  if (head.readUInt32BE(0) !== MAGIC) return undefined;
  const offset = Number(head.readBigUInt64BE(BACKING_OFFSET));
  const length = head.readUInt32BE(BACKING_SIZE);
  if (offset === 0 || length === 0 || offset + length > head.length) return undefined;
  const path = head.toString('utf8', offset, offset + length).replace(/^file:/, '');
  // Others (json:, nbd:) are not files of this machine.
  if (/^[a-z][\w+.-]*:/i.test(path)) return undefined;
  return { path, format: formatOf(head) ?? 'raw' };
}

function formatOf(head: Buffer): string | undefined {
  const version = head.readUInt32BE(4);
  let at = version === 2 ? OLD_HEADER_LENGTH : head.readUInt32BE(HEADER_LENGTH);
  while (at + 8 <= head.length) {
    const type = head.readUInt32BE(at);
    const length = head.readUInt32BE(at + 4);
    if (type === 0) return undefined;
    if (type === FORMAT_EXTENSION) return head.toString('utf8', at + 8, at + 8 + length);
    at += 8 + Math.ceil(length / 8) * 8;
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
