import type {
  HCS_EVENT_CALLBACK,
  HCS_OPERATION,
  HCS_OPERATION_COMPLETION,
} from '../core/handles.ts';
import { HRESULT } from '../hresult.ts';
import { keepAlive } from './keep-alive.ts';
import { isFailure } from './native-result.ts';
import { OpenHandle } from './open-handle.ts';

/** A call whose completion is still to be reported by the callback of its operation. */
interface OutstandingCall {
  /** Called when the callback has returned. */
  readonly waiters: Set<() => void>;
}

/** How a {@link NativeOperation} reports. */
export interface OperationCallbacks {
  readonly completion: HCS_OPERATION_COMPLETION | null;
  readonly event: HCS_EVENT_CALLBACK | null;
}

/**
 * One operation of the compute service as this process knows it. With a completion callback it is in flight from the
 * moment before a call is made until the callback has returned; without one, only the service knows.
 */
export class NativeOperation extends OpenHandle {
  readonly handle: HCS_OPERATION;
  /** What native code carries for it. */
  readonly number: number;
  context: unknown;
  callbacks: OperationCallbacks;
  /** Name of the function that it tracks, or tracked last. */
  tracked: string | undefined;
  /** Whether somebody has the pipes of the process that the tracked call has made. */
  hasGivenPipes = false;
  readonly #outstanding: OutstandingCall[] = [];
  /** Whether a call is being made on this thread right now. */
  #isStarting = false;
  /** The call whose callback is running. */
  #reporting: OutstandingCall | undefined;

  constructor(
    handle: HCS_OPERATION,
    number: number,
    context: unknown,
    callbacks: OperationCallbacks,
  ) {
    super(handle);
    this.handle = handle;
    this.number = number;
    this.context = context;
    this.callbacks = callbacks;
  }

  /** Whether its callback is still to come, or to return. */
  get isAwaited(): boolean {
    return this.#outstanding.length > 0;
  }

  /** Whether a call has not completed: inside its callback it has. */
  get isInFlight(): boolean {
    return this.#outstanding.some((call) => call !== this.#reporting);
  }

  /**
   * Makes a call that it tracks. In flight is said before the call, as the callback may come before it has returned,
   * and taken back when it fails.
   * @param call returns an HRESULT
   */
  begin(name: string, call: () => number): number {
    const before = this.tracked;
    const outstanding: OutstandingCall = { waiters: new Set() };
    if (this.callbacks.completion !== null) this.#expect(outstanding);
    this.tracked = name;
    this.#isStarting = true;
    let hresult: number = HRESULT.HCS_E_OPERATION_ALREADY_STARTED;
    try {
      hresult = call();
    } finally {
      this.#isStarting = false;
      if (isFailure(hresult)) this.#forget(outstanding);
      if (hresult === HRESULT.HCS_E_OPERATION_ALREADY_STARTED) this.tracked = before;
      else this.hasGivenPipes = false;
    }
    return hresult;
  }

  /** The service reports a completion. */
  completed(): void {
    // A service that calls from within the call that starts the operation must not surprise the caller.
    if (this.#isStarting) setImmediate(() => this.#report());
    else this.#report();
  }

  /** Waits until the callback of the call in flight has returned. @returns false when the time was over first */
  reported(milliseconds: number): Promise<boolean> {
    const last = this.#outstanding.at(-1);
    if (last === undefined) return Promise.resolve(true);
    return new Promise((resolve) => {
      const timer =
        milliseconds === Number.POSITIVE_INFINITY
          ? undefined
          : setTimeout(() => finish(false), Math.min(milliseconds, 0x7fff_ffff));
      const finish = (inTime: boolean): void => {
        clearTimeout(timer);
        last.waiters.delete(reported);
        resolve(inTime);
      };
      const reported = (): void => finish(true);
      last.waiters.add(reported);
    });
  }

  /** Closed for everyone; given back when no call uses it and its callback has come. */
  override close(giveBack: () => void): void {
    keepAlive.release(this);
    for (const { waiters } of this.#outstanding) for (const waiter of [...waiters]) waiter();
    super.close(giveBack);
  }

  #expect(call: OutstandingCall): void {
    this.#outstanding.push(call);
    this.beginUse();
    keepAlive.hold(this);
  }

  #forget(call: OutstandingCall): void {
    const index = this.#outstanding.indexOf(call);
    if (index < 0) return;
    this.#outstanding.splice(index, 1);
    for (const waiter of [...call.waiters]) waiter();
    if (!this.isAwaited) keepAlive.release(this);
    this.endUse();
  }

  #report(): void {
    const [call] = this.#outstanding;
    if (call === undefined) return;
    this.#reporting = call;
    try {
      if (this.isOpen) this.callbacks.completion?.(this.handle, this.context);
    } finally {
      this.#reporting = undefined;
      this.#forget(call);
    }
  }
}
