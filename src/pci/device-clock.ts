import type { Clock, Timer } from '../device/services.ts';
import type { FunctionState } from './function-state.ts';

/** The clock that a device sees: its timers end when it stops, is reset, or fails. */
export class DeviceClock implements Clock {
  readonly #state: FunctionState;
  readonly #run: (fn: () => void) => void;
  readonly #pending = new Set<Timer>();

  /** @param run calls device code and deals with what it throws */
  constructor(state: FunctionState, run: (fn: () => void) => void) {
    this.#state = state;
    this.#run = run;
  }

  get now(): number {
    return this.#state.host?.clock.now ?? 0;
  }

  after(ms: number, fn: () => void): Timer {
    if (!(ms >= 0 && ms < Number.POSITIVE_INFINITY)) {
      throw new RangeError(`Cannot wait ${ms} ms: give a finite number of at least 0`);
    }
    const { host, started, failure } = this.#state;
    if (host === undefined || !started || failure !== undefined) return ended;
    const timer = host.clock.after(ms, () => {
      this.#pending.delete(owned);
      this.#run(fn);
    });
    const owned: Timer = {
      cancel: () => {
        this.#pending.delete(owned);
        timer.cancel();
      },
    };
    this.#pending.add(owned);
    return owned;
  }

  cancelAll(): void {
    for (const timer of this.#pending) timer.cancel();
  }
}

/** What a stopped device gets. */
const ended: Timer = { cancel: () => {} };
