import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { nextData } from './file-holes.ts';
import { addressOf, checked, libc } from './libc.ts';

/** Bytes of an entry of /proc/self/pagemap (Linux, Documentation/admin-guide/mm/pagemap.rst). */
const ENTRY_SIZE = 8;
/** Bits 62 and 63, in the upper word of an entry: the page is swapped, or present. */
const HAS_PAGE = 0xc000_0000;
/** Entries that are read at once. */
const ENTRIES = 64 * 1024;

/** Type of the entry of the auxiliary vector that has the size of pages (getauxval(3)). */
const AT_PAGESZ = 6n;

/** A part of memory, in bytes from its start. */
export interface Stretch {
  readonly start: number;
  readonly end: number;
}

/**
 * Parts of memory of this process that may hold something else than zeros: what was never touched is left out, where the
 * system tells. Elsewhere all of it is one part. In order, and as long as can be.
 * @param memory zero when it was made
 */
export function touchedStretches(memory: SharedArrayBuffer): readonly Stretch[] {
  try {
    return process.platform === 'linux' ? readPageMap(memory) : [whole(memory)];
  } catch {
    // A sandbox need not have the file.
    return [whole(memory)];
  }
}

/**
 * As {@link touchedStretches}, of memory in a file (`createMemoryFile`): what other processes have touched counts, too.
 * @param size bytes of the file
 * @throws SystemCallError
 */
export function fileStretches(fd: number, size: number): readonly Stretch[] {
  const stretches: Stretch[] = [];
  for (let end = 0; end < size; ) {
    const start = nextData(fd, end);
    if (start === undefined) break;
    end = checked(libc().lseek(fd, start, SEEK_HOLE), 'seek in', 'memory');
    stretches.push({ start, end: Math.min(end, size) });
  }
  return stretches;
}

/** lseek(2), Linux. */
const SEEK_HOLE = 4;

function whole({ byteLength }: SharedArrayBuffer): Stretch {
  return { start: 0, end: byteLength };
}

function readPageMap(memory: SharedArrayBuffer): readonly Stretch[] {
  const size = pageSize();
  const address = addressOf(new Uint8Array(memory));
  const first = Math.floor(address / size);
  const count = Math.ceil((address + memory.byteLength) / size) - first;
  const stretches: Stretch[] = [];
  let begin = -1;
  const entries = new Uint32Array(2 * Math.min(count, ENTRIES));
  const fd = openSync('/proc/self/pagemap', 'r');
  try {
    for (let page = 0; page < count; ) {
      const wanted = Math.min(count - page, ENTRIES) * ENTRY_SIZE;
      const length = readSync(fd, entries, 0, wanted, (first + page) * ENTRY_SIZE);
      if (length === 0 || length % ENTRY_SIZE !== 0) throw new Error('The page map is too short');
      for (let i = 1; i < length / 4; i += 2, page++) {
        const isTouched = (entries[i]! & HAS_PAGE) !== 0;
        if (isTouched === begin >= 0) continue;
        if (!isTouched) stretches.push(stretch(begin, page));
        begin = isTouched ? page : -1;
      }
    }
  } finally {
    closeSync(fd);
  }
  if (begin >= 0) stretches.push(stretch(begin, count));
  return stretches;

  function stretch(from: number, to: number): Stretch {
    const start = Math.max(0, (first + from) * size - address);
    const end = Math.min(memory.byteLength, (first + to) * size - address);
    return { start, end };
  }
}

let known: number | undefined;

/** Bytes of the pages that the page map is about: 4 KiB, and up to 64 KiB on arm64. */
function pageSize(): number {
  if (known !== undefined) return known;
  const vector = readFileSync('/proc/self/auxv');
  for (let at = 0; at + 16 <= vector.length; at += 16) {
    if (vector.readBigUInt64LE(at) === AT_PAGESZ) known = Number(vector.readBigUInt64LE(at + 8));
  }
  if (known === undefined) throw new Error('The auxiliary vector has no page size');
  return known;
}
