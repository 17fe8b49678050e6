import { HCS_EVENT_OPTIONS, HCS_EVENT_TYPE } from '../hcs/core/constants.ts';
import type {
  HCS_EVENT,
  HCS_EVENT_CALLBACK,
  HCS_OPERATION,
  HCS_SYSTEM,
} from '../hcs/core/handles.ts';
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
export class SystemHandle {
  readonly handle: HCS_SYSTEM;
  isOpen = true;
  /** Called when the system has stopped, or the handle was closed. */
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

  operationCompleted(operation: HCS_OPERATION): void {
    if (this.deliversCompletions) {
      this.deliver(HCS_EVENT_TYPE.HcsEventOperationCallback, null, operation);
    }
  }

  /** Tells of a new state of the system, where the callback asked for such events. */
  deliverLifecycle(document: string): void {
    const options = this.#registration?.options ?? 0;
    if ((options & HCS_EVENT_OPTIONS.HcsEventOptionEnableVmLifecycle) === 0) return;
    this.deliver(HCS_EVENT_TYPE.HcsEventGroupVmLifecycle, document);
  }

  /** Delivers nothing from now on. Resolves when callbacks that were running have returned. */
  close(): Promise<void> {
    this.isOpen = false;
    this.#registration = undefined;
    this.releaseExitWaiters();
    return new Promise((resolve) => setImmediate(resolve));
  }

  releaseExitWaiters(): void {
    for (const waiter of this.exitWaiters) waiter();
    this.exitWaiters.clear();
  }
}
