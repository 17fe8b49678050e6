import { DescriptorFlag, SplitLayout } from './registers.ts';

/** The driver broke a rule of the ring: the device needs a reset (virtio 1.2, 2.1.2). */
export class VirtqueueError extends Error {
  override readonly name = 'VirtqueueError';
}

/** Gives the bytes of an indirect table, or throws {@link VirtqueueError}. Called at most once per chain. */
export type OpenTable = (gpa: number, length: number) => Buffer;

/** Where one chain starts. */
export interface ChainStart {
  /** The descriptor table. */
  readonly table: Buffer;
  /** Descriptors in the queue, which is also the longest chain allowed (virtio 1.2, 2.7.5.3.1). */
  readonly size: number;
  readonly head: number;
  readonly openTable: OpenTable;
}

/** The buffers of one request, in order. One object per queue, reused: valid until the next request is taken. */
export class DescriptorChain {
  /** Buffers in the chain; the arrays are meaningful up to it. */
  count = 0;
  readonly gpa: Float64Array;
  readonly length: Float64Array;
  /** 1 where the device writes, 0 where it reads. */
  readonly isWritable: Uint8Array;

  constructor(maxSize: number) {
    this.gpa = new Float64Array(maxSize);
    this.length = new Float64Array(maxSize);
    this.isWritable = new Uint8Array(maxSize);
  }

  /**
   * Follows the chain. Each field is read from guest memory once.
   * @throws VirtqueueError for an index outside the table, a loop, and whatever else section 2.7.5 forbids
   */
  load({ table, size, head, openTable }: ChainStart): void {
    this.count = 0;
    if (head >= size) throw new VirtqueueError(`head ${head} is outside a queue of ${size}`);
    const entry = head * SplitLayout.DESCRIPTOR;
    const flags = table.readUInt16LE(entry + 12);
    if (!(flags & DescriptorFlag.INDIRECT)) {
      this.#follow(table, size, size, head);
      return;
    }
    if (flags & DescriptorFlag.NEXT) throw new VirtqueueError('an indirect table has a successor');
    const length = table.readUInt32LE(entry + 8);
    const entries = length / SplitLayout.DESCRIPTOR;
    if (!Number.isInteger(entries) || entries < 1 || entries > size) {
      throw new VirtqueueError(`an indirect table has ${length} bytes`);
    }
    this.#follow(openTable(readGpa(table, entry), length), entries, size, 0);
  }

  #follow(table: Buffer, entries: number, limit: number, first: number): void {
    for (let index = first; ; ) {
      if (index >= entries) throw new VirtqueueError(`descriptor ${index} is not in its table`);
      if (this.count === limit) throw new VirtqueueError('a chain is longer than its queue');
      const entry = index * SplitLayout.DESCRIPTOR;
      const flags = table.readUInt16LE(entry + 12);
      if (flags & DescriptorFlag.INDIRECT) throw new VirtqueueError('an indirect table is nested');
      this.gpa[this.count] = readGpa(table, entry);
      this.length[this.count] = table.readUInt32LE(entry + 8);
      this.isWritable[this.count] = flags & DescriptorFlag.WRITE ? 1 : 0;
      this.count += 1;
      if (!(flags & DescriptorFlag.NEXT)) return;
      index = table.readUInt16LE(entry + 14);
    }
  }
}

/** A 64-bit address as a number; what does not fit is past the end of any memory, and stays so. */
function readGpa(table: Buffer, offset: number): number {
  return table.readUInt32LE(offset) + table.readUInt32LE(offset + 4) * 2 ** 32;
}
