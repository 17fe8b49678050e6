import type { ShutdownMechanism, ShutdownType } from '../hcs/schema/documents.ts';
import type { DeviceEndpoint } from './device-directory.ts';
import type { OwnedResources } from './owned-resources.ts';
import type { ResourcePath, ResourceRequest } from './resource-paths.ts';
import type { VmFiles } from './vm-files.ts';

/** How a system ended. `ExitType` and `Status` of the SystemExitStatus document. */
export interface EngineExit {
  readonly exitType: 'GracefulExit' | 'ForcedExit' | 'UnexpectedExit';
  /** HRESULT, unsigned. */
  readonly status: number;
  /** What an operator wants to know: exit code, signal, last lines of output. */
  readonly detail?: string;
}

/** What the service asks an engine to build: a validated ComputeSystem document. */
export interface EngineRequest {
  readonly id: string;
  /** Properties.RuntimeId of the system. */
  readonly runtimeId: string;
  /**
   * The document, already validated against the schema; engines read the parts they can run. Its FlexibleIov entries
   * say what will come: their devices are handed to {@link EngineSystem.start}, because a device host may announce
   * them after the system was created.
   */
  readonly document: Readonly<Record<string, unknown>>;
  /**
   * Id (as in a request) of the system that this one is to be a clone of: one of the same engine that was saved as a
   * template. The document's RestoreState.SaveStateFilePath, for a machine that goes on from a file, is the engine's to
   * read; either way {@link EngineSystem.start} restores.
   */
  readonly template?: string | undefined;
  /** Indexes of the host's processors that the machine may run on, where the document names a CPU group. */
  readonly logicalProcessors?: readonly number[] | undefined;
  /** Called once, when the machine has ended for any reason; never before `create` resolved. */
  exited(exit: EngineExit): void;
  /**
   * Called when something that is not the end happened. `crashed` precedes the exit of a guest that crashed, and
   * `crashBegun` may precede it, when the report takes its time.
   */
  notify(event: {
    readonly type: 'crashBegun' | 'crashed' | 'guestConnectionClosed';
    readonly document: string;
  }): void;
  /**
   * Called when {@link EngineSystem.record} has changed without a call that ends now, before what must not be done unless
   * the record is stored: a device is connected, a machine ended whose end nobody else knows the reason of.
   */
  recordChanged?(): void;
  /** Where an engine notes what its machine owns outside its process and folder. Undefined: the machine ends with this process. */
  readonly owned?: OwnedResources | undefined;
  /** For a machine that is taken over: whether a call was on its way when its owner ended. */
  readonly wasInterrupted?: boolean | undefined;
}

/**
 * One FlexibleIov entry, resolved. The engine calls `endpoint.powerOn(configuration)` before it connects, and may call
 * `powerOff` when it has let go; the service does after a removal, a failed add and the exit in any case.
 */
export interface EngineDevice {
  readonly instanceId: string;
  readonly configuration: readonly string[];
  readonly endpoint: DeviceEndpoint;
}

/** A change of one resource of a machine, checked against the schema. */
export interface ResourceChange {
  /** Which resource, without what varies in its path. */
  readonly path: ResourcePath;
  /** What stands in the places of the path that vary, in order. */
  readonly keys: readonly string[];
  readonly request: ResourceRequest;
  /** The document or number of `Settings`; undefined where there is none. */
  readonly settings: unknown;
  /** For a CPU group: indexes of the host's processors that the machine may run on from now on. */
  readonly logicalProcessors?: readonly number[] | undefined;
}

/** What a guest is asked for. */
export interface ShutdownRequest {
  readonly type: ShutdownType;
  /** Who asks it: its agent, or the firmware. Undefined: whichever the machine has. */
  readonly mechanism?: ShutdownMechanism | undefined;
  /** For people, where the caller gave one. */
  readonly reason: string | undefined;
}

/** Where the state of a machine goes. */
export type SaveTarget =
  /** A file, which must not be left half-written: what was there before stays until the new one is whole. */
  | { readonly kind: 'file'; readonly path: string }
  /** Kept for clones, until the system is terminated; the machine itself does not run again. */
  | { readonly kind: 'template' };

/**
 * Runs one kind of system and knows nothing of handles, operations or result documents. Errors that have an HRESULT
 * are thrown as `HcsError`; anything else becomes E_FAIL with its message in the ResultError document.
 */
export interface Engine {
  readonly name: string;
  /** The files of its machines, where they have any. */
  readonly files?: VmFiles;
  /** The kind of system that it runs; without it, virtual machines. */
  readonly runs?: 'VirtualMachine' | 'Container';
  /** Throws HcsError for a field that this engine cannot honour, naming its JSON path. Starts nothing. */
  check(document: Readonly<Record<string, unknown>>): void;
  /** Builds a machine that is not yet running. Leaves nothing behind when it rejects. */
  create(request: EngineRequest): Promise<EngineSystem>;
  /**
   * Takes over a machine whose owner has ended without it: engines have it whose machines go on then. What happened in
   * the meantime is told by `request.notify` and `request.exited` soon after it resolved. Called once for each record, by
   * one process at a time.
   * @param record what {@link EngineSystem.record} gave last, through JSON
   * @throws Error when the machine is there and cannot be taken over, which is left as it is
   */
  adopt?(record: unknown, request: EngineRequest): Promise<Adoption>;
  /**
   * Ends what is left of machines that no record speaks of: they were being created when their owner ended.
   * @param records those of all machines that are to stay
   * @param orphaned what machines owned that are not kept any more, which is removed
   * @returns how many machines there were
   */
  reap?(records: readonly unknown[], orphaned?: OwnedResources): Promise<number>;
}

/** What became of a machine that was left alone. */
export type Adoption =
  /** It is there, in a state that may be another than the last that was known. */
  | {
      readonly kind: 'machine';
      readonly system: EngineSystem;
      readonly state: 'Created' | 'Running' | 'Paused' | 'SavedAsTemplate';
      /** Instance ids of the FlexibleIov devices that are in it. */
      readonly devices: readonly string[];
    }
  /** It has ended, and nothing of it is left. */
  | { readonly kind: 'ended'; readonly exit: EngineExit };

/**
 * One machine. The service serialises calls and guarantees that each is legal in the current state; only `terminate`
 * may come while another call is pending, which then rejects.
 */
export interface EngineSystem {
  /**
   * Powers the machine on with `devices`: the FlexibleIov entries of the document in document order, then those that
   * modify requests added before the start. A rejected start leaves a machine that can still be terminated.
   */
  start(devices: readonly EngineDevice[]): Promise<void>;
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** What guests can be asked for besides or instead of `Shutdown`, without which it is that alone. */
  readonly shutdownTypes?: readonly ShutdownType[];
  /**
   * Asks the guest to stop, or to start again; resolves when it was asked. Rejects when it has no way of hearing.
   * @param request one of {@link shutdownTypes}
   */
  shutDown(request: ShutdownRequest): Promise<void>;
  /** Ends the machine; resolves when nothing of it is left. `exited` is called by then or soon after. */
  terminate(): Promise<void>;
  /** Plugs a device into the running machine. */
  addDevice(device: EngineDevice): Promise<void>;
  /** Rejects with ERROR_NOT_SUPPORTED and the reason where removal cannot be done safely. */
  removeDevice(instanceId: string): Promise<void>;
  /**
   * Changes a resource of a machine that is created or running. Rejects with ERROR_NOT_SUPPORTED and the reason where it
   * cannot be; what could not be done is undone.
   */
  modify(change: ResourceChange): Promise<void>;
  /**
   * Finishes a change that was on its way when the machine was left, or sees to it that nothing of it is there.
   * @throws what made it impossible to finish: nothing of it is there then
   */
  settle?(change: ResourceChange): Promise<void>;
  /** Injects a non-maskable interrupt; resolves when it was sent. What the guest makes of it comes as events. */
  crash(): Promise<void>;
  /**
   * Saves the paused machine, which stays paused. Nothing has changed when it rejects.
   * @param signal aborted when the caller wants it no more: an engine that can then stops, and rejects
   */
  save(target: SaveTarget, signal?: AbortSignal): Promise<void>;
  /**
   * Property documents that only the engine knows, by property type; types it does not know are absent, and one of
   * `queries` that cannot be answered is the HcsError that says why.
   */
  properties(
    types: readonly string[],
    queries?: Readonly<Record<string, unknown>>,
  ): Promise<Readonly<Record<string, unknown>>>;
  /**
   * What {@link Engine.adopt} finds the machine again by, where it goes on without its owner: a plain object for JSON. To
   * be stored when the machine was created, and after each call that ended, as that may have changed it.
   */
  record?(): unknown;
  /** Lets go of the machine, which goes on as when the owner ends: nothing is told of it any more. */
  release?(): void;
}
