import type { LineSink } from '../device/interrupts.ts';
import { Header, Status } from './config-registers.ts';
import type { ConfigSpace } from './config-space.ts';
import type { FunctionState } from './function-state.ts';

/**
 * INTx (PCIe 6.0, 6.1.3). Interrupt Status shows what the device asks for, whatever Interrupt Disable says
 * (7.5.1.1.4); the line follows only while the function may drive it.
 */
export class InterruptLine implements LineSink {
  readonly #state: FunctionState;
  readonly #space: ConfigSpace;
  #asserted = false;
  #driven = false;

  constructor(state: FunctionState, space: ConfigSpace) {
    this.#state = state;
    this.#space = space;
    space.bytes[Header.INTERRUPT_PIN] = 1;
    space.live[Header.COMMAND >>> 2] = Status.INTERRUPT << 16;
  }

  set(asserted: boolean): void {
    this.#asserted = asserted;
    this.flush();
  }

  /** Drives the line as it should be. Called after every change of a gate. */
  flush(): void {
    const status = this.#space.bytes[Header.STATUS]!;
    this.#space.bytes[Header.STATUS] = this.#asserted
      ? status | Status.INTERRUPT
      : status & ~Status.INTERRUPT;
    const driven = this.#asserted && this.#state.signalling;
    if (driven === this.#driven) return;
    this.#driven = driven;
    this.#state.host?.setInterruptLine(driven);
    this.#state.observer?.lineChanged?.(driven);
  }

  reset(): void {
    this.set(false);
  }

  save(): boolean {
    return this.#asserted;
  }

  check(state: unknown): boolean {
    if (typeof state !== 'boolean') {
      throw new TypeError('Cannot restore INTx: the snapshot has no level');
    }
    return state;
  }

  apply(asserted: boolean): void {
    this.set(asserted);
  }
}
