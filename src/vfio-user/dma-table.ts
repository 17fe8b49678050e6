/** Guest memory as windows. Longer than 300 lines because all who walk the parallel arrays have to be in one class. */

import { identifyFile, isWritable, sealAgainstShrinking } from '../ffi/descriptors.ts';
import { MAX_VIEW, PAGE_SIZE } from '../ffi/memory.ts';
import { SystemCallError } from '../ffi/system-call-error.ts';
import type { DmaAperture, DmaMemory } from './device.ts';
import { ApertureSet } from './dma-aperture.ts';
import { MappedFile, type WindowPiece } from './mapped-file.ts';
import type { ServerState } from './server-state.ts';
import type { WindowTable } from './window-ledger.ts';
import { DmaFlag, Errno, Limit } from './wire.ts';

/** Reaches guest memory through messages, for windows that came without a descriptor. */
export interface InBandMemory {
  /** @returns false where that is impossible now: while the client waits for an answer, or it refused */
  read(gpa: number, into: Uint8Array): boolean;
  write(gpa: number, from: Uint8Array): boolean;
}

/** Files without a window that are kept mapped for the next one. */
const IDLE_FILES = 4;

/** Bytes up to which a loop is faster than a call. */
const SHORT = 32;

const LARGEST_ADDRESS = Number.MAX_SAFE_INTEGER;

/**
 * Guest memory of one connection: what DMA_MAP and DMA_UNMAP left.
 *
 * Windows lie in parallel arrays sorted by address, so that a look-up is a few comparisons, or one when the last
 * window is hit again, and allocates nothing. A file is mapped once and its windows are ranges of that mapping; a file
 * whose last window went is kept for the next one (QEMU unmaps and maps all memory in one go), up to
 * {@link IDLE_FILES} of them.
 */
export class DmaTable implements DmaMemory, WindowTable {
  readonly #state: ServerState;
  readonly #inBand: InBandMemory | undefined;
  readonly #apertures: ApertureSet;
  #count = 0;
  #last = 0;
  #start = new Float64Array(64);
  #end = new Float64Array(64);
  #fileOffset = new Float64Array(64);
  #flags = new Uint8Array(64);
  /** Rows of the ledger. */
  #row = new Float64Array(64);
  readonly #window: (MappedFile | null)[] = [];
  readonly #files: MappedFile[] = [];

  /** @param inBand how to reach windows without a descriptor; absent: they cannot be reached */
  constructor(state: ServerState, inBand?: InBandMemory) {
    this.#state = state;
    this.#inBand = inBand;
    this.#apertures = new ApertureSet(state);
  }

  /** Number of windows. */
  get count(): number {
    return this.#count;
  }

  /**
   * Adds a window (DMA_MAP). Takes over the descriptor, whatever the outcome.
   * @param fd -1: reachable by messages only, or not at all
   * @returns 0 or an errno
   */
  map(gpa: number, length: number, flags: number, fd: number, offset: number): number {
    const error = this.#check(gpa, length, flags, fd, offset);
    if (error !== 0) {
      this.#state.close(fd);
      return error;
    }
    if (fd < 0) {
      this.#insert(gpa, length, flags, null, 0);
      return 0;
    }
    let file: MappedFile | undefined;
    try {
      file = this.#fileOf(fd, offset + length);
      if (file === undefined) return Errno.EINVAL;
      if ((flags & DmaFlag.WRITE) !== 0 && !file.writable) return this.#drop(file, Errno.EACCES);
      file.addWindow(offset, length);
    } catch (reason) {
      if (file !== undefined) this.#drop(file, 0);
      if (!(reason instanceof SystemCallError)) return Errno.EINVAL;
      return reason.errno === Errno.ENOMEM ? Errno.ENOSPC : reason.errno;
    }
    this.#insert(gpa, length, flags, file, offset);
    return 0;
  }

  /**
   * Removes a window (DMA_UNMAP), which must be one that was added, exactly.
   * @returns 0 or an errno
   */
  unmap(gpa: number, length: number): number {
    const index = this.#find(gpa);
    if (index < 0 || this.#start[index] !== gpa || this.#end[index] !== gpa + length) {
      return Errno.ENOENT;
    }
    this.#remove(index);
    return 0;
  }

  /** The windows, ascending, as (gpa, length) pairs. */
  windows(): { readonly gpa: number; readonly length: number }[] {
    return Array.from({ length: this.#count }, (_, i) => ({
      gpa: this.#start[i]!,
      length: this.#end[i]! - this.#start[i]!,
    }));
  }

  /**
   * Maps the windows that another thread had, with the descriptors that it left. One that cannot be mapped any more is
   * as one that came without a descriptor.
   */
  adopt(): void {
    const { windows } = this.#state;
    for (const { row, gpa, length, flags, fd, offset } of windows.open()) {
      let file = fd < 0 ? undefined : this.#knownFile(fd, offset + length);
      try {
        if (fd >= 0) {
          file ??= this.#newFile(fd);
          file.addWindow(offset, length);
        }
      } catch {
        file = undefined;
      }
      if (file !== undefined) windows.moveTo(row, file.fd);
      this.#insertRow(row, gpa, length, flags, file ?? null, offset);
    }
  }

  /** Lets go of all that this thread has mapped, and leaves the windows and their descriptors to another. */
  abandon(): void {
    this.#apertures.release();
    this.#count = 0;
    this.#window.length = 0;
    for (const file of this.#files.splice(0)) file.abandon();
  }

  /** Removes every window. */
  unmapAll(): void {
    for (let i = 0; i < this.#count; i++) this.#state.windows.leave(this.#row[i]!);
    this.#count = 0;
    this.#window.length = 0;
    this.#apertures.revoke(0, LARGEST_ADDRESS);
    for (const file of [...this.#files]) {
      file.removeAllWindows();
      this.#drop(file, 0);
    }
  }

  /** Removes everything; stale Buffers read zeros from here on. */
  release(): void {
    this.unmapAll();
    this.#apertures.release();
    for (const file of this.#files.splice(0)) file.release();
  }

  read(gpa: number, into: Uint8Array): boolean {
    if (this.#covers(gpa, into.length, DmaFlag.READ) && this.#copyOut(gpa, into)) return true;
    into.fill(0xff);
    return false;
  }

  write(gpa: number, from: Uint8Array): boolean {
    return this.#covers(gpa, from.length, DmaFlag.WRITE) && this.#copyIn(gpa, from);
  }

  aperture(
    gpa: number,
    length: number,
    { readOnly = false }: { readonly readOnly?: boolean } = {},
  ): DmaAperture | undefined {
    const access = readOnly ? DmaFlag.READ : DmaFlag.READ | DmaFlag.WRITE;
    if (!this.#covers(gpa, length, access)) return undefined;
    const pieces: WindowPiece[] = [];
    for (let at = gpa; at < gpa + length; ) {
      const index = this.#find(at);
      const file = this.#window[index];
      if (file == null) return undefined;
      const pieceLength = Math.min(gpa + length, this.#end[index]!) - at;
      pieces.push({
        gpa: at,
        length: pieceLength,
        file,
        fileOffset: this.#fileOffset[index]! + (at - this.#start[index]!),
        writable: (this.#flags[index]! & DmaFlag.WRITE) !== 0,
      });
      at += pieceLength;
    }
    return this.#apertures.open(gpa, length, pieces);
  }

  #check(gpa: number, length: number, flags: number, fd: number, offset: number): number {
    if (flags === 0 || (flags & ~(DmaFlag.READ | DmaFlag.WRITE)) !== 0 || length === 0) {
      return Errno.EINVAL;
    }
    if (gpa + length > LARGEST_ADDRESS || (fd >= 0 && offset + length > LARGEST_ADDRESS)) {
      return Errno.EINVAL;
    }
    if (this.#overlaps(gpa, gpa + length)) return Errno.EEXIST;
    return this.#count >= Limit.MAX_DMA_MAPS ? Errno.ENOSPC : 0;
  }

  /** Undefined: not a file of at least `end` bytes. The descriptor is taken over in any case. */
  #fileOf(fd: number, end: number): MappedFile | undefined {
    let keep = false;
    try {
      const identity = identifyFile(fd);
      if (!identity.isRegular || identity.size < end) return undefined;
      const known = this.#knownFile(fd, end);
      if (known !== undefined) return known;
      const file = this.#newFile(fd);
      keep = true;
      return file;
    } finally {
      if (!keep) this.#state.close(fd);
    }
  }

  /** A file that is mapped already, with the same access as the descriptor has. */
  #knownFile(fd: number, end: number): MappedFile | undefined {
    if (this.#files.length === 0) return undefined;
    const identity = identifyFile(fd);
    const writable = isWritable(fd);
    return this.#files.find(
      (file) =>
        file.device === identity.device &&
        file.inode === identity.inode &&
        file.writable === writable &&
        file.size >= end,
    );
  }

  #newFile(fd: number): MappedFile {
    const writable = isWritable(fd);
    if (writable) sealAgainstShrinking(fd);
    const file = new MappedFile(identifyFile(fd), fd, writable, this.#state);
    this.#files.push(file);
    return file;
  }

  /** Lets a file go that has no window, when more than a few of them are kept. */
  #drop(file: MappedFile, error: number): number {
    if (file.windowCount > 0) return error;
    const idle = this.#files.filter((known) => known.windowCount === 0);
    if (idle.length <= IDLE_FILES) return error;
    const oldest = idle[0]!;
    this.#files.splice(this.#files.indexOf(oldest), 1);
    oldest.release();
    return error;
  }

  /** Index of the window that holds `gpa`, or -1. */
  #find(gpa: number): number {
    const last = this.#last;
    if (last < this.#count && gpa >= this.#start[last]! && gpa < this.#end[last]!) return last;
    const index = this.#firstAfter(gpa) - 1;
    if (index < 0 || gpa >= this.#end[index]!) return -1;
    this.#last = index;
    return index;
  }

  /** Index of the first window that starts above `gpa`. */
  #firstAfter(gpa: number): number {
    let low = 0;
    let high = this.#count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#start[middle]! > gpa) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  #overlaps(start: number, end: number): boolean {
    const next = this.#firstAfter(start);
    if (next > 0 && this.#end[next - 1]! > start) return true;
    return next < this.#count && this.#start[next]! < end;
  }

  /** Whether [gpa, gpa + length) is windows without a hole, all with the access. An empty range is, wherever it lies. */
  #covers(gpa: number, length: number, access: number): boolean {
    const end = gpa + length;
    if (!(gpa >= 0 && end <= LARGEST_ADDRESS)) return false;
    for (let at = gpa; at < end; ) {
      const index = this.#find(at);
      if (index < 0 || (this.#flags[index]! & access) !== access) return false;
      at = this.#end[index]!;
    }
    return true;
  }

  // The table may change under a message: each step looks its window up again.
  #copyOut(gpa: number, into: Uint8Array): boolean {
    for (let done = 0; done < into.length; ) {
      const index = this.#find(gpa + done);
      if (index < 0) return false;
      const inWindow = gpa + done - this.#start[index]!;
      const left = Math.min(into.length - done, this.#end[index]! - gpa - done);
      const file = this.#window[index];
      if (file === null) {
        if (this.#inBand?.read(gpa + done, into.subarray(done, done + left)) !== true) return false;
        done += left;
        continue;
      }
      const at = this.#fileOffset[index]! + inWindow;
      const number = Math.floor(at / MAX_VIEW);
      const inView = at - number * MAX_VIEW;
      const count = Math.min(left, MAX_VIEW - inView);
      const view = file!.views[number]!;
      // A call costs more than a descriptor's bytes do.
      if (count <= SHORT) for (let i = 0; i < count; i++) into[done + i] = view[inView + i]!;
      else view.copy(into, done, inView, inView + count);
      done += count;
    }
    return true;
  }

  #copyIn(gpa: number, from: Uint8Array): boolean {
    for (let done = 0; done < from.length; ) {
      const index = this.#find(gpa + done);
      if (index < 0) return false;
      const inWindow = gpa + done - this.#start[index]!;
      const left = Math.min(from.length - done, this.#end[index]! - gpa - done);
      const file = this.#window[index];
      if (file === null) {
        if (this.#inBand?.write(gpa + done, from.subarray(done, done + left)) !== true)
          return false;
        done += left;
        continue;
      }
      const at = this.#fileOffset[index]! + inWindow;
      const number = Math.floor(at / MAX_VIEW);
      const inView = at - number * MAX_VIEW;
      const count = Math.min(left, MAX_VIEW - inView);
      const part = count === from.length ? from : from.subarray(done, done + count);
      file!.views[number]!.set(part, inView);
      done += count;
    }
    return true;
  }

  #insert(
    gpa: number,
    length: number,
    flags: number,
    file: MappedFile | null,
    offset: number,
  ): void {
    const row = this.#state.windows.enter(gpa, length, offset, file?.fd ?? -1, flags);
    this.#insertRow(row, gpa, length, flags, file, offset);
  }

  #insertRow(
    row: number,
    gpa: number,
    length: number,
    flags: number,
    file: MappedFile | null,
    offset: number,
  ): void {
    if (this.#count === this.#start.length) this.#grow();
    const at = this.#firstAfter(gpa);
    const end = this.#count;
    this.#start.copyWithin(at + 1, at, end);
    this.#end.copyWithin(at + 1, at, end);
    this.#fileOffset.copyWithin(at + 1, at, end);
    this.#flags.copyWithin(at + 1, at, end);
    this.#row.copyWithin(at + 1, at, end);
    this.#window.splice(at, 0, file);
    this.#start[at] = gpa;
    this.#end[at] = gpa + length;
    this.#fileOffset[at] = offset;
    this.#flags[at] = flags;
    this.#row[at] = row;
    this.#count++;
  }

  #remove(at: number): void {
    const gpa = this.#start[at]!;
    const length = this.#end[at]! - gpa;
    const offset = this.#fileOffset[at]!;
    const file = this.#window[at]!;
    const end = this.#count;
    this.#state.windows.leave(this.#row[at]!);
    this.#start.copyWithin(at, at + 1, end);
    this.#end.copyWithin(at, at + 1, end);
    this.#fileOffset.copyWithin(at, at + 1, end);
    this.#flags.copyWithin(at, at + 1, end);
    this.#row.copyWithin(at, at + 1, end);
    this.#window.splice(at, 1);
    this.#count--;
    this.#apertures.revoke(gpa, length);
    if (file === null) return;
    file.removeWindow(offset, length, () => this.#rangesNear(file, offset, length));
    if (file.windowCount === 0) this.#drop(file, 0);
  }

  /** Ranges of the file that windows show within a page of [offset, offset + length), as [from, to) pairs. */
  #rangesNear(file: MappedFile, offset: number, length: number): [number, number][] {
    const ranges: [number, number][] = [];
    for (let i = 0; i < this.#count; i++) {
      if (this.#window[i] !== file) continue;
      const from = this.#fileOffset[i]!;
      const to = from + this.#end[i]! - this.#start[i]!;
      if (from < offset + length + PAGE_SIZE && to > offset - PAGE_SIZE) ranges.push([from, to]);
    }
    return ranges;
  }

  #grow(): void {
    const larger = <T extends Float64Array | Uint8Array>(old: T, fresh: T): T => {
      fresh.set(old);
      return fresh;
    };
    const size = this.#start.length * 2;
    this.#start = larger(this.#start, new Float64Array(size));
    this.#end = larger(this.#end, new Float64Array(size));
    this.#fileOffset = larger(this.#fileOffset, new Float64Array(size));
    this.#flags = larger(this.#flags, new Uint8Array(size));
    this.#row = larger(this.#row, new Float64Array(size));
  }
}
