import { HCS_EVENT_TYPE } from '../core/constants.ts';
import type { HCS_EVENT, HCS_EVENT_CALLBACK, HCS_OPERATION } from '../core/handles.ts';
import { HcsError } from '../hcs-error.ts';
import { HRESULT } from '../hresult.ts';
import { keepAlive } from './keep-alive.ts';
import { forgetContext, nextContext, receiveEvents } from './native-callbacks.ts';
import { checkCallback, isFailure, nativeFailure } from './native-result.ts';
import { OpenHandle } from './open-handle.ts';

/** After these nothing more happens to what the handle stands for. */
const LAST_EVENTS: readonly number[] = [
  HCS_EVENT_TYPE.HcsEventSystemExited,
  HCS_EVENT_TYPE.HcsEventProcessExited,
  HCS_EVENT_TYPE.HcsEventServiceDisconnect,
];

/** An event callback as native code has it: for good, once it is set. */
export interface Registration {
  readonly options: number;
  /** What native code carries for it. */
  readonly number: number;
  /** HCS_EVENT_CALLBACK. */
  readonly address: number;
  context: unknown;
  /** Null while it is taken off. */
  callback: HCS_EVENT_CALLBACK | null;
  /** Where its events go; undefined until the handle is there. */
  handle: EventHandle | undefined;
}

/**
 * An HCS_SYSTEM or HCS_PROCESS with its event callback.
 *
 * A callback that is taken off stays set in native code, and its events are dropped: to unset it there could wait for a
 * call of the callback that waits for this very thread.
 */
export class EventHandle extends OpenHandle {
  readonly #mayBeNamed: (operation: bigint) => boolean;
  #registration: Registration | undefined;
  #hasEnded = false;

  /** @param mayBeNamed whether an event may tell of an operation: not when that is closed */
  constructor(native: bigint, mayBeNamed: (operation: bigint) => boolean) {
    super(native);
    this.#mayBeNamed = mayBeNamed;
  }

  /**
   * Sets the event callback, or takes it off.
   * @param set makes the native call and returns its HRESULT
   * @throws HcsError HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET
   */
  setCallback(
    name: string,
    options: number,
    context: unknown,
    callback: HCS_EVENT_CALLBACK | null,
    set: (number: number, address: number) => number,
  ): void {
    const checked = checkCallback(name, callback);
    const known = this.#registration;
    if (checked === null) {
      if (known !== undefined) known.callback = null;
      keepAlive.release(this);
      return;
    }
    if (known === undefined) {
      const registration = prepareRegistration(name, options, context, checked);
      const hresult = set(registration.number, registration.address);
      if (isFailure(hresult)) {
        forgetContext(registration.number);
        throw nativeFailure(name, hresult, null);
      }
      this.adopt(registration);
      return;
    }
    if (known.callback !== null || known.options !== options) throw alreadySet(name, known);
    known.callback = checked;
    known.context = context;
    this.#holdProcess();
  }

  /** Takes over a callback that native code has set already. */
  adopt(registration: Registration): void {
    registration.handle = this;
    this.#registration = registration;
    this.#holdProcess();
  }

  /** Nothing more will happen: nobody has to wait for events. */
  ended(): void {
    this.#hasEnded = true;
    keepAlive.release(this);
  }

  /** Tells the event callback that nothing will be heard any more: its host closes. */
  disconnect(): void {
    try {
      this.deliver({
        Type: HCS_EVENT_TYPE.HcsEventServiceDisconnect,
        EventData: null,
        Operation: 0n as HCS_OPERATION,
      });
    } catch (error) {
      // As from native code: nobody who closes a host expects what a callback throws.
      setImmediate(() => {
        throw error;
      });
    }
  }

  deliver(event: HCS_EVENT): void {
    if (LAST_EVENTS.includes(event.Type)) this.ended();
    const registration = this.#registration;
    if (!this.isOpen || registration === undefined || !this.#mayBeNamed(event.Operation)) return;
    registration.callback?.(event, registration.context);
  }

  override close(giveBack: () => void): void {
    keepAlive.release(this);
    if (this.#registration !== undefined) forgetContext(this.#registration.number);
    this.#registration = undefined;
    super.close(giveBack);
  }

  #holdProcess(): void {
    if (!this.#hasEnded) keepAlive.hold(this);
  }
}

/** Makes what native code needs to set an event callback; events are dropped until a handle adopts it. */
export function prepareRegistration(
  name: string,
  options: number,
  context: unknown,
  callback: HCS_EVENT_CALLBACK,
): Registration {
  const number = nextContext();
  const registration: Registration = {
    options,
    number,
    address: receiveEvents(name, number, (event) => registration.handle?.deliver(event)),
    context,
    callback,
    handle: undefined,
  };
  return registration;
}

function alreadySet(name: string, { callback, options }: Registration): HcsError {
  const reason =
    callback === null
      ? `the handle has had an event callback with options ${options}: use the same options`
      : 'the handle has an event callback: set null first';
  return new HcsError({
    function: name,
    hresult: HRESULT.HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET,
    message: `${reason}, or open another handle`,
  });
}
