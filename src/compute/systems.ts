// Longer than most files: one class has all functions of the contract on compute systems.
import {
  GENERIC_ALL,
  HCS_CREATE_OPTIONS_VERSION_1,
  HCS_EVENT_TYPE,
  HCS_OPERATION_TYPE,
} from '../hcs/core/constants.ts';
import type {
  HANDLE,
  HCS_CREATE_OPTIONS_1,
  HCS_EVENT_CALLBACK,
  HCS_OPERATION,
  HCS_SYSTEM,
  SECURITY_DESCRIPTOR,
} from '../hcs/core/handles.ts';
import type { SystemFunctions } from '../hcs/core/system-functions.ts';
import { HcsError } from '../hcs/hcs-error.ts';
import { HRESULT } from '../hcs/hresult.ts';
import type {
  ComputeSystem,
  CrashOptions,
  PauseOptions,
  Properties,
  SaveOptions,
  ShutdownOptions,
  System_PropertyQuery,
  SystemQuery,
} from '../hcs/schema/documents.ts';
import { checkPauseOptions, readOptions, refuseOptions, saveTarget } from './call-options.ts';
import type { Cancellation } from './cancellation.ts';
import type { CpuGroups } from './cpu-groups.ts';
import type { CrashReportOptions } from './crash-reports.ts';
import { readCreateDocument } from './create-document.ts';
import type { DeviceDirectory } from './device-directory.ts';
import type { Engine } from './engine.ts';
import { failure } from './failure.ts';
import { nextHandleNumber } from './handle-numbers.ts';
import type { HostInformation } from './host-information.ts';
import { checkKind, readModification } from './modify-request.ts';
import { checkCallback, type Operations, settles } from './operations.ts';
import { ServedSystem } from './served-system.ts';
import { SystemHandle } from './system-handle.ts';
import { checkSystemId, runtimeIdOf } from './system-id.ts';
import { basicProperties, systemProperties } from './system-properties.ts';

const TYPE = HCS_OPERATION_TYPE;

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

interface OpenHandle {
  readonly handle: SystemHandle;
  readonly system: ServedSystem;
}

/** The compute systems of one service with their handles, and the functions on them. */
export class Systems implements SystemFunctions {
  readonly #options: ComputeServiceOptions;
  readonly #operations: Operations;
  readonly #groups: CpuGroups;
  /** Systems that have not stopped, or whose devices are still on, by id space and id. */
  readonly #systems = new Map<string, ServedSystem>();
  readonly #open = new Map<bigint, OpenHandle>();

  constructor(options: ComputeServiceOptions, operations: Operations, groups: CpuGroups) {
    this.#options = options;
    this.#operations = operations;
    this.#groups = groups;
  }

  /** What the directory of device hosts calls the system, not ended, behind an open handle. */
  directoryIdOf(handle: bigint): string | undefined {
    const system = this.#open.get(handle)?.system;
    return system?.exit === undefined ? system?.plan.directoryId : undefined;
  }

  /** Throws unless the handle is open. */
  require(name: string, computeSystem: HCS_SYSTEM): void {
    this.#find(name, computeSystem);
  }

  /** Ends all systems, for the end of the service; handles that are open are told when it is there. */
  async terminateAll(): Promise<void> {
    const systems = [...this.#systems.values()];
    await Promise.allSettled(systems.map((system) => system.end('HcsTerminateComputeSystem')));
    for (const { handle } of this.#open.values()) {
      handle.deliver(HCS_EVENT_TYPE.HcsEventServiceDisconnect, null);
    }
    await new Promise((resolve) => setImmediate(resolve));
  }

  HcsEnumerateComputeSystems(query: string | null, operation: HCS_OPERATION): void {
    this.#enumerate('HcsEnumerateComputeSystems', '', query, operation);
  }

  HcsEnumerateComputeSystemsInNamespace(
    idNamespace: string,
    query: string | null,
    operation: HCS_OPERATION,
  ): void {
    this.#enumerate('HcsEnumerateComputeSystemsInNamespace', idNamespace, query, operation);
  }

  HcsCreateComputeSystem(
    id: string,
    configuration: string,
    operation: HCS_OPERATION,
    securityDescriptor: SECURITY_DESCRIPTOR | null,
  ): HCS_SYSTEM {
    const name = 'HcsCreateComputeSystem';
    if (securityDescriptor !== null) {
      throw failure(name, 'E_INVALIDARG', 'the security descriptor is reserved: pass null');
    }
    return this.#create(name, '', id, configuration, operation, null);
  }

  HcsCreateComputeSystemInNamespace(
    idNamespace: string,
    id: string,
    configuration: string,
    operation: HCS_OPERATION,
    options: HCS_CREATE_OPTIONS_1 | null,
  ): HCS_SYSTEM {
    const name = 'HcsCreateComputeSystemInNamespace';
    if (options !== null && options.Version !== HCS_CREATE_OPTIONS_VERSION_1) {
      throw failure(name, 'E_INVALIDARG', `options.Version is ${options.Version}, not 0x00010000`);
    }
    return this.#create(name, idNamespace, id, configuration, operation, options);
  }

  HcsOpenComputeSystem(id: string, requestedAccess: number): Promise<HCS_SYSTEM> {
    return this.#openSystem('HcsOpenComputeSystem', '', id, requestedAccess);
  }

  HcsOpenComputeSystemInNamespace(
    idNamespace: string,
    id: string,
    requestedAccess: number,
  ): Promise<HCS_SYSTEM> {
    return this.#openSystem('HcsOpenComputeSystemInNamespace', idNamespace, id, requestedAccess);
  }

  async HcsCloseComputeSystem(computeSystem: HCS_SYSTEM): Promise<void> {
    const { handle, system } = this.#find('HcsCloseComputeSystem', computeSystem);
    this.#open.delete(computeSystem);
    system.handles.delete(handle);
    if (system.handles.size === 0 && system.plan.document.ShouldTerminateOnLastHandleClosed) {
      system.terminate('HcsTerminateComputeSystem').catch(() => {});
    }
    await handle.close();
  }

  HcsStartComputeSystem(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    options: string | null,
  ): void {
    const name = 'HcsStartComputeSystem';
    this.#track(name, TYPE.HcsOperationTypeStart, computeSystem, operation, (system) => {
      refuseOptions(name, options);
      return (cancellation) => system.start(name, cancellation);
    });
  }

  HcsShutDownComputeSystem(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    options: string | null,
  ): void {
    const name = 'HcsShutDownComputeSystem';
    this.#track(name, TYPE.HcsOperationTypeShutdown, computeSystem, operation, (system) => {
      const parsed = readOptions<ShutdownOptions>('ShutdownOptions', options, name);
      return (cancellation) => system.shutDown(name, parsed, cancellation);
    });
  }

  HcsTerminateComputeSystem(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    options: string | null,
  ): void {
    const name = 'HcsTerminateComputeSystem';
    this.#track(name, TYPE.HcsOperationTypeTerminate, computeSystem, operation, (system) => {
      refuseOptions(name, options);
      return (cancellation) => {
        cancellation.begin();
        return system.terminate(name);
      };
    });
  }

  HcsCrashComputeSystem(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    options: string | null,
  ): void {
    const name = 'HcsCrashComputeSystem';
    this.#track(name, TYPE.HcsOperationTypeCrash, computeSystem, operation, (system) => {
      readOptions<CrashOptions>('CrashOptions', options, name);
      return (cancellation) => system.crash(name, cancellation);
    });
  }

  HcsPauseComputeSystem(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    options: string | null,
  ): void {
    const name = 'HcsPauseComputeSystem';
    this.#track(name, TYPE.HcsOperationTypePause, computeSystem, operation, (system) => {
      checkPauseOptions(name, readOptions<PauseOptions>('PauseOptions', options, name));
      return (cancellation) => system.pause(name, cancellation);
    });
  }

  HcsResumeComputeSystem(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    options: string | null,
  ): void {
    const name = 'HcsResumeComputeSystem';
    this.#track(name, TYPE.HcsOperationTypeResume, computeSystem, operation, (system) => {
      refuseOptions(name, options);
      return (cancellation) => system.resume(name, cancellation);
    });
  }

  HcsSaveComputeSystem(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    options: string | null,
  ): void {
    const name = 'HcsSaveComputeSystem';
    this.#track(name, TYPE.HcsOperationTypeSave, computeSystem, operation, (system) => {
      const target = saveTarget(name, readOptions<SaveOptions>('SaveOptions', options, name));
      return (cancellation) => system.save(name, target, cancellation);
    });
  }

  HcsGetComputeSystemProperties(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    propertyQuery: string | null,
  ): void {
    const name = 'HcsGetComputeSystemProperties';
    this.#track(name, TYPE.HcsOperationTypeGetProperties, computeSystem, operation, (system) => {
      const query = readOptions<System_PropertyQuery>('System_PropertyQuery', propertyQuery, name);
      return async (cancellation) =>
        JSON.stringify(await systemProperties(name, system, query, cancellation));
    });
  }

  HcsModifyComputeSystem(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    configuration: string,
    _identity: HANDLE | null,
  ): void {
    const name = 'HcsModifyComputeSystem';
    this.#track(name, TYPE.HcsOperationTypeModify, computeSystem, operation, (system) => {
      const modification = readModification(name, configuration);
      const { Container } = system.plan.document;
      checkKind(name, modification, Container === undefined ? 'VirtualMachine' : 'Container');
      return (cancellation) => system.modify(name, modification, cancellation);
    });
  }

  async HcsWaitForComputeSystemExit(
    computeSystem: HCS_SYSTEM,
    timeoutMs: number,
  ): Promise<string | null> {
    const name = 'HcsWaitForComputeSystemExit';
    const { handle, system } = this.#find(name, computeSystem);
    if (!system.hasSettled && !(await settles(handle.exitWaiters, timeoutMs))) {
      throw new HcsError({ function: name, hresult: HRESULT.HCS_E_OPERATION_TIMEOUT });
    }
    if (system.exit === undefined) throw closed(name, computeSystem);
    return JSON.stringify(system.exit);
  }

  HcsSetComputeSystemCallback(
    computeSystem: HCS_SYSTEM,
    callbackOptions: number,
    context: unknown,
    callback: HCS_EVENT_CALLBACK | null,
  ): void {
    const name = 'HcsSetComputeSystemCallback';
    const { handle } = this.#find(name, computeSystem);
    const checked = checkCallback(name, callback);
    if (checked === null) {
      handle.register(undefined);
      return;
    }
    if (handle.hasCallback) {
      throw failure(
        name,
        'HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET',
        'the handle has an event callback: set null first, or open another handle',
      );
    }
    handle.register({ options: callbackOptions, context, callback: checked });
  }

  #enumerate(
    name: string,
    idNamespace: string,
    query: string | null,
    operation: HCS_OPERATION,
  ): void {
    this.#operations.track(name, TYPE.HcsOperationTypeEnumerate, operation, undefined, () => {
      const { Ids, Names, Types, Owners } = readOptions<SystemQuery>('SystemQuery', query, name);
      const matches = (system: Properties): boolean =>
        isOneOf(system.Id, Ids) &&
        isOneOf(system.Name, Names) &&
        isOneOf(system.SystemType, Types) &&
        isOneOf(system.Owner, Owners);
      return async (cancellation) => {
        cancellation.begin();
        const found: Properties[] = [];
        for (const [key, system] of this.#systems) {
          if (!system.isListed || !key.startsWith(`${idNamespace}\n`)) continue;
          const properties = basicProperties(system);
          if (matches(properties)) found.push(properties);
        }
        return JSON.stringify(found);
      };
    });
  }

  #create(
    name: string,
    idNamespace: string,
    id: string,
    configuration: string,
    operation: HCS_OPERATION,
    options: HCS_CREATE_OPTIONS_1 | null,
  ): HCS_SYSTEM {
    const handle = new SystemHandle(nextHandleNumber() as HCS_SYSTEM);
    const { Callback = null, CallbackOptions = 0, CallbackContext } = options ?? {};
    const callback = checkCallback(name, Callback);
    if (callback !== null) {
      handle.register({ options: CallbackOptions, context: CallbackContext, callback });
    }
    this.#operations.track(name, TYPE.HcsOperationTypeCreate, operation, handle, () => {
      checkSystemId(name, id);
      if (idNamespace !== '') checkSystemId(name, idNamespace, 'the id space');
      const key = `${idNamespace}\n${id}`;
      const { directory, engines } = this.#options;
      const checked = readCreateDocument(name, configuration, engines);
      if (this.#systems.has(key)) {
        throw failure(
          name,
          'HCS_E_SYSTEM_ALREADY_EXISTS',
          `a compute system has the id "${id}": terminate it, or choose another id`,
        );
      }
      const directoryId = idNamespace === '' ? id : key;
      const system = new ServedSystem({
        ...checked,
        id,
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
      this.#add(handle, system);
      return async (cancellation) => {
        cancellation.begin();
        await system.create();
        return null;
      };
    });
    return handle.handle;
  }

  /** What the engine calls the template that a document names. */
  #template(name: string, idNamespace: string, document: ComputeSystem): string | undefined {
    const id = document.VirtualMachine?.RestoreState?.TemplateSystemId;
    if (id === undefined) return undefined;
    const at = '$.VirtualMachine.RestoreState.TemplateSystemId';
    const system = this.#systems.get(`${idNamespace}\n${id}`);
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

  async #openSystem(
    name: string,
    idNamespace: string,
    id: string,
    requestedAccess: number,
  ): Promise<HCS_SYSTEM> {
    if (requestedAccess >>> 0 !== GENERIC_ALL) {
      throw failure(name, 'E_INVALIDARG', 'requestedAccess is reserved: pass GENERIC_ALL');
    }
    checkSystemId(name, id);
    if (idNamespace !== '') checkSystemId(name, idNamespace, 'the id space');
    const system = this.#systems.get(`${idNamespace}\n${id}`);
    if (system === undefined) {
      throw failure(name, 'HCS_E_SYSTEM_NOT_FOUND', `no compute system has the id "${id}"`);
    }
    const handle = new SystemHandle(nextHandleNumber() as HCS_SYSTEM);
    this.#add(handle, system);
    return handle.handle;
  }

  #add(handle: SystemHandle, system: ServedSystem): void {
    this.#open.set(handle.handle, { handle, system });
    system.handles.add(handle);
  }

  #find(name: string, computeSystem: HCS_SYSTEM): OpenHandle {
    const open = this.#open.get(computeSystem);
    if (open === undefined) throw closed(name, computeSystem);
    return open;
  }

  #track(
    name: string,
    type: HCS_OPERATION_TYPE,
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    prepare: (system: ServedSystem) => (cancellation: Cancellation) => Promise<unknown>,
  ): void {
    const { handle, system } = this.#find(name, computeSystem);
    this.#operations.track(name, type, operation, handle, () => {
      const work = prepare(system);
      return async (cancellation) => {
        const document = await work(cancellation);
        return typeof document === 'string' ? document : null;
      };
    });
  }
}

function isOneOf(value: string | undefined, list: readonly string[] | undefined): boolean {
  return list === undefined || list.length === 0 || (value !== undefined && list.includes(value));
}

function closed(name: string, computeSystem: bigint): HcsError {
  return new HcsError({
    function: name,
    hresult: HRESULT.ERROR_INVALID_HANDLE,
    message: `compute system handle ${String(computeSystem)} is not open: it was closed, or is of another host`,
  });
}
