import { MAX_VIEW, PAGE_SIZE } from '../ffi/memory.ts';
import { AddressRange } from './address-range.ts';
import type { DmaAperture } from './device.ts';
import type { WindowPiece } from './mapped-file.ts';
import type { ServerState } from './server-state.ts';

/**
 * Apertures over guest memory.
 *
 * A range inside one writable window and one view is a part of that view: it costs a `subarray`. A range that crosses
 * windows or a seam between views, or lies in a read-only window, gets addresses of its own with the pieces of the
 * files mapped side by side; the parts of read-only windows are copy-on-write, so that a stray write is harmless. That
 * takes one system call per piece, and pieces that meet on page boundaries, in the guest and in the file: where they
 * do not, there is no aperture and the caller copies.
 */
export class ApertureSet {
  readonly #state: ServerState;
  readonly #built = new Set<BuiltAperture>();

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
    for (const aperture of this.#built) aperture.revoke(gpa, length);
  }

  /** Ends all of them. */
  release(): void {
    for (const aperture of this.#built) aperture[Symbol.dispose]();
  }

  #build(gpa: number, length: number, pieces: readonly WindowPiece[]): DmaAperture | undefined {
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
    const aperture = new BuiltAperture(gpa, length, shift, range, this.#built);
    this.#built.add(aperture);
    return aperture;
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

class BuiltAperture implements DmaAperture {
  readonly gpa: number;
  readonly length: number;
  readonly bytes: Buffer;
  readonly #shift: number;
  readonly #range: AddressRange;
  readonly #owner: Set<BuiltAperture>;

  constructor(
    gpa: number,
    length: number,
    shift: number,
    range: AddressRange,
    owner: Set<BuiltAperture>,
  ) {
    this.gpa = gpa;
    this.length = length;
    this.bytes = range.views[0]!.subarray(shift, shift + length);
    this.#shift = shift;
    this.#range = range;
    this.#owner = owner;
  }

  revoke(gpa: number, length: number): void {
    const from = Math.max(gpa, this.gpa) - this.gpa + this.#shift;
    const to = Math.min(gpa + length, this.gpa + this.length) - this.gpa + this.#shift;
    if (from >= to) return;
    const start = Math.floor(from / PAGE_SIZE) * PAGE_SIZE;
    this.#range.showZeros(start, Math.ceil(to / PAGE_SIZE) * PAGE_SIZE - start);
  }

  [Symbol.dispose](): void {
    this.#owner.delete(this);
    this.#range.release();
  }
}
