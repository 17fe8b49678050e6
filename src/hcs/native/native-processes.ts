import type { OutCell } from '../../ffi/abi.ts';
import type {
  HCS_EVENT_CALLBACK,
  HCS_OPERATION,
  HCS_PROCESS,
  HCS_SYSTEM,
  SECURITY_DESCRIPTOR,
} from '../core/handles.ts';
import type { ProcessFunctions } from '../core/process-functions.ts';
import { blockingCalls } from './blocking-calls.ts';
import { descriptorAddress } from './descriptor-address.ts';
import { EventHandle } from './event-handle.ts';
import { waitForExit } from './exit-wait.ts';
import type { ComputeCoreLibrary } from './native-libraries.ts';
import type { NativeOperations } from './native-operations.ts';
import { check, notOpen } from './native-result.ts';
import type { NativeSystems } from './native-systems.ts';

/** Handles of processes in compute systems, and the functions on them. */
export class NativeProcesses implements ProcessFunctions {
  readonly #library: ComputeCoreLibrary;
  readonly #operations: NativeOperations;
  readonly #systems: NativeSystems;
  readonly #open = new Map<bigint, EventHandle>();

  constructor(library: ComputeCoreLibrary, operations: NativeOperations, systems: NativeSystems) {
    this.#library = library;
    this.#operations = operations;
    this.#systems = systems;
  }

  isOpen(handle: bigint): boolean {
    return this.#open.has(handle);
  }

  /** Closes what is open, and says so to event callbacks. */
  async closeAll(): Promise<void> {
    for (const handle of [...this.#open.values()]) handle.disconnect();
    const open = [...this.#open.keys()] as HCS_PROCESS[];
    await Promise.all(open.map((process) => this.HcsCloseProcess(process)));
  }

  HcsCreateProcess(
    computeSystem: HCS_SYSTEM,
    processParameters: string,
    operation: HCS_OPERATION,
    securityDescriptor: SECURITY_DESCRIPTOR | null,
  ): HCS_PROCESS {
    const name = 'HcsCreateProcess';
    const { native } = this.#systems.find(name, computeSystem);
    const create = this.#library.core.function(name);
    const cell: OutCell = [0];
    try {
      this.#operations.track(name, operation, (tracker) =>
        create(
          native,
          processParameters,
          tracker,
          descriptorAddress(name, securityDescriptor),
          cell,
        ),
      );
    } catch (error) {
      if (Number(cell[0]) !== 0) void this.HcsCloseProcess(this.#add(cell));
      throw error;
    }
    return this.#add(cell);
  }

  async HcsOpenProcess(
    computeSystem: HCS_SYSTEM,
    processId: number,
    requestedAccess: number,
  ): Promise<HCS_PROCESS> {
    const name = 'HcsOpenProcess';
    const system = this.#systems.find(name, computeSystem);
    const open = this.#library.core.function(name);
    const cell: OutCell = [0];
    const hresult = await system.use(() =>
      blockingCalls.run(() => open.async(system.native, processId, requestedAccess, cell)),
    );
    check(name, hresult);
    const process = this.#add(cell);
    if (system.isOpen) return process;
    // Closed meanwhile, by itself or with its host: nobody expects a process of it.
    await this.HcsCloseProcess(process);
    throw notOpen(name, 'compute system handle', computeSystem);
  }

  async HcsCloseProcess(process: HCS_PROCESS): Promise<void> {
    const name = 'HcsCloseProcess';
    const handle = this.#find(name, process);
    const close = this.#library.core.function(name);
    this.#open.delete(process);
    await new Promise<void>((resolve, reject) => {
      handle.close(() => {
        blockingCalls.run(async () => await close.async(handle.native)).then(resolve, reject);
      });
    });
  }

  HcsTerminateProcess(
    process: HCS_PROCESS,
    operation: HCS_OPERATION,
    options: string | null,
  ): void {
    this.#call('HcsTerminateProcess', process, operation, options);
  }

  HcsSignalProcess(process: HCS_PROCESS, operation: HCS_OPERATION, options: string | null): void {
    this.#call('HcsSignalProcess', process, operation, options);
  }

  HcsGetProcessInfo(process: HCS_PROCESS, operation: HCS_OPERATION): void {
    const name = 'HcsGetProcessInfo';
    const { native } = this.#find(name, process);
    const call = this.#library.core.function(name);
    this.#operations.track(name, operation, (tracker) => call(native, tracker));
  }

  HcsGetProcessProperties(
    process: HCS_PROCESS,
    operation: HCS_OPERATION,
    propertyQuery: string | null,
  ): void {
    this.#call('HcsGetProcessProperties', process, operation, propertyQuery);
  }

  HcsModifyProcess(process: HCS_PROCESS, operation: HCS_OPERATION, settings: string): void {
    this.#call('HcsModifyProcess', process, operation, settings);
  }

  HcsSetProcessCallback(
    process: HCS_PROCESS,
    callbackOptions: number,
    context: unknown,
    callback: HCS_EVENT_CALLBACK | null,
  ): void {
    const name = 'HcsSetProcessCallback';
    const handle = this.#find(name, process);
    const set = this.#library.core.function(name);
    handle.setCallback(name, callbackOptions, context, callback, (number, address) =>
      set(handle.native, callbackOptions, number, address),
    );
  }

  async HcsWaitForProcessExit(process: HCS_PROCESS, timeoutMs: number): Promise<string | null> {
    const name = 'HcsWaitForProcessExit';
    const handle = this.#find(name, process);
    const wait = this.#library.core.function(name);
    return await waitForExit(this.#library.system(), name, handle, timeoutMs, (ms, cell) =>
      wait.async(handle.native, ms, cell),
    );
  }

  #call(
    name:
      | 'HcsTerminateProcess'
      | 'HcsSignalProcess'
      | 'HcsGetProcessProperties'
      | 'HcsModifyProcess',
    process: HCS_PROCESS,
    operation: HCS_OPERATION,
    document: string | null,
  ): void {
    const { native } = this.#find(name, process);
    const call = this.#library.core.function(name);
    this.#operations.track(name, operation, (tracker) => call(native, tracker, document));
  }

  #find(name: string, process: HCS_PROCESS): EventHandle {
    const handle = this.#open.get(process);
    if (handle === undefined) throw notOpen(name, 'process handle', process);
    return handle;
  }

  #add([address]: OutCell): HCS_PROCESS {
    const handle = new EventHandle(BigInt(address), (operation) =>
      this.#operations.mayBeNamed(operation),
    );
    this.#open.set(handle.native, handle);
    return handle.native as HCS_PROCESS;
  }
}
