/** A handle that an object owns, for the case that the object is garbage-collected without having closed it. */
export interface OwnedHandle {
  /** To be called when the owner closes it itself: its collection is no leak then. */
  release(): void;
}

/** What {@link ownHandle} has to know. Nothing in here may refer to the owner, which would then never be collected. */
export interface OwnedHandleOptions {
  /** Begins the sentence of the warning: `'Compute system vm'`. */
  readonly what: string;
  /** Closes the handle. Resolves to false when it was closed already, which is no leak. */
  readonly close: () => Promise<unknown>;
  /** Owner of a handle that must outlive this one: it is closed after it. */
  readonly within?: object;
}

class Leak implements OwnedHandle {
  readonly #options: OwnedHandleOptions;
  /** Handles that must be closed before this one. */
  readonly #inner = new Set<Leak>();
  readonly #outer: Leak | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: OwnedHandleOptions, outer: Leak | undefined) {
    // The owner of the other handle is not kept: its handle is.
    const { what, close } = options;
    this.#options = { what, close };
    this.#outer = outer;
    if (outer !== undefined) outer.#inner.add(this);
  }

  release(): void {
    this.#closing ??= Promise.resolve();
    this.#leaveOuter();
    collected.unregister(this);
  }

  /** The owner is gone. Objects that go together are found in any order: what is within goes first. */
  close(): Promise<void> {
    this.#closing ??= this.#warnAndClose();
    return this.#closing;
  }

  async #warnAndClose(): Promise<void> {
    const { what, close } = this.#options;
    for (const inner of this.#inner) await inner.close();
    try {
      const wasOpen = await close();
      if (wasOpen !== false) warn(what);
    } catch (error) {
      warn(what);
      process.emitWarning(error instanceof Error ? error : String(error));
    } finally {
      this.#leaveOuter();
    }
  }

  #leaveOuter(): void {
    if (this.#outer !== undefined) this.#outer.#inner.delete(this);
  }
}

function warn(what: string): void {
  process.emitWarning(
    `${what} was garbage-collected while it was open, and is closed now: keep it in a variable, and close it or declare it by "await using"`,
    { code: 'HDVKIT_NOT_CLOSED' },
  );
}

const leaks = new WeakMap<object, Leak>();
const collected = new FinalizationRegistry<Leak>((leak) => void leak.close());

/**
 * Says that an object owns a handle: when the object is garbage-collected before {@link OwnedHandle.release}, the
 * process is warned and the handle is closed, once, after those that were opened within it.
 */
export function ownHandle(owner: object, options: OwnedHandleOptions): OwnedHandle {
  const outer = options.within === undefined ? undefined : leaks.get(options.within);
  const leak = new Leak(options, outer);
  leaks.set(owner, leak);
  collected.register(owner, leak, leak);
  return leak;
}
