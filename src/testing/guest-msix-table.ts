import type { GuestConfigSpace } from './config-space.ts';
import type { GuestBar } from './guest-bar.ts';

/** Layout of a table entry (PCIe 6.0, 7.7.2): address, upper address, data, vector control. */
const Entry = { SIZE: 16, ADDRESS: 0, UPPER_ADDRESS: 4, DATA: 8, CONTROL: 12 } as const;

/** The MSI-X table and pending bits of a function, wherever its capability says they are. */
export class GuestMsixTable {
  readonly #bar: GuestBar;
  readonly #offset: number;
  readonly #pendingBar: GuestBar;
  readonly #pendingOffset: number;

  /** @param at offset of the MSI-X capability */
  constructor(config: GuestConfigSpace, at: number, bar: (slot: number) => GuestBar) {
    const table = config.read32(at + 4);
    const pending = config.read32(at + 8);
    this.#bar = bar(table & 7);
    this.#offset = table - (table & 7);
    this.#pendingBar = bar(pending & 7);
    this.#pendingOffset = pending - (pending & 7);
  }

  write(vector: number, address: number, data: number, control: number): void {
    const offset = this.#entry(vector);
    this.#bar.write32(offset + Entry.ADDRESS, address);
    this.#bar.write32(offset + Entry.UPPER_ADDRESS, 0);
    this.#bar.write32(offset + Entry.DATA, data);
    this.#bar.write32(offset + Entry.CONTROL, control);
  }

  readAddress(vector: number): number {
    return this.#bar.read32(this.#entry(vector) + Entry.ADDRESS);
  }

  readControl(vector: number): number {
    return this.#bar.read32(this.#entry(vector) + Entry.CONTROL);
  }

  writeControl(vector: number, control: number): void {
    this.#bar.write32(this.#entry(vector) + Entry.CONTROL, control);
  }

  isPending(vector: number): boolean {
    const bits = this.#pendingBar.read32(this.#pendingOffset + (vector >> 5) * 4);
    return ((bits >>> (vector & 31)) & 1) !== 0;
  }

  #entry(vector: number): number {
    return this.#offset + Entry.SIZE * vector;
  }
}
