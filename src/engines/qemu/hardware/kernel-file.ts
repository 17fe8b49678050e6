import { filePart } from '../file-part.ts';
import { requireFile } from '../required-file.ts';
import { resourceFailure } from '../resources/resource-failure.ts';

/** Offsets in a bzImage (Linux, Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header"). */
const MAGIC = 0x202;
const VERSION = 0x206;
const COMMAND_LINE_SIZE = 0x238;
/** Version of the boot protocol from which on a kernel says how long a command line it takes. */
const SAYS_LINE_SIZE = 0x206;
/** Bytes that Linux takes on x86, where a kernel does not say (COMMAND_LINE_SIZE, its zero left out). */
const LINUX_LINE_SIZE = 2047;
/** A multiboot header is in the first 8 KiB, on a multiple of 4 (Multiboot 0.6.96, 3.1). */
const HEAD_SIZE = 8192;
const MULTIBOOT_MAGIC = 0x1bad_b002;
/** Bytes of one argument of a program, its zero included (Linux, MAX_ARG_STRLEN: 32 pages). */
const ARGUMENT_SIZE = 128 * 1024;

/** What is said of a file that is none, and what to do. */
export const NO_KERNEL =
  'which is no kernel that QEMU boots: use a bzImage, as the vmlinuz of distributions, or a vmlinux with a PVH entry (CONFIG_PVH)';

/** What a document says of a kernel, and where. */
export interface KernelRequest {
  readonly file: string;
  /** JSON path of the file. */
  readonly at: string;
  readonly commandLine: string;
  /** JSON path of the command line. */
  readonly lineAt: string;
  /** Whether UEFI firmware starts it, which takes any program for UEFI. */
  readonly uefi: boolean;
}

/**
 * Looks whether a file is something that QEMU boots, and takes its command line whole. QEMU loads whatever it does not know
 * as a kernel of 1991; Linux 6.1 hangs before its first message where the line is too long. Neither says a word.
 * @throws HcsError ERROR_FILE_NOT_FOUND, E_ACCESSDENIED, ERROR_INVALID_DATA naming the file; E_INVALIDARG naming the line
 */
export function requireKernel({ file, at, commandLine, lineAt, uefi }: KernelRequest): void {
  requireFile(at, file);
  // Zeros follow where it is shorter.
  const head = Buffer.concat([filePart(file, 0, HEAD_SIZE)], HEAD_SIZE);
  const most = lineSize(head, uefi);
  if (most === undefined) {
    throw resourceFailure('ERROR_INVALID_DATA', `${at} is "${file}", ${NO_KERNEL}`);
  }
  const bytes = Buffer.byteLength(commandLine);
  if (bytes <= most) return;
  throw resourceFailure(
    'E_INVALIDARG',
    `${lineAt} has ${bytes} bytes: the kernel "${file}" takes at most ${most}; put what is longer into a file of the initrd`,
  );
}

/** Bytes that a command line may have for what begins so; undefined for what is no kernel. */
function lineSize(head: Buffer, uefi: boolean): number | undefined {
  if (head.toString('latin1', MAGIC, MAGIC + 4) === 'HdrS') {
    const saysSize = head.readUInt16LE(VERSION) >= SAYS_LINE_SIZE;
    const size = saysSize ? head.readUInt32LE(COMMAND_LINE_SIZE) : 0;
    return Math.min(size === 0 ? LINUX_LINE_SIZE : size, ARGUMENT_SIZE - 1);
  }
  // A program for UEFI is what the firmware starts; Linux is one, too.
  if (isMultiboot(head) || (uefi && startsWith(head, 'MZ'))) return ARGUMENT_SIZE - 1;
  return startsWith(head, '\x7fELF') ? LINUX_LINE_SIZE : undefined;
}

function startsWith(head: Buffer, text: string): boolean {
  return head.toString('latin1', 0, text.length) === text;
}

/** Magic, flags and checksum add up to 0 (Multiboot 0.6.96, 3.1.2). */
function isMultiboot(head: Buffer): boolean {
  for (let at = 0; at + 12 <= head.length; at += 4) {
    if (head.readUInt32LE(at) !== MULTIBOOT_MAGIC) continue;
    const sum = MULTIBOOT_MAGIC + head.readUInt32LE(at + 4) + head.readUInt32LE(at + 8);
    if (sum % 2 ** 32 === 0) return true;
  }
  return false;
}
