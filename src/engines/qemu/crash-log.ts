import { constants, inflateRawSync } from 'node:zlib';
import { Parser } from 'binary-parser';

/** Bytes of the file: a header, and seven records of the size that QEMU's acpi-erst takes by default. */
export const CRASH_LOG_SIZE = 64 * 1024;

/** Records begin behind the header, and each has as much room (QEMU, docs/specs/acpi_erst.rst). */
const SLOT_SIZE = 8192;
const SIGNATURE = 'CPER';

interface Slot {
  readonly signature: string;
  readonly offset: number;
  readonly length: number;
}

/** A CPER record, up to the first section descriptor's place and length (UEFI 2.10, N.2.1 and N.2.2). */
const SLOT = new Parser()
  .endianness('little')
  .string('signature', { length: 4, encoding: 'latin1' })
  .seek(124)
  .uint32('offset')
  .uint32('length');

/**
 * The kernel messages that a crashing Linux guest left in its error record store (pstore over ACPI ERST), oldest first.
 * Guests write what they like: anything that is no record is passed over.
 * @param store content of the store's file
 */
export function readCrashLog(store: Buffer): string | undefined {
  const parts = recordsOf(store);
  if (parts.length === 0) return undefined;
  // Part 1 is the end of the messages.
  parts.sort((one, other) => other.number - one.number);
  return parts.map(({ text }) => text.trimEnd()).join('\n');
}

/** Whether a guest says that it panicked: kernels write for what they survive as well (Linux, kmsg_dump_reason_str). */
export function hasPanicRecord(store: Buffer): boolean {
  return recordsOf(store).some(({ reason }) => reason.startsWith('Panic'));
}

/** A part of the messages, as it begins with "Panic#1 Part1". */
interface Part {
  readonly reason: string;
  readonly number: number;
  readonly text: string;
}

function recordsOf(store: Buffer): Part[] {
  const parts: Part[] = [];
  for (let at = SLOT_SIZE; at + SLOT_SIZE <= store.length; at += SLOT_SIZE) {
    const record = store.subarray(at, at + SLOT_SIZE);
    const { signature, offset, length } = SLOT.parse(record) as Slot;
    if (signature !== SIGNATURE || offset + length > SLOT_SIZE) continue;
    const text = textOf(record.subarray(offset, offset + length));
    const [, reason = '', number, rest] = /^([^\n]*)Part(\d+)\n(.*)$/s.exec(text) ?? [];
    if (rest !== undefined) parts.push({ reason, number: Number(number), text: rest });
  }
  return parts;
}

/** Messages are compressed, unless the kernel was built without. */
function textOf(section: Buffer): string {
  try {
    const finishFlush = constants.Z_SYNC_FLUSH;
    return inflateRawSync(section, { finishFlush, maxOutputLength: 1024 * 1024 }).toString();
  } catch {
    return section.toString('latin1');
  }
}
