/**
 * HRESULT values of the Host Compute System and of what surfaces through it, as unsigned 32-bit numbers
 * (`winerror.h`, facility 0x37 for HCS_E_*; facility 7 wraps a Win32 error).
 */
export const HRESULT = {
  S_OK: 0x00000000,
  E_NOTIMPL: 0x80004001,
  E_NOINTERFACE: 0x80004002,
  E_POINTER: 0x80004003,
  E_ABORT: 0x80004004,
  E_FAIL: 0x80004005,
  E_UNEXPECTED: 0x8000ffff,
  RPC_E_TOO_LATE: 0x80010119,
  E_ACCESSDENIED: 0x80070005,
  E_OUTOFMEMORY: 0x8007000e,
  E_INVALIDARG: 0x80070057,

  ERROR_FILE_NOT_FOUND: 0x80070002,
  ERROR_PATH_NOT_FOUND: 0x80070003,
  ERROR_INVALID_HANDLE: 0x80070006,
  ERROR_INVALID_DATA: 0x8007000d,
  ERROR_WRITE_PROTECT: 0x80070013,
  ERROR_SHARING_VIOLATION: 0x80070020,
  ERROR_NOT_SUPPORTED: 0x80070032,
  ERROR_FILE_EXISTS: 0x80070050,
  ERROR_DISK_FULL: 0x80070070,
  ERROR_INSUFFICIENT_BUFFER: 0x8007007a,
  ERROR_ALREADY_EXISTS: 0x800700b7,
  ERROR_FILENAME_EXCED_RANGE: 0x800700ce,
  ERROR_NOT_FOUND: 0x80070490,
  ERROR_CANCELLED: 0x800704c7,
  ERROR_TIMEOUT: 0x800705b4,
  ERROR_NOT_ENOUGH_QUOTA: 0x80070718,
  ERROR_INVALID_STATE: 0x8007139f,

  HCS_E_TERMINATED_DURING_START: 0x80370100,
  HCS_E_IMAGE_MISMATCH: 0x80370101,
  HCS_E_HYPERV_NOT_INSTALLED: 0x80370102,
  HCS_E_INVALID_STATE: 0x80370105,
  HCS_E_UNEXPECTED_EXIT: 0x80370106,
  HCS_E_TERMINATED: 0x80370107,
  HCS_E_CONNECT_FAILED: 0x80370108,
  HCS_E_CONNECTION_TIMEOUT: 0x80370109,
  HCS_E_CONNECTION_CLOSED: 0x8037010a,
  HCS_E_UNKNOWN_MESSAGE: 0x8037010b,
  HCS_E_UNSUPPORTED_PROTOCOL_VERSION: 0x8037010c,
  HCS_E_INVALID_JSON: 0x8037010d,
  HCS_E_SYSTEM_NOT_FOUND: 0x8037010e,
  HCS_E_SYSTEM_ALREADY_EXISTS: 0x8037010f,
  HCS_E_SYSTEM_ALREADY_STOPPED: 0x80370110,
  HCS_E_PROTOCOL_ERROR: 0x80370111,
  HCS_E_INVALID_LAYER: 0x80370112,
  HCS_E_WINDOWS_INSIDER_REQUIRED: 0x80370113,
  HCS_E_SERVICE_NOT_AVAILABLE: 0x80370114,
  HCS_E_OPERATION_NOT_STARTED: 0x80370115,
  HCS_E_OPERATION_ALREADY_STARTED: 0x80370116,
  HCS_E_OPERATION_PENDING: 0x80370117,
  HCS_E_OPERATION_TIMEOUT: 0x80370118,
  HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET: 0x80370119,
  HCS_E_OPERATION_RESULT_ALLOCATION_FAILED: 0x8037011a,
  HCS_E_ACCESS_DENIED: 0x8037011b,
  HCS_E_GUEST_CRITICAL_ERROR: 0x8037011c,
  HCS_E_PROCESS_INFO_NOT_AVAILABLE: 0x8037011d,
  HCS_E_SERVICE_DISCONNECT: 0x8037011e,
  HCS_E_PROCESS_ALREADY_STOPPED: 0x8037011f,
  HCS_E_SYSTEM_NOT_CONFIGURED_FOR_OPERATION: 0x80370120,
  HCS_E_OPERATION_ALREADY_CANCELLED: 0x80370121,

  ERROR_VMCOMPUTE_TERMINATED_DURING_START: 0xc0370100,
  ERROR_VMCOMPUTE_IMAGE_MISMATCH: 0xc0370101,
  ERROR_VMCOMPUTE_HYPERV_NOT_INSTALLED: 0xc0370102,
  ERROR_VMCOMPUTE_OPERATION_PENDING: 0xc0370103,
  ERROR_VMCOMPUTE_TOO_MANY_NOTIFICATIONS: 0xc0370104,
  ERROR_VMCOMPUTE_INVALID_STATE: 0xc0370105,
  ERROR_VMCOMPUTE_UNEXPECTED_EXIT: 0xc0370106,
  ERROR_VMCOMPUTE_TERMINATED: 0xc0370107,
  ERROR_VMCOMPUTE_CONNECT_FAILED: 0xc0370108,
  ERROR_VMCOMPUTE_TIMEOUT: 0xc0370109,
  ERROR_VMCOMPUTE_CONNECTION_CLOSED: 0xc037010a,
  ERROR_VMCOMPUTE_UNKNOWN_MESSAGE: 0xc037010b,
  ERROR_VMCOMPUTE_UNSUPPORTED_PROTOCOL_VERSION: 0xc037010c,
  ERROR_VMCOMPUTE_INVALID_JSON: 0xc037010d,
  ERROR_VMCOMPUTE_SYSTEM_NOT_FOUND: 0xc037010e,
  ERROR_VMCOMPUTE_SYSTEM_ALREADY_EXISTS: 0xc037010f,
  ERROR_VMCOMPUTE_SYSTEM_ALREADY_STOPPED: 0xc0370110,
  ERROR_VMCOMPUTE_PROTOCOL_ERROR: 0xc0370111,
  ERROR_VMCOMPUTE_INVALID_LAYER: 0xc0370112,
  ERROR_VMCOMPUTE_WINDOWS_INSIDER_REQUIRED: 0xc0370113,

  ERROR_VID_DUPLICATE_HANDLER: 0xc0370001,
  ERROR_VID_PARTITION_ALREADY_EXISTS: 0xc0370008,
  ERROR_VID_PARTITION_DOES_NOT_EXIST: 0xc0370009,
  ERROR_VID_EXCEEDED_MBP_ENTRY_MAP_LIMIT: 0xc037000c,
  ERROR_VID_PAGE_RANGE_OVERFLOW: 0xc0370013,
  ERROR_VID_STOP_PENDING: 0xc037001c,
  ERROR_VID_MMIO_RANGE_DESTROYED: 0xc0370021,
  ERROR_VID_MBP_COUNT_EXCEEDED_LIMIT: 0xc0370026,
  ERROR_VID_SAVED_STATE_CORRUPT: 0xc0370027,
  ERROR_VID_SAVED_STATE_UNRECOGNIZED_ITEM: 0xc0370028,
  ERROR_VID_SAVED_STATE_INCOMPATIBLE: 0xc0370029,
  ERROR_VID_INSUFFICIENT_RESOURCES_RESERVE: 0xc037002b,
  ERROR_VID_INSUFFICIENT_RESOURCES_PHYSICAL_BUFFER: 0xc037002c,
  ERROR_VID_INSUFFICIENT_RESOURCES_HV_DEPOSIT: 0xc037002d,
  ERROR_VID_MEMORY_TYPE_NOT_SUPPORTED: 0xc037002e,
  ERROR_VID_INSUFFICIENT_RESOURCES_WITHDRAW: 0xc037002f,
  ERROR_VID_PROCESS_ALREADY_SET: 0xc0370030,
  ERROR_HV_INVALID_PARAMETER: 0xc0350005,
  ERROR_HV_ACCESS_DENIED: 0xc0350006,
  ERROR_HV_INVALID_PARTITION_STATE: 0xc0350007,
  ERROR_HV_INSUFFICIENT_MEMORY: 0xc035000b,
  ERROR_HV_NO_RESOURCES: 0xc035001d,
  ERROR_HV_INVALID_CPU_GROUP_ID: 0xc035006f,
  ERROR_HV_INVALID_CPU_GROUP_STATE: 0xc0350070,
  ERROR_HV_NOT_PRESENT: 0xc0351000,
} as const;

/** Name of a known HRESULT. */
export type HresultName = keyof typeof HRESULT;

const names = new Map<number, HresultName>();
for (const [name, value] of Object.entries(HRESULT)) names.set(value, name as HresultName);

const meanings: Partial<Record<HresultName, string>> = {
  E_NOTIMPL: 'this host does not implement the call',
  E_FAIL: 'the call failed',
  E_UNEXPECTED: 'the call failed unexpectedly',
  E_INVALIDARG: 'an argument is not valid',
  E_ACCESSDENIED: 'access to a file or object was denied',
  ERROR_INVALID_HANDLE: 'the handle is not open',
  ERROR_NOT_SUPPORTED: 'the request is not supported',
  ERROR_FILE_NOT_FOUND: 'the file does not exist',
  ERROR_PATH_NOT_FOUND: 'the folder does not exist',
  ERROR_INVALID_DATA: 'the file is of another kind, or damaged',
  ERROR_WRITE_PROTECT: 'the file system is read-only',
  ERROR_SHARING_VIOLATION: 'the file is in use',
  ERROR_FILE_EXISTS: 'the file exists already',
  ERROR_DISK_FULL: 'the disk is full',
  ERROR_ALREADY_EXISTS: 'the element exists already',
  ERROR_FILENAME_EXCED_RANGE: 'the path is too long',
  ERROR_NOT_FOUND: 'the element does not exist',
  ERROR_CANCELLED: 'the call was cancelled',
  HCS_E_TERMINATED_DURING_START: 'the system was terminated while it started',
  HCS_E_IMAGE_MISMATCH: "the container's system version does not fit the host",
  HCS_E_HYPERV_NOT_INSTALLED: 'a feature that the machine needs is missing',
  HCS_E_INVALID_STATE: "the call is not legal in the system's current state",
  HCS_E_UNEXPECTED_EXIT: 'the system ended on its own',
  HCS_E_TERMINATED: 'the system was forced off',
  HCS_E_CONNECT_FAILED: 'the guest could not be connected to',
  HCS_E_CONNECTION_TIMEOUT: 'the guest did not answer in time',
  HCS_E_CONNECTION_CLOSED: 'the connection to the guest ended',
  HCS_E_INVALID_JSON: 'the document is malformed or does not fit the schema',
  HCS_E_SYSTEM_NOT_FOUND: 'no compute system has this id',
  HCS_E_SYSTEM_ALREADY_EXISTS: 'a compute system has this id already',
  HCS_E_SYSTEM_ALREADY_STOPPED: 'the system is not running any more',
  HCS_E_SERVICE_NOT_AVAILABLE: 'the compute service or one of its features is missing',
  HCS_E_OPERATION_NOT_STARTED: 'the operation was never used for a call',
  HCS_E_OPERATION_ALREADY_STARTED: 'the operation still tracks another call',
  HCS_E_OPERATION_PENDING: 'the operation has not completed',
  HCS_E_OPERATION_TIMEOUT: 'the operation did not complete in time and goes on',
  HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET: 'a callback is set on this handle already',
  HCS_E_ACCESS_DENIED:
    'the caller may not use the compute service: be a member of the group Hyper-V Administrators, or run elevated as a member of Administrators',
  HCS_E_PROCESS_ALREADY_STOPPED: 'the process has exited',
  HCS_E_SYSTEM_NOT_CONFIGURED_FOR_OPERATION: 'the system lacks what the call needs',
  HCS_E_OPERATION_ALREADY_CANCELLED: 'the operation was cancelled before',
  ERROR_HV_INVALID_CPU_GROUP_ID: 'no CPU group has this id',
  ERROR_HV_INVALID_CPU_GROUP_STATE: "the call is not legal in the CPU group's current state",
};

/** Name of an HRESULT, signed or unsigned, or undefined when the tables do not have it. */
export function hresultName(value: number): HresultName | undefined {
  return names.get(value >>> 0);
}

/** What an HRESULT of this name means, in half a sentence; undefined where the name says as much. */
export function hresultMeaning(name: HresultName): string | undefined {
  return meanings[name];
}

/** An HRESULT, signed or unsigned, as it is printed everywhere: `0x80370105`. */
export function formatHresult(value: number): string {
  return `0x${(value >>> 0).toString(16).toUpperCase().padStart(8, '0')}`;
}

/** One line for people: what the value means, its name and its number. */
export function describeHresult(value: number): string {
  const name = hresultName(value);
  const meaning = name === undefined ? undefined : meanings[name];
  const text = name === undefined ? formatHresult(value) : `${name} ${formatHresult(value)}`;
  return meaning === undefined ? text : `${meaning} (${text})`;
}

/** As documents carry it: a signed 32-bit number (`ResultError.Error`, `SystemExitStatus.Status`). */
export function signedHresult(value: number): number {
  return value | 0;
}
