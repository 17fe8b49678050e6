import { HCS_EVENT_OPTIONS, HCS_EVENT_TYPE } from '../hcs/core/constants.ts';
import type {
  HCS_EVENT,
  HCS_EVENT_CALLBACK,
  HCS_OPERATION,
  HCS_SYSTEM,
} from '../hcs/core/handles.ts';
import type { SystemListener } from './system-listener.ts';
import type { SystemState } from './system-state.ts';

const NO_OPERATION = 0n as HCS_OPERATION;

interface Registration {
  readonly options: number;
  readonly context: unknown;
  readonly callback: HCS_EVENT_CALLBACK;
}

/** EventData of HcsEventGroupVmLifecycle: a document of this package, as nobody has published one. */
export interface VmLifecycle {
  readonly SystemId: string;
  /** The state that the system is in now. */
  readonly State: SystemState;
  /** When that began (ISO 8601). */
  readonly Timestamp: string;
}

/**
 * One open handle of a system, with the event callback that is set on it.
 *
 * Each event comes on a turn of its own, in the order in which things happened: a crash as begun, then as reported, then
 * the exit; a new state before the completion of the call that brought it; the exit before the completion of the
 * terminate or start call that ended the system. Handles know nothing of each other. Nothing comes after the close.
 */
export class SystemHandle implements SystemListener {
  readonly handle: HCS_SYSTEM;
  isOpen = true;
  /** SystemExitStatus document of the system, once it has ended and what follows that is done. */
  exit: string | undefined;
  /** Whether the service is gone, and with it whatever could still come. */
  isDisconnected = false;
  /** Called when the system has stopped, the service is gone, or the handle was closed. */
  readonly exitWaiters = new Set<() => void>();
  #registration: Registration | undefined;

  constructor(handle: HCS_SYSTEM) {
    this.handle = handle;
  }

  get hasCallback(): boolean {
    return this.#registration !== undefined;
  }

  /** Whether completed operations are reported as events, which excludes operations with callbacks. */
  get deliversCompletions(): boolean {
    const options = this.#registration?.options ?? 0;
    return (options & HCS_EVENT_OPTIONS.HcsEventOptionEnableOperationCallbacks) !== 0;
  }

  register(registration: Registration | undefined): void {
    this.#registration = registration;
  }

  /** Delivers an event on a turn of its own, unless the handle is closed or its callback replaced by then. */
  deliver(type: HCS_EVENT_TYPE, document: string | null, operation = NO_OPERATION): void {
    const registration = this.#registration;
    if (registration === undefined) return;
    const event: HCS_EVENT = { Type: type, EventData: document, Operation: operation };
    setImmediate(() => {
      if (this.isOpen && this.#registration === registration) {
        registration.callback(event, registration.context);
      }
    });
  }

  /** Delivers an event of the system, where the callback asked for such events. */
  event(type: HCS_EVENT_TYPE, document: string): void {
    const options = this.#registration?.options ?? 0;
    const isLifecycle = type === HCS_EVENT_TYPE.HcsEventGroupVmLifecycle;
    if (isLifecycle && (options & HCS_EVENT_OPTIONS.HcsEventOptionEnableVmLifecycle) === 0) return;
    this.deliver(type, document);
  }

  ended(exit: string): void {
    this.exit = exit;
    this.#releaseExitWaiters();
  }

  disconnected(): void {
    if (!this.isOpen || this.isDisconnected) return;
    this.isDisconnected = true;
    this.deliver(HCS_EVENT_TYPE.HcsEventServiceDisconnect, null);
    this.#releaseExitWaiters();
  }

  operationCompleted(operation: HCS_OPERATION): void {
    if (this.deliversCompletions) {
      this.deliver(HCS_EVENT_TYPE.HcsEventOperationCallback, null, operation);
    }
  }

  /** Delivers nothing from now on. Resolves when callbacks that were running have returned. */
  close(): Promise<void> {
    this.isOpen = false;
    this.#registration = undefined;
    this.#releaseExitWaiters();
    return new Promise((resolve) => setImmediate(resolve));
  }

  #releaseExitWaiters(): void {
    for (const waiter of this.exitWaiters) waiter();
    this.exitWaiters.clear();
  }
}
