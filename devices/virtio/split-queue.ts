import type { Aperture, GuestMemory } from 'hdvkit';
import { DescriptorChain, VirtqueueError } from './descriptor-chain.ts';
import { AvailableFlag, NO_VECTOR, SplitLayout } from './registers.ts';

const READ_ONLY = { readOnly: true };
const WRITABLE = { readOnly: false };

/** What a queue is, as the driver set it up, and how far it got. */
export interface SplitQueueState {
  readonly size: number;
  readonly isEnabled: boolean;
  readonly vector: number;
  readonly descriptors: number;
  readonly available: number;
  readonly used: number;
  readonly nextAvailable: number;
  readonly nextUsed: number;
}

/** A split virtqueue (virtio 1.2, 2.7), the device's side. */
export class SplitQueue {
  readonly index: number;
  readonly maxSize: number;
  readonly #chain: DescriptorChain;

  /** What the driver sets through the common configuration structure; addresses are guest-physical. */
  size: number;
  isEnabled = false;
  vector: number = NO_VECTOR;
  descriptors = 0;
  available = 0;
  used = 0;

  #nextAvailable = 0;
  #nextUsed = 0;

  /** @param maxSize a power of two, at most 32768 */
  constructor(index: number, maxSize: number) {
    this.index = index;
    this.maxSize = maxSize;
    this.size = maxSize;
    this.#chain = new DescriptorChain(maxSize);
  }

  reset(): void {
    this.size = this.maxSize;
    this.isEnabled = false;
    this.vector = NO_VECTOR;
    this.descriptors = 0;
    this.available = 0;
    this.used = 0;
    this.#nextAvailable = 0;
    this.#nextUsed = 0;
  }

  /** May the driver choose this size? A split queue's is a power of two (2.7). */
  accepts(size: number): boolean {
    return size >= 1 && size <= this.maxSize && (size & (size - 1)) === 0;
  }

  /**
   * Takes the requests that are available now and marks them used.
   * @param serve handles one request and returns how many bytes it wrote to the guest
   * @returns whether the driver wants to hear of it
   * @throws VirtqueueError when the driver broke a rule
   */
  drain(memory: GuestMemory, serve: (chain: DescriptorChain) => number): boolean {
    const { size } = this;
    const { DESCRIPTOR, AVAILABLE_ENTRY, USED_ENTRY, RING_HEADER, RING_TRAILER } = SplitLayout;
    const rings = RING_HEADER + RING_TRAILER;
    const availableLength = rings + AVAILABLE_ENTRY * size;
    // The device reads the first two and writes the third (2.7).
    using table = open(memory, this.descriptors, DESCRIPTOR * size, READ_ONLY, 'descriptor table');
    using available = open(memory, this.available, availableLength, READ_ONLY, 'available ring');
    using used = open(memory, this.used, rings + USED_ENTRY * size, WRITABLE, 'used ring');

    const waiting = (available.bytes.readUInt16LE(2) - this.#nextAvailable) & 0xffff;
    if (waiting > size) throw new VirtqueueError(`${waiting} requests wait in a queue of ${size}`);
    for (let i = 0; i < waiting; i++) {
      const slot = this.#nextAvailable % size;
      const head = available.bytes.readUInt16LE(RING_HEADER + AVAILABLE_ENTRY * slot);
      const written = this.#serveOne(memory, table.bytes, head, serve);
      const answer = RING_HEADER + USED_ENTRY * (this.#nextUsed % size);
      used.bytes.writeUInt32LE(head, answer);
      used.bytes.writeUInt32LE(written, answer + 4);
      this.#nextAvailable = (this.#nextAvailable + 1) & 0xffff;
      this.#nextUsed = (this.#nextUsed + 1) & 0xffff;
      used.bytes.writeUInt16LE(this.#nextUsed, 2);
    }
    return waiting > 0 && !(available.bytes.readUInt16LE(0) & AvailableFlag.NO_INTERRUPT);
  }

  save(): SplitQueueState {
    return {
      size: this.size,
      isEnabled: this.isEnabled,
      vector: this.vector,
      descriptors: this.descriptors,
      available: this.available,
      used: this.used,
      nextAvailable: this.#nextAvailable,
      nextUsed: this.#nextUsed,
    };
  }

  restore(state: SplitQueueState): void {
    this.size = state.size;
    this.isEnabled = state.isEnabled;
    this.vector = state.vector;
    this.descriptors = state.descriptors;
    this.available = state.available;
    this.used = state.used;
    this.#nextAvailable = state.nextAvailable;
    this.#nextUsed = state.nextUsed;
  }

  #serveOne(
    memory: GuestMemory,
    table: Buffer,
    head: number,
    serve: (chain: DescriptorChain) => number,
  ): number {
    let indirect: Aperture | undefined;
    try {
      const openTable = (gpa: number, length: number): Buffer => {
        indirect = open(memory, gpa, length, READ_ONLY, 'indirect table');
        return indirect.bytes;
      };
      this.#chain.load({ table, size: this.size, head, openTable });
    } finally {
      indirect?.[Symbol.dispose]();
    }
    return serve(this.#chain);
  }
}

function open(
  memory: GuestMemory,
  gpa: number,
  length: number,
  options: { readonly readOnly: boolean },
  what: string,
): Aperture {
  const aperture = memory.aperture(gpa, length, options);
  if (aperture === undefined) {
    throw new VirtqueueError(`the ${what} at 0x${gpa.toString(16)} is not memory`);
  }
  return aperture;
}
