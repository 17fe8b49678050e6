import type { FileHandle } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { Parser } from 'binary-parser';
import { nextData } from '../ffi/file-holes.ts';
import { crcWithZeros } from './crc-of-zeros.ts';

/** Bytes before what an engine saves, its stream. */
export const STREAM_OFFSET = 64 * 1024;

/** Which engine's state is in a file. */
export interface SavedStateKind {
  /** Eight characters, which the file begins with. */
  readonly magic: string;
  /** Of what follows the head. */
  readonly version: number;
}

/** What a file has after its head. */
export interface StreamSum {
  /** Bytes. */
  readonly length: number;
  /** As zlib has it. */
  readonly crc: number;
}

/** The head of a file with a saved machine. */
export interface SavedStateHead {
  /** What the engine noted of the machine; undefined where no machine was saved in the file yet. */
  readonly description: unknown;
  readonly stream: StreamSum;
}

/** The file's first bytes. Numbers are little endian. */
const HEADER = new Parser()
  .endianness('little')
  .string('magic', { length: 8, encoding: 'latin1' })
  .uint32('version')
  .uint32('descriptionLength')
  .uint32('descriptionCrc')
  .uint32('streamCrc')
  .uint64('streamLength', { formatter: Number });
const HEADER_SIZE = 32;

interface Header {
  readonly magic: string;
  readonly version: number;
  readonly descriptionLength: number;
  readonly descriptionCrc: number;
  readonly streamCrc: number;
  readonly streamLength: number;
}

/** A file that has no saved machine in it, or not all of one. */
export class SavedStateError extends Error {
  override readonly name = 'SavedStateError';
}

/** The head of a file for the state of a machine, with none in it. */
export function emptyHead({ magic, version }: SavedStateKind): Buffer {
  const head = Buffer.alloc(STREAM_OFFSET);
  head.write(magic, 'latin1');
  head.writeUInt32LE(version, 8);
  return head;
}

/**
 * Writes the head of a file whose stream is there, and sees to it that all of it is on the disk.
 *
 * | Offset | Content                                     |
 * | ------ | ------------------------------------------- |
 * | 0      | magic, version, lengths and CRCs (32 bytes) |
 * | 32     | the description as JSON, zeros              |
 * | 65536  | the stream                                  |
 *
 * @throws SavedStateError when the description is too long
 */
export async function writeHead(
  file: FileHandle,
  kind: SavedStateKind,
  description: unknown,
  stream: StreamSum,
): Promise<void> {
  const text = Buffer.from(JSON.stringify(description));
  if (text.length > STREAM_OFFSET - HEADER_SIZE) {
    throw new SavedStateError(
      `Cannot save the machine: its description has ${text.length} bytes, and ${STREAM_OFFSET - HEADER_SIZE} fit`,
    );
  }
  const head = emptyHead(kind);
  head.writeUInt32LE(text.length, 12);
  head.writeUInt32LE(crc32(text), 16);
  head.writeUInt32LE(stream.crc, 20);
  head.writeBigUInt64LE(BigInt(stream.length), 24);
  text.copy(head, HEADER_SIZE);
  await writeAt(file, head, 0);
  await file.sync();
}

/** Writes all of the bytes: a disk that is nearly full takes some of them without an error. */
export async function writeAt(
  file: FileHandle,
  bytes: Uint8Array,
  position: number,
): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}

/**
 * Reads the head of a file, and checks it; the stream is left to {@link requireStream}.
 * @param path what errors call the file
 * @throws SavedStateError when the file is of another kind, or its head is damaged
 */
export async function readHead(
  file: FileHandle,
  path: string,
  kind: SavedStateKind,
): Promise<SavedStateHead> {
  const head = Buffer.alloc(STREAM_OFFSET);
  const { bytesRead } = await file.read(head, 0, head.length, 0);
  const header = HEADER.parse(head) as Header;
  if (bytesRead < STREAM_OFFSET || header.magic !== kind.magic) {
    throw new SavedStateError(`${path} has no machine that was saved by this host`);
  }
  if (header.version !== kind.version) {
    throw new SavedStateError(
      `${path} was saved by another version of this host: its format is ${header.version}, not ${kind.version}`,
    );
  }
  const stream = { length: header.streamLength, crc: header.streamCrc };
  const length = header.descriptionLength;
  if (length === 0) return { description: undefined, stream };
  const text = head.subarray(HEADER_SIZE, HEADER_SIZE + length);
  if (crc32(text) !== header.descriptionCrc) {
    throw new SavedStateError(`${path} is damaged: the checksum of its head does not match`);
  }
  return { description: JSON.parse(text.toString()), stream };
}

/** @throws SavedStateError when a stream is not the one that was saved */
export function requireStream(path: string, saved: StreamSum, found: StreamSum): void {
  if (found.length === saved.length && found.crc === saved.crc) return;
  throw new SavedStateError(
    `${path} is damaged: its checksum does not match, after ${found.length} of ${saved.length} bytes`,
  );
}

/** Reads the stream of a file to its end. What was never written counts as the zeros that it is, and is not read. */
export async function sumStream(file: FileHandle): Promise<StreamSum> {
  const { size } = await file.stat();
  const part = Buffer.allocUnsafe(1024 * 1024);
  let crc = 0;
  let at = STREAM_OFFSET;
  while (at < size) {
    const data = Math.min(nextData(file.fd, at) ?? size, size);
    crc = crcWithZeros(crc, data - at);
    at = data;
    const { bytesRead } = await file.read(part, 0, Math.min(part.length, size - at), at);
    if (bytesRead === 0) break;
    crc = crc32(part.subarray(0, bytesRead), crc);
    at += bytesRead;
  }
  return { length: at - STREAM_OFFSET, crc };
}
