import { ALL_ONES } from '../../pci/bar-router.ts';
import type {
  PciDetails,
  PciDeviceCallbacks,
  PciFunctionExtras,
} from '../../pci/device-callbacks.ts';
import type { SlotChannel } from '../../transport/slot/slot-channel.ts';
import { Operation, RESET_KINDS } from '../../transport/slot/slot-layout.ts';
import type { SlotRequester } from '../../transport/slot/slot-requester.ts';

type Width = 1 | 2 | 4;

/**
 * A function on another thread, as a processor sees it: accesses go through that thread's slots. Writes to BARs are
 * posted, as on a bus; reads and config accesses come after them. Only for a function with pages that processors reach
 * without its thread they wait, because what is read there has to come after them, too. What begins and ends its life is
 * done by others.
 */
export class RemoteFunction
  implements PciDeviceCallbacks, Pick<PciFunctionExtras, 'peekConfigSpace' | 'reset'>
{
  /** Do writes to BARs go on without an answer? */
  postsWrites: boolean;
  readonly #requester: SlotRequester;
  readonly #number: number;
  readonly #details: PciDetails;

  /** @param number of the function on its thread */
  constructor(requester: SlotRequester, number: number, details: PciDetails, postsWrites: boolean) {
    this.#requester = requester;
    this.#number = number;
    this.#details = details;
    this.postsWrites = postsWrites;
  }

  initialize(): void {
    throw elsewhere('initialize');
  }

  teardown(): void {
    throw elsewhere('teardown');
  }

  setConfiguration(): void {
    throw elsewhere('configure');
  }

  start(): void {
    throw elsewhere('start');
  }

  stop(): void {
    throw elsewhere('stop');
  }

  getDetails(): PciDetails {
    return this.#details;
  }

  readConfigSpace(offset: number): number {
    return this.#requester.request(Operation.READ_CONFIG, this.#number, 0, offset, 4, 0);
  }

  writeConfigSpace(offset: number, value: number): void {
    this.#requester.request(Operation.WRITE_CONFIG, this.#number, 0, offset, 4, value);
  }

  peekConfigSpace(offset: number): number {
    return this.#requester.request(Operation.PEEK_CONFIG, this.#number, 0, offset, 4, 0);
  }

  readInterceptedMemory(bar: number, offset: number, width: Width): number {
    const value = this.#requester.request(Operation.READ, this.#number, bar, offset, width, 0);
    return width === 4 ? value : value & ALL_ONES[width]!;
  }

  writeInterceptedMemory(bar: number, offset: number, width: Width, value: number): void {
    if (this.postsWrites) this.#requester.post(this.#number, bar, offset, width, value);
    else this.#requester.request(Operation.WRITE, this.#number, bar, offset, width, value);
  }

  reset(kind: (typeof RESET_KINDS)[number]): void {
    const value = RESET_KINDS.indexOf(kind);
    this.#requester.request(Operation.RESET, this.#number, 0, 0, 0, value);
  }
}

/** Where a function is that processors are to reach. */
export interface FunctionPlace {
  /** Of the function's thread. */
  readonly channel: SlotChannel;
  /** Main's own way through it. */
  readonly requester: SlotRequester;
  /** What the function is called there. */
  readonly number: number;
  /** Number of its interrupt line in the machine. */
  readonly line: number;
}

/** A function on another thread as main has it on the bus: with what processors have to know to reach it themselves. */
export class PlacedFunction extends RemoteFunction {
  readonly channel: SlotChannel;
  readonly number: number;
  readonly line: number;

  constructor(place: FunctionPlace, details: PciDetails, postsWrites: boolean) {
    const { requester, channel, number, line } = place;
    super(requester, number, details, postsWrites);
    this.channel = channel;
    this.number = number;
    this.line = line;
  }
}

function elsewhere(what: string): Error {
  return new Error(`Cannot ${what} a function of another thread through its slots`);
}
