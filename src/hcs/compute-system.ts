// Longer than most files: one method for each thing that can be done to a compute system, documented.
import { abortable, beginCall, type CallOptions } from './call.ts';
import type { ComputeCore } from './compute-core.ts';
import { GENERIC_ALL } from './core/constants.ts';
import type { HCS_OPERATION, HCS_SYSTEM, SECURITY_DESCRIPTOR } from './core/handles.ts';
import { isGone, isNotOpen } from './is-gone.ts';
import { type OwnedHandle, ownHandle } from './owned-handle.ts';
import type {
  ComputeSystem as ComputeSystemDocument,
  CrashOptions,
  ModifySettingRequest,
  PauseOptions,
  Properties,
  SaveOptions,
  ShutdownOptions,
  System_PropertyQuery,
  SystemExitStatus,
  SystemQuery,
} from './schema/documents.ts';
import { selectedComputeCore } from './selected-core.ts';
import { readEventData, type SystemEvent } from './system-event.ts';
import { SystemWatch } from './system-watch.ts';

/** How {@link ComputeSystem.create}, `open` and `enumerate` find the service. */
export interface CoreOptions extends CallOptions {
  /** The compute core to use instead of the selected host's. */
  readonly core?: ComputeCore;
}

/**
 * A compute system: a virtual machine or container. Owns one handle of it; only `create` and `open` make objects.
 *
 * Every asynchronous method takes a signal, and rejects with an `HcsError` or the signal's reason; see
 * {@link CallOptions.signal} for what aborting does not do. On a worker thread of Windows all of it works but
 * {@link events}, as the compute service calls back on the main thread only.
 *
 * Disposal terminates the system, waits until it has ended and closes the handle; {@link close} only closes it. An
 * object that is garbage-collected before is closed then, with a warning of the process; as long as somebody waits for
 * its exit or reads its events, it is not.
 *
 * @example
 * ```ts
 * import { ComputeSystem } from 'hdvkit/hcs';
 * import { useHost } from 'hdvkit';
 *
 * useHost('simulated');
 * await using system = await ComputeSystem.create('first', {
 *   SchemaVersion: { Major: 2, Minor: 1 },
 *   VirtualMachine: { ComputeTopology: { Memory: { SizeInMB: 64 } } },
 * });
 * await system.start();
 * console.log((await system.properties()).State); // Running
 * ```
 */
export class ComputeSystem implements AsyncDisposable {
  readonly id: string;
  /** The service that has it. For device hosts, and for calls that this class does not have. */
  readonly core: ComputeCore;
  /** Its handle, open until {@link close} or disposal. For device hosts, and for calls that this class does not have. */
  readonly handle: HCS_SYSTEM;
  readonly #owned: OwnedHandle;
  #watched: SystemWatch | undefined;
  #closing: Promise<void> | undefined;
  #disposal: Promise<void> | undefined;

  private constructor(id: string, core: ComputeCore, handle: HCS_SYSTEM) {
    this.id = id;
    this.core = core;
    this.handle = handle;
    this.#owned = ownHandle(this, {
      what: `Compute system ${id}`,
      close: () => closeHandle(core, handle),
    });
  }

  /**
   * Creates a system and does not start it. When the signal aborts, what was made is terminated and closed behind the
   * rejection: its id may be taken for a moment longer. A daemon lets others do with it what `securityDescriptor` says; its
   * default is that only its owner and root may do anything.
   */
  static async create(
    id: string,
    document: ComputeSystemDocument,
    {
      core = selectedComputeCore(),
      signal,
      securityDescriptor = null,
    }: CoreOptions & { readonly securityDescriptor?: SECURITY_DESCRIPTOR | null } = {},
  ): Promise<ComputeSystem> {
    let system: ComputeSystem | undefined;
    const start = (operation: HCS_OPERATION): void => {
      const text = JSON.stringify(document);
      system = new ComputeSystem(
        id,
        core,
        core.HcsCreateComputeSystem(id, text, operation, securityDescriptor),
      );
    };
    const { completed, awaited } = beginCall(core, start, signal);
    try {
      await awaited;
    } catch (error) {
      const undone = undoCreate(system, completed);
      if (!signal?.aborted) await undone;
      throw error;
    }
    return system as unknown as ComputeSystem;
  }

  /** Opens a system that exists, of this process or another. */
  static async open(
    id: string,
    { core = selectedComputeCore(), signal }: CoreOptions = {},
  ): Promise<ComputeSystem> {
    signal?.throwIfAborted();
    const opening = core.HcsOpenComputeSystem(id, GENERIC_ALL);
    try {
      return new ComputeSystem(id, core, await abortable(opening, signal));
    } catch (error) {
      if (signal?.aborted) opening.then((late) => core.HcsCloseComputeSystem(late)).catch(() => {});
      throw error;
    }
  }

  /** Basic properties of all systems that match: criteria combine by and, the entries of a list by or. */
  static async enumerate(
    query?: SystemQuery,
    { core = selectedComputeCore(), signal }: CoreOptions = {},
  ): Promise<readonly Properties[]> {
    const text = json(query);
    const start = (operation: HCS_OPERATION): void =>
      core.HcsEnumerateComputeSystems(text, operation);
    return JSON.parse((await beginCall(core, start, signal).awaited) ?? '[]') as Properties[];
  }

  /**
   * Starts the system; every FlexibleIov entry of its document needs its device by now. A system that has stopped cannot
   * be started again: create another from the same document.
   */
  async start({ signal }: CallOptions = {}): Promise<void> {
    await this.#call('HcsStartComputeSystem', null, signal);
  }

  /** Stops the virtual processors. */
  async pause({
    options,
    signal,
  }: CallOptions & { readonly options?: PauseOptions } = {}): Promise<void> {
    await this.#call('HcsPauseComputeSystem', json(options), signal);
  }

  /** Lets a paused system run on. */
  async resume({ signal }: CallOptions = {}): Promise<void> {
    await this.#call('HcsResumeComputeSystem', null, signal);
  }

  /**
   * Asks the guest to shut down, and resolves when it was asked: wait for {@link exited}. Needs
   * `VirtualMachine.Services.Shutdown` or `GuestConnection` in the document.
   */
  async shutDown({
    options,
    signal,
  }: CallOptions & { readonly options?: ShutdownOptions } = {}): Promise<void> {
    await this.#call('HcsShutDownComputeSystem', json(options), signal);
  }

  /** Ends the system as if its power were cut. */
  async terminate({ signal }: CallOptions = {}): Promise<void> {
    await this.#call('HcsTerminateComputeSystem', null, signal);
  }

  /**
   * Crashes the guest by a non-maskable interrupt, and resolves when it was sent: what the guest makes of it comes as
   * {@link events}.
   */
  async crash({
    options,
    signal,
  }: CallOptions & { readonly options?: CrashOptions } = {}): Promise<void> {
    await this.#call('HcsCrashComputeSystem', json(options), signal);
  }

  /**
   * Saves a paused system: to the file `SaveStateFilePath`, from which a system with the same document and
   * `VirtualMachine.RestoreState` goes on when it is started, or with `SaveType: 'AsTemplate'` in memory, for clones
   * (`RestoreState.TemplateSystemId`). One that was saved to a file is paused as before; a template does not run again.
   */
  async save(options: SaveOptions, { signal }: CallOptions = {}): Promise<void> {
    await this.#call('HcsSaveComputeSystem', json(options), signal);
  }

  /** Changes one setting: adds or removes a device, for example. An abort does not take the change back. */
  async modify(request: ModifySettingRequest, { signal }: CallOptions = {}): Promise<void> {
    const text = JSON.stringify(request);
    const start = (operation: HCS_OPERATION): void =>
      this.core.HcsModifyComputeSystem(this.handle, operation, text, null);
    await beginCall(this.core, start, signal).awaited;
  }

  /** Properties: the basic ones, and what the query asks for. Basic ones can be had of a stopped system too. */
  async properties(
    query?: System_PropertyQuery,
    { signal }: CallOptions = {},
  ): Promise<Properties> {
    return readEventData<Properties>(
      await this.#call('HcsGetComputeSystemProperties', json(query), signal),
    );
  }

  /**
   * What happens to the system from now on; a system that has stopped yields its exit. Ends after the exit, when the
   * connection to the service is lost, or when the handle is closed; leaving the loop ends it too. Rejects when nothing
   * can be heard: on worker threads of Windows, or where somebody else has set the event callback of the handle.
   */
  events(): AsyncIterableIterator<SystemEvent, void, void> {
    return this.#watch().eventsOf(this);
  }

  /**
   * How the system ended, once it has. Rejects when the handle is closed before, or the service goes away. A Windows
   * without HcsWaitForComputeSystemExit says of an exit before the first question only that it was: `Unknown`.
   */
  get exited(): Promise<SystemExitStatus> {
    return this.#watch().exitedOf(this);
  }

  /** Closes the handle and leaves the system as it is, unless its document says otherwise. Safe to call twice. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Terminates the system, waits until it has ended and closes the handle. Safe to run twice, and after close. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#disposal ??= this.#dispose();
    return this.#disposal;
  }

  async #call(
    name:
      | 'HcsStartComputeSystem'
      | 'HcsPauseComputeSystem'
      | 'HcsResumeComputeSystem'
      | 'HcsShutDownComputeSystem'
      | 'HcsTerminateComputeSystem'
      | 'HcsCrashComputeSystem'
      | 'HcsSaveComputeSystem'
      | 'HcsGetComputeSystemProperties',
    document: string | null,
    signal: AbortSignal | undefined,
  ): Promise<string | null> {
    const start = (operation: HCS_OPERATION): void =>
      this.core[name](this.handle, operation, document);
    return await beginCall(this.core, start, signal).awaited;
  }

  /** Listens to the handle, from the first time that somebody wants to know. */
  #watch(): SystemWatch {
    if (this.#watched !== undefined) return this.#watched;
    const watch = new SystemWatch(this.id);
    this.#watched = watch;
    if (this.#closing === undefined) {
      watch.begin(this.core, this.handle);
    } else {
      watch.fail(new Error(`Cannot watch compute system ${this.id}: its handle is closed`));
    }
    return watch;
  }

  async #close(): Promise<void> {
    this.#owned.release();
    try {
      await closeHandle(this.core, this.handle);
    } finally {
      this.#watched?.fail(new Error(`Compute system ${this.id} was closed before it ended`));
    }
  }

  async #dispose(): Promise<void> {
    if (this.#closing !== undefined) return await this.#closing;
    const { exited } = this.#watch();
    try {
      await this.terminate();
    } catch (error) {
      // Of a handle that the service does not know any more, or that was closed with its host, nothing will be heard.
      if (!isGone(error)) {
        await this.close();
        if (isNotOpen(error)) return;
        throw error;
      }
    }
    await exited.catch(() => {});
    await this.close();
  }
}

async function undoCreate(
  system: ComputeSystem | undefined,
  completed: Promise<unknown>,
): Promise<void> {
  try {
    await completed;
    await system?.[Symbol.asyncDispose]();
  } catch {
    await system?.close().catch(() => {});
  }
}

/** Closes a handle. @returns false when it was closed already: with its host, for example */
async function closeHandle(core: ComputeCore, handle: HCS_SYSTEM): Promise<boolean> {
  try {
    await core.HcsCloseComputeSystem(handle);
    return true;
  } catch (error) {
    if (isNotOpen(error)) return false;
    throw error;
  }
}

function json(document: object | undefined): string | null {
  return document === undefined ? null : JSON.stringify(document);
}
