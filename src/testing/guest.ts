import type { SimulatedMachine } from '../engines/simulated/machine.ts';
import type { Slot } from '../engines/simulated/root-complex.ts';
import type { PciDeviceCallbacks, PciFunctionExtras } from '../pci/device-callbacks.ts';
import type { FunctionNotice, PciHost } from '../pci/host.ts';
import { copyState } from './copy-state.ts';
import { type DriverPlatform, PciDriver } from './pci-driver.ts';

/** A function as a test needs it: the callbacks and all of the extras. */
type TestFunction = PciDeviceCallbacks & PciFunctionExtras;

/** State of a function, to be restored into another device of the same class. Plain data: it survives JSON. */
export interface GuestSnapshot {
  readonly version: 1;
  readonly function: unknown;
}

/** What a test notices about a device while it is plugged. */
export class GuestNotices {
  readonly errors: string[] = [];
  failure: Error | undefined;
  #unseen: Error | undefined;
  readonly #isTolerant: boolean;

  constructor(isTolerant: boolean) {
    this.#isTolerant = isTolerant;
  }

  readonly report: PciHost['report'] = (notice: FunctionNotice) => {
    if (notice.type === 'guestError') {
      this.errors.push(notice.text);
    } else {
      this.failure = notice.error;
      this.#unseen = notice.error;
    }
  };

  /** Throws the failure that came since the last call. */
  readonly settle = (): void => {
    if (this.#unseen === undefined) return;
    const error = this.#unseen;
    this.#unseen = undefined;
    if (!this.#isTolerant) throw error;
  };
}

/**
 * The guest's side of one device under test: a {@link PciDriver} with the means that only a test has. A device that
 * fails (a hook throws) makes the call throw during which it failed, unless the test said `tolerateFailure`.
 */
export class Guest extends PciDriver {
  readonly #function: TestFunction;
  readonly #machine: SimulatedMachine;
  readonly #notices: GuestNotices;

  /** @internal */
  constructor(platform: DriverPlatform, slot: Slot, fn: TestFunction, notices: GuestNotices) {
    super(platform, slot, notices.settle);
    this.#function = fn;
    this.#machine = platform.machine;
    this.#notices = notices;
  }

  /** What the device called the guest's mistakes, in order; rate limits of the function apply. */
  get guestErrors(): readonly string[] {
    return this.#notices.errors;
  }

  /** The error that stopped the device, or undefined. */
  get failure(): Error | undefined {
    return this.#notices.failure;
  }

  /** The function's state, copied. */
  snapshot(): GuestSnapshot {
    return { version: 1, function: copyState(this.#function.save()) };
  }

  /** Brings the state of a snapshot into this device; BARs stay where this guest has them. */
  restore(snapshot: GuestSnapshot): void {
    this.#function.restore(copyState(snapshot.function));
    this.#machine.bus.refresh();
    this.adoptRestored();
    this.#notices.settle();
  }

  /**
   * Has the host reset the function. BARs are placed and turned on again, interrupts stay off until the guest enables
   * them. {@link PciDriver.functionLevelReset} is the guest's own way.
   */
  reset(kind: 'cold' | 'function' | 'disconnect' = 'function'): void {
    this.#function.reset(kind);
    this.#machine.bus.refresh();
    this.afterReset();
    this.#notices.settle();
  }

  /** Places the BARs of a restored function and gives its vectors messages of this guest. @internal */
  adoptRestored(): void {
    this.writeBars();
    this.interrupts.adopt();
  }
}
