import type { Width } from '../../device/mmio-region.ts';
import { Missed } from '../../ffi/gate/gate-layout.ts';
import type { PciDetails, PciDeviceCallbacks } from '../../pci/device-callbacks.ts';

/** How far a function has come in its life, for whoever takes its place. */
export interface Lifecycle {
  readonly initialized: boolean;
  /** What SetConfiguration brought; undefined when it has not come since Initialize. */
  readonly configuration: readonly string[] | undefined;
  readonly started: boolean;
}

/** A function that is in no machine. */
export const NOT_ATTACHED: Lifecycle = {
  initialized: false,
  configuration: undefined,
  started: false,
};

/** Where a function is after callbacks that came while nobody served it: bits of {@link Missed}. */
export function lifecycleAfter(lifecycle: Lifecycle, missed: number): Lifecycle {
  if (missed & Missed.TEARDOWN) return NOT_ATTACHED;
  return missed & Missed.STOP ? { ...lifecycle, started: false } : lifecycle;
}

/** What a {@link ServedFunction} tells. */
export interface ServedFunctionHooks {
  /** The place in its life has changed. Called before the callback that did it returns. */
  readonly changed: (lifecycle: Lifecycle) => void;
  /** Nothing of the function uses the machine any more. */
  readonly tornDown: () => void;
}

/**
 * A function as Hyper-V calls it, and its place in its life. Hyper-V may begin anew without having torn down what it
 * began before.
 */
export class ServedFunction implements PciDeviceCallbacks {
  readonly #function: PciDeviceCallbacks;
  readonly #hooks: ServedFunctionHooks;
  #lifecycle = NOT_ATTACHED;

  constructor(fn: PciDeviceCallbacks, hooks: ServedFunctionHooks) {
    this.#function = fn;
    this.#hooks = hooks;
  }

  /**
   * Brings a fresh function to where another one was.
   * @param adopt runs before the start, if the guest has seen the function
   * @throws what the device throws
   */
  resume(lifecycle: Lifecycle, adopt: () => void): void {
    const { initialized, configuration, started } = lifecycle;
    if (initialized) this.#function.initialize();
    if (configuration !== undefined) this.#function.setConfiguration(configuration);
    if (initialized) adopt();
    if (started) this.#function.start();
    this.#become(lifecycle);
  }

  initialize(): void {
    if (this.#lifecycle.initialized) this.teardown();
    this.#function.initialize();
    this.#become({ initialized: true });
  }

  teardown(): void {
    this.#become(NOT_ATTACHED);
    this.#function.teardown();
    this.#hooks.tornDown();
  }

  setConfiguration(values: readonly string[]): void {
    this.#function.setConfiguration(values);
    this.#become({ configuration: values });
  }

  getDetails(): PciDetails {
    return this.#function.getDetails();
  }

  start(): void {
    this.#become({ started: true });
    try {
      this.#function.start();
    } catch (error) {
      this.#become({ started: false });
      throw error;
    }
  }

  stop(): void {
    this.#become({ started: false });
    this.#function.stop();
  }

  readConfigSpace(offset: number): number {
    return this.#function.readConfigSpace(offset);
  }

  writeConfigSpace(offset: number, value: number): void {
    this.#function.writeConfigSpace(offset, value);
  }

  readInterceptedMemory(bar: number, offset: number, width: Width): number {
    return this.#function.readInterceptedMemory(bar, offset, width);
  }

  writeInterceptedMemory(bar: number, offset: number, width: Width, value: number): void {
    this.#function.writeInterceptedMemory(bar, offset, width, value);
  }

  #become(change: Partial<Lifecycle>): void {
    this.#lifecycle = { ...this.#lifecycle, ...change };
    this.#hooks.changed(this.#lifecycle);
  }
}
