import { createEventFd } from '../../ffi/descriptors.ts';
import { addToWaitGroup } from '../../ffi/wait-group.ts';
import type { VfioUserClient } from '../../vfio-user/client.ts';
import { Irq, Region } from '../../vfio-user/device.ts';
import type { EventInterrupts } from './event-interrupts.ts';
import type { ProcessInterrupts } from './process-shape.ts';

/** An entry of an MSI-X table (PCIe 6.0, 7.7.2.2), in words. */
const Entry = {
  WORDS: 4,
  ADDRESS_LOW: 0,
  ADDRESS_HIGH: 1,
  DATA: 2,
  CONTROL: 3,
  MASKED: 1,
} as const;
const ENTRY_SIZE = 16;

/** Message control of MSI-X, in the upper half of the capability's first dword (PCIe 6.0, 7.7.2.1). */
const Msix = { ENABLE: 0x8000_0000, MASK: 0x4000_0000 } as const;

/** Message control of MSI, likewise (PCIe 6.0, 7.7.1.2). */
const Msi = { ENABLE: 1 << 16, MULTIPLE_SHIFT: 20, IS_64_BIT: 1 << 23 } as const;

/** Bytes of the longest MSI capability. */
const MSI_SIZE = 24;

/**
 * The interrupts of a function of another process, as a VMM has them. The MSI-X table is here: the device is given an
 * eventfd for each vector that may interrupt, and none for those that may not, so that it keeps what is pending, as its
 * pending bits say. MSI is what the guest wrote to the device's configuration space.
 */
export class ProcessVectors {
  readonly #client: VfioUserClient;
  readonly #shape: ProcessInterrupts;
  readonly #events: EventInterrupts;
  /** Wait group that every eventfd is in. */
  readonly #group: number;
  readonly #words: Uint32Array;
  readonly #table: DataView;
  /** Byte per vector: 1 where the device has its eventfd. */
  readonly #given: Uint8Array;
  #msixControl = 0;

  /** @param group belongs to main, who closes it */
  constructor(
    client: VfioUserClient,
    shape: ProcessInterrupts,
    events: EventInterrupts,
    group: number,
  ) {
    this.#client = client;
    this.#shape = shape;
    this.#events = events;
    this.#group = group;
    const count = shape.kind === 'msix' || shape.kind === 'msi' ? shape.count : 0;
    this.#given = new Uint8Array(count);
    this.#words = new Uint32Array(shape.kind === 'msix' ? count * Entry.WORDS : 0);
    this.#table = new DataView(this.#words.buffer);
    this.#maskAll();
    if (shape.kind === 'intx') client.setTriggers(Irq.INTX, 0, [this.#eventFd(0)]);
  }

  /** Where an access is in the MSI-X table; -1 where it is the device's. */
  tableOffset(bar: number, offset: number, width: number): number {
    if (this.#shape.kind !== 'msix' || bar !== this.#shape.bar) return -1;
    const at = offset - this.#shape.table;
    return at >= 0 && at + width <= this.#table.byteLength ? at : -1;
  }

  readTable(at: number, width: number): number {
    if (width === 4) return this.#table.getUint32(at, true);
    return width === 2 ? this.#table.getUint16(at, true) : this.#table.getUint8(at);
  }

  writeTable(at: number, width: number, value: number): void {
    if (width === 4) this.#table.setUint32(at, value, true);
    else if (width === 2) this.#table.setUint16(at, value, true);
    else this.#table.setUint8(at, value);
    const first = Math.floor(at / ENTRY_SIZE);
    const last = Math.floor((at + width - 1) / ENTRY_SIZE);
    for (let vector = first; vector <= last; vector++) this.#updateVector(vector);
  }

  /** The guest has written a dword of configuration space. */
  configWritten(offset: number): void {
    const shape = this.#shape;
    if (shape.kind === 'msix' && offset === shape.capability) {
      this.#msixControl = this.#client.read(Region.CONFIG, shape.capability, 4);
      for (let vector = 0; vector < shape.count; vector++) this.#updateVector(vector);
    } else if (shape.kind === 'msi') {
      const at = offset - shape.capability;
      if (at >= 0 && at < MSI_SIZE) this.#updateMsi(shape.capability, shape.count);
    }
  }

  /** The function was reset: no vector may interrupt. */
  reset(): void {
    this.#maskAll();
    this.#msixControl = 0;
    this.#takeAll();
  }

  #maskAll(): void {
    this.#words.fill(0);
    for (let at = Entry.CONTROL; at < this.#words.length; at += Entry.WORDS) {
      this.#words[at] = Entry.MASKED;
    }
  }

  #updateVector(vector: number): void {
    const words = this.#words;
    const at = vector * Entry.WORDS;
    const isMasked = (words[at + Entry.CONTROL]! & Entry.MASKED) !== 0;
    const isOn = (this.#msixControl & (Msix.ENABLE | Msix.MASK)) >>> 0 === Msix.ENABLE;
    if (isMasked || !isOn) {
      if (this.#given[vector] === 0) return;
      this.#client.setTriggers(Irq.MSIX, vector, [], 1);
      this.#given[vector] = 0;
      return;
    }
    this.#events.setMessage(
      vector,
      words[at + Entry.ADDRESS_LOW]!,
      words[at + Entry.ADDRESS_HIGH]!,
      words[at + Entry.DATA]!,
    );
    if (this.#given[vector] !== 0) return;
    this.#client.setTriggers(Irq.MSIX, vector, [this.#eventFd(vector)]);
    this.#given[vector] = 1;
  }

  #updateMsi(capability: number, most: number): void {
    const client = this.#client;
    const control = client.read(Region.CONFIG, capability, 4);
    if ((control & Msi.ENABLE) === 0) {
      this.#takeAll();
      return;
    }
    const is64Bit = (control & Msi.IS_64_BIT) !== 0;
    const low = client.read(Region.CONFIG, capability + 4, 4);
    const high = is64Bit ? client.read(Region.CONFIG, capability + 8, 4) : 0;
    const data = client.read(Region.CONFIG, capability + (is64Bit ? 12 : 8), 2);
    const count = Math.min(1 << ((control >>> Msi.MULTIPLE_SHIFT) & 7), most);
    for (let vector = 0; vector < count; vector++) {
      this.#events.setMessage(vector, low, high, (data & ~(count - 1)) | vector);
      if (this.#given[vector] !== 0) continue;
      client.setTriggers(Irq.MSI, vector, [this.#eventFd(vector)]);
      this.#given[vector] = 1;
    }
  }

  /** Takes every eventfd back from the device. */
  #takeAll(): void {
    if (!this.#given.includes(1)) return;
    this.#client.disableIrqs(this.#shape.kind === 'msix' ? Irq.MSIX : Irq.MSI);
    this.#given.fill(0);
  }

  /** One for each vector, for as long as there is the device: what has it once keeps it in the group. */
  #eventFd(vector: number): number {
    const known = this.#events.fdOf(vector);
    if (known >= 0) return known;
    const fd = createEventFd();
    this.#events.setFd(vector, fd);
    addToWaitGroup(this.#group, fd);
    return fd;
  }
}
