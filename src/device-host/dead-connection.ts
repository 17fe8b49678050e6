import { type ReadableWatch, watchReadable } from '../ffi/readable-watch.ts';
import type { GuestSetup } from '../pci/guest-setup.ts';
import { DeadDevice } from '../vfio-user/dead-device.ts';
import type { ServerState } from '../vfio-user/server-state.ts';

/**
 * A connection whose device died: the open access is answered with all ones at once, and so is every one after it,
 * from this thread's event loop, until the client lets go or another device takes the connection.
 */
export class DeadConnection {
  readonly setup: GuestSetup;
  readonly #state: ServerState;
  readonly #threadEnded: Promise<unknown>;
  readonly #device: DeadDevice | undefined;
  readonly #watch: ReadableWatch | undefined;
  #closing: Promise<void> | undefined;

  /**
   * @param state of the connection
   * @param setup of the guest, apart from the thread that served; what the client writes meanwhile goes there
   * @param threadEnded when the thread that served is gone; descriptors and mappings are kept until then
   */
  constructor(state: ServerState, setup: GuestSetup, threadEnded: Promise<unknown>) {
    this.#state = state;
    this.setup = setup;
    this.#threadEnded = threadEnded;
    this.#device = takeOver(state, setup);
    if (this.#device === undefined) {
      void this.close();
      return;
    }
    const device = this.#device;
    this.#watch = watchReadable(device.socket, () => {
      if (!device.processReadable()) void this.close();
    });
  }

  /**
   * Leaves the connection to another device, once the thread that served is gone: nobody answers from now on.
   * @returns the connection, or undefined when the client has let go
   */
  async handOver(): Promise<ServerState | undefined> {
    await this.#threadEnded;
    if (this.#closing !== undefined || this.#device === undefined) {
      await this.close();
      return undefined;
    }
    this.#watch?.close();
    this.#device.relinquish();
    this.#state.unmapAll();
    this.#closing = Promise.resolve();
    return this.#state;
  }

  /** Lets go of the client, and gives back what the connection held. Safe to call twice. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#watch?.close();
    await this.#threadEnded;
    if (this.#device !== undefined) {
      this.#device.close();
      return;
    }
    this.#state.closeFds();
    this.#state.unmapAll();
  }
}

/** Nothing is to be taken over where the client has gone already, or the thread died on the way to serving it. */
function takeOver(state: ServerState, setup: GuestSetup): DeadDevice | undefined {
  try {
    return DeadDevice.takeOver(state.buffer, setup);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
