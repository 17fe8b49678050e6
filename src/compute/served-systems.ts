// Longer than most files: every way in which a system comes to a service, and leaves it.
import { HCS_EVENT_TYPE } from '../hcs/core/constants.ts';
import type { ComputeSystem, Properties, SystemQuery } from '../hcs/schema/documents.ts';
import type { Cancellation } from './cancellation.ts';
import type { CpuGroups } from './cpu-groups.ts';
import type { CrashReportOptions } from './crash-reports.ts';
import { checkCreateDocument, parseCreateDocument } from './create-document.ts';
import type { DeviceDirectory } from './device-directory.ts';
import type { Engine } from './engine.ts';
import { failure } from './failure.ts';
import { formerEngine } from './former-engine.ts';
import type { HostInformation } from './host-information.ts';
import { ServedSystem, type SystemPlan } from './served-system.ts';
import type { ServedSystemRecord } from './served-system-record.ts';
import type { CreateRequest, Creation, SystemAccess } from './service-access.ts';
import type { SystemCall } from './system-calls.ts';
import { directoryIdOf, idsOf, runtimeIdOf, systemKey } from './system-id.ts';
import type { KeptSystem, SystemJournal } from './system-journal.ts';
import type { SystemKind } from './system-kind.ts';
import type { SystemListener } from './system-listener.ts';
import { basicProperties } from './system-properties.ts';
import type { TakenOver } from './take-over.ts';
import type { UnfinishedCall } from './unfinished-call.ts';

/** What a service is made of. */
export interface ComputeServiceOptions {
  /** Each runs one kind of system. */
  readonly engines: readonly Engine[];
  /** Where device hosts announce the devices that FlexibleIov entries name. */
  readonly directory: DeviceDirectory;
  /** What service properties tell of the host. Default: what Node knows. */
  readonly host?: HostInformation | undefined;
  /** Where reports of crashes go. Without it, HcsSubmitWerReport is not supported. */
  readonly crashReports?: CrashReportOptions | undefined;
  /** Keeps what another service needs to take the systems over. Default: nobody can. */
  readonly journal?: SystemJournal | undefined;
}

/** Milliseconds that holders have to open a system again that is to end without any, after another service has left it. */
const REOPEN_LIMIT_MS = 60_000;

/** Ends that are kept for somebody to hear of them: ids that nobody uses again would become ever more. */
const MOST_UNHEARD = 1000;

/** The compute systems of a service, and who holds them. */
export class ServedSystems {
  readonly #options: ComputeServiceOptions;
  readonly #groups: CpuGroups;
  /** Systems that have not stopped, or whose devices are still on, by id space and id. */
  readonly #systems = new Map<string, ServedSystem>();
  /** Systems that ended with nobody there to hear of it: until somebody has, their id is used again, or too many others have ended since. */
  readonly #unheard = new Map<string, ServedSystem>();
  /** Why systems that are there could not be taken over. */
  readonly #left = new Map<string, string>();
  /** Runtime ids of those. */
  readonly #leftIds = new Set<string>();
  readonly #holders = new Set<SystemListener>();
  readonly #gone: (runtimeId: string) => void;

  /** @param gone called when a system is no more, or was not created */
  constructor(
    options: ComputeServiceOptions,
    groups: CpuGroups,
    gone: (runtimeId: string) => void,
  ) {
    this.#options = options;
    this.#groups = groups;
    this.#gone = gone;
  }

  /** Whether there is a system, of whatever id space, that machines' files are granted to by this id. */
  isThere(runtimeId: string): boolean {
    if (this.#leftIds.has(runtimeId)) return true;
    return [...this.#systems.values()].some(({ plan }) => plan.runtimeId === runtimeId);
  }

  /** Systems that have not stopped, or whose devices are still on. */
  get count(): number {
    return this.#systems.size;
  }

  /** What another service would need to take the systems over, one record for each. */
  get records(): ServedSystemRecord[] {
    return [...this.#systems.values()].map(({ record }) => record);
  }

  /** Ends all systems, for the end of the service; whoever holds one is told when it is there. */
  async terminateAll(): Promise<void> {
    const systems = [...this.#systems.values()];
    await Promise.allSettled(systems.map((system) => system.end('HcsTerminateComputeSystem')));
    for (const holder of this.#holders) holder.disconnected();
    await new Promise((resolve) => setImmediate(resolve));
  }

  /** Lets the systems go on without this service, for another one; whoever holds one is told. */
  async leaveAll(): Promise<void> {
    await Promise.allSettled([...this.#systems.values()].map((system) => system.leave()));
    for (const holder of this.#holders) holder.disconnected();
    await new Promise((resolve) => setImmediate(resolve));
  }

  /** Takes over what other services have left, and ends machines that no record speaks of. Called first. */
  async takeOver(records: readonly ServedSystemRecord[]): Promise<TakenOver[]> {
    const outcomes = (await Promise.all(records.map((record) => this.#takeOver(record)))).flat();
    for (const engine of this.#options.engines) {
      const known = records.filter(
        ({ engine: name, engineRecord, exit, state }) =>
          name === engine.name &&
          state !== 'Creating' &&
          exit === undefined &&
          engineRecord !== undefined,
      );
      try {
        const count =
          (await engine.reap?.(
            known.map(({ engineRecord }) => engineRecord),
            this.#options.journal?.orphaned,
          )) ?? 0;
        if (count > 0) outcomes.push({ kind: 'reaped', count });
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        outcomes.push({ kind: 'notReaped', reason });
      }
    }
    return outcomes;
  }

  async #takeOver(record: ServedSystemRecord): Promise<TakenOver[]> {
    const { idNamespace, id, state, unfinished = [] } = record;
    const name = { idNamespace, id };
    const key = systemKey(idNamespace, id);
    const kept = this.#options.journal?.resume(record);
    if (state === 'Creating') {
      kept?.forget();
      return [{ ...name, kind: 'dropped' }];
    }
    try {
      const system = this.#leftSystem(record, kept);
      this.#systems.set(key, system);
      await system.adopt(record);
      // What ends it at once is told by now.
      await new Promise((resolve) => setImmediate(resolve));
      const settled =
        unfinished.length === 0 ? [] : await this.#settle(system, unfinished, record.state);
      if (system.exit !== undefined) {
        const detail = system.exit.Detail ?? `${system.exit.ExitType}`;
        return [...settled, { ...name, kind: 'ended', detail }];
      }
      this.#endUnlessHeld(system);
      return [...settled, { ...name, kind: 'goesOn', state: system.state }];
    } catch (error) {
      this.#systems.delete(key);
      const reason = error instanceof Error ? error.message : String(error);
      this.#left.set(key, reason);
      this.#leftIds.add(record.runtimeId);
      return [{ ...name, kind: 'left', reason }];
    }
  }

  async #settle(
    system: ServedSystem,
    unfinished: readonly UnfinishedCall[],
    wanted: ServedSystemRecord['state'],
  ): Promise<TakenOver[]> {
    const { idNamespace, id } = system.plan;
    const settled = await system.settle(unfinished, wanted);
    return settled.map((call) => ({ idNamespace, id, kind: 'settled', ...call }));
  }

  #leftSystem(record: ServedSystemRecord, kept: KeptSystem | undefined): ServedSystem {
    const { idNamespace, id, createdDocument } = record;
    const engine = this.#engineOf(record);
    const { document, kind } = parseCreateDocument('HcsOpenComputeSystem', createdDocument);
    const system = this.#system({
      ...{ idNamespace, id, document, kind, engine },
      configuration: createdDocument,
      entries: record.entries,
      securityDescriptor: record.securityDescriptor,
      owner: record.owner,
      template: record.template,
      runtimeId: record.runtimeId,
    });
    system.kept = kept;
    return system;
  }

  #engineOf({ engine: name, exit, engineRecord }: ServedSystemRecord): Engine {
    const engine = this.#options.engines.find((candidate) => candidate.name === name);
    if (engine !== undefined) return engine;
    // Nothing goes on of it that would have to be left alone.
    if (exit !== undefined || engineRecord === undefined) return formerEngine(name);
    throw new Error(`there is no engine ${name} here`);
  }

  /** A system that is to end with its last handle lost that with its service: who held it may open it again. */
  #endUnlessHeld(system: ServedSystem): void {
    if (system.plan.document.ShouldTerminateOnLastHandleClosed !== true) return;
    const end = (): void => {
      if (system.handles.size > 0 || system.isLeft) return;
      system.terminate('HcsTerminateComputeSystem').catch(() => {});
    };
    setTimeout(end, REOPEN_LIMIT_MS).unref();
  }

  #system(
    plan: Omit<SystemPlan, 'groups' | 'directoryId' | 'directory' | 'stopped'>,
  ): ServedSystem {
    const { directory } = this.#options;
    const { idNamespace, id } = plan;
    const directoryId = directoryIdOf(idNamespace, id);
    const key = systemKey(idNamespace, id);
    const system = new ServedSystem({
      ...plan,
      groups: this.#groups,
      directoryId,
      directory,
      stopped: () => {
        this.#systems.delete(key);
        if (!system.wasHeld) this.#keepUnheard(key, system);
        directory.forget(directoryId);
        this.#gone(plan.runtimeId);
      },
    });
    return system;
  }

  /** @throws HcsError as {@link ServiceAccess.create} */
  create(request: CreateRequest, listener: SystemListener): Creation {
    const { function: name, idNamespace, id } = request;
    const key = systemKey(idNamespace, id);
    const { engines, journal } = this.#options;
    const checked = checkCreateDocument(name, request.document, engines);
    if (this.#systems.has(key)) {
      throw failure(
        name,
        'HCS_E_SYSTEM_ALREADY_EXISTS',
        `a compute system has the id "${id}": terminate it, or choose another id`,
      );
    }
    this.#requireNotLeft(name, key, id);
    const system = this.#system({
      ...checked,
      idNamespace,
      id,
      configuration: request.configuration,
      securityDescriptor: request.securityDescriptor,
      owner: request.owner,
      template: this.#template(name, idNamespace, checked.document),
      runtimeId: runtimeIdOf(id),
    });
    system.kept = journal?.begin(name, system.record);
    this.#unheard.delete(key);
    this.#systems.set(key, system);
    return {
      access: this.#hold(system, listener),
      async build(cancellation) {
        cancellation.begin();
        await system.create();
        return null;
      },
    };
  }

  /** @throws HcsError HCS_E_SYSTEM_NOT_FOUND */
  open(name: string, idNamespace: string, id: string, listener: SystemListener): SystemAccess {
    const key = systemKey(idNamespace, id);
    const system = this.#systems.get(key);
    if (system !== undefined) return this.#hold(system, listener);
    const unheard = this.#unheard.get(key);
    if (unheard !== undefined) return this.#holdUnheard(key, unheard, listener);
    this.#requireNotLeft(name, key, id);
    throw failure(name, 'HCS_E_SYSTEM_NOT_FOUND', `no compute system has the id "${id}"`);
  }

  hasSystem(idNamespace: string, id: string): boolean {
    const system = this.#systems.get(systemKey(idNamespace, id));
    return system !== undefined && system.exit === undefined;
  }

  /** Whether a device is in a machine, or is about to be. @param directoryId what the directory of device hosts calls the system */
  hasDevice(directoryId: string, instanceId: string): boolean {
    const { idNamespace, id } = idsOf(directoryId);
    return this.#systems.get(systemKey(idNamespace, id))?.hasDevice(instanceId) === true;
  }

  /** Security descriptor of a system, `''` where none was given. */
  descriptorOf(idNamespace: string, id: string): string | undefined {
    const key = systemKey(idNamespace, id);
    const system = this.#systems.get(key) ?? this.#unheard.get(key);
    return system && (system.plan.securityDescriptor ?? '');
  }

  /** Properties of the systems of an id space that a query asks for. */
  enumerate(idNamespace: string, { Ids, Names, Types, Owners }: SystemQuery): Properties[] {
    const matches = (system: Properties): boolean =>
      isOneOf(system.Id, Ids) &&
      isOneOf(system.Name, Names) &&
      isOneOf(system.SystemType, Types) &&
      isOneOf(system.Owner, Owners);
    const found: Properties[] = [];
    for (const [key, system] of this.#systems) {
      if (!system.isListed || !key.startsWith(systemKey(idNamespace, ''))) continue;
      const properties = basicProperties(system);
      if (matches(properties)) found.push(properties);
    }
    return found;
  }

  /** What the engine calls the template that a document names. */
  #template(name: string, idNamespace: string, document: ComputeSystem): string | undefined {
    const id = document.VirtualMachine?.RestoreState?.TemplateSystemId;
    if (id === undefined) return undefined;
    const at = '$.VirtualMachine.RestoreState.TemplateSystemId';
    const system = this.#systems.get(systemKey(idNamespace, id));
    if (system === undefined) {
      throw failure(name, 'HCS_E_SYSTEM_NOT_FOUND', `${at}: no compute system has the id "${id}"`);
    }
    if (system.state === 'SavedAsTemplate') return system.plan.directoryId;
    throw failure(
      name,
      'HCS_E_INVALID_STATE',
      `${at}: the system "${id}" is ${system.state.toLowerCase()}, not saved as a template: pause it, and save it with SaveType AsTemplate`,
    );
  }

  #requireNotLeft(name: string, key: string, id: string): void {
    const reason = this.#left.get(key);
    if (reason === undefined) return;
    const message = `the system "${id}" is there from before, and could not be taken over: ${reason}`;
    throw failure(name, 'HCS_E_INVALID_STATE', message);
  }

  /** Keeps the end of a system until somebody has heard of it, or {@link MOST_UNHEARD} others have ended since. */
  #keepUnheard(key: string, system: ServedSystem): void {
    this.#unheard.set(key, system);
    for (const [oldest, { kept }] of this.#unheard) {
      if (this.#unheard.size <= MOST_UNHEARD) return;
      this.#unheard.delete(oldest);
      kept?.forget();
    }
  }

  /** Lets somebody hear of the end of a system, which is forgotten when that handle is closed. */
  #holdUnheard(key: string, system: ServedSystem, listener: SystemListener): SystemAccess {
    system.handles.add(listener);
    setImmediate(() => {
      if (!system.handles.has(listener)) return;
      const exit = JSON.stringify(system.exit);
      listener.event(HCS_EVENT_TYPE.HcsEventSystemExited, exit);
      listener.ended(exit);
    });
    return new ServedAccess(system, () => {
      system.handles.delete(listener);
      if (system.handles.size > 0 || this.#unheard.get(key) !== system) return;
      this.#unheard.delete(key);
      system.kept?.forget();
    });
  }

  #hold(system: ServedSystem, listener: SystemListener): SystemAccess {
    system.wasHeld = true;
    this.#holders.add(listener);
    system.handles.add(listener);
    return new ServedAccess(system, () => {
      this.#holders.delete(listener);
      system.handles.delete(listener);
      if (system.handles.size > 0 || system.isLeft) return;
      // Whoever held it has heard of its end by now.
      if (system.exit !== undefined) system.kept?.forget();
      if (system.plan.document.ShouldTerminateOnLastHandleClosed !== true) return;
      system.terminate('HcsTerminateComputeSystem').catch(() => {});
    });
  }
}

/** A system of this process behind one handle. */
class ServedAccess implements SystemAccess {
  readonly #system: ServedSystem;
  readonly #release: () => void;

  constructor(system: ServedSystem, release: () => void) {
    this.#system = system;
    this.#release = release;
  }

  get kind(): SystemKind {
    return this.#system.plan.kind;
  }

  get directoryId(): string {
    return this.#system.plan.directoryId;
  }

  get isOver(): boolean {
    return this.#system.exit !== undefined;
  }

  async call(call: SystemCall, cancellation: Cancellation): Promise<string | null> {
    const document = await call.run(this.#system, cancellation);
    return typeof document === 'string' ? document : null;
  }

  async close(): Promise<void> {
    this.#release();
  }
}

function isOneOf(value: string | undefined, list: readonly string[] | undefined): boolean {
  return list === undefined || list.length === 0 || (value !== undefined && list.includes(value));
}
