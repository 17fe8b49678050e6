import { readFileSync } from 'node:fs';
import { peArchitecture } from '../../ffi/library-file.ts';

/** What a Windows library says of itself. */
export interface PeFile {
  /** In the words of Node's `process.arch`, or `machine 0x…`. */
  readonly architecture: string;
  /** `'10.0.22621.2506'`, or undefined where the file has no version resource. */
  readonly fileVersion: string | undefined;
  /** Names of the functions that it exports, sorted. */
  readonly exports: readonly string[];
}

/** The file is no Windows library, or a broken one. */
export class PeFormatError extends Error {
  override readonly name = 'PeFormatError';
}

const PE32_PLUS = 0x20b;
/** Places of the data directories (PE format, "Optional Header Data Directories"). */
const Directory = { EXPORT: 0, RESOURCE: 2 } as const;
const RT_VERSION = 16;
/** VS_FIXEDFILEINFO.dwSignature (verrsrc.h). */
const FIXED_FILE_INFO = 0xfeef_04bd;
/** No library has more exports: a larger count is a broken table. */
const MAX_EXPORTS = 65_536;

/**
 * Reads a library's architecture, version and exports without loading it, which would run its code.
 * @throws PeFormatError, and errors of `fs` when the file cannot be read
 */
export function readPeFile(path: string): PeFile {
  return parsePeFile(readFileSync(path), path);
}

/** The same from the file's contents. @param name what messages call it */
export function parsePeFile(bytes: Buffer, name: string): PeFile {
  try {
    return new PeReader(bytes).read();
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new PeFormatError(`Cannot read ${name} as a Windows library: ${cause.message}`, {
      cause,
    });
  }
}

interface Section {
  readonly address: number;
  readonly size: number;
  readonly offset: number;
}

/** Offsets below are those of Microsoft's PE format. Reading past the end is a RangeError, as are other faults. */
class PeReader {
  readonly #bytes: Buffer;
  #sections: readonly Section[] = [];

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  read(): PeFile {
    const bytes = this.#bytes;
    if (bytes.readUInt16LE(0) !== 0x5a4d) throw new RangeError('it does not begin with "MZ"');
    const header = bytes.readUInt32LE(0x3c);
    if (bytes.readUInt32LE(header) !== 0x4550) throw new RangeError('it has no "PE" header');
    const machine = bytes.readUInt16LE(header + 4);
    const sectionCount = bytes.readUInt16LE(header + 6);
    const optional = header + 24;
    const sections = optional + bytes.readUInt16LE(header + 20);
    this.#sections = Array.from({ length: sectionCount }, (_, index) => {
      const at = sections + 40 * index;
      return {
        size: Math.max(bytes.readUInt32LE(at + 8), bytes.readUInt32LE(at + 16)),
        address: bytes.readUInt32LE(at + 12),
        offset: bytes.readUInt32LE(at + 20),
      };
    });
    const directories = optional + (bytes.readUInt16LE(optional) === PE32_PLUS ? 112 : 96);
    const count = bytes.readUInt32LE(directories - 4);
    const directory = (index: number): number =>
      index < count ? bytes.readUInt32LE(directories + 8 * index) : 0;
    return {
      architecture: peArchitecture(machine),
      exports: this.#exports(directory(Directory.EXPORT)),
      fileVersion: this.#version(directory(Directory.RESOURCE)),
    };
  }

  /** Where an address of the loaded library lies in the file. */
  #offset(address: number): number {
    const section = this.#sections.find(
      (each) => address >= each.address && address < each.address + each.size,
    );
    if (section === undefined) {
      throw new RangeError(`no section has the address 0x${address.toString(16)}`);
    }
    return address - section.address + section.offset;
  }

  #exports(address: number): string[] {
    if (address === 0) return [];
    const table = this.#offset(address);
    const count = this.#bytes.readUInt32LE(table + 24);
    if (count > MAX_EXPORTS) throw new RangeError(`its export table has ${count} names`);
    if (count === 0) return [];
    const names = this.#offset(this.#bytes.readUInt32LE(table + 32));
    return Array.from({ length: count }, (_, index) =>
      this.#string(this.#offset(this.#bytes.readUInt32LE(names + 4 * index))),
    ).sort();
  }

  #string(offset: number): string {
    const end = this.#bytes.indexOf(0, offset);
    if (end < 0) throw new RangeError('a name has no end');
    return this.#bytes.toString('latin1', offset, end);
  }

  /** Resources are a tree of three levels: type, name, language. The first version of any language will do. */
  #version(address: number): string | undefined {
    if (address === 0) return undefined;
    const root = this.#offset(address);
    const names = this.#entry(root, root, RT_VERSION);
    const languages = names === undefined ? undefined : this.#entry(root, root + names);
    const leaf = languages === undefined ? undefined : this.#entry(root, root + languages);
    if (leaf === undefined) return undefined;
    const data = this.#offset(this.#bytes.readUInt32LE(root + leaf));
    const size = this.#bytes.readUInt32LE(root + leaf + 4);
    // The block's header has a name and padding before the fixed part, which is aligned.
    for (let at = data; at + 16 <= data + size; at += 4) {
      if (this.#bytes.readUInt32LE(at) === FIXED_FILE_INFO) return this.#versionAt(at);
    }
    return undefined;
  }

  /** Offset of an entry's target from the root: the entry with this id, or the first. */
  #entry(root: number, directory: number, id?: number): number | undefined {
    const named = this.#bytes.readUInt16LE(directory + 12);
    const count = named + this.#bytes.readUInt16LE(directory + 14);
    for (let index = 0; index < count; index++) {
      const at = directory + 16 + 8 * index;
      if (id !== undefined && this.#bytes.readUInt32LE(at) !== id) continue;
      const target = this.#bytes.readUInt32LE(at + 4) & 0x7fff_ffff;
      if (root + target >= this.#bytes.length) throw new RangeError('a resource lies outside');
      return target;
    }
    return undefined;
  }

  #versionAt(info: number): string {
    const high = this.#bytes.readUInt32LE(info + 8);
    const low = this.#bytes.readUInt32LE(info + 12);
    return [high >>> 16, high & 0xffff, low >>> 16, low & 0xffff].join('.');
  }
}
