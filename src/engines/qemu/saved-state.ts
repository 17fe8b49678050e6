import { constants, type FileHandle, open } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { Parser } from 'binary-parser';
import type { VmProcessorRequirements } from '../../hcs/schema/documents.ts';
import type { MachineMemory } from './command-line.ts';
import type { CrashStorePlace } from './crash-store.ts';
import type { MachinePlan } from './machine-plan.ts';

/** Bytes before QEMU's stream. */
export const STREAM_OFFSET = 64 * 1024;

const MAGIC = 'HDVKSAVE';
const VERSION = 2;
/** The file's first bytes. Numbers are little endian; CRCs as zlib has them. */
const HEADER = new Parser()
  .endianness('little')
  .string('magic', { length: MAGIC.length, encoding: 'latin1' })
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

/** What a saved machine was: it goes on in a machine of the same make only. */
export interface SavedMachine {
  /** Version of QEMU: `'11.1.3'`. */
  readonly qemu: string;
  /** QEMU's versioned name of the machine type: `'pc-q35-11.1'`. */
  readonly machineType: string;
  readonly accelerator: 'tcg' | 'kvm';
  /** What the guest has seen of the processor, where that was the host's own. */
  readonly processor?: VmProcessorRequirements | undefined;
  /** The machine as it was then, with what was added and removed since it was created. */
  readonly plan: MachinePlan;
  readonly memory: MachineMemory;
  /** Root ports by what was behind them. */
  readonly ports: Readonly<Record<string, number>>;
  /** Guest-physical addresses of memory that is a device, by the device's id. */
  readonly memoryAddresses: Readonly<Record<string, number>>;
  /** Where the guest has its error record store, which QEMU's stream does not say. */
  readonly crashStore?: CrashStorePlace | undefined;
}

/** A file that has no saved machine in it, or not all of one. */
export class SavedStateError extends Error {
  override readonly name = 'SavedStateError';
}

/**
 * Writes the head of a file into which QEMU has written its stream, and sees to it that all of it is on the disk.
 *
 * | Offset | Content                                     |
 * | ------ | ------------------------------------------- |
 * | 0      | magic, version, lengths and CRCs (32 bytes) |
 * | 32     | {@link SavedMachine} as JSON, zeros         |
 * | 65536  | QEMU's stream                               |
 */
export async function sealSavedState(path: string, machine: SavedMachine): Promise<void> {
  const description = Buffer.from(JSON.stringify(machine));
  if (description.length > STREAM_OFFSET - HEADER_SIZE) {
    throw new SavedStateError(
      `Cannot save the machine: its description has ${description.length} bytes, and ${STREAM_OFFSET - HEADER_SIZE} fit`,
    );
  }
  const file = await open(path, 'r+');
  try {
    const stream = await checksum(file);
    const head = Buffer.alloc(STREAM_OFFSET);
    head.write(MAGIC, 'latin1');
    head.writeUInt32LE(VERSION, 8);
    head.writeUInt32LE(description.length, 12);
    head.writeUInt32LE(crc32(description), 16);
    head.writeUInt32LE(stream.crc, 20);
    head.writeBigUInt64LE(BigInt(stream.length), 24);
    description.copy(head, HEADER_SIZE);
    await file.write(head, 0, head.length, 0);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** A file for the state of a machine, with none in it. */
export function emptySavedState(): Buffer {
  const head = Buffer.alloc(STREAM_OFFSET);
  head.write(MAGIC, 'latin1');
  head.writeUInt32LE(VERSION, 8);
  return head;
}

/**
 * Reads what was saved, and checks that all of it is there.
 * @throws SavedStateError when the file is of another kind, or damaged; the system's error when it cannot be read
 */
export async function readSavedState(path: string): Promise<SavedMachine> {
  const file = await open(path, constants.O_RDONLY);
  try {
    const head = Buffer.alloc(STREAM_OFFSET);
    const { bytesRead } = await file.read(head, 0, head.length, 0);
    const header = HEADER.parse(head) as Header;
    if (bytesRead < STREAM_OFFSET || header.magic !== MAGIC) {
      throw new SavedStateError(`${path} has no machine that was saved by this host`);
    }
    if (header.version !== VERSION) {
      throw new SavedStateError(
        `${path} was saved by another version of this host: its format is ${header.version}, not ${VERSION}`,
      );
    }
    if (header.descriptionLength === 0) {
      throw new SavedStateError(`${path} is empty: no machine was saved in it yet`);
    }
    const description = head.subarray(HEADER_SIZE, HEADER_SIZE + header.descriptionLength);
    const stream = await checksum(file);
    if (
      crc32(description) !== header.descriptionCrc ||
      stream.length !== header.streamLength ||
      stream.crc !== header.streamCrc
    ) {
      throw new SavedStateError(
        `${path} is damaged: its checksum does not match, after ${stream.length} of ${header.streamLength} bytes`,
      );
    }
    return JSON.parse(description.toString()) as SavedMachine;
  } finally {
    await file.close();
  }
}

async function checksum(file: FileHandle): Promise<{ crc: number; length: number }> {
  const part = Buffer.allocUnsafe(1024 * 1024);
  let crc = 0;
  let length = 0;
  for (;;) {
    const { bytesRead } = await file.read(part, 0, part.length, STREAM_OFFSET + length);
    if (bytesRead === 0) return { crc, length };
    crc = crc32(part.subarray(0, bytesRead), crc);
    length += bytesRead;
  }
}
