/** Waits after anything but reads in which the event loop is watched. */
const AFTER_OTHERS = 8;

/** Such waits after the event loop had something to do. */
const AFTER_EVENTS = 1024;

/** Waits for messages alone between two looks at everything. */
const LOOK_EVERY = 32;

/**
 * Decides when a device's loop may wait for messages alone, which costs a system call less, and when it must watch the
 * event loop and the control descriptor as well.
 *
 * A guest that does nothing but read registers is waiting for each answer, and what its reads do is done when they are
 * answered. A write may start what ends in the event loop, so the next waits watch it, and a device whose event loop
 * has work is watched for long.
 */
export class ReadStreak {
  /** Waits that must watch everything before the next that need not. */
  #owed = AFTER_EVENTS;
  #unwatched = 0;

  /** Whether the next wait may be for messages alone. */
  get mayIgnoreEvents(): boolean {
    return this.#owed === 0;
  }

  /** A wait watched everything. @param events whether there was anything but messages */
  watched(events: boolean, onlyReads: boolean): void {
    this.#unwatched = 0;
    if (events) this.#owed = AFTER_EVENTS;
    else if (!onlyReads) this.#owed = Math.max(this.#owed, AFTER_OTHERS);
    else if (this.#owed > 0) this.#owed--;
  }

  /** A wait was for messages alone. */
  ignored(onlyReads: boolean): void {
    if (!onlyReads) this.#owed = AFTER_OTHERS;
    else if (++this.#unwatched >= LOOK_EVERY) this.#owed = 1;
  }

  /** The event loop had its turn: what that left is to be seen. */
  turned(): void {
    this.#owed = Math.max(this.#owed, 1);
  }
}
