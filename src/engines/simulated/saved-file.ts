import { type FileHandle, open, stat } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import type { OwnedResources } from '../../compute/owned-resources.ts';
import { replaceFile } from '../replaced-file.ts';
import {
  emptyHead,
  readHead,
  requireStream,
  SavedStateError,
  type SavedStateHead,
  STREAM_OFFSET,
  type StreamSum,
  sumStream,
  writeAt,
  writeHead,
} from '../saved-state-head.ts';
import type { GuestRam } from './guest-ram.ts';
import { PAGE_SIZE, usedPages } from './ram-pages.ts';

const KIND = { magic: 'HDVKSIMS', version: 1 };

/** Pages in all blocks but the last: 1 MiB. */
const BLOCK_PAGES = 256;
/** Bytes of a page's number. */
const NUMBER_SIZE = 4;

/** What the head of a file says of its machine. */
interface Description {
  /** Bytes of RAM. */
  readonly memory: number;
  /** Bytes of the state that is not RAM. */
  readonly stateLength: number;
  /** Pages of RAM that are not all zeros. */
  readonly pages: number;
}

/** A file for the state of a machine, with none in it. */
export function emptySavedFile(): Buffer {
  return emptyHead(KIND);
}

/**
 * Saves a machine to a file; see `replaceFile`. After the head, its stream is
 *
 * | bytes | content |
 * |---|---|
 * | `stateLength` | all but the RAM |
 * | 4 n | numbers of n pages, little endian: guest-physical addresses in pages; n is 256, in the last block less |
 * | 4096 n | those pages; the next block follows |
 *
 * @param state all but the RAM
 * @param owned where the file is noted until it is whole
 * @throws HcsError where it cannot be written; what `signal` was aborted with
 */
export async function writeSavedFile(
  path: string,
  ram: GuestRam,
  state: Uint8Array,
  signal: AbortSignal,
  owned?: OwnedResources,
): Promise<void> {
  await replaceFile(path, watchOver(owned), async (part) => {
    const file = await open(part, 'r+');
    try {
      const stream = new StreamWriter(file);
      await stream.write(state);
      const pages = await writePages(stream, ram, signal);
      const description: Description = { memory: ram.size, stateLength: state.length, pages };
      await writeHead(file, KIND, description, stream);
    } finally {
      await file.close();
    }
    signal.throwIfAborted();
  });
}

function watchOver(owned: OwnedResources | undefined): Parameters<typeof replaceFile>[1] {
  return {
    watchFile: (name) => owned?.add({ kind: 'file', name }),
    leaveFile: (name) => owned?.remove({ kind: 'file', name }),
  };
}

/** An open file with a saved machine. */
export class SavedFile implements AsyncDisposable {
  readonly #file: FileHandle;
  readonly #path: string;
  readonly #head: SavedStateHead;
  readonly #description: Description;

  private constructor(file: FileHandle, path: string, head: SavedStateHead, about: Description) {
    this.#file = file;
    this.#path = path;
    this.#head = head;
    this.#description = about;
  }

  /**
   * @throws SavedStateError when the file is of another kind, damaged in its head or cut; the system's error when it
   * cannot be opened
   */
  static async open(path: string): Promise<SavedFile> {
    const file = await openRegular(path);
    try {
      const head = await readHead(file, path, KIND);
      const about = head.description as Description | undefined;
      if (about === undefined) {
        throw new SavedStateError(`${path} is empty: no machine was saved in it yet`);
      }
      const length = Math.max(0, (await file.stat()).size - STREAM_OFFSET);
      const expected = about.stateLength + about.pages * (NUMBER_SIZE + PAGE_SIZE);
      if (length !== expected) requireStream(path, head.stream, { length, crc: -1 });
      return new SavedFile(file, path, head, about);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Bytes of RAM of the machine. */
  get memory(): number {
    return this.#description.memory;
  }

  /**
   * Fills the RAM of a new machine.
   * @returns all but the RAM
   * @throws SavedStateError when the file is damaged: the RAM has something of it then
   */
  async read(ram: GuestRam): Promise<Buffer> {
    const { pages, stateLength } = this.#description;
    const reader = new StreamReader(this.#file);
    const state = Buffer.alloc(stateLength);
    await reader.read(state);
    const block = Buffer.allocUnsafe(BLOCK_PAGES * (NUMBER_SIZE + PAGE_SIZE));
    let isPlaced = true;
    for (let left = pages; left > 0; left -= BLOCK_PAGES) {
      const count = Math.min(left, BLOCK_PAGES);
      const part = block.subarray(0, count * (NUMBER_SIZE + PAGE_SIZE));
      await reader.read(part);
      for (let i = 0; i < count; i++) {
        const at = count * NUMBER_SIZE + i * PAGE_SIZE;
        const gpa = part.readUInt32LE(i * NUMBER_SIZE) * PAGE_SIZE;
        isPlaced = ram.write(gpa, part.subarray(at, at + PAGE_SIZE)) && isPlaced;
      }
    }
    requireStream(this.#path, this.#head.stream, reader);
    if (isPlaced) return state;
    throw new SavedStateError(`${this.#path} has pages that are none of its machine's memory`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }
}

/**
 * Checks a file that is to have a machine in it, or to get one.
 * @throws SavedStateError when it is of another kind, or damaged
 */
export async function checkSavedFile(path: string): Promise<void> {
  const file = await openRegular(path);
  try {
    const { description, stream } = await readHead(file, path, KIND);
    if (description !== undefined) requireStream(path, stream, await sumStream(file));
  } finally {
    await file.close();
  }
}

/** A pipe would be waited for. */
async function openRegular(path: string): Promise<FileHandle> {
  if ((await stat(path)).isFile()) return await open(path, 'r');
  throw new SavedStateError(`${path} is no regular file`);
}

/** @returns how many */
async function writePages(
  stream: StreamWriter,
  ram: GuestRam,
  signal: AbortSignal,
): Promise<number> {
  const numbers = Buffer.allocUnsafe(BLOCK_PAGES * NUMBER_SIZE);
  const bytes = Buffer.allocUnsafe(BLOCK_PAGES * PAGE_SIZE);
  let count = 0;
  let total = 0;
  const flush = async (): Promise<void> => {
    await stream.write(numbers.subarray(0, count * NUMBER_SIZE));
    await stream.write(bytes.subarray(0, count * PAGE_SIZE));
    total += count;
    count = 0;
    signal.throwIfAborted();
  };
  for await (const pages of usedPages(ram, signal)) {
    for (const page of pages) {
      numbers.writeUInt32LE(page.number, count * NUMBER_SIZE);
      page.bytes.copy(bytes, count * PAGE_SIZE);
      if (++count === BLOCK_PAGES) await flush();
    }
  }
  await flush();
  return total;
}

/** Writes a stream, and sums it up. */
class StreamWriter implements StreamSum {
  length = 0;
  crc = 0;
  readonly #file: FileHandle;

  constructor(file: FileHandle) {
    this.#file = file;
  }

  async write(bytes: Uint8Array): Promise<void> {
    await writeAt(this.#file, bytes, STREAM_OFFSET + this.length);
    this.crc = crc32(bytes, this.crc);
    this.length += bytes.length;
  }
}

/** Reads a stream, and sums it up. */
class StreamReader implements StreamSum {
  length = 0;
  crc = 0;
  readonly #file: FileHandle;

  constructor(file: FileHandle) {
    this.#file = file;
  }

  /** Fills `into`, as far as the stream goes. */
  async read(into: Buffer): Promise<void> {
    for (let done = 0; done < into.length; ) {
      const at = STREAM_OFFSET + this.length;
      const { bytesRead } = await this.#file.read(into, done, into.length - done, at);
      if (bytesRead === 0) return;
      this.crc = crc32(into.subarray(done, done + bytesRead), this.crc);
      this.length += bytesRead;
      done += bytesRead;
    }
  }
}
