import type { DeviceFailedError } from '../device/device-failed-error.ts';
import { Command } from './config-registers.ts';
import type { PciHost } from './host.ts';
import type { FunctionObserver } from './observer.ts';

/** What the parts of a function need to know of each other: is it running, may it be reached, may it reach out. */
export class FunctionState {
  /** Class name of the device. */
  readonly name: string;
  host: PciHost | undefined;
  observer: FunctionObserver | undefined;
  started = false;
  failure: DeviceFailedError | undefined;
  /** The command register, low 16 bits. */
  command = 0;
  /** Is the function in D3hot? */
  asleep = false;
  /** Do accesses of BARs reach the device? */
  decoding = false;
  /** May the function send requests: DMA and messages? */
  mastering = false;
  /** May the function drive INTx? */
  signalling = false;
  #guestErrors = 0;

  constructor(name: string) {
    this.name = name;
  }

  /**
   * Recomputes the three gates. D3hot closes them all (PCIe 6.0, 5.3.1.4.1); where command register writes may be
   * lost, only start and stop count.
   */
  update(): void {
    const running = this.started && this.failure === undefined;
    const known = this.host?.capabilities.commandRegister === 'forwarded';
    const awake = running && !(known && this.asleep);
    this.decoding = awake && (!known || (this.command & Command.MEMORY_SPACE) !== 0);
    this.mastering = awake && (!known || (this.command & Command.BUS_MASTER) !== 0);
    this.signalling = awake && (this.command & Command.INTERRUPT_DISABLE) === 0;
  }

  /** Sends one message. The caller has checked `mastering`. */
  deliver(vector: number, address: number, data: number): void {
    this.host?.deliverInterrupt(address, data);
    this.observer?.interruptDelivered?.(vector, address, data);
  }

  /** How often the guest did something forbidden. */
  get guestErrors(): number {
    return this.#guestErrors;
  }

  /** Counts; reports the first 16, then at each power of two, so that a guest cannot flood the log. */
  guestError(text: string): void {
    const count = ++this.#guestErrors;
    this.observer?.guestError?.(text, count);
    if (count <= 16 || (count & (count - 1)) === 0) {
      this.host?.report({ type: 'guestError', text, count });
    }
  }
}
