// Longer than a file should be: one entry for each error code that has a name.
import type { HresultName } from '../../hcs/hresult.ts';

/** What people need of an error code besides its name. */
export interface Explanation {
  /** In half a sentence; absent where the table of HRESULTs has it. */
  readonly meaning?: string;
  /** What usually brings it about. */
  readonly cause: string;
  readonly remedy: string;
}

const GUEST_PROTOCOL =
  'use a guest agent of the same generation as the host: update the utility VM or the guest';
const MEMORY_SHORT = 'end other machines, or give this one less memory';
const QUOTED = 'ask hdvkit validate FILE for the line, the column and the name that was meant';
const SEE_STATE = 'look at properties().State, and wait for the call before this one';

/** By name; the v1 family (ERROR_VMCOMPUTE_*) shares the entries of its twins. */
const EXPLANATIONS: Readonly<Partial<Record<HresultName, Explanation>>> = {
  S_OK: { meaning: 'success', cause: 'the call did what it was asked', remedy: 'nothing to do' },
  E_NOTIMPL: {
    cause:
      'the host has no such function, or the document asks for something that this host does not do; HcsCancelOperation gives it always under Windows',
    remedy: 'docs/status.md lists what each host does; leave the field out, or use another host',
  },
  E_NOINTERFACE: {
    meaning: 'the object does not have this interface',
    cause: 'a COM object of another version than the caller expects',
    remedy: 'update Windows, or the caller',
  },
  E_POINTER: {
    meaning: 'a pointer is null or not valid',
    cause: 'a required argument is missing',
    remedy: 'give the argument that the documentation marks as required',
  },
  E_ABORT: {
    meaning: 'the call was ended before it was done',
    cause: 'the host or the process was going down meanwhile',
    remedy: 'make the call again while the host is open',
  },
  E_FAIL: {
    cause: 'a failure that has no code of its own; the result document says more',
    remedy:
      'read ErrorMessage and ErrorEvents of the result: HcsError has them as reason and events',
  },
  E_UNEXPECTED: {
    cause:
      'a machine that did not start, or a FlexibleIov entry whose hosting model differs from that of its device host',
    remedy: 'look at the attribution in the result document, and write HostingModel External',
  },
  RPC_E_TOO_LATE: {
    meaning: 'the COM security of the process is set already',
    cause: 'a device host that was to set it, in a process where something else has',
    remedy: 'create the device host first, or without the flag that sets COM security',
  },
  E_ACCESSDENIED: {
    cause:
      'the account of the machine has no right to a file, or a restricted device host reads guest memory',
    remedy: 'call HcsGrantVmAccess for each file of the document before the start',
  },
  E_OUTOFMEMORY: {
    meaning: 'there is not enough memory',
    cause: 'the machine asks for more memory than the host has free',
    remedy: MEMORY_SHORT,
  },
  E_INVALIDARG: {
    cause:
      'a value out of its range, HcsGetOperationResultAndProcessInfo on an operation of another kind, or MappedPipes with Settings where none belong',
    remedy: 'read the reason: it names the argument or the JSON path',
  },
  ERROR_FILE_NOT_FOUND: {
    cause: 'a path of the document, or the program of a process, is misspelt',
    remedy: 'use absolute paths that the machine of the service has',
  },
  ERROR_PATH_NOT_FOUND: {
    cause: 'the folder of a path is missing',
    remedy: 'make the folder first: no function of the service does',
  },
  ERROR_INVALID_HANDLE: {
    cause: 'the handle was closed, or belongs to another host',
    remedy: 'use handles before HcsClose…, with the host that gave them',
  },
  ERROR_INVALID_DATA: {
    cause: 'a state file, layer or request of another kind than the call expects',
    remedy: 'give the file that the call documents, as it was made',
  },
  ERROR_WRITE_PROTECT: {
    cause: 'the disk or share is read-only',
    remedy: 'use a folder that can be written',
  },
  ERROR_SHARING_VIOLATION: {
    cause: 'a disk of another machine that runs, or a layer that is mounted',
    remedy: 'end the other machine, use a disk of its own for each, or open it read-only in both',
  },
  ERROR_NOT_SUPPORTED: {
    cause:
      'the resource cannot be changed like this on the host: a FlexibleIov device is not removed, for example',
    remedy:
      'read the reason; where a running machine cannot do it, change the document and create anew',
  },
  ERROR_FILE_EXISTS: {
    cause: 'the call makes files and overwrites none',
    remedy: 'give another name, or delete the file',
  },
  ERROR_DISK_FULL: {
    cause:
      'a saved state takes about as much room as the machine has memory; a file that some 250 systems were granted has no room for more in its access control list',
    remedy: 'make room, or save to another disk; revoke grants of systems that are no more',
  },
  ERROR_INSUFFICIENT_BUFFER: {
    meaning: 'the buffer is too small',
    cause: 'a caller that gave less room than the answer takes',
    remedy: 'give a larger buffer',
  },
  ERROR_ALREADY_EXISTS: {
    cause:
      'an Add request for a resource that is there, or a device with an instance id that is taken',
    remedy: 'use Update, or another key',
  },
  ERROR_FILENAME_EXCED_RANGE: {
    cause: 'a name or path that the file system cannot hold',
    remedy: 'use a shorter folder',
  },
  ERROR_NOT_FOUND: {
    cause: 'a process or resource that has gone, or was never there',
    remedy: 'treat it as gone, or look at the resource path',
  },
  ERROR_CANCELLED: {
    cause: 'HcsCancelOperation, or an abort',
    remedy: 'nothing to do: the caller asked for it',
  },
  ERROR_TIMEOUT: {
    meaning: 'the time was up',
    cause: 'something did not answer in time',
    remedy: 'wait longer, or look at what should have answered',
  },
  ERROR_NOT_ENOUGH_QUOTA: {
    meaning: 'too many apertures of guest memory are mapped',
    cause: 'devices that map guest memory and keep it',
    remedy: 'close apertures that are not needed; hdvkit closes unused ones by itself',
  },
  ERROR_INVALID_STATE: {
    meaning: 'the object is not in a state that allows the call',
    cause: 'a call that came too early or too late',
    remedy: SEE_STATE,
  },

  HCS_E_TERMINATED_DURING_START: {
    cause: 'HcsTerminateComputeSystem, or a crash of the worker, while the start was under way',
    remedy: 'look at the exit status and the attribution of the system',
  },
  HCS_E_IMAGE_MISMATCH: {
    cause: 'a container image for another build of Windows than the host',
    remedy: 'use an image of the same build, or isolate it by Hyper-V',
  },
  HCS_E_HYPERV_NOT_INSTALLED: {
    cause:
      'Hyper-V or the Virtual Machine Platform is off, or virtualization is off in the firmware',
    remedy: 'hdvkit doctor says what is missing and how to turn it on',
  },
  HCS_E_INVALID_STATE: {
    cause:
      'a call that the state does not allow: start of a running system, save of one that is not paused',
    remedy: SEE_STATE,
  },
  HCS_E_UNEXPECTED_EXIT: {
    cause: 'the guest crashed, or the process of the machine did',
    remedy: 'read the crash report and Detail of the exit status',
  },
  HCS_E_TERMINATED: {
    cause: 'HcsTerminateComputeSystem, of this or another process',
    remedy: 'nothing to do, where it was asked for',
  },
  HCS_E_CONNECT_FAILED: {
    cause: 'the guest runs no agent, or has no hypervisor sockets',
    remedy: 'leave GuestConnection out for guests without the agent',
  },
  HCS_E_CONNECTION_TIMEOUT: {
    cause: 'the document has GuestConnection, and the agent in the guest did not come up',
    remedy: 'look at the console of the guest; leave GuestConnection out where there is no agent',
  },
  HCS_E_CONNECTION_CLOSED: {
    cause: 'the guest shut down, crashed, or its agent ended',
    remedy: 'look at the exit status of the system',
  },
  HCS_E_UNKNOWN_MESSAGE: {
    meaning: 'the agent in the guest does not know the request',
    cause: 'an agent that is older than the host',
    remedy: GUEST_PROTOCOL,
  },
  HCS_E_UNSUPPORTED_PROTOCOL_VERSION: {
    meaning: 'host and guest have no version of their protocol in common',
    cause: 'an agent of another generation than the host',
    remedy: GUEST_PROTOCOL,
  },
  HCS_E_INVALID_JSON: {
    cause: 'a misspelt key, a value of another type, or a field that is newer than SchemaVersion',
    remedy: QUOTED,
  },
  HCS_E_SYSTEM_NOT_FOUND: {
    cause: 'the system has ended and its last handle is closed, or the id is misspelt',
    remedy: 'ComputeSystem.enumerate() lists the systems that there are',
  },
  HCS_E_SYSTEM_ALREADY_EXISTS: {
    cause: 'a system of an earlier run is there still, or two creates race',
    remedy: 'terminate the other system, or use another id: crypto.randomUUID()',
  },
  HCS_E_SYSTEM_ALREADY_STOPPED: {
    cause: 'the call came after the exit, or a shutdown is under way',
    remedy: 'treat it as done; create another system from the same document to go on',
  },
  HCS_E_PROTOCOL_ERROR: {
    meaning: 'host and guest misunderstood each other',
    cause: 'a faulty agent in the guest',
    remedy: GUEST_PROTOCOL,
  },
  HCS_E_INVALID_LAYER: {
    meaning: 'the folder is no container layer',
    cause: 'a path that is no layer, or layers in another order than they were made',
    remedy: 'give the folder that HcsImportLayer made, and parents from the topmost down',
  },
  HCS_E_WINDOWS_INSIDER_REQUIRED: {
    meaning: 'the image needs an Insider build of Windows',
    cause: 'an image of a preview build',
    remedy: 'use a released image, or an Insider host',
  },
  HCS_E_SERVICE_NOT_AVAILABLE: {
    cause: 'the Host Compute Service (vmcompute) is not installed or does not run',
    remedy: 'hdvkit doctor says what is missing and how to turn it on',
  },
  HCS_E_OPERATION_NOT_STARTED: {
    cause: 'the result of an operation that no call was made with',
    remedy: 'make the call with the operation first',
  },
  HCS_E_OPERATION_ALREADY_STARTED: {
    cause: 'an operation that is used for two calls at once',
    remedy: 'use an operation for each call, or wait for the first',
  },
  HCS_E_OPERATION_PENDING: {
    cause: 'HcsGetOperationResult before the call has completed',
    remedy: 'wait by HcsWaitForOperationResult, or for the callback',
  },
  HCS_E_OPERATION_TIMEOUT: {
    cause: 'the wait was shorter than the call takes',
    remedy: 'wait again: the call goes on',
  },
  HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET: {
    cause: 'HcsSetComputeSystemCallback twice, or callbacks of operations and of the system mixed',
    remedy: 'open a handle of its own for each callback',
  },
  HCS_E_OPERATION_RESULT_ALLOCATION_FAILED: {
    meaning: 'there is no memory for the result document',
    cause: 'the process is short of memory',
    remedy: 'free memory and ask again',
  },
  HCS_E_ACCESS_DENIED: {
    cause:
      'the user is neither an administrator nor a Hyper-V administrator, or the process is not elevated',
    remedy: 'join the group Hyper-V Administrators and sign in anew, or run elevated',
  },
  HCS_E_GUEST_CRITICAL_ERROR: {
    meaning: 'the guest reported a fatal error and was stopped or reset',
    cause: 'a panic or blue screen in the guest',
    remedy: 'read the crash report: it has the last messages of the guest',
  },
  HCS_E_PROCESS_INFO_NOT_AVAILABLE: {
    meaning: 'nothing is known of how the process was started',
    cause: 'HcsGetProcessInfo for a process that another handle started',
    remedy: 'ask with the operation of HcsCreateProcess',
  },
  HCS_E_SERVICE_DISCONNECT: {
    meaning: 'the connection to the compute service is lost',
    cause: 'the service ended or was restarted',
    remedy: 'open the systems again; those with ShouldTerminateOnLastHandleClosed have ended',
  },
  HCS_E_PROCESS_ALREADY_STOPPED: {
    cause: 'the process ended before the call',
    remedy: 'treat it as done',
  },
  HCS_E_SYSTEM_NOT_CONFIGURED_FOR_OPERATION: {
    cause:
      'a shutdown of a machine whose document has neither GuestConnection nor Services.Shutdown',
    remedy: 'add VirtualMachine.Services.Shutdown to the document, or terminate the machine',
  },
  HCS_E_OPERATION_ALREADY_CANCELLED: {
    cause: 'HcsCancelOperation twice',
    remedy: 'wait for the operation',
  },

  ERROR_VMCOMPUTE_OPERATION_PENDING: {
    meaning: 'the call goes on',
    cause: 'a call of vmcompute.dll that completes by a notification',
    remedy: 'wait for the notification: this is no failure',
  },
  ERROR_VMCOMPUTE_TOO_MANY_NOTIFICATIONS: {
    meaning: 'a callback was registered too often',
    cause: 'clients that register and never unregister',
    remedy: 'unregister callbacks that are not needed',
  },

  ERROR_VID_DUPLICATE_HANDLER: {
    meaning: 'somebody handles these accesses already',
    cause: 'two devices, or a device and a doorbell, at the same addresses',
    remedy: 'give each its own range',
  },
  ERROR_VID_PARTITION_ALREADY_EXISTS: {
    meaning: 'the partition exists already',
    cause: 'two machines with one runtime id',
    remedy: 'end the other machine',
  },
  ERROR_VID_PARTITION_DOES_NOT_EXIST: {
    meaning: 'the partition does not exist',
    cause: 'the machine has ended',
    remedy: 'look at the exit status of the system',
  },
  ERROR_VID_EXCEEDED_MBP_ENTRY_MAP_LIMIT: {
    meaning: 'too many pages are mapped',
    cause: 'devices that map guest memory and keep it',
    remedy: 'close apertures that are not needed',
  },
  ERROR_VID_PAGE_RANGE_OVERFLOW: {
    meaning: 'the range is outside the memory of the guest',
    cause: 'a guest address that the driver gave wrong, or memory that the machine does not have',
    remedy: 'check guest addresses where the device uses them',
  },
  ERROR_VID_STOP_PENDING: {
    meaning: 'the machine is stopping',
    cause: 'a call of a device while its machine ends',
    remedy: 'stop using the device: Stop and Teardown follow',
  },
  ERROR_VID_MMIO_RANGE_DESTROYED: {
    meaning: 'the range of device memory is gone',
    cause: 'the guest has moved or disabled the BAR',
    remedy: 'map again when the guest has placed the BAR',
  },
  ERROR_VID_MBP_COUNT_EXCEEDED_LIMIT: {
    meaning: 'too many blocks of memory are in use',
    cause: 'devices that map guest memory and keep it',
    remedy: 'close apertures that are not needed',
  },
  ERROR_VID_SAVED_STATE_CORRUPT: {
    meaning: 'the saved state is damaged',
    cause: 'a file that was cut short or changed, or was never a saved state',
    remedy: 'restore from another save',
  },
  ERROR_VID_SAVED_STATE_UNRECOGNIZED_ITEM: {
    meaning: 'the saved state has something that this host does not know',
    cause: 'a save of a newer host',
    remedy: 'restore on a host of the version that saved, or a newer one',
  },
  ERROR_VID_SAVED_STATE_INCOMPATIBLE: {
    meaning: 'the saved state does not fit the machine',
    cause: 'a document with other memory, processors or devices, or another host, than at the save',
    remedy: 'restore with the document that the machine was saved with',
  },
  ERROR_VID_INSUFFICIENT_RESOURCES_RESERVE: {
    meaning: 'memory could not be reserved',
    cause: 'the host is short of memory',
    remedy: MEMORY_SHORT,
  },
  ERROR_VID_INSUFFICIENT_RESOURCES_PHYSICAL_BUFFER: {
    meaning: 'physical memory could not be had',
    cause: 'the host is short of memory',
    remedy: MEMORY_SHORT,
  },
  ERROR_VID_INSUFFICIENT_RESOURCES_HV_DEPOSIT: {
    meaning: 'the hypervisor could not be given memory',
    cause: 'the host is short of memory',
    remedy: MEMORY_SHORT,
  },
  ERROR_VID_MEMORY_TYPE_NOT_SUPPORTED: {
    meaning: 'this kind of memory cannot be used like this',
    cause: 'an access of a device to memory that is not RAM of the guest',
    remedy: 'use addresses of guest RAM',
  },
  ERROR_VID_INSUFFICIENT_RESOURCES_WITHDRAW: {
    meaning: 'the hypervisor could not give memory back',
    cause: 'the host is short of memory',
    remedy: MEMORY_SHORT,
  },
  ERROR_VID_PROCESS_ALREADY_SET: {
    meaning: 'the process has a device host already',
    cause: 'a second device host in one process, or for one system',
    remedy: 'tear the first one down, or give it all devices',
  },
  ERROR_HV_INVALID_PARAMETER: {
    meaning: 'the hypervisor refused a parameter',
    cause: 'a device that was rejected when it was powered on',
    remedy: 'look at the identity and the BARs of the device',
  },
  ERROR_HV_ACCESS_DENIED: {
    meaning: 'the hypervisor denied access',
    cause: 'a call that the partition has no privilege for',
    remedy: 'make the call on the host, not in a guest',
  },
  ERROR_HV_INVALID_PARTITION_STATE: {
    meaning: 'the partition is not in a state that allows the call',
    cause: 'the machine is ending',
    remedy: SEE_STATE,
  },
  ERROR_HV_INSUFFICIENT_MEMORY: {
    meaning: 'the hypervisor has not enough memory',
    cause: 'the host is short of memory',
    remedy: MEMORY_SHORT,
  },
  ERROR_HV_NO_RESOURCES: {
    meaning: 'the hypervisor has no resources left',
    cause: 'too many machines, processors or devices',
    remedy: 'end other machines',
  },
  ERROR_HV_INVALID_CPU_GROUP_ID: {
    cause: 'a CPU group that was never made, or was deleted',
    remedy: 'HcsGetServiceProperties with CpuGroup lists the groups',
  },
  ERROR_HV_INVALID_CPU_GROUP_STATE: {
    cause: 'a group that has machines cannot be deleted',
    remedy: 'take the machines out of the group first',
  },
  ERROR_HV_NOT_PRESENT: {
    meaning: 'no hypervisor runs',
    cause: 'Hyper-V is off, or virtualization is off in the firmware',
    remedy: 'hdvkit doctor says what is missing and how to turn it on',
  },
};

/** Names of the v1 family that differ from those of their twins. */
const TWIN_NAMES: Readonly<Record<string, HresultName>> = {
  ERROR_VMCOMPUTE_TIMEOUT: 'HCS_E_CONNECTION_TIMEOUT',
};

/** Cause and remedy of an error code; undefined where only its name is known. */
export function explanationOf(name: HresultName): Explanation | undefined {
  const twin = TWIN_NAMES[name] ?? (name.replace(/^ERROR_VMCOMPUTE_/, 'HCS_E_') as HresultName);
  return EXPLANATIONS[name] ?? EXPLANATIONS[twin];
}
