import { closeFd, createMemoryFile, sealAgainstShrinking } from '../ffi/descriptors.ts';
import { MAX_VIEW, view } from '../ffi/memory.ts';
import type { MappedShape } from '../pci/device-callbacks.ts';
import { AddressRange } from '../vfio-user/address-range.ts';
import type { RegionMapping } from '../vfio-user/device.ts';

/** Pages of a BAR in this process, as another thread needs them: plain data. */
export interface BarPages extends MappedShape {
  /** Of the BAR's memory file; stays the owner's. */
  readonly fd: number;
  /** Where this process has the pages mapped; as long as the owner keeps them. */
  readonly address: number;
}

/** A view of pages that another thread owns. */
export function viewPages({ address, size }: BarPages): Buffer {
  return Buffer.from(view(address, size));
}

/** What a client is told of a BAR with these pages; undefined when it has none. */
export function mappingOf(pages: readonly BarPages[], bar: number): RegionMapping | undefined {
  const areas = pages.filter((candidate) => candidate.bar === bar);
  const fd = areas[0]?.fd;
  return fd === undefined ? undefined : { fd, offset: 0, areas };
}

interface Mapped {
  readonly shape: MappedShape;
  readonly range: AddressRange;
}

/**
 * The memory files behind the pages that a function declares as mapped: one file for each BAR, laid out as the BAR is,
 * because a client gets one descriptor per BAR. Pages between them take no memory.
 */
export class BarFiles {
  readonly #mapped: readonly Mapped[];
  /** By BAR; none while closed. */
  readonly #files = new Map<number, number>();

  /**
   * @param shapes ranges that no Buffer can view are left out: their accesses are intercepted
   * @throws SystemCallError when there is no room for them
   */
  constructor(shapes: readonly MappedShape[]) {
    const mapped: Mapped[] = [];
    this.#mapped = mapped;
    try {
      for (const shape of shapes) {
        if (shape.size <= MAX_VIEW) mapped.push({ shape, range: new AddressRange(shape.size) });
      }
    } catch (error) {
      this.release();
      throw error;
    }
  }

  /** Has pages like these, so that it can be opened again for them. */
  fits(shapes: readonly MappedShape[]): boolean {
    const wanted = shapes.filter(({ size }) => size <= MAX_VIEW);
    return (
      wanted.length === this.#mapped.length &&
      wanted.every(({ bar, offset, size }, i) => {
        const { shape } = this.#mapped[i]!;
        return bar === shape.bar && offset === shape.offset && size === shape.size;
      })
    );
  }

  /**
   * Fresh files, of zeros, at the same addresses; what was there before is nobody's then but of whoever has mapped it.
   * @throws SystemCallError; nothing is open then
   */
  open(): readonly BarPages[] {
    this.close();
    try {
      for (const { shape, range } of this.#mapped) {
        const fd = this.#files.get(shape.bar) ?? this.#createFile(shape.bar);
        range.showFile(0, shape.size, fd, shape.offset);
      }
    } catch (error) {
      this.close();
      throw error;
    }
    return this.pages;
  }

  /** The pages, while open. */
  get pages(): readonly BarPages[] {
    return this.#mapped.flatMap(({ shape, range }) => {
      const fd = this.#files.get(shape.bar);
      return fd === undefined ? [] : [{ ...shape, fd, address: range.address }];
    });
  }

  /** Closes the files: whoever still views the pages sees zeros. */
  close(): void {
    if (this.#files.size === 0) return;
    for (const { range } of this.#mapped) range.showZeros(0, range.length);
    for (const fd of this.#files.values()) closeFd(fd);
    this.#files.clear();
  }

  /** Gives the addresses back. Only when each other thread that viewed the pages has ended: touching them ends the process. */
  release(): void {
    this.close();
    for (const { range } of this.#mapped) range.release();
  }

  /** The Buffer of pages on the owner's thread: harmless to touch after {@link close} and {@link release}. */
  bytes(bar: number, offset: number, size: number): Buffer | undefined {
    const mapped = this.#mapped.find(
      ({ shape }) => shape.bar === bar && shape.offset === offset && shape.size === size,
    );
    return this.#files.has(bar) ? mapped?.range.views[0] : undefined;
  }

  #createFile(bar: number): number {
    const ends = this.#mapped.map(({ shape }) =>
      shape.bar === bar ? shape.offset + shape.size : 0,
    );
    const fd = createMemoryFile(`hdvkit-bar${bar}`, Math.max(...ends));
    // A client that shortened the file would end this process with the next access.
    sealAgainstShrinking(fd);
    this.#files.set(bar, fd);
    return fd;
  }
}
