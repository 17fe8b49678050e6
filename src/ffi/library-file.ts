import { closeSync, openSync, readSync } from 'node:fs';

/** What the head of a library's file says. */
export interface LibraryFile {
  readonly format: 'PE' | 'ELF';
  /** In the words of Node's `process.arch` where it has one. */
  readonly architecture: string;
  readonly bits: 32 | 64;
}

/** Machine fields of PE (Microsoft's PE format, "Machine Types"). */
const PE_MACHINES: Readonly<Record<number, readonly [string, 32 | 64]>> = {
  332: ['ia32', 32],
  452: ['arm', 32],
  34404: ['x64', 64],
  43620: ['arm64', 64],
};

/** e_machine fields of ELF (System V gABI, chapter 4). */
const ELF_MACHINES: Readonly<Record<number, string>> = {
  3: 'ia32',
  40: 'arm',
  62: 'x64',
  183: 'arm64',
  243: 'riscv64',
};

/** Reads a library's head.
 * @returns undefined when the file is neither a PE nor an ELF
 * @throws Error of `fs` when the file cannot be read */
export function libraryFile(path: string): LibraryFile | undefined {
  const head = readHead(path, 4096);
  if (head.length >= 20 && head.readUInt32BE(0) === 0x7f45_4c46) {
    const bits = head[4] === 1 ? 32 : 64;
    const machine = head[5] === 2 ? head.readUInt16BE(18) : head.readUInt16LE(18);
    return { format: 'ELF', architecture: ELF_MACHINES[machine] ?? `machine ${machine}`, bits };
  }
  if (head.length < 64 || head.readUInt16LE(0) !== 0x5a4d) return undefined;
  const header = head.readUInt32LE(0x3c);
  if (header + 26 > head.length || head.readUInt32LE(header) !== 0x4550) return undefined;
  const machine = head.readUInt16LE(header + 4);
  const bits = PE_MACHINES[machine]?.[1] ?? (head.readUInt16LE(header + 24) === 0x20b ? 64 : 32);
  return { format: 'PE', architecture: peArchitecture(machine), bits };
}

/** The architecture that the machine field of a PE header names, or `machine 0x…`. */
export function peArchitecture(machine: number): string {
  return PE_MACHINES[machine]?.[0] ?? `machine 0x${machine.toString(16)}`;
}

function readHead(path: string, length: number): Buffer {
  const fd = openSync(path, 'r');
  try {
    const bytes = Buffer.alloc(length);
    return bytes.subarray(0, readSync(fd, bytes, 0, length, 0));
  } finally {
    closeSync(fd);
  }
}
