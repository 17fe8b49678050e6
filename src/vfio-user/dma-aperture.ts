import { MAX_VIEW, PAGE_SIZE } from '../ffi/memory.ts';
import { AddressRange } from './address-range.ts';
import type { DmaAperture } from './device.ts';
import type { WindowPiece } from './mapped-file.ts';
import type { ServerState } from './server-state.ts';

/** Ranges with addresses of their own that are kept for the next aperture over the same memory. */
const KEPT_RANGES = 16;

/**
 * Apertures over guest memory.
 *
 * A range inside one writable window and one view is a part of that view: it costs a `subarray`. A range that crosses
 * windows or a seam between views, or lies in a read-only window, gets addresses of its own with the pieces of the
 * files mapped side by side; the parts of read-only windows are copy-on-write, so that a stray write is harmless. That
 * takes one system call per piece, and pieces that meet on page boundaries, in the guest and in the file: where they
 * do not, there is no aperture and the caller copies. Such addresses are kept for a while after the aperture's end: a
 * driver's rings and buffers stay where they are, and the device opens them again and again.
 *
 * When a window goes, every aperture over it shows zeros there: it can be touched, and what is written reaches nobody.
 */
export class ApertureSet {
  readonly #state: ServerState;
  /** Addresses in use, and those kept for the next use, the one unused longest first. */
  readonly #built = new Set<BuiltRange>();
  readonly #kept = new Set<BuiltRange>();

  constructor(state: ServerState) {
    this.#state = state;
  }

  /** @param pieces windows that make up the range, ascending, without a gap */
  open(gpa: number, length: number, pieces: readonly WindowPiece[]): DmaAperture | undefined {
    if (length === 0) return new PartOfView(gpa, Buffer.alloc(0));
    if (length > MAX_VIEW - PAGE_SIZE) return undefined;
    const first = pieces[0]!;
    if (pieces.length === 1 && first.writable) {
      const number = Math.floor(first.fileOffset / MAX_VIEW);
      const inView = first.fileOffset - number * MAX_VIEW;
      if (inView + length <= MAX_VIEW) {
        return new PartOfView(gpa, first.file.views[number]!.subarray(inView, inView + length));
      }
    }
    return this.#build(gpa, length, pieces);
  }

  /** A window went: apertures over it show zeros there. */
  revoke(gpa: number, length: number): void {
    for (const range of this.#built) {
      if (range.revoke(gpa, length) && this.#kept.has(range)) this.#discard(range);
    }
  }

  /** Ends all of them. */
  release(): void {
    for (const range of this.#built) range.release();
    this.#built.clear();
    this.#kept.clear();
  }

  /** Takes back the addresses of an aperture that has ended. */
  #takeBack(range: BuiltRange): void {
    if (!this.#built.has(range)) return;
    if (range.revoked) {
      this.#discard(range);
      return;
    }
    this.#kept.add(range);
    const [oldest] = this.#kept;
    if (oldest !== undefined && this.#kept.size > KEPT_RANGES) this.#discard(oldest);
  }

  #discard(range: BuiltRange): void {
    this.#kept.delete(range);
    this.#built.delete(range);
    range.release();
  }

  #build(gpa: number, length: number, pieces: readonly WindowPiece[]): DmaAperture | undefined {
    const takeBack = (range: BuiltRange): void => this.#takeBack(range);
    for (const kept of this.#kept) {
      if (!kept.isOver(gpa, length, pieces)) continue;
      this.#kept.delete(kept);
      return new BuiltAperture(kept, takeBack);
    }
    const shift = pieces[0]!.fileOffset % PAGE_SIZE;
    for (const piece of pieces.slice(1)) {
      if (piece.fileOffset % PAGE_SIZE !== 0) return undefined;
      if ((shift + piece.gpa - gpa) % PAGE_SIZE !== 0) return undefined;
    }
    let range: AddressRange | undefined;
    try {
      range = new AddressRange(Math.ceil((shift + length) / PAGE_SIZE) * PAGE_SIZE, this.#state);
      for (const piece of pieces) {
        const at = piece.gpa === gpa ? 0 : shift + piece.gpa - gpa;
        const from = Math.floor(piece.fileOffset / PAGE_SIZE) * PAGE_SIZE;
        const bytes = piece.fileOffset - from + piece.length;
        const pages = Math.ceil(bytes / PAGE_SIZE) * PAGE_SIZE;
        const copyOnWrite = !piece.writable || !piece.file.writable;
        range.showFile(at, pages, piece.file.fd, from, copyOnWrite);
      }
    } catch {
      range?.release();
      return undefined;
    }
    const built = new BuiltRange(gpa, length, shift, range, pieces);
    this.#built.add(built);
    return new BuiltAperture(built, takeBack);
  }
}

class PartOfView implements DmaAperture {
  readonly gpa: number;
  readonly length: number;
  #bytes: Buffer | undefined;

  constructor(gpa: number, bytes: Buffer) {
    this.gpa = gpa;
    this.length = bytes.length;
    this.#bytes = bytes;
  }

  get bytes(): Buffer {
    this.#bytes ??= Buffer.alloc(this.length);
    return this.#bytes;
  }

  [Symbol.dispose](): void {
    this.#bytes = undefined;
  }
}

/** Addresses that show guest memory side by side. */
class BuiltRange {
  readonly gpa: number;
  readonly length: number;
  readonly bytes: Buffer;
  /** Has a window under it gone? */
  revoked = false;
  readonly #shift: number;
  readonly #range: AddressRange;
  /** Of each piece: may it be written? */
  readonly #writable: readonly boolean[];

  constructor(
    gpa: number,
    length: number,
    shift: number,
    range: AddressRange,
    pieces: readonly WindowPiece[],
  ) {
    this.gpa = gpa;
    this.length = length;
    this.bytes = range.views[0]!.subarray(shift, shift + length);
    this.#shift = shift;
    this.#range = range;
    this.#writable = pieces.map(({ writable }) => writable);
  }

  /** Windows under it that had changed would have revoked it, so that the same range is the same memory. */
  isOver(gpa: number, length: number, pieces: readonly WindowPiece[]): boolean {
    if (this.gpa !== gpa || this.length !== length) return false;
    return pieces.every(({ writable }, i) => writable === this.#writable[i]);
  }

  /** @returns whether that concerns this range */
  revoke(gpa: number, length: number): boolean {
    const from = Math.max(gpa, this.gpa) - this.gpa + this.#shift;
    const to = Math.min(gpa + length, this.gpa + this.length) - this.gpa + this.#shift;
    if (from >= to) return false;
    this.revoked = true;
    const start = Math.floor(from / PAGE_SIZE) * PAGE_SIZE;
    this.#range.showZeros(start, Math.ceil(to / PAGE_SIZE) * PAGE_SIZE - start);
    return true;
  }

  release(): void {
    this.#range.release();
  }
}

/** The use of a {@link BuiltRange}. */
class BuiltAperture implements DmaAperture {
  readonly gpa: number;
  readonly length: number;
  readonly #takeBack: (range: BuiltRange) => void;
  #range: BuiltRange | undefined;
  #afterwards: Buffer | undefined;

  constructor(range: BuiltRange, takeBack: (range: BuiltRange) => void) {
    this.gpa = range.gpa;
    this.length = range.length;
    this.#range = range;
    this.#takeBack = takeBack;
  }

  get bytes(): Buffer {
    if (this.#range !== undefined) return this.#range.bytes;
    this.#afterwards ??= Buffer.alloc(this.length);
    return this.#afterwards;
  }

  [Symbol.dispose](): void {
    const range = this.#range;
    if (range === undefined) return;
    this.#range = undefined;
    this.#takeBack(range);
  }
}
