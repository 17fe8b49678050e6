declare const brand: unique symbol;

/** A `bigint` that stands for one kind of opaque pointer, so that handles cannot be mixed up. */
export type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** A compute system as one caller sees it. Opaque; `0n` is invalid; open until `HcsCloseComputeSystem`. */
export type HCS_SYSTEM = Brand<bigint, 'HCS_SYSTEM'>;

/** A process in a compute system. Opaque; `0n` is invalid; open until `HcsCloseProcess`. */
export type HCS_PROCESS = Brand<bigint, 'HCS_PROCESS'>;

/** Tracks one call at a time. Opaque; `0n` is invalid; open until `HcsCloseOperation`. */
export type HCS_OPERATION = Brand<bigint, 'HCS_OPERATION'>;

/** A Windows HANDLE, or what stands for one: a token, file, job, socket or disk. `0n` is none. */
export type HANDLE = bigint;

/**
 * Who may do what with a system: for Windows the address of a SECURITY_DESCRIPTOR, for the service of this package its
 * text in the string format (SDDL), which a daemon enforces.
 */
export type SECURITY_DESCRIPTOR = bigint | string;

/** HCS_PROCESS_INFORMATION: the process's id in its system, and the caller's ends of its pipes; `0n` is no pipe. */
export interface HCS_PROCESS_INFORMATION {
  readonly ProcessId: number;
  readonly StdInput: HANDLE;
  readonly StdOutput: HANDLE;
  readonly StdError: HANDLE;
}

/** HCS_EVENT, as event callbacks receive it. */
export interface HCS_EVENT {
  /** A value of {@link HCS_EVENT_TYPE}, unsigned. */
  readonly Type: number;
  /** JSON document that belongs to the type, or null. */
  readonly EventData: string | null;
  /** The operation concerned, for HcsEventOperationCallback and HcsEventGroupOperationInfo; else `0n`. */
  readonly Operation: HCS_OPERATION;
}

/**
 * HCS_OPERATION_COMPLETION: called once when the tracked call has completed, on a later turn of the event loop than the
 * call itself, and not at all when the call threw. It may read the result and close the operation.
 *
 * A host may call it before the function that started the operation has stored what it returns (a new handle, for
 * example): take handles from `HcsGetComputeSystemFromOperation` in here. What it throws is an uncaught exception.
 */
export type HCS_OPERATION_COMPLETION = (operation: HCS_OPERATION, context: unknown) => void;

/**
 * HCS_EVENT_CALLBACK: called for the events of one handle in order, each on a turn of its own. Must return quickly and
 * must not close the handle it belongs to. What it throws is an uncaught exception.
 */
export type HCS_EVENT_CALLBACK = (event: HCS_EVENT, context: unknown) => void;

/** HCS_CREATE_OPTIONS_1: what `HcsCreateComputeSystemInNamespace` takes besides the document. */
export interface HCS_CREATE_OPTIONS_1 {
  /** `HcsCreateOptions_1`, 0x00010000. */
  readonly Version: 0x0001_0000;
  readonly UserToken?: HANDLE;
  readonly SecurityDescriptor?: SECURITY_DESCRIPTOR | null;
  /** Bits of {@link HCS_EVENT_OPTIONS}. */
  readonly CallbackOptions?: number;
  readonly CallbackContext?: unknown;
  /** Active from the moment the system exists, so no event can be missed. */
  readonly Callback?: HCS_EVENT_CALLBACK | null;
}
