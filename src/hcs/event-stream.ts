/** Hands what is pushed to every iterator that is open at that moment, in order; `end` closes them all. */
export class EventStream<T> {
  readonly #readers = new Set<Reader<T>>();
  #hasEnded = false;

  push(value: T): void {
    for (const reader of this.#readers) reader.push(value);
  }

  /** Ends all iterators once they have yielded what they hold. Later ones end at once. */
  end(): void {
    this.#hasEnded = true;
    for (const reader of this.#readers) reader.end();
    this.#readers.clear();
  }

  /**
   * An iterator that collects from now on, whether or not it is being read.
   * @param owner kept from garbage collection as long as the iterator is open
   */
  open(first: readonly T[] = [], owner?: object): AsyncIterableIterator<T, void, void> {
    const reader = new Reader<T>(() => this.#readers.delete(reader), owner);
    for (const value of first) reader.push(value);
    if (this.#hasEnded) reader.end();
    else this.#readers.add(reader);
    return reader;
  }
}

class Reader<T> implements AsyncIterableIterator<T, void, void> {
  readonly #queue: T[] = [];
  readonly #waiting: ((result: IteratorResult<T, void>) => void)[] = [];
  readonly #leave: () => void;
  /** What must not be garbage-collected while this is open. */
  readonly #kept = new Set<object>();
  #hasEnded = false;

  constructor(leave: () => void, owner: object | undefined) {
    this.#leave = leave;
    if (owner !== undefined) this.#kept.add(owner);
  }

  push(value: T): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#queue.push(value);
    else waiting({ value, done: false });
  }

  end(): void {
    this.#hasEnded = true;
    this.#kept.clear();
    for (const waiting of this.#waiting.splice(0)) waiting({ value: undefined, done: true });
  }

  next(): Promise<IteratorResult<T, void>> {
    const value = this.#queue.shift();
    if (value !== undefined) return Promise.resolve({ value, done: false });
    if (this.#hasEnded) return Promise.resolve({ value: undefined, done: true });
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  return(): Promise<IteratorResult<T, void>> {
    this.#leave();
    this.#queue.length = 0;
    this.end();
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
