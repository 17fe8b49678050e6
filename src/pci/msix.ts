import type { MessageSink } from '../device/interrupts.ts';
import type { MmioRegion, Width } from '../device/mmio-region.ts';
import type { CapabilityBlock } from './capability-chain.ts';
import { CapabilityId } from './config-registers.ts';
import type { ConfigSpace } from './config-space.ts';
import type { FunctionState } from './function-state.ts';

/** Bits of Message Control, in the upper half of the capability's first dword (PCIe 6.0, 7.7.2.2). */
const Control = { FUNCTION_MASK: 0x4000_0000, ENABLE: 0x8000_0000 } as const;

/** Where table and pending bits are. */
export interface MsixPlace {
  readonly bar: number;
  readonly table: number;
  readonly pendingBits: number;
}

/** What {@link Msix.save} gives. */
export interface SavedMsix {
  readonly table: number[];
  readonly pending: number[];
}

/** Bytes of the table's and the pending bits' parts: whole pages, so that neither shares one (PCIe 6.0, 7.7.2). */
export function msixSizes(count: number): { readonly table: number; readonly pendingBits: number } {
  return { table: Math.ceil((count * 16) / 4096) * 4096, pendingBits: 4096 };
}

/**
 * MSI-X (PCIe 6.0, 7.7.2 and 6.1.4). Entries are masked after reset, so a vector that is raised before the guest
 * programmed it is pending until the guest unmasks it. While MSI-X is disabled the function may not send messages:
 * what is raised then is lost, what was pending stays. A vector raised with bus mastering off waits for it.
 *
 * | table dword | holds |
 * |---|---|
 * | 4 v | message address, low; bits 0 and 1 are 0 |
 * | 4 v + 1 | message address, high |
 * | 4 v + 2 | message data |
 * | 4 v + 3 | vector control: bit 0 masks |
 */
export class Msix implements MessageSink {
  readonly block: CapabilityBlock;
  /** The part of the BAR that holds the table. */
  readonly table: MmioRegion;
  /** The part of the BAR that holds the pending bits. */
  readonly pendingBits: MmioRegion;
  readonly #state: FunctionState;
  readonly #count: number;
  readonly #entries: Uint32Array;
  readonly #pending: Uint32Array;
  #anyPending = false;
  #space: ConfigSpace | undefined;
  #offset = 0;

  /** @param entries the table's memory, 4 dwords per vector */
  constructor(state: FunctionState, count: number, place: MsixPlace, entries: Uint32Array) {
    this.#state = state;
    this.#count = count;
    this.#entries = entries;
    this.#pending = new Uint32Array(Math.ceil(count / 64) * 2);
    const sizes = msixSizes(count);
    this.table = new DwordRegion(sizes.table, this.#entries, (dword, value) =>
      this.#writeTable(dword, value),
    );
    this.pendingBits = new DwordRegion(sizes.pendingBits, this.#pending, () => {});
    this.block = {
      name: 'MSI-X',
      id: CapabilityId.MSIX,
      size: 12,
      fill: (space, offset) => {
        this.#space = space;
        this.#offset = offset;
        space.view.setUint16(offset + 2, count - 1, true);
        space.view.setUint32(offset + 4, place.table | place.bar, true);
        space.view.setUint32(offset + 8, place.pendingBits | place.bar, true);
        space.allow(offset, Control.ENABLE | Control.FUNCTION_MASK);
        space.onWrite(offset, () => this.flush());
      },
    };
    this.reset();
  }

  /** Where the capability is in config space. */
  get offset(): number {
    return this.#offset;
  }

  raise(vector: number): void {
    const { observer, started } = this.#state;
    observer?.interruptRaised?.(vector);
    if (!started || (this.#control & Control.ENABLE) === 0) return;
    if (this.#maySend && !this.#masked(vector)) {
      this.#clear(vector);
      this.#send(vector);
    } else {
      this.#pending[vector >>> 5] = this.#pending[vector >>> 5]! | (1 << (vector & 31));
      this.#anyPending = true;
    }
  }

  withdraw(vector: number): void {
    this.#clear(vector);
  }

  /** Sends what is pending and may be sent, lowest vector first (PCIe 6.0, 6.1.4.5). */
  flush(): void {
    if (!this.#anyPending) return;
    // Asked anew for each vector: a guest may act on a message at once, mask others or turn all off.
    for (let vector = 0; this.#maySend && vector < this.#count; vector++) {
      const pending = (this.#pending[vector >>> 5]! & (1 << (vector & 31))) !== 0;
      if (!pending || this.#masked(vector)) continue;
      this.#clear(vector);
      this.#send(vector);
    }
    this.#anyPending = this.#pending.some((word) => word !== 0);
  }

  /** Writes one entry as a guest would. */
  setEntry(vector: number, address: number, data: number, masked: boolean): void {
    this.#entries[vector * 4] = address & ~3;
    this.#entries[vector * 4 + 1] = Math.floor(address / 2 ** 32);
    this.#entries[vector * 4 + 2] = data;
    this.#writeTable(vector * 4 + 3, masked ? 1 : 0);
  }

  reset(): void {
    this.#pending.fill(0);
    this.#anyPending = false;
    this.#entries.fill(0);
    for (let vector = 0; vector < this.#count; vector++) this.#entries[vector * 4 + 3] = 1;
  }

  save(): SavedMsix {
    return { table: [...this.#entries], pending: [...this.#pending] };
  }

  check(state: unknown): SavedMsix {
    const saved = (typeof state === 'object' && state !== null ? state : {}) as Partial<SavedMsix>;
    const words = (list: unknown, length: number): boolean =>
      Array.isArray(list) && list.length === length && list.every((word) => word >>> 0 === word);
    if (!words(saved.table, this.#count * 4) || !words(saved.pending, this.#pending.length)) {
      throw new TypeError(
        `Cannot restore MSI-X: the snapshot does not hold ${this.#count} vectors`,
      );
    }
    return saved as SavedMsix;
  }

  /** Takes the table of another function, none of whose interrupts is pending here. */
  adopt(table: Uint32Array): void {
    this.#entries.set(table);
  }

  apply({ table, pending }: SavedMsix): void {
    this.#entries.set(table);
    this.#pending.set(pending);
    this.#anyPending = pending.some((word) => word !== 0);
  }

  get #control(): number {
    return this.#space === undefined ? 0 : this.#space.words[this.#offset >>> 2]!;
  }

  get #maySend(): boolean {
    const on = this.#control & (Control.ENABLE | Control.FUNCTION_MASK);
    return this.#state.mastering && on >>> 0 === Control.ENABLE;
  }

  #masked(vector: number): boolean {
    return (this.#entries[vector * 4 + 3]! & 1) !== 0;
  }

  #clear(vector: number): void {
    this.#pending[vector >>> 5] = this.#pending[vector >>> 5]! & ~(1 << (vector & 31));
  }

  #send(vector: number): void {
    const address = this.#entries[vector * 4 + 1]! * 2 ** 32 + this.#entries[vector * 4]!;
    this.#state.deliver(vector, address, this.#entries[vector * 4 + 2]!);
  }

  #writeTable(dword: number, value: number): void {
    const field = dword & 3;
    this.#entries[dword] = field === 0 ? value & ~3 : field === 3 ? value & 1 : value;
    if (field === 3) this.flush();
  }
}

/** Dwords in a BAR. Guests may only use aligned dwords and qwords here (7.7.2); narrower accesses are merged. */
class DwordRegion implements MmioRegion {
  readonly size: number;
  readonly #words: Uint32Array;
  readonly #write: (dword: number, value: number) => void;

  constructor(size: number, words: Uint32Array, write: (dword: number, value: number) => void) {
    this.size = size;
    this.#words = words;
    this.#write = write;
  }

  read(offset: number, width: Width): number {
    let value = 0;
    for (let byte = 0; byte < width; byte++) {
      const at = offset + byte;
      const word = this.#words[at >>> 2] ?? 0;
      value |= ((word >>> ((at & 3) * 8)) & 0xff) << (byte * 8);
    }
    return value >>> 0;
  }

  write(offset: number, width: Width, value: number): void {
    const first = offset >>> 2;
    const last = (offset + width - 1) >>> 2;
    for (let dword = first; dword <= last && dword < this.#words.length; dword++) {
      let word = this.#words[dword]!;
      for (let byte = 0; byte < width; byte++) {
        const at = offset + byte;
        if (at >>> 2 !== dword) continue;
        const shift = (at & 3) * 8;
        word = (word & ~(0xff << shift)) | (((value >>> (byte * 8)) & 0xff) << shift);
      }
      this.#write(dword, word >>> 0);
    }
  }
}
