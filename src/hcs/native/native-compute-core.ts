import { COMPUTE_CORE_FUNCTIONS, type ComputeCore } from '../compute-core.ts';
import type { HCS_SYSTEM } from '../core/handles.ts';
import { computeCoreLibrary, type NativeLibraryOptions } from './native-libraries.ts';
import { NativeMigration } from './native-migration.ts';
import { NativeOperations } from './native-operations.ts';
import { NativeProcesses } from './native-processes.ts';
import { NativeService } from './native-service.ts';
import { NativeSystems } from './native-systems.ts';

/**
 * computecore.dll behind the contract.
 *
 * What this binding adds to the library: a handle that it closed is ERROR_INVALID_HANDLE, by name and without a native
 * call. An operation that is closed in flight is given back when its callback has come, a system's handle when no call
 * waits on it any more. Nothing that blocks runs on the JavaScript thread. Operations in flight that have a callback,
 * waits, and event callbacks until the exit was delivered keep the process alive.
 */
export interface NativeComputeCore extends ComputeCore {
  /** Id of the system behind a handle that is open here. */
  systemIdOf(computeSystem: bigint): string | undefined;
  /**
   * Makes a call on another thread that has the handle of a system, which is not given back before that ends.
   * @param name of the function that is called
   * @throws HcsError ERROR_INVALID_HANDLE when the handle is not open here
   */
  useSystem<T>(name: string, computeSystem: HCS_SYSTEM, call: () => Promise<T>): Promise<T>;
  /**
   * Closes the handles that were left open; systems whose documents say so end by that. Their event callbacks are told
   * HcsEventServiceDisconnect; operations in flight whose callbacks are to come are not closed. Safe to call twice.
   */
  close(): Promise<void>;
}

/** Binds computecore.dll; it is loaded by the first call. */
export function createNativeComputeCore(options: NativeLibraryOptions): NativeComputeCore {
  const library = computeCoreLibrary(options);
  const operations: NativeOperations = new NativeOperations(library, {
    isOpenSystem: (handle) => systems.isOpen(handle),
    isOpenProcess: (handle) => processes.isOpen(handle),
  });
  const systems = new NativeSystems(library, operations);
  const processes = new NativeProcesses(library, operations, systems);
  const core = bindFunctions(
    operations,
    systems,
    new NativeMigration(systems),
    processes,
    new NativeService(library),
  );
  return {
    ...core,
    systemIdOf: (handle) => systems.idOf(handle),
    useSystem: async (name, computeSystem, call) => systems.find(name, computeSystem).use(call),
    close: async () => {
      operations.closeAll();
      await Promise.all([processes.closeAll(), systems.closeAll()]);
    },
  };
}

/** One object of all functions of the contract, each with the group that has it. */
function bindFunctions(...groups: readonly Partial<ComputeCore>[]): ComputeCore {
  return Object.fromEntries(
    COMPUTE_CORE_FUNCTIONS.map((name) => {
      const group = groups.find((candidate) => candidate[name] !== undefined);
      return [name, group?.[name]?.bind(group)];
    }),
  ) as unknown as ComputeCore;
}
