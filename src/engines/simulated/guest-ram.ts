import { isMainThread } from 'node:worker_threads';
import { descriptorLimit } from '../../ffi/descriptor-limit.ts';
import { closeFd } from '../../ffi/descriptors.ts';
import { plainView } from '../../ffi/plain-view.ts';
import { shareByFile } from '../../ffi/shared-file.ts';
import type { PciHost } from '../../pci/host.ts';
import { AddressMap } from './address-map.ts';

type GuestMemory = PciHost['memory'];
type Aperture = NonNullable<ReturnType<GuestMemory['aperture']>>;

/** Bytes up to which a loop is faster than a call. */
const SHORT = 32;

/** Bytes from which on views of the memory that are not shared are worth making. */
const LONG = 4096;

/** Of the ways to copy shared memory the fastest: Node 24 does it by memmove; `set` takes up to four times as long. */
const { copy } = Buffer.prototype;

/** A piece of guest-physical address space that is RAM. */
export interface RamWindow {
  readonly gpa: number;
  readonly length: number;
  /** The window's bytes; shared, so that another thread may look at the same memory. */
  readonly buffer: SharedArrayBuffer;
  /** The whole window, in place. */
  readonly bytes: Buffer;
  /** The file that the bytes are in, for other processes to map; a descriptor of the one who made the RAM. */
  readonly fd?: number | undefined;
}

/** The memory of a {@link RamWindow}, as it is sent between threads. */
export type RamPart = Pick<RamWindow, 'gpa' | 'buffer' | 'fd'>;

/** Guest-physical addresses that devices may read and not write. */
export interface ReadOnlyRange {
  readonly gpa: number;
  readonly length: number;
}

/** The machine's RAM: one window, or two around the hole below 4 GiB. Pages cost nothing until touched. */
export class GuestRam implements GuestMemory {
  readonly size: number;
  windows: readonly RamWindow[];
  readonly #readOnly: readonly ReadOnlyRange[];
  readonly #apertures = new Set<RamAperture>();
  /** Whether views that are not shared were made, or cannot be. On workers only when asked to. */
  #isSettled = !isMainThread;

  /**
   * @param memory bytes of new RAM, or {@link GuestRam.parts} of RAM that another thread has
   * @param inFile new RAM is put into files, unless half of the descriptors are in use: {@link RamWindow.fd}
   * @throws RangeError when it is not a positive multiple of 4 KiB, or more than this process can map
   */
  constructor(
    memory: number | readonly RamPart[],
    readOnly: readonly ReadOnlyRange[] = [],
    inFile = false,
  ) {
    if (typeof memory !== 'number') {
      this.size = memory.reduce((sum, { buffer }) => sum + buffer.byteLength, 0);
      this.#readOnly = readOnly;
      this.windows = memory.map(({ gpa, buffer, fd }) => windowOver(gpa, buffer, fd));
      return;
    }
    const size = memory;
    if (!Number.isSafeInteger(size) || size <= 0 || size % 4096 !== 0) {
      throw new RangeError(`Cannot make ${size} bytes of guest memory: use a multiple of 4096`);
    }
    this.size = size;
    this.#readOnly = readOnly;
    const low = Math.min(size, AddressMap.LOW_RAM_END);
    this.windows =
      size > low
        ? [makeWindow(0, low), makeWindow(AddressMap.HIGH_RAM, size - low)]
        : [makeWindow(0, low)];
    if (inFile) this.windows = this.windows.map(inFileOfItsOwn);
  }

  /** The memory itself, to be sent to another thread. */
  get parts(): readonly RamPart[] {
    return this.windows.map(({ gpa, buffer, fd }) => ({ gpa, buffer, fd }));
  }

  /**
   * Reaches the memory through views that are not shared, see {@link plainView}, wherever this engine allows them. The
   * main thread does so by itself, when it first maps memory or copies much of it.
   */
  usePlainViews(): void {
    this.#isSettled = true;
    try {
      this.windows = this.windows.map((window) => ({
        ...window,
        bytes: Buffer.from(plainView(window.buffer)),
      }));
    } catch {
      // The shared views do as well, and take longer.
    }
  }

  /** Where devices may not write. */
  get readOnly(): readonly ReadOnlyRange[] {
    return this.#readOnly;
  }

  read(gpa: number, into: Uint8Array): boolean {
    if (into.length === 0) return true;
    if (into.length >= LONG && !this.#isSettled) this.usePlainViews();
    const window = this.windowAt(gpa, into.length);
    if (window === undefined) {
      into.fill(0xff);
      return false;
    }
    const offset = gpa - window.gpa;
    copyBytes(window.bytes, offset, into, 0, into.length);
    return true;
  }

  write(gpa: number, from: Uint8Array): boolean {
    if (from.length === 0) return true;
    if (from.length >= LONG && !this.#isSettled) this.usePlainViews();
    const window = this.windowAt(gpa, from.length);
    if (window === undefined || !this.#isWritable(gpa, from.length)) return false;
    copyBytes(from, 0, window.bytes, gpa - window.gpa, from.length);
    return true;
  }

  aperture(
    gpa: number,
    length: number,
    { readOnly = false }: { readonly readOnly?: boolean } = {},
  ): Aperture | undefined {
    if (!this.#isSettled) this.usePlainViews();
    const window = length > 0 ? this.windowAt(gpa, length) : undefined;
    if (window === undefined || !(readOnly || this.#isWritable(gpa, length))) return undefined;
    const bytes = window.bytes.subarray(gpa - window.gpa, gpa - window.gpa + length);
    const aperture = new RamAperture(gpa, bytes, this.#apertures);
    this.#apertures.add(aperture);
    return aperture;
  }

  /** Number of apertures that were not disposed. */
  get apertureCount(): number {
    return this.#apertures.size;
  }

  /** Disposes every aperture, and closes the files: the machine is gone. For the one who made the RAM. */
  revokeAll(): void {
    for (const aperture of [...this.#apertures]) aperture[Symbol.dispose]();
    const files = this.windows.flatMap(({ fd }) => fd ?? []);
    this.windows = this.windows.map(({ fd: _closed, ...window }) => window);
    for (const fd of files) closeFd(fd);
  }

  /** The window that holds all of the range, or undefined. */
  windowAt(gpa: number, length: number): RamWindow | undefined {
    if (!Number.isSafeInteger(gpa) || !Number.isSafeInteger(length)) return undefined;
    for (const window of this.windows) {
      if (gpa >= window.gpa && gpa + length <= window.gpa + window.length) return window;
    }
    return undefined;
  }

  #isWritable(gpa: number, length: number): boolean {
    for (const range of this.#readOnly) {
      if (gpa < range.gpa + range.length && range.gpa < gpa + length) return false;
    }
    return true;
  }
}

/** Lets go of the guest's bytes when disposed: whoever asks for them afterwards gets zeros of its own. */
class RamAperture implements Aperture {
  readonly gpa: number;
  readonly length: number;
  #bytes: Buffer | undefined;
  #afterwards: Buffer | undefined;
  readonly #open: Set<RamAperture>;

  constructor(gpa: number, bytes: Buffer, open: Set<RamAperture>) {
    this.gpa = gpa;
    this.length = bytes.length;
    this.#bytes = bytes;
    this.#open = open;
  }

  get bytes(): Buffer {
    if (this.#bytes !== undefined) return this.#bytes;
    this.#afterwards ??= Buffer.alloc(this.length);
    return this.#afterwards;
  }

  [Symbol.dispose](): void {
    this.#bytes = undefined;
    this.#open.delete(this);
  }
}

function windowOver(gpa: number, buffer: SharedArrayBuffer, fd?: number): RamWindow {
  return { gpa, length: buffer.byteLength, buffer, bytes: Buffer.from(buffer), fd };
}

/** The machine runs without the file as well; only devices of other processes need it. */
function inFileOfItsOwn(window: RamWindow): RamWindow {
  try {
    const most = Math.floor(descriptorLimit() / 2);
    return { ...window, fd: shareByFile(window.buffer, 'hdvkit-guest-ram', most) };
  } catch {
    return window;
  }
}

function copyBytes(
  from: Uint8Array,
  start: number,
  to: Uint8Array,
  at: number,
  count: number,
): void {
  if (count <= SHORT) for (let i = 0; i < count; i++) to[at + i] = from[start + i]!;
  else copy.call(from, to, at, start, start + count);
}

function makeWindow(gpa: number, length: number): RamWindow {
  try {
    // Memory that could grow is mapped for itself, and given back when it is collected. Any other comes from malloc, which
    // keeps what is freed: a thousand machines of 2 MiB left 1.9 GB, all of it touched to make it zero.
    return windowOver(gpa, new SharedArrayBuffer(length, { maxByteLength: length }));
  } catch (cause) {
    throw new RangeError(
      `Cannot make ${length} bytes of guest memory at ${gpa}: this process cannot map that much; give the machine less`,
      { cause },
    );
  }
}
