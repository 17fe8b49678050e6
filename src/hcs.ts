/** The Host Compute System: computecore.dll function by function, bound to the selected host, and what stands on it. */
import './hosts/index.ts';

export {
  NativeLibraryError,
  type NativeLibraryProblem,
  NotSupportedError,
} from './ffi/native-library-error.ts';
export type { CallOptions } from './hcs/call.ts';
export {
  COMPUTE_CORE_FUNCTIONS,
  type ComputeCore,
  type ComputeCoreFunction,
} from './hcs/compute-core.ts';
export { COMPUTE_STORAGE_FUNCTIONS, type ComputeStorage } from './hcs/compute-storage.ts';
export { ComputeSystem, type CoreOptions } from './hcs/compute-system.ts';
export * from './hcs/core/constants.ts';
export type * from './hcs/core/handles.ts';
export * from './hcs/functions.ts';
export { HcsError, type HcsErrorEvent } from './hcs/hcs-error.ts';
export { formatHresult, HRESULT, hresultName } from './hcs/hresult.ts';
export { connectHvSocket, listenHvSocket } from './hcs/hv-socket.ts';
/** Types of the documents of schema 2. */
export type * as Schema from './hcs/schema/documents.ts';
export * from './hcs/storage-functions.ts';
export type { SystemEvent } from './hcs/system-event.ts';
export { vsockServiceId } from './hcs/vsock-service-id.ts';
