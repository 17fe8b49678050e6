import { beginCall } from './call.ts';
import type { ComputeCore } from './compute-core.ts';
import { INFINITE } from './core/constants.ts';
import type { HCS_SYSTEM } from './core/handles.ts';
import { EventStream } from './event-stream.ts';
import { ExitPromise } from './exit-promise.ts';
import { HcsError } from './hcs-error.ts';
import { HRESULT } from './hresult.ts';
import { isGone } from './is-gone.ts';
import type { Properties, SystemExitStatus } from './schema/documents.ts';
import { readEventData, type SystemEvent, systemEvent } from './system-event.ts';

/** What happens to a system, as its handle tells it. Does not know the object that owns the handle, which may go. */
export class SystemWatch {
  readonly #id: string;
  readonly #events = new EventStream<SystemEvent>();
  readonly #exit = new ExitPromise();
  #status: SystemExitStatus | undefined;
  /** What must not be garbage-collected while somebody waits for the exit. */
  readonly #kept = new Set<object>();
  #isOver = false;

  constructor(id: string) {
    this.#id = id;
  }

  /** Sets the event callback of the handle, and asks for an exit that lies before it. */
  begin(core: ComputeCore, handle: HCS_SYSTEM): void {
    try {
      core.HcsSetComputeSystemCallback(handle, 0, null, (raw) => {
        const event = systemEvent(raw);
        if (event !== undefined) this.#happened(event);
      });
    } catch (error) {
      // A handle has one callback, which somebody else may have set, and none on a worker of Windows. The exit can be
      // waited for all the same.
      this.#events.fail(error);
      this.#waitForExit(core, handle, INFINITE).catch((reason) => this.fail(reason));
      return;
    }
    this.#waitForExit(core, handle, 0).catch((reason) => {
      if (!(reason instanceof HcsError)) void this.#askForState(core, handle);
    });
  }

  async #waitForExit(core: ComputeCore, handle: HCS_SYSTEM, timeoutMs: number): Promise<void> {
    const text = await core.HcsWaitForComputeSystemExit(handle, timeoutMs);
    this.#happened({ type: 'exited', status: readEventData(text) });
  }

  /** For a Windows that lacks the wait: of an exit that lies before the callback it says no more than that it was. */
  async #askForState(core: ComputeCore, handle: HCS_SYSTEM): Promise<void> {
    const ask = beginCall(
      core,
      (operation) => core.HcsGetComputeSystemProperties(handle, operation, null),
      undefined,
    );
    try {
      const { State } = readEventData<Properties>(await ask.awaited);
      if (State !== 'Stopped') return;
    } catch (error) {
      if (!isGone(error)) return;
    }
    this.#happened({ type: 'exited', status: { ExitType: 'Unknown' } });
  }

  /** Nothing will be heard of the system. */
  fail(reason: unknown): void {
    this.#isOver = true;
    this.#kept.clear();
    this.#exit.reject(reason);
    this.#events.end();
  }

  /** How the system ended, once it has. */
  get exited(): Promise<SystemExitStatus> {
    return this.#exit.promise;
  }

  /** {@link exited}, for which the owner of the handle is kept. */
  exitedOf(owner: object): Promise<SystemExitStatus> {
    if (!this.#isOver) this.#kept.add(owner);
    return this.#exit.promise;
  }

  /** An iterator over the events from now on, which keeps the owner of the handle; after the end, over the exit. */
  eventsOf(owner: object): AsyncIterableIterator<SystemEvent, void, void> {
    const status = this.#status;
    return this.#events.open(status === undefined ? [] : [{ type: 'exited', status }], owner);
  }

  #happened(event: SystemEvent): void {
    if (this.#isOver) return;
    this.#events.push(event);
    if (event.type === 'exited') {
      this.#status = event.status;
      this.#exit.resolve(event.status);
      this.#events.end();
    } else if (event.type === 'serviceDisconnected') {
      this.#exit.reject(
        new HcsError({
          function: 'HcsWaitForComputeSystemExit',
          hresult: HRESULT.HCS_E_SERVICE_DISCONNECT,
          message: `compute system ${this.#id}: the connection to its service is lost; open it again`,
        }),
      );
      this.#events.end();
    } else {
      return;
    }
    this.#isOver = true;
    this.#kept.clear();
  }
}
