/** Hands out aligned pieces of an address range, lowest first, and takes them back. */
export class RangeAllocator {
  readonly #start: number;
  readonly #end: number;
  readonly #what: string;
  /** Taken pieces in ascending order. */
  #taken: { readonly start: number; readonly end: number }[] = [];

  /** @param what names the range in the error of {@link allocate} */
  constructor(start: number, length: number, what: string) {
    this.#start = start;
    this.#end = start + length;
    this.#what = what;
  }

  /** @throws RangeError when no piece is free */
  allocate(length: number, align: number): number {
    let start = Math.ceil(this.#start / align) * align;
    let index = 0;
    for (const taken of this.#taken) {
      if (start + length <= taken.start) break;
      start = Math.max(start, Math.ceil(taken.end / align) * align);
      index++;
    }
    if (start + length > this.#end) {
      throw new RangeError(`Cannot allocate ${length} bytes: no room is left in ${this.#what}`);
    }
    this.#taken.splice(index, 0, { start, end: start + length });
    return start;
  }

  /** Takes back the piece that starts at `start`. */
  free(start: number): void {
    this.#taken = this.#taken.filter((taken) => taken.start !== start);
  }
}
