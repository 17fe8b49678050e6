import { HdvError } from '../hdv-error.ts';

/** Mappings of one device that are kept, used or not, before unused ones are undone. */
export const APERTURE_LIMIT = 1024;

/** How often, and after how many milliseconds, a mapping is tried again when the quota is used up. */
const RETRIES = 8;
const RETRY_MS = 50;

/** How mappings are made, of whole pages. */
export interface ApertureMemory {
  /**
   * @returns the address
   * @throws HdvError
   */
  map(gpa: number, length: number, writeProtected: boolean): number;
  /** The bytes at an address. */
  view(address: number, length: number): ArrayBuffer;
  /** Undoes a mapping; `bytes` can be touched afterwards without harm. */
  unmap(address: number, bytes: ArrayBuffer): void;
  /** Waits without the event loop: a device calls from the middle of an access. */
  sleep(ms: number): void;
}

/** One mapping, and how many apertures show it. */
interface Mapping {
  readonly gpa: number;
  readonly address: number;
  readonly bytes: ArrayBuffer;
  readonly writeProtected: boolean;
  uses: number;
  /** Another mapping that begins at the same address of the guest. */
  next: Mapping | undefined;
}

/**
 * The apertures of one device. Hyper-V takes long to map and limits how many mappings there are, and a driver's rings
 * stay where they are: so a mapping that is no longer used is kept, and given out again for the same range. Those
 * unused longest go first when there are too many, and all of them when Hyper-V says that its quota is used up.
 */
export class ApertureCache {
  readonly #memory: ApertureMemory;
  readonly #limit: number;
  readonly #byGpa = new Map<number, Mapping>();
  /** Mappings that nobody uses, the one unused longest first. */
  readonly #unused = new Set<Mapping>();
  readonly #open = new Map<Buffer, Mapping>();
  #count = 0;

  constructor(memory: ApertureMemory, limit: number = APERTURE_LIMIT) {
    this.#memory = memory;
    this.#limit = limit;
  }

  /** Mappings that exist, used or not. */
  get count(): number {
    return this.#count;
  }

  /**
   * Shows guest memory. Ranges are whole pages; the Buffer is the bytes asked for, and the name of the aperture.
   * @param start page of `gpa`
   * @param length whole pages from `start`
   * @throws HdvError what mapping throws; ERROR_NOT_ENOUGH_QUOTA after waiting in vain
   */
  open(
    start: number,
    length: number,
    writeProtected: boolean,
    gpa: number,
    byteCount: number,
  ): Buffer {
    const mapping =
      this.#find(start, length, writeProtected) ?? this.#make(start, length, writeProtected);
    if (mapping.uses === 0) this.#unused.delete(mapping);
    mapping.uses++;
    const bytes = Buffer.from(mapping.bytes, gpa - start, byteCount);
    this.#open.set(bytes, mapping);
    return bytes;
  }

  /** Ends an aperture. @returns false when it is none */
  close(bytes: Buffer): boolean {
    const mapping = this.#open.get(bytes);
    if (mapping === undefined) return false;
    this.#open.delete(bytes);
    mapping.uses--;
    if (mapping.uses > 0) return true;
    this.#unused.add(mapping);
    this.#evictTo(this.#limit);
    return true;
  }

  /** Undoes the mappings that nobody uses. @returns how many there were */
  evictUnused(): number {
    const { size } = this.#unused;
    this.#evictTo(this.#count - size);
    return size;
  }

  /** Undoes all of them. Apertures that are open show zeros from now on. */
  clear(): void {
    for (const mapping of this.#open.values()) {
      mapping.uses = 0;
      this.#unused.add(mapping);
    }
    this.#open.clear();
    this.evictUnused();
  }

  #find(gpa: number, length: number, writeProtected: boolean): Mapping | undefined {
    for (let mapping = this.#byGpa.get(gpa); mapping !== undefined; mapping = mapping.next) {
      const isSame = mapping.bytes.byteLength === length;
      if (isSame && mapping.writeProtected === writeProtected) return mapping;
    }
    return undefined;
  }

  #make(gpa: number, length: number, writeProtected: boolean): Mapping {
    this.#evictTo(this.#limit - 1);
    const address = this.#map(gpa, length, writeProtected);
    const bytes = this.#memory.view(address, length);
    const next = this.#byGpa.get(gpa);
    const mapping: Mapping = { gpa, address, bytes, writeProtected, uses: 0, next };
    this.#byGpa.set(gpa, mapping);
    this.#count++;
    return mapping;
  }

  /** Hyper-V frees what was unmapped a little later, and other devices of the process may unmap something meanwhile. */
  #map(gpa: number, length: number, writeProtected: boolean): number {
    for (let retry = 0; ; retry++) {
      try {
        return this.#memory.map(gpa, length, writeProtected);
      } catch (error) {
        const isFull = error instanceof HdvError && error.code === 'ERROR_NOT_ENOUGH_QUOTA';
        if (!isFull || retry === RETRIES) throw error;
        if (this.evictUnused() === 0) this.#memory.sleep(RETRY_MS);
      }
    }
  }

  /** Undoes unused mappings until so many are left, or all that are left are used. */
  #evictTo(count: number): void {
    for (const mapping of this.#unused) {
      if (this.#count <= count) return;
      this.#unused.delete(mapping);
      this.#forget(mapping);
      this.#count--;
      this.#memory.unmap(mapping.address, mapping.bytes);
    }
  }

  #forget(mapping: Mapping): void {
    const first = this.#byGpa.get(mapping.gpa);
    if (first === mapping) {
      if (mapping.next === undefined) this.#byGpa.delete(mapping.gpa);
      else this.#byGpa.set(mapping.gpa, mapping.next);
      return;
    }
    for (let before = first; before !== undefined; before = before.next) {
      if (before.next === mapping) before.next = mapping.next;
    }
  }
}
