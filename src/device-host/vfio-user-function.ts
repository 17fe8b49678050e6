import type { GuestMemory } from '../device/services.ts';
import { peekConfig, readConfig, writeConfig } from '../pci/config-access.ts';
import type { FunctionShape } from '../pci/device-callbacks.ts';
import { DirectTable } from '../pci/direct-table.ts';
import {
  type AccessWidth,
  type DisconnectReason,
  Irq,
  Region,
  type RegionMapping,
  type VfioUserDevice,
  type VfioUserPort,
  type VfioUserRegion,
} from '../vfio-user/device.ts';
import { functionShape, type ServedFunction } from './function-shape.ts';
import { LentMemory } from './lent-memory.ts';

/** Where the made-up messages of MSI-X vectors start: above every guest-physical address. One every 16 bytes. */
const MESSAGE_SPACE = 2 ** 48;
const MESSAGE_STRIDE = 16;

/** Registers of a type 0 header (PCI 3.0, 6.1). */
const COMMAND = 0x04;
const BAR_0 = 0x10;

/** Message control of an MSI capability, in the upper half of its first dword (PCI 3.0, 6.8.1.3). */
const MSI_MULTIPLE_MESSAGE_ENABLE_SHIFT = 16 + 4;

/** Layout of an MSI-X table entry, 16 bytes (PCI 3.0, 6.8.2.6). */
const ENTRY = {
  SIZE: 16,
  ADDRESS_LOW: 0,
  ADDRESS_HIGH: 4,
  DATA: 8,
  CONTROL: 12,
  MASKED: 1,
} as const;

/** When a {@link VfioUserFunction} starts and stops its function, and whom it tells. */
export interface VfioUserFunctionHooks {
  /** A client connected: memory and interrupts are there. */
  start(): void;
  /** The client went: no memory and no interrupt any more. */
  stop(): void;
  disconnected(reason: DisconnectReason): void;
}

/** What a {@link VfioUserFunction} serves without its function. */
export interface VfioUserDirect {
  readonly table: DirectTable;
  /** Memory of a BAR that clients may map, as it is at the moment. A client asks once, when it attaches the device. */
  mapping(bar: number): RegionMapping | undefined;
}

/**
 * A PCI function behind a vfio-user connection. The VMM keeps the MSI-X table and hands out one eventfd per vector;
 * here each eventfd becomes a table entry with a message that can be found again, so that the function is in the state
 * that a guest's own writes would have brought it to.
 *
 * It outlives connections: {@link VfioUserFunction.attach} lends it the port of one.
 */
export class VfioUserFunction implements VfioUserDevice {
  /** The guest's memory while a client is connected. */
  readonly memory: GuestMemory;
  readonly regions: readonly VfioUserRegion[];
  readonly irqCounts: readonly number[];
  /** Writes to them never reach the function. */
  readonly doorbells: DirectTable;
  readonly #function: ServedFunction;
  readonly #shape: FunctionShape;
  readonly #hooks: VfioUserFunctionHooks;
  readonly #lent = new LentMemory();
  /** Byte per MSI-X vector: 1 where the client gave an eventfd. */
  readonly #assigned: Uint8Array;
  #port: VfioUserPort | undefined;

  /** @param direct default: nothing */
  constructor(fn: ServedFunction, hooks: VfioUserFunctionHooks, direct?: VfioUserDirect) {
    this.#function = fn;
    this.#hooks = hooks;
    this.#shape = functionShape(fn);
    this.memory = this.#lent;
    this.doorbells = direct?.table ?? new DirectTable([]);
    this.regions = regionsOf(this.#shape, direct);
    this.irqCounts = irqCountsOf(this.#shape);
    this.#assigned = new Uint8Array(this.irqCounts[Irq.MSIX]!);
  }

  /** A client is there: from now on the function has memory and interrupts, and it starts. */
  attach(port: VfioUserPort): VfioUserDevice {
    this.#port = port;
    this.#lent.lend(port.memory);
    this.#assigned.fill(0);
    this.#hooks.start();
    return this;
  }

  readRegion(region: number, offset: number, width: AccessWidth): number {
    if (region === Region.CONFIG) return readConfig(this.#function, offset, width);
    // Pages that a client has not mapped, or cannot reach at the moment, are memory all the same.
    if (this.doorbells.rangeCount > 0) {
      const value = this.doorbells.read(region, offset, width);
      if (value >= 0) return value;
    }
    return this.#function.readInterceptedMemory(region, offset, width);
  }

  writeRegion(region: number, offset: number, width: AccessWidth, value: number): void {
    if (region !== Region.CONFIG) {
      const direct = this.doorbells;
      if (direct.rangeCount > 0 && direct.write(region, offset, width, value)) return;
      this.#function.writeInterceptedMemory(region, offset, width, value);
      return;
    }
    writeConfig(this.#function, offset, width, value);
    // A function-level reset is such a write. It empties the table, which the client believes unchanged.
    if (this.#assigned.length > 0) this.#programVectors();
  }

  vectorChanged(irq: number, vector: number, assigned: boolean): void {
    if (irq !== Irq.MSIX || vector >= this.#assigned.length) return;
    this.#assigned[vector] = assigned ? 1 : 0;
    this.#programVector(vector);
  }

  reset(): void {
    this.#resetFunction('cold');
    this.#programVectors();
  }

  disconnected(reason: DisconnectReason): void {
    this.#port = undefined;
    this.#lent.withdraw();
    this.#assigned.fill(0);
    this.#hooks.stop();
    this.#resetFunction('disconnect');
    this.#hooks.disconnected(reason);
  }

  /** Sends the message to the vector that it belongs to. Never throws. */
  deliverInterrupt(address: number, data: number): void {
    const { interrupts } = this.#shape;
    if (interrupts.kind === 'msix') {
      const vector = (address - MESSAGE_SPACE) / MESSAGE_STRIDE;
      // Any other address was written by a client that lets the guest reach the table and has no way to hear of it.
      if (vector >= 0 && vector < interrupts.count) this.#port?.signal(Irq.MSIX, vector);
    } else if (interrupts.kind === 'msi') {
      const control = peekConfig(this.#function, interrupts.capability);
      const enabled = 1 << ((control >>> MSI_MULTIPLE_MESSAGE_ENABLE_SHIFT) & 7);
      this.#port?.signal(Irq.MSI, data & (enabled - 1) & (interrupts.count - 1));
    }
  }

  setInterruptLine(asserted: boolean): void {
    this.#port?.setInterruptLine(asserted);
  }

  /** Callbacks without a reset get what HDV gives: the BARs and the command register as after power-on. */
  #resetFunction(kind: 'cold' | 'disconnect'): void {
    if (this.#function.reset !== undefined) {
      this.#function.reset(kind);
      return;
    }
    writeConfig(this.#function, COMMAND, 2, 0);
    for (let slot = 0; slot < 6; slot++) writeConfig(this.#function, BAR_0 + 4 * slot, 4, 0);
  }

  #programVectors(): void {
    for (let vector = 0; vector < this.#assigned.length; vector++) {
      if (this.#assigned[vector] !== 0) this.#programVector(vector);
    }
  }

  #programVector(vector: number): void {
    const masked = this.#assigned[vector] === 0;
    const address = MESSAGE_SPACE + vector * MESSAGE_STRIDE;
    const fn = this.#function;
    if (fn.setMsixEntry !== undefined) {
      fn.setMsixEntry(vector, address, vector, masked);
      return;
    }
    const { interrupts } = this.#shape;
    if (interrupts.kind !== 'msix') return;
    const { bar } = interrupts.table;
    const entry = interrupts.table.offset + vector * ENTRY.SIZE;
    fn.writeInterceptedMemory(bar, entry + ENTRY.ADDRESS_LOW, 4, address % 2 ** 32);
    fn.writeInterceptedMemory(bar, entry + ENTRY.ADDRESS_HIGH, 4, Math.floor(address / 2 ** 32));
    fn.writeInterceptedMemory(bar, entry + ENTRY.DATA, 4, vector);
    fn.writeInterceptedMemory(bar, entry + ENTRY.CONTROL, 4, masked ? ENTRY.MASKED : 0);
  }
}

const ABSENT: VfioUserRegion = { size: 0 };

/** One BAR, with the memory that is behind it when a client asks. */
class BarRegion implements VfioUserRegion {
  readonly size: number;
  readonly #slot: number;
  readonly #direct: VfioUserDirect | undefined;

  constructor(slot: number, size: number, direct: VfioUserDirect | undefined) {
    this.size = size;
    this.#slot = slot;
    this.#direct = direct;
  }

  get mapping(): RegionMapping | undefined {
    return this.#direct?.mapping(this.#slot);
  }
}

function regionsOf(
  shape: FunctionShape,
  direct: VfioUserDirect | undefined,
): readonly VfioUserRegion[] {
  const regions = new Array<VfioUserRegion>(Region.COUNT).fill(ABSENT);
  for (const { slot, size } of shape.bars) {
    regions[Region.BAR0 + slot] = new BarRegion(slot, size, direct);
  }
  regions[Region.CONFIG] = { size: shape.configSize };
  return regions;
}

function irqCountsOf({ interrupts }: FunctionShape): readonly number[] {
  const counts = new Array<number>(Irq.COUNT).fill(0);
  if (interrupts.kind === 'intx') counts[Irq.INTX] = 1;
  if (interrupts.kind === 'msi') counts[Irq.MSI] = interrupts.count;
  if (interrupts.kind === 'msix') counts[Irq.MSIX] = interrupts.count;
  counts[Irq.ERROR] = 1;
  counts[Irq.REQUEST] = 1;
  return counts;
}
