import { AddressMap } from './address-map.ts';

/** One message-signalled interrupt as it arrived at the processors. */
export interface InterruptMessage {
  readonly address: number;
  readonly data: number;
  /** Virtual time of arrival, in milliseconds. */
  readonly time: number;
}

/** What {@link InterruptQueue.save} gives. */
export interface SavedInterrupts {
  readonly messages: readonly InterruptMessage[];
  readonly lost: number;
}

/** Messages that are kept for a guest that does not take them. */
const LIMIT = 65_536;

/** Where message-signalled interrupts arrive: a queue, and whoever listens. */
export class InterruptQueue {
  #messages: InterruptMessage[] = [];
  #lost = 0;
  #listener: ((message: InterruptMessage) => void) | undefined;
  /** Called before what has arrived is taken: brings what other threads have sent. */
  collect: (() => void) | undefined;

  /** Does a write to this address signal an interrupt? */
  static decodes(address: number): boolean {
    return address >= AddressMap.MSI && address < AddressMap.MSI + AddressMap.MSI_SIZE;
  }

  push(address: number, data: number, time: number): void {
    const message = { address, data, time };
    if (this.#listener !== undefined) {
      this.#listener(message);
    } else if (this.#messages.length < LIMIT) {
      this.#messages.push(message);
    } else {
      this.#lost++;
    }
  }

  /** Takes what has arrived, in order. */
  take(): InterruptMessage[] {
    this.collect?.();
    const taken = this.#messages;
    this.#messages = [];
    return taken;
  }

  /** Hands each message to `listener` at once, in place of queueing it; undefined: queue again. */
  listen(listener: ((message: InterruptMessage) => void) | undefined): void {
    this.#listener = listener;
    if (listener !== undefined) for (const message of this.take()) listener(message);
  }

  /** What has arrived and was not taken, which stays as it is. */
  save(): SavedInterrupts {
    this.collect?.();
    return { messages: [...this.#messages], lost: this.#lost };
  }

  /** Puts what was saved before whatever has arrived here. */
  restore({ messages, lost }: SavedInterrupts): void {
    this.#lost += lost;
    const later = this.#messages;
    this.#messages = [];
    for (const { address, data, time } of [...messages, ...later]) this.push(address, data, time);
  }

  /** Messages dropped because nobody took them. */
  get lost(): number {
    return this.#lost;
  }
}

/** The INTx line of one function: level-triggered. */
export class InterruptLine {
  #asserted = false;
  /** Called on each change of level. */
  onChange: ((asserted: boolean) => void) | undefined;

  get asserted(): boolean {
    return this.#asserted;
  }

  set(asserted: boolean): void {
    if (asserted === this.#asserted) return;
    this.#asserted = asserted;
    this.onChange?.(asserted);
  }
}
