import type { DoorbellShape } from '../pci/device-callbacks.ts';
import { type DirectMemory, type DirectTable, DirectTableError } from '../pci/direct-table.ts';
import type { BarMemory } from '../pci/host.ts';

/**
 * Doorbells and mapped pages of a function whose accesses are looked up in a table on its own thread: what the Hdv
 * functions do for a function on the main thread, without their handles.
 */
export class TableDirectAccess {
  readonly #table: DirectTable;
  readonly #memory: (bar: number, offset: number, size: number) => DirectMemory | undefined;

  /** @param memory what is ready for a place; undefined when nothing is: its accesses are intercepted */
  constructor(
    table: DirectTable,
    memory: (bar: number, offset: number, size: number) => DirectMemory | undefined,
  ) {
    this.#table = table;
    this.#memory = memory;
  }

  watchDoorbells(row: DoorbellShape, ring: (index: number) => void): Disposable {
    const table = this.#table;
    const matchOf = (index: number) => {
      const offset = row.offset + index * row.stride;
      return { bar: row.bar, offset, width: 0, value: undefined } as const;
    };
    let watched = 0;
    while (watched < row.count) {
      const index = watched;
      if (!isGranted(() => table.addDoorbell(matchOf(index), () => ring(index)))) break;
      watched++;
    }
    return {
      [Symbol.dispose]: () => {
        while (watched > 0) table.removeDoorbell(matchOf(--watched));
      },
    };
  }

  barMemory(size: number, bar: number, offset: number): BarMemory | undefined {
    const memory = this.#memory(bar, offset, size);
    if (memory === undefined) return undefined;
    const { buffer, byteOffset } = memory.bytes;
    return {
      bytes: Buffer.from(buffer, byteOffset, size),
      show: (slot, at) => this.#show(slot, at, memory),
      [Symbol.dispose]: () => undefined,
    };
  }

  #show(bar: number, offset: number, memory: DirectMemory): Disposable {
    let isShown = isGranted(() => this.#table.addRange(bar, offset, memory));
    return {
      [Symbol.dispose]: () => {
        if (isShown) this.#table.removeRange(bar, offset);
        isShown = false;
      },
    };
  }
}

/** @returns whether the table took it; a refusal costs time, not correctness */
function isGranted(add: () => void): boolean {
  try {
    add();
    return true;
  } catch (error) {
    if (error instanceof DirectTableError) return false;
    throw error;
  }
}
