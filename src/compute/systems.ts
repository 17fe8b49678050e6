// Longer than most files: one class has all functions of the contract on compute systems.
import {
  GENERIC_ALL,
  HCS_CREATE_OPTIONS_VERSION_1,
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
import type { SystemQuery } from '../hcs/schema/documents.ts';
import { readOptions } from './call-options.ts';
import { parseCreateDocument } from './create-document.ts';
import { failure } from './failure.ts';
import { nextHandleNumber } from './handle-numbers.ts';
import { checkCallback, type Operations, settles } from './operations.ts';
import type { ServiceAccess, SystemAccess } from './service-access.ts';
import { readSystemCall, SYSTEM_FUNCTIONS, type SystemFunction } from './system-calls.ts';
import { SystemHandle } from './system-handle.ts';
import { checkSystemId } from './system-id.ts';

interface OpenHandle {
  readonly handle: SystemHandle;
  readonly access: SystemAccess;
}

/** The handles of compute systems in this process, and the functions on them, over a service here or elsewhere. */
export class Systems implements SystemFunctions {
  readonly #service: ServiceAccess;
  readonly #operations: Operations;
  readonly #open = new Map<bigint, OpenHandle>();

  constructor(service: ServiceAccess, operations: Operations) {
    this.#service = service;
    this.#operations = operations;
  }

  /** What the directory of device hosts calls the system, not ended, behind an open handle. */
  directoryIdOf(handle: bigint): string | undefined {
    const access = this.#open.get(handle)?.access;
    return access?.isOver === false ? access.directoryId : undefined;
  }

  /** Throws unless the handle is open. */
  require(name: string, computeSystem: HCS_SYSTEM): void {
    this.#find(name, computeSystem);
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
    const options: HCS_CREATE_OPTIONS_1 = {
      Version: HCS_CREATE_OPTIONS_VERSION_1,
      SecurityDescriptor: securityDescriptor,
    };
    return this.#create(name, '', id, configuration, operation, options);
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
    const { handle, access } = this.#find('HcsCloseComputeSystem', computeSystem);
    this.#open.delete(computeSystem);
    const closed = handle.close();
    await access.close();
    await closed;
  }

  HcsStartComputeSystem(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    options: string | null,
  ): void {
    this.#track('HcsStartComputeSystem', computeSystem, operation, options);
  }

  HcsShutDownComputeSystem(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    options: string | null,
  ): void {
    this.#track('HcsShutDownComputeSystem', computeSystem, operation, options);
  }

  HcsTerminateComputeSystem(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    options: string | null,
  ): void {
    this.#track('HcsTerminateComputeSystem', computeSystem, operation, options);
  }

  HcsCrashComputeSystem(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    options: string | null,
  ): void {
    this.#track('HcsCrashComputeSystem', computeSystem, operation, options);
  }

  HcsPauseComputeSystem(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    options: string | null,
  ): void {
    this.#track('HcsPauseComputeSystem', computeSystem, operation, options);
  }

  HcsResumeComputeSystem(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    options: string | null,
  ): void {
    this.#track('HcsResumeComputeSystem', computeSystem, operation, options);
  }

  HcsSaveComputeSystem(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    options: string | null,
  ): void {
    this.#track('HcsSaveComputeSystem', computeSystem, operation, options);
  }

  HcsGetComputeSystemProperties(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    propertyQuery: string | null,
  ): void {
    this.#track('HcsGetComputeSystemProperties', computeSystem, operation, propertyQuery);
  }

  HcsModifyComputeSystem(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    configuration: string,
    _identity: HANDLE | null,
  ): void {
    this.#track('HcsModifyComputeSystem', computeSystem, operation, configuration);
  }

  async HcsWaitForComputeSystemExit(
    computeSystem: HCS_SYSTEM,
    timeoutMs: number,
  ): Promise<string | null> {
    const name = 'HcsWaitForComputeSystemExit';
    const { handle } = this.#find(name, computeSystem);
    const isDecided = (): boolean => handle.exit !== undefined || handle.isDisconnected;
    if (!isDecided() && !(await settles(handle.exitWaiters, timeoutMs))) {
      throw new HcsError({ function: name, hresult: HRESULT.HCS_E_OPERATION_TIMEOUT });
    }
    if (handle.exit !== undefined) return handle.exit;
    if (!handle.isOpen) throw closed(name, computeSystem);
    throw new HcsError({ function: name, hresult: HRESULT.HCS_E_SERVICE_DISCONNECT });
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
    const type = HCS_OPERATION_TYPE.HcsOperationTypeEnumerate;
    this.#operations.track(name, type, operation, undefined, () => {
      const checked = readOptions<SystemQuery>('SystemQuery', query, name);
      return (cancellation) => this.#service.enumerate(name, idNamespace, checked, cancellation);
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
    const securityDescriptor = descriptorText(name, options?.SecurityDescriptor);
    const callback = checkCallback(name, Callback);
    if (callback !== null) {
      handle.register({ options: CallbackOptions, context: CallbackContext, callback });
    }
    const type = HCS_OPERATION_TYPE.HcsOperationTypeCreate;
    this.#operations.track(name, type, operation, handle, () => {
      checkSystemId(name, id);
      if (idNamespace !== '') checkSystemId(name, idNamespace, 'the id space');
      const document = parseCreateDocument(name, configuration);
      const request = {
        ...{ function: name, idNamespace, id, configuration, document, securityDescriptor },
      };
      const { access, build } = this.#service.create(request, handle);
      this.#open.set(handle.handle, { handle, access });
      return build;
    });
    return handle.handle;
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
    const handle = new SystemHandle(nextHandleNumber() as HCS_SYSTEM);
    const access = await this.#service.open(name, idNamespace, id, handle);
    this.#open.set(handle.handle, { handle, access });
    return handle.handle;
  }

  #find(name: string, computeSystem: HCS_SYSTEM): OpenHandle {
    const open = this.#open.get(computeSystem);
    if (open === undefined) throw closed(name, computeSystem);
    return open;
  }

  #track(
    name: SystemFunction,
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    text: string | null,
  ): void {
    const { handle, access } = this.#find(name, computeSystem);
    this.#operations.track(name, SYSTEM_FUNCTIONS[name], operation, handle, () => {
      const call = readSystemCall(name, text, access.kind);
      return (cancellation) => access.call(call, cancellation);
    });
  }
}

function descriptorText(
  name: string,
  descriptor: SECURITY_DESCRIPTOR | null | undefined,
): string | undefined {
  if (descriptor === null || descriptor === undefined || descriptor === '') return undefined;
  if (typeof descriptor === 'string') return descriptor;
  const message =
    'the security descriptor is an address: this service takes null, or its text (SDDL)';
  throw failure(name, 'E_INVALIDARG', message);
}

function closed(name: string, computeSystem: bigint): HcsError {
  return new HcsError({
    function: name,
    hresult: HRESULT.ERROR_INVALID_HANDLE,
    message: `compute system handle ${String(computeSystem)} is not open: it was closed, or is of another host`,
  });
}
