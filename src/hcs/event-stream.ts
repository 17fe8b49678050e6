/** Hands what is pushed to every iterator that is open at that moment, in order; `end` closes them all. */
export class EventStream<T> {
  readonly #readers = new Set<Reader<T>>();
  #hasEnded = false;
  #failure: Failure | undefined;

  push(value: T): void {
    for (const reader of this.#readers) reader.push(value);
  }

  /** Ends all iterators once they have yielded what they hold. Later ones end at once, also after {@link fail}. */
  end(): void {
    this.#hasEnded = true;
    this.#failure = undefined;
    for (const reader of this.#readers) reader.end();
    this.#readers.clear();
  }

  /** Ends all iterators, later ones too, by a rejection once they have yielded what they hold. */
  fail(reason: unknown): void {
    this.#failure ??= { reason };
    for (const reader of this.#readers) reader.end(this.#failure);
    this.#readers.clear();
  }

  /**
   * An iterator that collects from now on, whether or not it is being read.
   * @param owner kept from garbage collection as long as the iterator is open
   */
  open(first: readonly T[] = [], owner?: object): AsyncIterableIterator<T, void, void> {
    const reader = new Reader<T>(() => this.#readers.delete(reader), owner);
    for (const value of first) reader.push(value);
    if (this.#hasEnded || this.#failure !== undefined) reader.end(this.#failure);
    else this.#readers.add(reader);
    return reader;
  }
}

/** Why there are no events. */
interface Failure {
  readonly reason: unknown;
}

interface Waiting<T> {
  resolve(result: IteratorResult<T, void>): void;
  reject(reason: unknown): void;
}

class Reader<T> implements AsyncIterableIterator<T, void, void> {
  readonly #queue: T[] = [];
  readonly #waiting: Waiting<T>[] = [];
  readonly #leave: () => void;
  /** What must not be garbage-collected while this is open. */
  readonly #kept = new Set<object>();
  #hasEnded = false;
  /** Told once, to whoever asks next. */
  #failure: Failure | undefined;

  constructor(leave: () => void, owner: object | undefined) {
    this.#leave = leave;
    if (owner !== undefined) this.#kept.add(owner);
  }

  push(value: T): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#queue.push(value);
    else waiting.resolve({ value, done: false });
  }

  end(failure?: Failure): void {
    this.#hasEnded = true;
    this.#failure = failure;
    this.#kept.clear();
    for (const { resolve, reject } of this.#waiting.splice(0)) this.next().then(resolve, reject);
  }

  next(): Promise<IteratorResult<T, void>> {
    const value = this.#queue.shift();
    if (value !== undefined) return Promise.resolve({ value, done: false });
    if (!this.#hasEnded) {
      return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
    }
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) return Promise.reject(failure.reason);
    return Promise.resolve({ value: undefined, done: true });
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
