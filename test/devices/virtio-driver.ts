/** A driver for virtio devices over PCI, as a guest's kernel has one: small, but it keeps to virtio 1.2, 3.1 and 4.1. */
import type { Guest, SimulatedVm } from 'hdvkit/testing';
import {
  CapabilityType,
  COMMON,
  DescriptorFlag,
  DeviceStatus,
  Feature,
} from '../../devices/virtio/registers.ts';

const R = COMMON.offsets;

/** Where a capability says a structure is. */
export interface VirtioStructure {
  readonly bar: number;
  readonly offset: number;
  readonly length: number;
  /** Of the notify capability. */
  readonly multiplier: number;
}

/** One buffer of a request. */
export interface VirtioBuffer {
  readonly gpa: number;
  readonly length: number;
  readonly isWritable?: boolean;
}

/** Walks the vendor-specific capabilities (4.1.4). */
export function findStructures(guest: Guest): Map<number, VirtioStructure> {
  const found = new Map<number, VirtioStructure>();
  for (const { id, offset, extended } of guest.config.capabilities()) {
    if (extended || id !== 0x09) continue;
    const type = guest.config.read8(offset + 3);
    const isNotify = type === CapabilityType.NOTIFY;
    found.set(type, {
      bar: guest.config.read8(offset + 4),
      offset: guest.config.read32(offset + 8),
      length: guest.config.read32(offset + 12),
      multiplier: isNotify ? guest.config.read32(offset + 16) : 0,
    });
  }
  return found;
}

/** Drives one device with one queue of 8 entries. */
export class VirtioDriver {
  static readonly SIZE = 8;
  readonly guest: Guest;
  readonly vm: SimulatedVm;
  readonly table: number;
  readonly available: number;
  readonly used: number;
  readonly structures: Map<number, VirtioStructure>;
  readonly #common: VirtioStructure;
  #nextDescriptor = 0;
  #nextAvailable = 0;

  constructor(vm: SimulatedVm, guest: Guest) {
    this.vm = vm;
    this.guest = guest;
    this.structures = findStructures(guest);
    this.#common = this.structures.get(CapabilityType.COMMON)!;
    this.table = vm.memory.allocate(4096);
    this.available = vm.memory.allocate(4096);
    this.used = vm.memory.allocate(4096);
  }

  read(offset: number, width: 1 | 2 | 4): number {
    return this.guest.bar(this.#common.bar).read(this.#common.offset + offset, width);
  }

  write(offset: number, width: 1 | 2 | 4, value: number): void {
    this.guest.bar(this.#common.bar).write(this.#common.offset + offset, width, value);
  }

  get status(): number {
    return this.read(R.DEVICE_STATUS, 1);
  }

  addStatus(bits: number): void {
    this.write(R.DEVICE_STATUS, 1, this.status | bits);
  }

  /** The offered features as one number; bits above 52 must not matter. */
  offered(): number {
    this.write(R.DEVICE_FEATURE_SELECT, 4, 0);
    const low = this.read(R.DEVICE_FEATURE, 4);
    this.write(R.DEVICE_FEATURE_SELECT, 4, 1);
    return this.read(R.DEVICE_FEATURE, 4) * 2 ** 32 + low;
  }

  accept(features: number): void {
    this.write(R.DRIVER_FEATURE_SELECT, 4, 0);
    this.write(R.DRIVER_FEATURE, 4, features % 2 ** 32);
    this.write(R.DRIVER_FEATURE_SELECT, 4, 1);
    this.write(R.DRIVER_FEATURE, 4, Math.floor(features / 2 ** 32));
  }

  /** Initialisation up to FEATURES_OK (3.1.1, steps 1 to 6). */
  negotiate(features = 2 ** Feature.VERSION_1 + 2 ** Feature.INDIRECT_DESC): void {
    this.write(R.DEVICE_STATUS, 1, 0);
    this.addStatus(DeviceStatus.ACKNOWLEDGE);
    this.addStatus(DeviceStatus.DRIVER);
    this.accept(features);
    this.addStatus(DeviceStatus.FEATURES_OK);
  }

  /** Sets up queue 0 with vector 1 (4.1.5.1.3). */
  setUpQueue(size = VirtioDriver.SIZE): void {
    this.write(R.MSIX_CONFIG, 2, 0);
    this.write(R.QUEUE_SELECT, 2, 0);
    this.write(R.QUEUE_SIZE, 2, size);
    this.write(R.QUEUE_MSIX_VECTOR, 2, 1);
    this.#writeGpa(R.QUEUE_DESC_LOW, this.table);
    this.#writeGpa(R.QUEUE_DRIVER_LOW, this.available);
    this.#writeGpa(R.QUEUE_DEVICE_LOW, this.used);
    this.write(R.QUEUE_ENABLE, 2, 1);
  }

  /** All of initialisation (3.1.1). */
  begin(): void {
    this.negotiate();
    this.setUpQueue();
    this.addStatus(DeviceStatus.DRIVER_OK);
  }

  /** Writes descriptor `index` of a table. */
  describe(
    index: number,
    { gpa, length, isWritable = true }: VirtioBuffer,
    { flags = 0, next = 0, table = this.table } = {},
  ): void {
    const entry = Buffer.alloc(16);
    entry.writeBigUInt64LE(BigInt(gpa), 0);
    entry.writeUInt32LE(length, 8);
    entry.writeUInt16LE(flags | (isWritable ? DescriptorFlag.WRITE : 0), 12);
    entry.writeUInt16LE(next, 14);
    this.vm.memory.write(table + 16 * index, entry);
  }

  /** Chains the buffers and makes them available; returns the head. */
  add(...buffers: VirtioBuffer[]): number {
    const head = this.#nextDescriptor;
    for (const [i, buffer] of buffers.entries()) {
      const index = (head + i) % VirtioDriver.SIZE;
      const next = (index + 1) % VirtioDriver.SIZE;
      const isLast = i === buffers.length - 1;
      this.describe(index, buffer, { flags: isLast ? 0 : DescriptorFlag.NEXT, next });
    }
    this.#nextDescriptor = (head + buffers.length) % VirtioDriver.SIZE;
    this.offer(head);
    return head;
  }

  /** Makes a chain available that was written before. */
  offer(head: number): void {
    const slot = this.#nextAvailable % VirtioDriver.SIZE;
    this.#write16(this.available + 4 + 2 * slot, head);
    this.#nextAvailable = (this.#nextAvailable + 1) & 0xffff;
    this.#write16(this.available + 2, this.#nextAvailable);
  }

  setAvailableFlags(flags: number): void {
    this.#write16(this.available, flags);
  }

  notify(queue = 0): void {
    const { bar, offset, multiplier } = this.structures.get(CapabilityType.NOTIFY)!;
    this.guest.bar(bar).write16(offset + queue * multiplier, queue);
  }

  get usedIndex(): number {
    return this.vm.memory.read(this.used + 2, 2).readUInt16LE();
  }

  /** What the device answered in one slot of the used ring. */
  answer(slot: number): { readonly head: number; readonly written: number } {
    const entry = this.vm.memory.read(this.used + 4 + 8 * slot, 8);
    return { head: entry.readUInt32LE(), written: entry.readUInt32LE(4) };
  }

  /** Gives the rings back. */
  release(): void {
    for (const gpa of [this.table, this.available, this.used]) this.vm.memory.free(gpa);
  }

  #writeGpa(offset: number, gpa: number): void {
    this.write(offset, 4, gpa % 2 ** 32);
    this.write(offset + 4, 4, Math.floor(gpa / 2 ** 32));
  }

  #write16(gpa: number, value: number): void {
    this.vm.memory.write(gpa, Uint8Array.of(value & 0xff, value >> 8));
  }
}
