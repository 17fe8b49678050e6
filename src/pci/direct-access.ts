import type { MappedRange } from './bar-layout.ts';
import type { DoorbellShape } from './device-callbacks.ts';
import type { FunctionState } from './function-state.ts';
import type { BarMemory } from './host.ts';

/**
 * What the guest reaches without an intercept, where the host can do that: pages that it maps, and doorbells that
 * become notices. Open while the function decodes its BARs. To the device it makes no difference but time.
 */
export class DirectAccess {
  readonly #state: FunctionState;
  readonly #ranges: readonly MappedRange[];
  readonly #rows: readonly DoorbellShape[];
  readonly #ring: (bar: number, offset: number) => void;
  readonly #memory = new Map<MappedRange, BarMemory>();
  #shown: Disposable[] = [];
  #watched: Disposable[] = [];
  #isOpen = false;
  /** A guest may have rung while nobody was there to hear. */
  #mayHaveMissed = false;

  /** @param ring lets the device hear of a doorbell */
  constructor(
    state: FunctionState,
    ranges: readonly MappedRange[],
    rows: readonly DoorbellShape[],
    ring: (bar: number, offset: number) => void,
  ) {
    this.#state = state;
    this.#ranges = ranges;
    this.#rows = rows;
    this.#ring = ring;
  }

  /** The function is attached: its mapped regions get the host's memory, where the host has some. */
  attach(): void {
    for (const range of this.#ranges) {
      const memory = this.#state.host?.barMemory?.(range.region.size, range.bar, range.offset);
      if (memory === undefined) continue;
      range.region.adopt(memory.bytes);
      this.#memory.set(range, memory);
    }
  }

  /** The function goes: mapped regions keep their contents in memory of their own. */
  detach(): void {
    this.#close();
    this.#mayHaveMissed = false;
    for (const [range, memory] of this.#memory) {
      range.region.adopt(Buffer.alloc(range.region.size));
      memory[Symbol.dispose]();
    }
    this.#memory.clear();
  }

  /** The gates of the function may have changed. */
  update(): void {
    const { decoding } = this.#state;
    if (decoding === this.#isOpen) return;
    if (decoding) this.#open();
    else this.#close();
  }

  /** The device runs again, and may have work that it did not hear of. */
  started(): void {
    if (!this.#mayHaveMissed) return;
    this.#mayHaveMissed = false;
    for (const { bar, offset, count, stride } of this.#rows) {
      for (let index = 0; index < count; index++) this.#ring(bar, offset + index * stride);
    }
  }

  /** After a reset a host knows no doorbell any more, and rings from before it are void. */
  reset(): void {
    this.#mayHaveMissed = false;
    if (!this.#isOpen) return;
    dispose(this.#watched);
    this.#watched = this.#watch();
  }

  #open(): void {
    this.#isOpen = true;
    this.#shown = [...this.#memory].map(([{ bar, offset }, memory]) => memory.show(bar, offset));
    this.#watched = this.#watch();
  }

  #close(): void {
    this.#isOpen = false;
    this.#mayHaveMissed = this.#watched.length > 0;
    dispose(this.#watched);
    dispose(this.#shown);
    [this.#watched, this.#shown] = [[], []];
  }

  #watch(): Disposable[] {
    const { host } = this.#state;
    if (host?.watchDoorbells === undefined) return [];
    return this.#rows.map((row) => {
      const { bar, offset, stride } = row;
      return host.watchDoorbells!(row, (index) => this.#ring(bar, offset + index * stride));
    });
  }
}

function dispose(opened: readonly Disposable[]): void {
  for (const each of opened) each[Symbol.dispose]();
}
