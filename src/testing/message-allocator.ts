import { AddressMap } from '../engines/simulated/address-map.ts';
import type { SimulatedMachine } from '../engines/simulated/machine.ts';

/** First and last processor vector that a guest may give to devices; those below are exceptions. */
const FIRST_VECTOR = 0x20;
const LAST_VECTOR = 0xff;

/** Receives the messages of a block; `index` counts from the block's first message. */
export type MessageHandler = (index: number) => void;

/** A block of messages: data counts up from `data`, at one address. */
export interface MessageBlock {
  readonly address: number;
  readonly data: number;
}

/**
 * Gives out message-signalled interrupts, and takes those that arrive to whom they were given. Address and data are
 * those of x86 processors: destination in bits 19:12 of the address, vector in bits 7:0 of the data
 * (Intel SDM volume 3, 11.11). All name the processor that runs this.
 */
export class MessageAllocator {
  readonly #machine: SimulatedMachine;
  readonly #handlers = new Map<number, { handler: MessageHandler; index: number }>();

  constructor(machine: SimulatedMachine) {
    this.#machine = machine;
  }

  /**
   * A block of `count` messages, up to 32, its data aligned to `count` rounded up to a power of two, as MSI needs it.
   * @throws RangeError when no block is free
   */
  allocate(count: number, handler: MessageHandler): MessageBlock {
    const align = 2 ** Math.ceil(Math.log2(count));
    const first = Math.ceil(FIRST_VECTOR / align) * align;
    const { processor } = this.#machine;
    for (let destination = processor.id; destination < 256; destination += processor.count) {
      for (let data = first; data + align - 1 <= LAST_VECTOR; data += align) {
        const address = AddressMap.MSI + destination * 0x1000;
        if (!this.#isFree(address, data, align)) continue;
        for (let index = 0; index < count; index++) {
          this.#handlers.set(key(address, data + index), { handler, index });
        }
        return { address, data };
      }
    }
    throw new RangeError(`Cannot allocate ${count} interrupt messages: none are left`);
  }

  /** Gives back every message of a handler. */
  free(handler: MessageHandler): void {
    for (const [at, entry] of this.#handlers) {
      if (entry.handler === handler) this.#handlers.delete(at);
    }
  }

  /** Hands what has arrived to the handlers. What nobody was given, as misprogrammed functions send it, is dropped. */
  dispatch(): void {
    for (const message of this.#machine.interrupts.take()) {
      const entry = this.#handlers.get(key(message.address, message.data));
      entry?.handler(entry.index);
    }
  }

  #isFree(address: number, data: number, count: number): boolean {
    for (let i = 0; i < count; i++) {
      if (this.#handlers.has(key(address, data + i))) return false;
    }
    return true;
  }
}

function key(address: number, data: number): number {
  return (address - AddressMap.MSI) * 0x1_0000_0000 + data;
}
