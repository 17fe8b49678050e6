/** Names and values of HCS_OPERATION_TYPE: the call that an operation tracked last. */
export const HCS_OPERATION_TYPE = {
  HcsOperationTypeNone: -1,
  HcsOperationTypeEnumerate: 0,
  HcsOperationTypeCreate: 1,
  HcsOperationTypeStart: 2,
  HcsOperationTypeShutdown: 3,
  HcsOperationTypePause: 4,
  HcsOperationTypeResume: 5,
  HcsOperationTypeSave: 6,
  HcsOperationTypeTerminate: 7,
  HcsOperationTypeModify: 8,
  HcsOperationTypeGetProperties: 9,
  HcsOperationTypeCreateProcess: 10,
  HcsOperationTypeSignalProcess: 11,
  HcsOperationTypeGetProcessInfo: 12,
  HcsOperationTypeGetProcessProperties: 13,
  HcsOperationTypeModifyProcess: 14,
  HcsOperationTypeCrash: 15,
  HcsOperationTypeReserved1: 16,
  HcsOperationTypeReserved2: 17,
  HcsOperationTypeReserved3: 18,
  HcsOperationTypeLiveMigration: 19,
} as const;

/** A value of {@link HCS_OPERATION_TYPE}. */
export type HCS_OPERATION_TYPE = (typeof HCS_OPERATION_TYPE)[keyof typeof HCS_OPERATION_TYPE];

/** Names and values of HCS_EVENT_TYPE, unsigned. */
export const HCS_EVENT_TYPE = {
  /** Never delivered. */
  HcsEventInvalid: 0x0000_0000,
  /** The system stopped, for any reason. Data: SystemExitStatus. */
  HcsEventSystemExited: 0x0000_0001,
  /** The guest began to crash. Data: CrashReport. */
  HcsEventSystemCrashInitiated: 0x0000_0002,
  /** Crash handling finished. Data: CrashReport, as `HcsSubmitWerReport` takes it. */
  HcsEventSystemCrashReport: 0x0000_0003,
  HcsEventSystemRdpEnhancedModeStateChanged: 0x0000_0004,
  /** Reserved. */
  HcsEventSystemSiloJobCreated: 0x0000_0005,
  HcsEventSystemGuestConnectionClosed: 0x0000_0006,
  /** Processes only. Data: ProcessStatus. */
  HcsEventProcessExited: 0x0001_0000,
  /** An operation on the handle completed; only with HcsEventOptionEnableOperationCallbacks. */
  HcsEventOperationCallback: 0x0100_0000,
  /** The connection to the service is lost: handles are dead. */
  HcsEventServiceDisconnect: 0x0200_0000,
  /** Only with HcsEventOptionEnableVmLifecycle. Its document is not published. */
  HcsEventGroupVmLifecycle: 0x8000_0002,
  /** Only with HcsEventOptionEnableLiveMigrationEvents. */
  HcsEventGroupLiveMigration: 0x8000_0003,
  /** Only on operations made by `HcsCreateOperationWithNotifications`. */
  HcsEventGroupOperationInfo: 0xc000_0001,
} as const;

/** A value of {@link HCS_EVENT_TYPE}. */
export type HCS_EVENT_TYPE = (typeof HCS_EVENT_TYPE)[keyof typeof HCS_EVENT_TYPE];

/** Bits of HCS_EVENT_OPTIONS. */
export const HCS_EVENT_OPTIONS = {
  HcsEventOptionNone: 0,
  /** Deliver HcsEventOperationCallback; operations with a callback of their own are then refused on the handle. */
  HcsEventOptionEnableOperationCallbacks: 1,
  HcsEventOptionEnableVmLifecycle: 2,
  HcsEventOptionEnableLiveMigrationEvents: 4,
} as const;

/** Bits of HCS_OPERATION_OPTIONS. */
export const HCS_OPERATION_OPTIONS = {
  HcsOperationOptionNone: 0,
  HcsOperationOptionProgressUpdate: 1,
  HcsOperationOptionReserved1: 2,
} as const;

/** Names and values of HCS_RESOURCE_TYPE: what `HcsAddResourceToOperation` attaches. */
export const HCS_RESOURCE_TYPE = {
  HcsResourceTypeNone: 0,
  HcsResourceTypeFile: 1,
  HcsResourceTypeJob: 2,
  HcsResourceTypeComObject: 3,
  HcsResourceTypeSocket: 4,
} as const;

/** A value of {@link HCS_RESOURCE_TYPE}. */
export type HCS_RESOURCE_TYPE = (typeof HCS_RESOURCE_TYPE)[keyof typeof HCS_RESOURCE_TYPE];

/** `HcsCreateOptions_1`: the version of HCS_CREATE_OPTIONS_1. */
export const HCS_CREATE_OPTIONS_VERSION_1 = 0x0001_0000;

/** What `HcsGetOperationId` returns for a handle that is no operation. */
export const HCS_INVALID_OPERATION_ID = 0xffff_ffff_ffff_ffffn;

/** The one value that `requestedAccess` may have. */
export const GENERIC_ALL = 0x1000_0000;

/** A `timeoutMs` that never elapses. */
export const INFINITE = 0xffff_ffff;
