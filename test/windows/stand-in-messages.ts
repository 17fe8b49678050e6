import type { StandInDevices } from './stand-in-abi.ts';

/** Where x86 processors take messages (Intel SDM volume 3, 11.11). */
const MSI_ADDRESS = 0xfee0_0000;
const FIRST_DATA = 0x20;
/** Most vectors of one MSI capability: blocks of messages are this far apart. */
const BLOCK = 32;
const BLOCKS = 7;
const DESTINATIONS = 256;
const CAPACITY = 64;

/** Receives the messages of a block; `index` counts from the block's first message. */
export type MessageHandler = (index: number) => void;

/** Interrupt messages of one machine: who has which, and what has arrived. */
export class StandInMessages {
  readonly #devices: StandInDevices;
  readonly #systemId: string;
  readonly #handlers = new Map<string, { handler: MessageHandler; index: number }>();
  #next = 0;

  constructor(devices: StandInDevices, systemId: string) {
    this.#devices = devices;
    this.#systemId = systemId;
  }

  /** A block of messages: data counts up from `data`, at one address, aligned for MSI. */
  allocate(count: number, handler: MessageHandler): { address: number; data: number } {
    const block = this.#next++ % (DESTINATIONS * BLOCKS);
    const address = MSI_ADDRESS + (block % DESTINATIONS) * 0x1000;
    const data = FIRST_DATA + Math.floor(block / DESTINATIONS) * BLOCK;
    for (let index = 0; index < count; index++) {
      this.#handlers.set(key(address, data + index), { handler, index });
    }
    return { address, data };
  }

  /** Gives back every message of a handler. */
  free(handler: MessageHandler): void {
    for (const [at, entry] of this.#handlers) {
      if (entry.handler === handler) this.#handlers.delete(at);
    }
  }

  /** Hands on what has arrived, waiting up to `timeoutMs` for the first. What was given to nobody is dropped. */
  async dispatch(timeoutMs: number): Promise<void> {
    const words = new BigUint64Array(3 * CAPACITY);
    const take = this.#devices.function('StandInGuestMessages');
    let wait = timeoutMs;
    for (;;) {
      const count = await take.async(this.#systemId, wait, words, CAPACITY);
      for (let i = 0; i < count; i++) {
        const entry = this.#handlers.get(key(Number(words[3 * i + 1]), Number(words[3 * i + 2])));
        entry?.handler(entry.index);
      }
      if (count < CAPACITY) return;
      wait = 0;
    }
  }
}

function key(address: number, data: number): string {
  return `${address}:${data}`;
}
