import { DmaFlag, Errno, Limit } from './wire.ts';

/** Doubles per window: guest-physical address, bytes, offset in the file, and file with flags. */
const ENTRY = 4;
const GPA = 0;
const LENGTH = 1;
const OFFSET = 2;
const WHAT = 3;

/** WHAT is (descriptor + 1) × 4 + flags. */
const FLAGS = 4;

/** Bytes of the ledger's memory: as many windows as a client may map. */
export const WINDOW_LEDGER_SIZE: number = Limit.MAX_DMA_MAPS * ENTRY * 8;

/** Guest memory as DMA_MAP and DMA_UNMAP change it. */
export interface WindowTable {
  /** Adds a window, and takes over the descriptor (-1: none) whatever the outcome. @returns 0 or an errno */
  map(gpa: number, length: number, flags: number, fd: number, offset: number): number;
  /** Removes a window that was added, exactly. @returns 0 or an errno */
  unmap(gpa: number, length: number): number;
  unmapAll(): void;
  windows(): { readonly gpa: number; readonly length: number }[];
}

/** One window as it is kept. */
export interface LedgerEntry {
  readonly row: number;
  readonly gpa: number;
  readonly length: number;
  readonly offset: number;
  /** -1: reachable by messages only. */
  readonly fd: number;
  readonly flags: number;
}

/**
 * The windows of a connection in shared memory, in no order: enough to map them again on another thread. A row counts
 * from when its length is stored, which is done last, until its length is 0, which is done first: a thread that dies in
 * between leaves no half of a window.
 */
export class WindowLedger {
  readonly #rows: Float64Array;
  /** Rows below it may be taken; above, none is. */
  #top = 0;
  /** Rows below the top that are free. */
  readonly #free: number[] = [];

  constructor(rows: Float64Array) {
    this.#rows = rows;
  }

  /** Finds out what another thread has entered. To be called before anything else where there was one. */
  open(): LedgerEntry[] {
    const found: LedgerEntry[] = [];
    this.#free.length = 0;
    this.#top = 0;
    for (let row = 0; row < Limit.MAX_DMA_MAPS; row++) {
      const length = this.#rows[row * ENTRY + LENGTH]!;
      if (length === 0) continue;
      for (let free = this.#top; free < row; free++) this.#free.push(free);
      this.#top = row + 1;
      found.push(this.#entry(row));
    }
    return found;
  }

  /** Enters a window. There is room for as many as a client may map. @returns its row */
  enter(gpa: number, length: number, offset: number, fd: number, flags: number): number {
    const row = this.#free.pop() ?? this.#top++;
    const at = row * ENTRY;
    this.#rows[at + GPA] = gpa;
    this.#rows[at + OFFSET] = offset;
    this.#rows[at + WHAT] = (fd + 1) * FLAGS + flags;
    this.#rows[at + LENGTH] = length;
    return row;
  }

  /** The window's file is behind another descriptor now. */
  moveTo(row: number, fd: number): void {
    const at = row * ENTRY + WHAT;
    this.#rows[at] = (fd + 1) * FLAGS + (this.#rows[at]! % FLAGS);
  }

  leave(row: number): void {
    this.#rows[row * ENTRY + LENGTH] = 0;
    this.#free.push(row);
  }

  /** Windows that are entered, in no order. */
  entries(): LedgerEntry[] {
    const found: LedgerEntry[] = [];
    for (let row = 0; row < this.#top; row++) {
      if (this.#rows[row * ENTRY + LENGTH] !== 0) found.push(this.#entry(row));
    }
    return found;
  }

  #entry(row: number): LedgerEntry {
    const at = row * ENTRY;
    const what = this.#rows[at + WHAT]!;
    return {
      row,
      gpa: this.#rows[at + GPA]!,
      length: this.#rows[at + LENGTH]!,
      offset: this.#rows[at + OFFSET]!,
      fd: Math.floor(what / FLAGS) - 1,
      flags: what % FLAGS,
    };
  }
}

/**
 * Keeps the windows of a client whose device is dead: nothing is mapped, and whoever comes after finds them as the
 * client believes them to be. What the dead thread has done already of a message that is served anew is no error.
 */
export class KeptWindows implements WindowTable {
  readonly #ledger: WindowLedger;
  readonly #fds: { owns(fd: number): boolean; close(fd: number): void };
  /** Descriptors that came to this table. Others the dead thread may still know: they stay open. */
  readonly #mine = new Set<number>();

  constructor(ledger: WindowLedger, fds: { owns(fd: number): boolean; close(fd: number): void }) {
    this.#ledger = ledger;
    this.#fds = fds;
    ledger.open();
  }

  map(gpa: number, length: number, flags: number, fd: number, offset: number): number {
    const known = this.#ledger.entries();
    const same = known.find((entry) => entry.gpa === gpa && entry.length === length);
    // Entered before the thread died: the descriptor is in use, or was closed for another one of the same file.
    if (same !== undefined && (same.fd === fd || !this.#fds.owns(fd))) return 0;
    const error = this.#check(known, gpa, length, flags);
    if (error !== 0) {
      this.#fds.close(fd);
      return error;
    }
    this.#ledger.enter(gpa, length, offset, fd, flags);
    if (fd >= 0) this.#mine.add(fd);
    return 0;
  }

  unmap(gpa: number, length: number): number {
    const entry = this.#ledger.entries().find((known) => known.gpa === gpa);
    if (entry !== undefined && entry.length === length) this.#remove(entry);
    return 0;
  }

  unmapAll(): void {
    for (const entry of this.#ledger.entries()) this.#remove(entry);
  }

  windows(): { readonly gpa: number; readonly length: number }[] {
    return this.#ledger.entries().toSorted((a, b) => a.gpa - b.gpa);
  }

  #check(known: readonly LedgerEntry[], gpa: number, length: number, flags: number): number {
    if (flags === 0 || (flags & ~(DmaFlag.READ | DmaFlag.WRITE)) !== 0 || length === 0) {
      return Errno.EINVAL;
    }
    if (gpa + length > Number.MAX_SAFE_INTEGER) return Errno.EINVAL;
    if (known.some((entry) => entry.gpa < gpa + length && gpa < entry.gpa + entry.length)) {
      return Errno.EEXIST;
    }
    return known.length >= Limit.MAX_DMA_MAPS ? Errno.ENOSPC : 0;
  }

  #remove({ row, fd }: LedgerEntry): void {
    this.#ledger.leave(row);
    if (this.#mine.delete(fd)) this.#fds.close(fd);
  }
}
