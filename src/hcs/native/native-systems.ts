// Longer than most files: one class has all functions of the contract on compute systems.
import type { OutCell } from '../../ffi/abi.ts';
import { structBytes, structLayout } from '../../ffi/struct-layout.ts';
import { HCS_CREATE_OPTIONS_VERSION_1 } from '../core/constants.ts';
import type {
  HANDLE,
  HCS_CREATE_OPTIONS_1,
  HCS_EVENT_CALLBACK,
  HCS_OPERATION,
  HCS_SYSTEM,
  SECURITY_DESCRIPTOR,
} from '../core/handles.ts';
import type { SystemFunctions } from '../core/system-functions.ts';
import { blockingCalls } from './blocking-calls.ts';
import { COMPUTE_CORE_ABI } from './compute-core-abi.ts';
import { descriptorAddress } from './descriptor-address.ts';
import { EventHandle, prepareRegistration, type Registration } from './event-handle.ts';
import { waitForExit } from './exit-wait.ts';
import { forgetContext } from './native-callbacks.ts';
import type { ComputeCoreLibrary } from './native-libraries.ts';
import type { NativeOperations } from './native-operations.ts';
import { check, checkCallback, invalid, notOpen } from './native-result.ts';

const CREATE_OPTIONS = structLayout(COMPUTE_CORE_ABI, 'HCS_CREATE_OPTIONS_1');

/** The calls on a system with one options document. */
type SimpleCall =
  | 'HcsStartComputeSystem'
  | 'HcsShutDownComputeSystem'
  | 'HcsTerminateComputeSystem'
  | 'HcsCrashComputeSystem'
  | 'HcsPauseComputeSystem'
  | 'HcsResumeComputeSystem'
  | 'HcsSaveComputeSystem'
  | 'HcsGetComputeSystemProperties'
  | 'HcsInitializeLiveMigrationOnSource'
  | 'HcsStartLiveMigrationOnSource'
  | 'HcsStartLiveMigrationTransfer'
  | 'HcsFinalizeLiveMigration'
  | 'HcsCancelLiveMigration';

/** A handle of a compute system. */
class SystemHandle extends EventHandle {
  readonly id: string;

  constructor(native: bigint, id: string, mayBeNamed: (operation: bigint) => boolean) {
    super(native, mayBeNamed);
    this.id = id;
  }
}

/** Handles of compute systems, and the functions on them. */
export class NativeSystems implements SystemFunctions {
  readonly #library: ComputeCoreLibrary;
  readonly #operations: NativeOperations;
  readonly #open = new Map<bigint, SystemHandle>();
  /** How often everything was closed: what began to be opened before is closed as well. */
  #closes = 0;

  constructor(library: ComputeCoreLibrary, operations: NativeOperations) {
    this.#library = library;
    this.#operations = operations;
  }

  isOpen(handle: bigint): boolean {
    return this.#open.has(handle);
  }

  /** Id of the system behind an open handle. */
  idOf(handle: bigint): string | undefined {
    return this.#open.get(handle)?.id;
  }

  /** Closes what is open, and says so to event callbacks. */
  async closeAll(): Promise<void> {
    this.#closes++;
    for (const handle of [...this.#open.values()]) handle.disconnect();
    const open = [...this.#open.keys()] as HCS_SYSTEM[];
    await Promise.all(open.map((system) => this.HcsCloseComputeSystem(system)));
  }

  /** The open handle, for functions that take it besides these. @throws HcsError ERROR_INVALID_HANDLE */
  find(name: string, handle: HCS_SYSTEM): EventHandle {
    const system = this.#open.get(handle);
    if (system === undefined) throw notOpen(name, 'compute system handle', handle);
    return system;
  }

  /** Makes a call that takes a system, an operation and one document. */
  call(
    name: SimpleCall,
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    document: string | null,
  ): void {
    const { native } = this.find(name, computeSystem);
    const call = this.#library.core.function(name);
    this.#operations.track(name, operation, (tracker) => call(native, tracker, document));
  }

  HcsEnumerateComputeSystems(query: string | null, operation: HCS_OPERATION): void {
    const name = 'HcsEnumerateComputeSystems';
    const call = this.#library.core.function(name);
    this.#operations.track(name, operation, (tracker) => call(query, tracker));
  }

  HcsEnumerateComputeSystemsInNamespace(
    idNamespace: string,
    query: string | null,
    operation: HCS_OPERATION,
  ): void {
    const name = 'HcsEnumerateComputeSystemsInNamespace';
    const call = this.#library.core.function(name);
    this.#operations.track(name, operation, (tracker) => call(idNamespace, query, tracker));
  }

  HcsCreateComputeSystem(
    id: string,
    configuration: string,
    operation: HCS_OPERATION,
    securityDescriptor: SECURITY_DESCRIPTOR | null,
  ): HCS_SYSTEM {
    const name = 'HcsCreateComputeSystem';
    const create = this.#library.core.function(name);
    return this.#create(name, id, operation, (tracker, cell) =>
      create(id, configuration, tracker, descriptorAddress(name, securityDescriptor), cell),
    );
  }

  HcsCreateComputeSystemInNamespace(
    idNamespace: string,
    id: string,
    configuration: string,
    operation: HCS_OPERATION,
    options: HCS_CREATE_OPTIONS_1 | null,
  ): HCS_SYSTEM {
    const name = 'HcsCreateComputeSystemInNamespace';
    const create = this.#library.core.function(name);
    if (options !== null && options.Version !== HCS_CREATE_OPTIONS_VERSION_1) {
      throw invalid(name, `options.Version is ${options.Version}, not 0x00010000`);
    }
    const registration = registrationOf(name, options);
    const bytes = options === null ? null : createOptions(name, options, registration);
    try {
      return this.#create(
        name,
        id,
        operation,
        (tracker, cell) => create(idNamespace, id, configuration, tracker, bytes, cell),
        registration,
      );
    } catch (error) {
      if (registration !== undefined) forgetContext(registration.number);
      throw error;
    }
  }

  async HcsOpenComputeSystem(id: string, requestedAccess: number): Promise<HCS_SYSTEM> {
    const name = 'HcsOpenComputeSystem';
    const open = this.#library.core.function(name);
    const cell: OutCell = [0];
    const closes = this.#closes;
    check(name, await blockingCalls.run(() => open.async(id, requestedAccess, cell)));
    return await this.#opened(name, id, closes, cell);
  }

  async HcsOpenComputeSystemInNamespace(
    idNamespace: string,
    id: string,
    requestedAccess: number,
  ): Promise<HCS_SYSTEM> {
    const name = 'HcsOpenComputeSystemInNamespace';
    const open = this.#library.core.function(name);
    const cell: OutCell = [0];
    const closes = this.#closes;
    check(name, await blockingCalls.run(() => open.async(idNamespace, id, requestedAccess, cell)));
    return await this.#opened(name, id, closes, cell);
  }

  async HcsCloseComputeSystem(computeSystem: HCS_SYSTEM): Promise<void> {
    const name = 'HcsCloseComputeSystem';
    const system = this.find(name, computeSystem);
    const close = this.#library.core.function(name);
    this.#open.delete(computeSystem);
    await new Promise<void>((resolve, reject) => {
      system.close(() => {
        blockingCalls.run(async () => await close.async(system.native)).then(resolve, reject);
      });
    });
  }

  HcsStartComputeSystem(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    options: string | null,
  ): void {
    this.call('HcsStartComputeSystem', computeSystem, operation, options);
  }

  HcsShutDownComputeSystem(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    options: string | null,
  ): void {
    this.call('HcsShutDownComputeSystem', computeSystem, operation, options);
  }

  HcsTerminateComputeSystem(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    options: string | null,
  ): void {
    this.call('HcsTerminateComputeSystem', computeSystem, operation, options);
  }

  HcsCrashComputeSystem(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    options: string | null,
  ): void {
    this.call('HcsCrashComputeSystem', computeSystem, operation, options);
  }

  HcsPauseComputeSystem(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    options: string | null,
  ): void {
    this.call('HcsPauseComputeSystem', computeSystem, operation, options);
  }

  HcsResumeComputeSystem(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    options: string | null,
  ): void {
    this.call('HcsResumeComputeSystem', computeSystem, operation, options);
  }

  HcsSaveComputeSystem(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    options: string | null,
  ): void {
    this.call('HcsSaveComputeSystem', computeSystem, operation, options);
  }

  HcsGetComputeSystemProperties(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    propertyQuery: string | null,
  ): void {
    this.call('HcsGetComputeSystemProperties', computeSystem, operation, propertyQuery);
  }

  HcsModifyComputeSystem(
    computeSystem: HCS_SYSTEM,
    operation: HCS_OPERATION,
    configuration: string,
    identity: HANDLE | null,
  ): void {
    const name = 'HcsModifyComputeSystem';
    const { native } = this.find(name, computeSystem);
    const call = this.#library.core.function(name);
    this.#operations.track(name, operation, (tracker) =>
      call(native, tracker, configuration, identity ?? 0n),
    );
  }

  async HcsWaitForComputeSystemExit(
    computeSystem: HCS_SYSTEM,
    timeoutMs: number,
  ): Promise<string | null> {
    const name = 'HcsWaitForComputeSystemExit';
    const system = this.find(name, computeSystem);
    const wait = this.#library.core.function(name);
    return await waitForExit(this.#library.system(), name, system, timeoutMs, (ms, cell) =>
      wait.async(system.native, ms, cell),
    );
  }

  HcsSetComputeSystemCallback(
    computeSystem: HCS_SYSTEM,
    callbackOptions: number,
    context: unknown,
    callback: HCS_EVENT_CALLBACK | null,
  ): void {
    const name = 'HcsSetComputeSystemCallback';
    const system = this.find(name, computeSystem);
    const set = this.#library.core.function(name);
    system.setCallback(name, callbackOptions, context, callback, (number, address) =>
      set(system.native, callbackOptions, number, address),
    );
  }

  #create(
    name: 'HcsCreateComputeSystem' | 'HcsCreateComputeSystemInNamespace',
    id: string,
    operation: HCS_OPERATION,
    create: (tracker: bigint, cell: OutCell) => number,
    registration?: Registration,
  ): HCS_SYSTEM {
    const cell: OutCell = [0];
    try {
      this.#operations.track(name, operation, (tracker) => create(tracker, cell));
    } catch (error) {
      // A creation that was refused may have stored a handle, which nobody else would close.
      if (Number(cell[0]) !== 0) void this.HcsCloseComputeSystem(this.#handle(cell, id));
      throw error;
    }
    const system = this.#add(cell, id);
    if (registration !== undefined) system.adopt(registration);
    return system.native as HCS_SYSTEM;
  }

  async #opened(name: string, id: string, closes: number, cell: OutCell): Promise<HCS_SYSTEM> {
    const system = this.#handle(cell, id);
    if (closes === this.#closes) return system;
    await this.HcsCloseComputeSystem(system);
    throw notOpen(name, 'compute system handle', system);
  }

  #handle(cell: OutCell, id: string): HCS_SYSTEM {
    return this.#add(cell, id).native as HCS_SYSTEM;
  }

  #add([address]: OutCell, id: string): SystemHandle {
    const system = new SystemHandle(BigInt(address), id, (operation) =>
      this.#operations.mayBeNamed(operation),
    );
    this.#open.set(system.native, system);
    return system;
  }
}

function registrationOf(
  name: string,
  options: HCS_CREATE_OPTIONS_1 | null,
): Registration | undefined {
  const callback = checkCallback(name, options?.Callback);
  if (callback === null) return undefined;
  return prepareRegistration(
    name,
    options?.CallbackOptions ?? 0,
    options?.CallbackContext,
    callback,
  );
}

function createOptions(
  name: string,
  options: HCS_CREATE_OPTIONS_1,
  registration: Registration | undefined,
): Uint8Array {
  return structBytes(CREATE_OPTIONS, {
    Version: options.Version,
    UserToken: options.UserToken ?? 0n,
    SecurityDescriptor: descriptorAddress(name, options.SecurityDescriptor) ?? 0n,
    CallbackOptions: options.CallbackOptions ?? 0,
    CallbackContext: registration?.number ?? 0,
    Callback: registration?.address ?? 0,
  });
}
