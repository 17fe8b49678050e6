import type { ComputeSystem, Properties, SystemQuery } from '../hcs/schema/documents.ts';
import type { Cancellation } from './cancellation.ts';
import type { CpuGroups } from './cpu-groups.ts';
import type { CrashReportOptions } from './crash-reports.ts';
import { checkCreateDocument } from './create-document.ts';
import type { DeviceDirectory } from './device-directory.ts';
import type { Engine } from './engine.ts';
import { failure } from './failure.ts';
import type { HostInformation } from './host-information.ts';
import { ServedSystem } from './served-system.ts';
import type { ServedSystemRecord } from './served-system-record.ts';
import type { CreateRequest, Creation, SystemAccess } from './service-access.ts';
import type { SystemCall } from './system-calls.ts';
import { directoryIdOf, runtimeIdOf, systemKey } from './system-id.ts';
import type { SystemKind } from './system-kind.ts';
import type { SystemListener } from './system-listener.ts';
import { basicProperties } from './system-properties.ts';

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
}

/** The compute systems of a service, and who holds them. */
export class ServedSystems {
  readonly #options: ComputeServiceOptions;
  readonly #groups: CpuGroups;
  /** Systems that have not stopped, or whose devices are still on, by id space and id. */
  readonly #systems = new Map<string, ServedSystem>();
  readonly #holders = new Set<SystemListener>();

  constructor(options: ComputeServiceOptions, groups: CpuGroups) {
    this.#options = options;
    this.#groups = groups;
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

  /** @throws HcsError as {@link ServiceAccess.create} */
  create(request: CreateRequest, listener: SystemListener): Creation {
    const { function: name, idNamespace, id } = request;
    const key = systemKey(idNamespace, id);
    const { directory, engines } = this.#options;
    const checked = checkCreateDocument(name, request.document, engines);
    if (this.#systems.has(key)) {
      throw failure(
        name,
        'HCS_E_SYSTEM_ALREADY_EXISTS',
        `a compute system has the id "${id}": terminate it, or choose another id`,
      );
    }
    const directoryId = directoryIdOf(idNamespace, id);
    const system = new ServedSystem({
      ...checked,
      idNamespace,
      id,
      configuration: request.configuration,
      securityDescriptor: request.securityDescriptor,
      owner: request.owner,
      template: this.#template(name, idNamespace, checked.document),
      groups: this.#groups,
      directoryId,
      runtimeId: runtimeIdOf(id),
      directory,
      stopped: () => {
        this.#systems.delete(key);
        directory.forget(directoryId);
      },
    });
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
    const system = this.#systems.get(systemKey(idNamespace, id));
    if (system !== undefined) return this.#hold(system, listener);
    throw failure(name, 'HCS_E_SYSTEM_NOT_FOUND', `no compute system has the id "${id}"`);
  }

  /** Security descriptor of a system, `''` where none was given. */
  descriptorOf(idNamespace: string, id: string): string | undefined {
    const system = this.#systems.get(systemKey(idNamespace, id));
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

  #hold(system: ServedSystem, listener: SystemListener): SystemAccess {
    this.#holders.add(listener);
    system.handles.add(listener);
    return new ServedAccess(system, () => {
      this.#holders.delete(listener);
      system.handles.delete(listener);
      if (system.handles.size > 0) return;
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
