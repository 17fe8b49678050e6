import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { runTool } from './run-tool.ts';

/** Offsets in a bzImage (Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header"). */
const SETUP_SECTORS = 0x1f1;
const MAGIC = 0x202;
const VERSION = 0x206;
const PAYLOAD_OFFSET = 0x248;
const PAYLOAD_LENGTH = 0x24c;
const SECTOR = 512;
const ELF = Buffer.from('\x7fELF', 'latin1');
const XZ = Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]);

/**
 * Takes the kernel proper out of its self-extracting image. QEMU starts it by the PVH entry; a guest under emulation
 * then need not unpack it at each boot, which is half of the time that booting takes.
 *
 * @param xz how to run xz
 * @returns false when the image holds none that could be taken out; the image itself boots then
 */
export async function extractKernel(
  image: string,
  xz: readonly [command: string, args: readonly string[]],
  target: string,
): Promise<boolean> {
  const bytes = readFileSync(image);
  if (
    bytes.toString('latin1', MAGIC, MAGIC + 4) !== 'HdrS' ||
    bytes.readUInt16LE(VERSION) < 0x208
  ) {
    return false;
  }
  const start = (bytes[SETUP_SECTORS]! + 1) * SECTOR + bytes.readUInt32LE(PAYLOAD_OFFSET);
  const payload = bytes.subarray(start, start + bytes.readUInt32LE(PAYLOAD_LENGTH));
  if (!payload.subarray(0, XZ.length).equals(XZ)) return false;
  const packed = `${target}.packed`;
  const draft = `${target}.draft`;
  // The stream is followed by its unpacked length.
  writeFileSync(packed, payload.subarray(0, -4));
  try {
    const [command, args] = xz;
    const script = 'target=$1 && shift && exec "$@" > "$target"';
    await runTool('/bin/sh', ['-c', script, 'sh', draft, command, ...args, '-dc', packed]);
    if (!startsWithElf(draft)) return false;
    renameSync(draft, target);
    return true;
  } finally {
    rmSync(packed, { force: true });
    rmSync(draft, { force: true });
  }
}

function startsWithElf(file: string): boolean {
  if (statSync(file).size < ELF.length) return false;
  return readFileSync(file).subarray(0, ELF.length).equals(ELF);
}
