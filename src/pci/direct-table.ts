/** Longer than 300 lines because both halves, doorbells and pages, are found by the same search and must know of each other. */
import type { Width } from '../device/mmio-region.ts';
import { ALL_ONES } from './bar-router.ts';
import type { BarShape } from './device-callbacks.ts';

/** Bytes in a page of a BAR. */
const PAGE = 4096;

/** Which writes ring a doorbell. */
export interface DoorbellMatch {
  readonly bar: number;
  /** Bytes from the BAR's base: only a write that starts here matches. */
  readonly offset: number;
  /** Bytes of the write; 0: any. */
  readonly width: 0 | 1 | 2 | 4 | 8;
  /** Value of the write, compared over its width; undefined: any. */
  readonly value: bigint | undefined;
}

/** Memory in the place of a BAR's pages. */
export interface DirectMemory {
  /** As long as the pages. */
  readonly bytes: Uint8Array;
  /** Do guest writes go there? Else they are intercepted. */
  readonly writable: boolean;
  /** Set where other threads can reach the same memory. */
  readonly shared?: SharedMemory | undefined;
}

/** Shared memory behind pages of a BAR. */
export interface SharedMemory {
  readonly memory: SharedArrayBuffer;
  /** Bytes from its start to the first page. */
  readonly start: number;
  /** One word: 1 while guests reach the pages. Every thread looks before it touches them. */
  readonly shown: SharedArrayBuffer;
}

/** Pages of a BAR, to be sent to another thread. */
export interface SharedPages extends SharedMemory {
  readonly bar: number;
  /** Bytes from the BAR's base. */
  readonly offset: number;
  /** Bytes. */
  readonly size: number;
  readonly writable: boolean;
}

/** Pages as they stand in a table. */
export interface DirectRange extends DirectMemory {
  readonly bar: number;
  readonly offset: number;
}

/** Why a {@link DirectTable} refuses a request. */
export class DirectTableError extends Error {
  override readonly name = 'DirectTableError';
  /** `invalid`: it can never be granted; `taken`: something else is there; `absent`: nothing is there. */
  readonly kind: 'invalid' | 'taken' | 'absent';

  constructor(kind: DirectTableError['kind'], message: string) {
    super(message);
    this.kind = kind;
  }
}

/** A page whose every write rings, or pages with memory. */
class Span {
  readonly bar: number;
  readonly offset: number;
  readonly size: number;
  readonly signal: (() => void) | undefined;
  readonly memory: DirectMemory | undefined;
  readonly writable: boolean;
  readonly #view: DataView | undefined;
  readonly #words: Uint32Array | undefined;
  readonly #shown: Int32Array | undefined;

  constructor(
    bar: number,
    offset: number,
    size: number,
    signal: (() => void) | undefined,
    memory: DirectMemory | undefined,
  ) {
    this.bar = bar;
    this.offset = offset;
    this.size = size;
    this.signal = signal;
    this.memory = memory;
    this.writable = memory?.writable === true;
    if (memory === undefined) return;
    const { buffer, byteOffset } = memory.bytes;
    this.#view = new DataView(buffer, byteOffset, size);
    if (byteOffset % 4 === 0) this.#words = new Uint32Array(buffer, byteOffset, size / 4);
    const { shared } = memory;
    this.#shown = shared === undefined ? undefined : new Int32Array(shared.shown, 0, 1);
  }

  /** May guests reach the memory now? */
  get isShown(): boolean {
    return this.#shown === undefined || Atomics.load(this.#shown, 0) !== 0;
  }

  show(shown: boolean): void {
    if (this.#shown !== undefined) Atomics.store(this.#shown, 0, shown ? 1 : 0);
  }

  /** A word is read at once, as processors do: nobody sees half of what another thread stores. */
  read(at: number, width: Width): number {
    if (width === 4) {
      if (at % 4 === 0 && this.#words !== undefined) return this.#words[at >>> 2]!;
      return this.#view!.getUint32(at, true);
    }
    return width === 2 ? this.#view!.getUint16(at, true) : this.#view!.getUint8(at);
  }

  write(at: number, width: Width, value: number): void {
    if (width === 4) {
      if (at % 4 === 0 && this.#words !== undefined) this.#words[at >>> 2] = value;
      else this.#view!.setUint32(at, value, true);
    } else if (width === 2) this.#view!.setUint16(at, value, true);
    else this.#view!.setUint8(at, value);
  }
}

/** What is served of one BAR. Offsets are bytes from its base. */
class BarTable {
  readonly #bar: number;
  /** Bytes. */
  readonly #size: number;

  // Doorbells, one row each, in order of offset.
  readonly #offsets: number[] = [];
  readonly #widths: number[] = [];
  readonly #anyValue: boolean[] = [];
  readonly #lows: number[] = [];
  readonly #highs: number[] = [];
  readonly #signals: (() => void)[] = [];

  // Spans of pages, in order of offset; they do not overlap.
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  readonly #spans: Span[] = [];

  constructor(bar: number, size: number) {
    this.#bar = bar;
    this.#size = size;
  }

  get spans(): readonly Span[] {
    return this.#spans;
  }

  ring(offset: number, width: number, low: number, high: number): boolean {
    const offsets = this.#offsets;
    for (let row = firstNotBelow(offsets, offset); row < offsets.length; row++) {
      if (offsets[row] !== offset) break;
      const wanted = this.#widths[row]!;
      if (wanted !== 0 && wanted !== width) continue;
      if (!this.#anyValue[row]) {
        const mask = width >= 4 ? 0xffff_ffff : ALL_ONES[width]!;
        if ((this.#lows[row]! & mask) >>> 0 !== low) continue;
        if (width === 8 && this.#highs[row] !== high) continue;
      }
      this.#signals[row]!();
      return true;
    }
    const span = this.#spanAt(offset);
    if (span < 0) return false;
    const { signal } = this.#spans[span]!;
    if (signal === undefined) return false;
    signal();
    return true;
  }

  read(offset: number, width: Width): number {
    const row = this.#spanAt(offset);
    if (row < 0 || offset + width > this.#ends[row]!) return -1;
    const span = this.#spans[row]!;
    if (span.memory === undefined || !span.isShown) return -1;
    return span.read(offset - this.#starts[row]!, width);
  }

  write(offset: number, width: Width, value: number): boolean {
    const row = this.#spanAt(offset);
    if (row < 0 || offset + width > this.#ends[row]!) return false;
    const span = this.#spans[row]!;
    if (!span.writable || !span.isShown) return false;
    span.write(offset - this.#starts[row]!, width, value);
    return true;
  }

  addDoorbell(match: DoorbellMatch, signal: () => void): void {
    const { offset, width } = match;
    this.#checkPlace(offset, Math.max(width, 1), 'a doorbell');
    const place = placeText(this.#bar, offset);
    if (width > 1 && offset % width !== 0) {
      throw invalid(
        `Cannot place a doorbell of ${width} bytes at ${place}: it is not aligned to them`,
      );
    }
    checkValue(match);
    if (this.#firstLike(match, compatible) >= 0) {
      throw taken(`Cannot place a doorbell at ${place}: the writes ring one already`);
    }
    const span = this.#spanAt(offset);
    if (span >= 0) {
      const what = this.#spans[span]!.memory === undefined ? 'a doorbell page' : 'a mapped range';
      throw taken(`Cannot place a doorbell at ${place}: ${what} is there`);
    }
    const at = firstNotBelow(this.#offsets, offset);
    const value = match.value ?? 0n;
    this.#offsets.splice(at, 0, offset);
    this.#widths.splice(at, 0, width);
    this.#anyValue.splice(at, 0, match.value === undefined);
    this.#lows.splice(at, 0, Number(value & 0xffff_ffffn));
    this.#highs.splice(at, 0, Number(value >> 32n));
    this.#signals.splice(at, 0, signal);
  }

  removeDoorbell(match: DoorbellMatch): void {
    const row = this.#firstLike(match, same);
    if (row < 0) throw absent(`There is no such doorbell at ${placeText(this.#bar, match.offset)}`);
    this.#offsets.splice(row, 1);
    this.#widths.splice(row, 1);
    this.#anyValue.splice(row, 1);
    this.#lows.splice(row, 1);
    this.#highs.splice(row, 1);
    this.#signals.splice(row, 1);
  }

  addSpan(span: Span, what: string): void {
    const { offset, size } = span;
    const place = placeText(this.#bar, offset);
    if (offset % PAGE !== 0 || size % PAGE !== 0 || size === 0) {
      throw invalid(
        `Cannot place ${what} of ${size} bytes at ${place}: it is whole pages of ${PAGE} bytes`,
      );
    }
    this.#checkPlace(offset, size, what);
    const end = offset + size;
    const row = firstNotBelow(this.#starts, offset);
    const isTaken =
      (row > 0 && this.#ends[row - 1]! > offset) ||
      (row < this.#starts.length && this.#starts[row]! < end);
    if (isTaken) throw taken(`Cannot place ${what} at ${place}: it overlaps another one`);
    const doorbell = this.#offsets[firstNotBelow(this.#offsets, offset)];
    if (doorbell !== undefined && doorbell < end) {
      const there = placeText(this.#bar, doorbell);
      throw taken(`Cannot place ${what} at ${place}: a doorbell is in it, at ${there}`);
    }
    this.#starts.splice(row, 0, offset);
    this.#ends.splice(row, 0, end);
    this.#spans.splice(row, 0, span);
  }

  removeSpan(offset: number, is: (span: Span) => boolean, what: string): Span {
    const row = firstNotBelow(this.#starts, offset);
    const span = this.#starts[row] === offset ? this.#spans[row] : undefined;
    if (span === undefined || !is(span)) {
      throw absent(`There is no ${what} that starts at ${placeText(this.#bar, offset)}`);
    }
    this.#starts.splice(row, 1);
    this.#ends.splice(row, 1);
    this.#spans.splice(row, 1);
    return span;
  }

  clearSpans(): void {
    this.#starts.length = 0;
    this.#ends.length = 0;
    this.#spans.length = 0;
  }

  clear(): void {
    for (const span of this.#spans) span.show(false);
    this.clearSpans();
    this.#offsets.length = 0;
    this.#widths.length = 0;
    this.#anyValue.length = 0;
    this.#lows.length = 0;
    this.#highs.length = 0;
    this.#signals.length = 0;
  }

  /** The row of the span that has this place, or -1. */
  #spanAt(offset: number): number {
    const starts = this.#starts;
    let low = 0;
    let high = starts.length - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      if (offset < starts[middle]!) high = middle - 1;
      else if (offset >= this.#ends[middle]!) low = middle + 1;
      else return middle;
    }
    return -1;
  }

  #firstLike(match: DoorbellMatch, is: (there: Trigger, match: Trigger) => boolean): number {
    const { offset } = match;
    for (let row = firstNotBelow(this.#offsets, offset); this.#offsets[row] === offset; row++) {
      const value = this.#anyValue[row]
        ? undefined
        : (BigInt(this.#highs[row]!) << 32n) | BigInt(this.#lows[row]!);
      if (is({ width: this.#widths[row] as DoorbellMatch['width'], value }, match)) return row;
    }
    return -1;
  }

  #checkPlace(offset: number, size: number, what: string): void {
    if (Number.isSafeInteger(offset) && offset >= 0 && offset + size <= this.#size) return;
    throw invalid(
      `Cannot place ${what} at ${placeText(this.#bar, offset)}: with ${size} bytes it leaves the BAR, which has ${this.#size}`,
    );
  }
}

/** Indexes that hosts ask for: BARs, and what comes after them in some numberings. */
const INDEXES = 16;

/**
 * What a host serves of one function without calling it: doorbells, whose writes signal and are gone, and pages with
 * memory of their own. Asked for each access before the function is, so nothing here allocates on the way.
 */
export class DirectTable {
  /** Called after pages came or went. */
  onPagesChanged: (() => void) | undefined;
  readonly #bars: (BarTable | undefined)[] = new Array(INDEXES).fill(undefined);
  #doorbellCount = 0;
  #rangeCount = 0;

  constructor(bars: readonly Pick<BarShape, 'slot' | 'size'>[]) {
    for (const { slot, size } of bars) this.#bars[slot] = new BarTable(slot, size);
  }

  /** Doorbells and doorbell pages that there are: 0 spares the question. */
  get doorbellCount(): number {
    return this.#doorbellCount;
  }

  /** Ranges of pages with memory that there are: 0 spares the question. */
  get rangeCount(): number {
    return this.#rangeCount;
  }

  /**
   * A guest writes. Is it a doorbell's? Then it has been signalled, and nothing is left to do.
   * @param width 1, 2, 4 or 8 bytes; @param low, high the value, unsigned; `high` is 0 below 8 bytes
   */
  ring(bar: number, offset: number, width: number, low: number, high: number): boolean {
    const there = this.#bars[bar];
    return there?.ring(offset, width, low, high) ?? false;
  }

  /** @returns the value, or -1 where there is no memory that all of the access falls into */
  read(bar: number, offset: number, width: Width): number {
    const there = this.#bars[bar];
    return there === undefined ? -1 : there.read(offset, width);
  }

  /** @returns false where there is no memory to write that all of the access falls into: nothing is then written */
  write(bar: number, offset: number, width: Width, value: number): boolean {
    const there = this.#bars[bar];
    return there?.write(offset, width, value) ?? false;
  }

  /**
   * Adds a doorbell. Several may have one offset when their widths or values differ; a narrow write
   * that two of any width match rings the first.
   * @throws DirectTableError `invalid` when it is no place for one, `taken` when a write could match another as well
   */
  addDoorbell(match: DoorbellMatch, signal: () => void): void {
    this.#at(match.bar, 'a doorbell').addDoorbell(match, signal);
    this.#doorbellCount++;
  }

  /**
   * Takes out the doorbell that was added with the same match.
   * @throws DirectTableError `absent` when there is none
   */
  removeDoorbell(match: DoorbellMatch): void {
    this.#known(match.bar, 'doorbell').removeDoorbell(match);
    this.#doorbellCount--;
  }

  /**
   * Makes each write that starts in a page ring.
   * @param offset a multiple of the page size
   * @throws DirectTableError as {@link addDoorbell}
   */
  addDoorbellPage(bar: number, offset: number, signal: () => void): void {
    const what = 'a doorbell page';
    this.#at(bar, what).addSpan(new Span(bar, offset, PAGE, signal, undefined), what);
    this.#doorbellCount++;
  }

  /** @throws DirectTableError `absent` when there is none */
  removeDoorbellPage(bar: number, offset: number): void {
    const what = 'doorbell page';
    this.#known(bar, what).removeSpan(offset, (span) => span.signal !== undefined, what);
    this.#doorbellCount--;
  }

  /**
   * Puts memory in the place of pages.
   * @param offset a multiple of the page size, as is the length of the memory
   * @throws DirectTableError as {@link addDoorbell}
   */
  addRange(bar: number, offset: number, memory: DirectMemory): void {
    this.#addRange(bar, offset, memory).show(true);
    this.#rangeCount++;
    this.onPagesChanged?.();
  }

  /**
   * Takes the memory of pages out that was put there by one {@link addRange}.
   * @throws DirectTableError `absent` when none starts there
   */
  removeRange(bar: number, offset: number): void {
    const what = 'mapped range';
    const has = (span: Span): boolean => span.memory !== undefined;
    this.#known(bar, what).removeSpan(offset, has, what).show(false);
    this.#rangeCount--;
    this.onPagesChanged?.();
  }

  /** The pages with memory of their own, in order of BAR and offset. */
  get ranges(): readonly DirectRange[] {
    return this.#bars.flatMap((there) =>
      (there?.spans ?? []).flatMap(({ bar, offset, memory }) =>
        memory === undefined ? [] : [{ bar, offset, ...memory }],
      ),
    );
  }

  /** Those that other threads can reach. */
  get sharedPages(): readonly SharedPages[] {
    return this.ranges.flatMap(({ bar, offset, bytes, writable, shared }) =>
      shared === undefined ? [] : [{ bar, offset, size: bytes.length, writable, ...shared }],
    );
  }

  /** Has the pages that another thread's table has, and no others. Whether they are shown is that thread's to say. */
  mirror(pages: readonly SharedPages[]): void {
    for (const there of this.#bars) there?.clearSpans();
    for (const { bar, offset, size, writable, memory, start, shown } of pages) {
      const bytes = new Uint8Array(memory, start, size);
      this.#addRange(bar, offset, { bytes, writable, shared: { memory, start, shown } });
    }
    this.#rangeCount = pages.length;
  }

  /** Takes everything out. */
  clear(): void {
    const hadPages = this.#rangeCount > 0;
    for (const there of this.#bars) there?.clear();
    this.#doorbellCount = 0;
    this.#rangeCount = 0;
    if (hadPages) this.onPagesChanged?.();
  }

  #addRange(bar: number, offset: number, memory: DirectMemory): Span {
    const what = 'a mapped range';
    const span = new Span(bar, offset, memory.bytes.length, undefined, memory);
    this.#at(bar, what).addSpan(span, what);
    return span;
  }

  #at(bar: number, what: string): BarTable {
    const there = this.#bars[bar];
    if (there !== undefined) return there;
    throw invalid(`Cannot place ${what} in BAR ${bar}: the device has no such BAR`);
  }

  #known(bar: number, what: string): BarTable {
    const there = this.#bars[bar];
    if (there !== undefined) return there;
    throw absent(`There is no ${what} in BAR ${bar}: the device has no such BAR`);
  }
}

type Trigger = Omit<DoorbellMatch, 'bar' | 'offset'>;

function same(there: Trigger, { width, value }: Trigger): boolean {
  return there.width === width && there.value === value;
}

/** Is there a write that matches both? */
function compatible(there: Trigger, { width, value }: Trigger): boolean {
  if (there.width !== 0 && width !== 0 && there.width !== width) return false;
  if (there.value === undefined || value === undefined) return true;
  if (there.width === width) return there.value === value;
  const bits = 8 * Math.max(there.width, width);
  return BigInt.asUintN(bits, there.value) === BigInt.asUintN(bits, value);
}

function checkValue({ width, value, bar, offset }: DoorbellMatch): void {
  if (value === undefined) return;
  const bytes = width === 0 ? 8 : width;
  if (value >= 0n && value < 1n << BigInt(8 * bytes)) return;
  throw invalid(
    `Cannot place a doorbell at ${placeText(bar, offset)}: no write of ${bytes} bytes has the value ${value}`,
  );
}

/** Index of the first of ascending numbers that is not below `key`. */
function firstNotBelow(keys: readonly number[], key: number): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (keys[middle]! < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

function placeText(bar: number, offset: number): string {
  return `0x${offset.toString(16)} of BAR ${bar}`;
}

const invalid = (message: string): DirectTableError => new DirectTableError('invalid', message);
const taken = (message: string): DirectTableError => new DirectTableError('taken', message);
const absent = (message: string): DirectTableError => new DirectTableError('absent', message);
