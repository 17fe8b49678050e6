import { PAGE_SIZE } from '../ffi/memory.ts';
import { AddressRange } from './address-range.ts';
import type { ServerState } from './server-state.ts';

/** One window, as the aperture builder needs it. */
export interface WindowPiece {
  readonly gpa: number;
  readonly length: number;
  readonly file: MappedFile;
  readonly fileOffset: number;
  readonly writable: boolean;
}

/** Windows of one file from which on its pages are shown and hidden together: each piece costs a kernel mapping. */
const MANY_WINDOWS = 4096;

/** A file behind DMA windows, mapped once however many windows show parts of it. */
export class MappedFile {
  readonly device: number;
  readonly inode: bigint;
  /** Bytes that can be mapped: the file's size when it first came, in whole pages. */
  readonly size: number;
  /** Kept to map further parts of the file; owned by the file. */
  readonly fd: number;
  /** Whether the client's descriptor allows writing. A read-only file is mapped copy-on-write. */
  readonly writable: boolean;
  readonly #range: AddressRange;
  readonly #state: ServerState;
  #windows = 0;
  #whole = false;

  /** @throws SystemCallError; the descriptor is then still the caller's */
  constructor(
    identity: { readonly device: number; readonly inode: bigint; readonly size: number },
    fd: number,
    writable: boolean,
    state: ServerState,
  ) {
    this.device = identity.device;
    this.inode = identity.inode;
    this.size = Math.ceil(identity.size / PAGE_SIZE) * PAGE_SIZE;
    this.fd = fd;
    this.writable = writable;
    this.#state = state;
    this.#range = new AddressRange(this.size, state);
  }

  /** The file's bytes, in pieces of MAX_VIEW; parts that no window shows are zeros. */
  get views(): readonly Buffer[] {
    return this.#range.views;
  }

  get windowCount(): number {
    return this.#windows;
  }

  /** Shows the pages of a window that was added.
   * @throws SystemCallError */
  addWindow(offset: number, length: number): void {
    this.#show(offset, length);
    this.#windows++;
  }

  #show(offset: number, length: number): void {
    if (this.#whole) return;
    const copyOnWrite = !this.writable;
    if (this.#windows < MANY_WINDOWS) {
      const start = Math.floor(offset / PAGE_SIZE) * PAGE_SIZE;
      const end = Math.ceil((offset + length) / PAGE_SIZE) * PAGE_SIZE;
      try {
        this.#range.showFile(start, end - start, this.fd, start, copyOnWrite);
        return;
      } catch {
        // Files of huge pages refuse pieces of them.
      }
    }
    this.#range.showFile(0, this.size, this.fd, 0, copyOnWrite);
    this.#whole = true;
  }

  /**
   * Hides the pages of a window that was removed, except those that others show.
   * @param others tells the file ranges of the remaining windows, as [offset, end) pairs in any order
   */
  removeWindow(
    offset: number,
    length: number,
    others: () => readonly (readonly [number, number])[],
  ): void {
    if (this.#windows === 1) {
      this.removeAllWindows();
      return;
    }
    this.#windows--;
    if (this.#whole) return;
    let start = Math.floor(offset / PAGE_SIZE) * PAGE_SIZE;
    const end = Math.ceil((offset + length) / PAGE_SIZE) * PAGE_SIZE;
    const shown = others()
      .map(([from, to]) => [
        Math.floor(from / PAGE_SIZE) * PAGE_SIZE,
        Math.ceil(to / PAGE_SIZE) * PAGE_SIZE,
      ])
      .filter(([from, to]) => from! < end && to! > start)
      .sort((a, b) => a[0]! - b[0]!);
    try {
      for (const [from, to] of shown) {
        if (from! > start) this.#range.showZeros(start, from! - start);
        start = Math.max(start, to!);
      }
      if (start < end) this.#range.showZeros(start, end - start);
    } catch {
      // No more kernel mappings to be had, or huge pages: the pages stay visible until the file's last window goes.
    }
  }

  /** Hides the whole file. */
  removeAllWindows(): void {
    if (this.#windows === 0) return;
    this.#windows = 0;
    this.#whole = false;
    this.#range.showZeros(0, this.size);
  }

  /** Ends the use on this thread; the descriptor stays open for another. */
  abandon(): void {
    this.#range.release();
  }

  /** Ends the use and closes the descriptor. */
  release(): void {
    this.#range.release();
    this.#state.close(this.fd);
  }
}
