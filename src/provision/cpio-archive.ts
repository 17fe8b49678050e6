/** Type bits of a mode (inode(7)). */
const DIRECTORY = 0o040000;
const REGULAR = 0o100000;
const SYMLINK = 0o120000;
const CHARACTER = 0o020000;

/**
 * An archive in the format "newc" of cpio(5), as the kernel unpacks it (Documentation/driver-api/early-userspace):
 * for each entry a header of 110 ASCII characters (magic 070701 and 13 numbers of 8 hexadecimal digits), the name with
 * a NUL, and the data, each padded to 4 bytes; the last is called TRAILER!!!. Several archives may follow each other.
 */
export class CpioArchive {
  readonly #parts: Buffer[] = [];
  readonly #folders = new Set<string>();
  #inode = 0;

  /** Adds a folder and those above it. Paths are relative to the root: `'usr/bin'`. */
  directory(path: string, permissions = 0o755): this {
    if (path === '' || this.#folders.has(path)) return this;
    this.#above(path);
    this.#folders.add(path);
    this.#entry(path, DIRECTORY | permissions, Buffer.alloc(0));
    return this;
  }

  file(path: string, data: string | Uint8Array, permissions = 0o644): this {
    this.#above(path);
    this.#entry(path, REGULAR | permissions, Buffer.from(data));
    return this;
  }

  symlink(path: string, target: string): this {
    this.#above(path);
    this.#entry(path, SYMLINK | 0o777, Buffer.from(target));
    return this;
  }

  /** Adds a character device. */
  device(path: string, major: number, minor: number, permissions = 0o600): this {
    this.#above(path);
    this.#entry(path, CHARACTER | permissions, Buffer.alloc(0), major, minor);
    return this;
  }

  /** The archive with its trailer. */
  toBuffer(): Buffer {
    const trailer = entry(0, 'TRAILER!!!', 0, Buffer.alloc(0), 0, 0);
    const whole = Buffer.concat([...this.#parts, ...trailer]);
    // Archives that follow start at a multiple of 4; 512 is what cpio makes.
    return Buffer.concat([whole, Buffer.alloc(-whole.length & 511)]);
  }

  #above(path: string): void {
    if (path.startsWith('/') || path.includes('\0')) {
      throw new RangeError(
        `Cannot archive ${JSON.stringify(path)}: paths are relative to the root`,
      );
    }
    const slash = path.lastIndexOf('/');
    if (slash > 0) this.directory(path.slice(0, slash));
  }

  #entry(path: string, mode: number, data: Buffer, major = 0, minor = 0): void {
    this.#parts.push(...entry(++this.#inode, path, mode, data, major, minor));
  }
}

function entry(
  inode: number,
  path: string,
  mode: number,
  data: Buffer,
  major: number,
  minor: number,
): Buffer[] {
  const name = Buffer.from(`${path}\0`);
  const links = (mode & DIRECTORY) === DIRECTORY ? 2 : 1;
  const numbers = [inode, mode, 0, 0, links, 0, data.length, 0, 0, major, minor, name.length, 0];
  const header = `070701${numbers.map((value) => value.toString(16).padStart(8, '0')).join('')}`;
  return [
    Buffer.from(header),
    name,
    Buffer.alloc(-(header.length + name.length) & 3),
    data,
    Buffer.alloc(-data.length & 3),
  ];
}
