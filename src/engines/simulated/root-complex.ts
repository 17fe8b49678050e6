import { ALL_ONES } from '../../pci/bar-router.ts';
import { peekConfig, readConfig, writeConfig } from '../../pci/config-access.ts';
import type { PciDeviceCallbacks, PciFunctionExtras } from '../../pci/device-callbacks.ts';
import type { DirectTable } from '../../pci/direct-table.ts';
import type { InterruptLine } from './interrupts.ts';

/** What sits in a slot: HDV's ten callbacks, and the extras where the function has them. */
export type SlotFunction = PciDeviceCallbacks & Partial<PciFunctionExtras>;

/** A function on bus 0. */
export interface Slot {
  /** Device number, 0 to 31; the function number is always 0. */
  readonly device: number;
  readonly function: SlotFunction;
  readonly line: InterruptLine;
  /** Asked for each access of memory before the function is. */
  readonly direct: DirectTable | undefined;
}

/** Device numbers on the bus. */
const SLOT_COUNT = 32;

const COMMAND = 0x04;
const MEMORY_SPACE = 0x2;
const BAR_0 = 0x10;

/** What root complexes of several processors have in common, as each has its own picture of the one bus. */
export interface BusSignals {
  /** Changes whenever anybody may have changed what functions decode. */
  readonly busGeneration: number;
  busChanged(): void;
}

interface BarSize {
  readonly slot: number;
  readonly size: number;
  readonly is64Bit: boolean;
}

/**
 * A PCI Express root complex with one bus of integrated endpoints. It reads the functions' own BAR and command
 * registers to know which addresses they claim, as the guest programmed them; observers do not see that (PCIe 6.0, 7.5.1.1.3 and 7.5.1.2.1).
 */
export class RootComplex {
  readonly #slots: (Slot | undefined)[] = new Array(SLOT_COUNT).fill(undefined);
  readonly #sizes: (readonly BarSize[])[] = new Array(SLOT_COUNT).fill([]);
  #decodeIsStale = true;
  #signals: BusSignals | undefined;
  #seenGeneration = 0;
  /** Called when another processor has changed the bus; it plugs and unplugs what that did. */
  onElsewhereChanged: (() => void) | undefined;
  /** Called after a function was plugged or unplugged, and after pages that processors reach have come or gone. */
  onPlugged: (() => void) | undefined;

  // Claimed windows, one row each; rebuilt when a guest may have changed what they are made from.
  #windowCount = 0;
  readonly #start = new Float64Array(SLOT_COUNT * 6);
  readonly #end = new Float64Array(SLOT_COUNT * 6);
  readonly #bar = new Uint8Array(SLOT_COUNT * 6);
  readonly #function: SlotFunction[] = [];
  readonly #direct: (DirectTable | undefined)[] = [];

  /** Slots that are taken, by device number. */
  get slots(): readonly Slot[] {
    this.#catchUp();
    return this.#slots.filter((slot) => slot !== undefined);
  }

  /**
   * Puts a function into a slot.
   * @param probedBars as GetDetails gave them: their sizes are what the function decodes
   * @param direct what is served without the function
   * @param device wanted device number; otherwise the lowest that is free
   * @throws RangeError when the slot, or every slot, is taken
   */
  plug(
    fn: SlotFunction,
    probedBars: readonly number[],
    line: InterruptLine,
    device = -1,
    direct?: DirectTable,
  ): Slot {
    const free = device >= 0 ? device : this.#slots.indexOf(undefined);
    if (free < 0) {
      throw new RangeError(`Cannot plug another function: all ${SLOT_COUNT} slots are taken`);
    }
    if (free >= SLOT_COUNT) {
      throw new RangeError(
        `Cannot plug a function as device ${free}: slots are 0 to ${SLOT_COUNT - 1}`,
      );
    }
    if (this.#slots[free] !== undefined) {
      throw new RangeError(`Cannot plug a function as device ${free}: the slot is taken`);
    }
    const slot = { device: free, function: fn, line, direct };
    this.#sizes[free] = barSizes(probedBars);
    this.#slots[free] = slot;
    this.#decodeIsStale = true;
    this.onPlugged?.();
    return slot;
  }

  /** Takes a function out; its addresses read all ones from now on. */
  unplug(slot: Slot): void {
    if (this.#slots[slot.device] !== slot) return;
    this.#slots[slot.device] = undefined;
    this.#sizes[slot.device] = [];
    this.#decodeIsStale = true;
    slot.line.set(false);
    this.onPlugged?.();
  }

  /** To be called when pages that processors reach without the function have come or gone. */
  pagesChanged(): void {
    this.onPlugged?.();
  }

  /** To be called when BAR or command registers may have changed by other ways than {@link writeConfig}. */
  refresh(): void {
    this.#decodeIsStale = true;
    this.#signals?.busChanged();
  }

  /** Says that other processors are on this bus, through root complexes of their own. */
  share(signals: BusSignals): void {
    this.#signals = signals;
    this.#seenGeneration = signals.busGeneration;
  }

  /** Reads config space of function 0 of a device; all ones where there is none. */
  readConfig(device: number, offset: number, width: 1 | 2 | 4): number {
    this.#catchUp();
    const slot = this.#slots[device];
    if (slot === undefined) return ALL_ONES[width]!;
    return readConfig(slot.function, offset, width);
  }

  /** Writes config space of function 0 of a device; vanishes where there is none. */
  writeConfig(device: number, offset: number, width: 1 | 2 | 4, value: number): void {
    this.#catchUp();
    const slot = this.#slots[device];
    if (slot === undefined) return;
    writeConfig(slot.function, offset, width, value);
    this.refresh();
  }

  /** Reads device memory; all ones where nothing claims the address. */
  read(gpa: number, width: 1 | 2 | 4): number {
    const row = this.#find(gpa);
    if (row < 0) return ALL_ONES[width]!;
    if (gpa + width > this.#end[row]!) return this.#readAcross(gpa, width);
    const offset = gpa - this.#start[row]!;
    const direct = this.#direct[row];
    if (direct !== undefined && direct.rangeCount > 0) {
      const value = direct.read(this.#bar[row]!, offset, width);
      if (value >= 0) return value;
    }
    return this.#function[row]!.readInterceptedMemory(this.#bar[row]!, offset, width);
  }

  /** Writes device memory; vanishes where nothing claims the address. */
  write(gpa: number, width: 1 | 2 | 4, value: number): void {
    const row = this.#find(gpa);
    if (row < 0) return;
    if (gpa + width > this.#end[row]!) {
      for (let i = 0; i < width; i++) this.write(gpa + i, 1, (value >>> (8 * i)) & 0xff);
      return;
    }
    const offset = gpa - this.#start[row]!;
    const direct = this.#direct[row];
    if (direct !== undefined) {
      const bar = this.#bar[row]!;
      if (direct.rangeCount > 0 && direct.write(bar, offset, width, value)) return;
      // As every bus has it: what a processor stores is as wide as its access.
      if (direct.doorbellCount > 0 && direct.ring(bar, offset, width, value >>> 0, 0)) return;
    }
    this.#function[row]!.writeInterceptedMemory(this.#bar[row]!, offset, width, value);
  }

  /** An access that leaves its window arrives byte by byte: functions never see one that crosses a BAR. */
  #readAcross(gpa: number, width: 1 | 2 | 4): number {
    let value = 0;
    for (let i = 0; i < width; i++) value |= this.read(gpa + i, 1) << (8 * i);
    return value >>> 0;
  }

  #find(gpa: number): number {
    if (this.#signals !== undefined) this.#catchUp();
    if (this.#decodeIsStale) this.#decode();
    for (let row = 0; row < this.#windowCount; row++) {
      if (gpa >= this.#start[row]! && gpa < this.#end[row]!) return row;
    }
    return -1;
  }

  #catchUp(): void {
    if (this.#signals === undefined) return;
    const generation = this.#signals.busGeneration;
    if (generation === this.#seenGeneration) return;
    this.#seenGeneration = generation;
    this.#decodeIsStale = true;
    this.onElsewhereChanged?.();
  }

  #decode(): void {
    this.#decodeIsStale = false;
    this.#windowCount = 0;
    for (const slot of this.#slots) {
      if (slot === undefined) continue;
      const fn = slot.function;
      const isThere = peekConfig(fn, 0) !== 0xffff_ffff;
      if (!isThere || !(peekConfig(fn, COMMAND) & MEMORY_SPACE)) continue;
      for (const { slot: bar, size, is64Bit } of this.#sizes[slot.device]!) {
        const low = peekConfig(fn, BAR_0 + 4 * bar);
        const high = is64Bit ? peekConfig(fn, BAR_0 + 4 * bar + 4) : 0;
        const row = this.#windowCount++;
        this.#start[row] = high * 0x1_0000_0000 + (low - (low & 0xf));
        this.#end[row] = this.#start[row]! + size;
        this.#bar[row] = bar;
        this.#function[row] = fn;
        this.#direct[row] = slot.direct;
      }
    }
  }
}

/** Sizes out of what the BARs read back after all ones (PCIe 6.0, 7.5.1.2.1). I/O BARs are never claimed. */
export function barSizes(probedBars: readonly number[]): BarSize[] {
  const sizes: BarSize[] = [];
  for (let slot = 0; slot < 6; slot++) {
    const low = (probedBars[slot] ?? 0) >>> 0;
    if (low === 0 || low & 1) continue;
    const is64Bit = (low & 0x6) === 0x4;
    const high = is64Bit ? (probedBars[slot + 1] ?? 0) >>> 0 : 0xffff_ffff;
    const size = (0x1_0000_0000 - high) * 0x1_0000_0000 - (low - (low & 0xf));
    sizes.push({ slot, size, is64Bit });
    if (is64Bit) slot++;
  }
  return sizes;
}
