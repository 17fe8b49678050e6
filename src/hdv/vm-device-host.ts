// Longer than most files: the contract of vmdevicehost.dll is one interface, documented member by member.
import type { Brand, HANDLE, HCS_SYSTEM } from '../hcs/core/handles.ts';
import type { PciDeviceCallbacks, PciFunctionExtras } from '../pci/device-callbacks.ts';
import type {
  HDV_DEVICE_HOST_FLAGS,
  HDV_DEVICE_TYPE,
  HDV_PCI_BAR_SELECTOR,
} from './hdv-constants.ts';

/** A device host: opaque, valid until `HdvTeardownDeviceHost`. */
export type HDV_HOST = Brand<bigint, 'HDV_HOST'>;

/** A device instance: opaque, valid until its device host is torn down. There is no function that destroys one. */
export type HDV_DEVICE = Brand<bigint, 'HDV_DEVICE'>;

/** A GUID in its text form, braces optional: `'872270e1-a899-4af6-b454-7193634435ad'`. */
export type GUID = string;

/**
 * What stands for HDV_PCI_DEVICE_INTERFACE and its context: an object with the ten callbacks, whose context is the
 * object itself. Hosts other than Windows also use the extras where they are present.
 */
export type HdvDeviceInterface = PciDeviceCallbacks & Partial<PciFunctionExtras>;

/**
 * vmdevicehost.dll: its 18 exports, one member each, with Microsoft's names and parameter order. `_Out_` parameters
 * are return values; buffers that the caller supplies stay parameters. A failing HRESULT throws {@link HdvError}.
 * Source: HyperVDeviceVirtualization.h of the Windows SDK and the reference pages; doorbell pages are in neither.
 *
 * Members that wait for the platform return a Promise. Members that a device calls while it serves an access
 * (memory, apertures, interrupts, doorbells, mapped ranges) are synchronous.
 *
 * Under Windows the library is loaded at the first call. Each member may then throw, or reject with,
 * `NativeLibraryError` where the library cannot be used, and `NotSupportedError` where this Windows does not have the
 * function.
 *
 * **Numbers.** Guest-physical and MSI addresses are `number`: x86-64 and ARM64 guests have at most 52 address bits and
 * a double holds 53, and a `bigint` would cost an allocation per access. A doorbell's trigger value is compared over
 * all 64 bits and is a `bigint`. Handles are `bigint`, as pointers are.
 */
export interface VmDeviceHost {
  /**
   * Makes this process a device host of a compute system. The system's handle must stay open as long as the host.
   * One device host per process and system; under Windows one per process. There all of these calls are made on one
   * thread of their own. What keeps the process alive is devices, not their host.
   * @param computeSystem HCS_SYSTEM of this process
   * @throws HdvError ERROR_VID_PROCESS_ALREADY_SET (0xC0370030) when this process has such a device host already;
   * E_INVALIDARG when the handle is not an open system
   */
  HdvInitializeDeviceHost(computeSystem: HCS_SYSTEM): Promise<HDV_HOST>;

  /**
   * {@link HdvInitializeDeviceHost} with flags.
   * @throws HdvError RPC_E_TOO_LATE (0x80010119) on Windows when COM security was set before: call again without
   */
  HdvInitializeDeviceHostEx(
    computeSystem: HCS_SYSTEM,
    flags: HDV_DEVICE_HOST_FLAGS,
  ): Promise<HDV_HOST>;

  /**
   * Initializes a restricted device host, whose memory access is by apertures only and which may not register
   * doorbells; another process, the broker, connects it to the system.
   * @param deviceHostId must not be null; the platform crashes on a null pointer, hosts of ours answer E_INVALIDARG
   * @param proxyInterface COM pointer that implements IVmDeviceHostSupport
   * @throws HdvError E_ACCESSDENIED when two such calls overlap in one process; E_NOTIMPL where there is no COM
   */
  HdvInitializeDeviceHostForProxy(deviceHostId: GUID, proxyInterface: bigint): Promise<HDV_HOST>;

  /** {@link HdvInitializeDeviceHostForProxy} with flags. */
  HdvInitializeDeviceHostForProxyEx(
    deviceHostId: GUID,
    proxyInterface: bigint,
    flags: HDV_DEVICE_HOST_FLAGS,
  ): Promise<HDV_HOST>;

  /**
   * The broker's side of a restricted device host, called from RegisterDeviceHost by the process that owns the system.
   * @param deviceHost COM pointer to IVmDeviceHost
   * @param targetProcessId process that contains the device host
   * @returns the IPC section handle to hand back to that process
   * @throws HdvError E_NOTIMPL where there is no COM
   */
  HdvProxyDeviceHost(
    computeSystem: HCS_SYSTEM,
    deviceHost: bigint,
    targetProcessId: number,
  ): Promise<HANDLE>;

  /**
   * Ends a device host. Stop and Teardown of each of its devices run before the Promise resolves; in a machine that
   * still runs they are dead devices from then on. Apertures are reclaimed; their Buffers can be touched without harm.
   * Every successful initialization needs one. Must not be called from a device callback.
   * @throws HdvError E_HANDLE when the handle is not an open device host
   */
  HdvTeardownDeviceHost(deviceHostHandle: HDV_HOST): Promise<void>;

  /**
   * Creates a device instance that a FlexibleIov entry can name. It lives until the device host is torn down. Under
   * Windows devices run on workers only, and an object is refused: attach the URL of its module to a {@link DeviceHost}.
   * @param deviceType HdvDeviceTypePCI
   * @param deviceClassId EmulatorId of the entry
   * @param deviceInstanceId key of the entry
   * @param deviceInterface the callbacks; kept and called until Teardown
   * @param deviceContext null: the context of the callbacks is the object they are methods of
   * @throws HdvError E_INVALIDARG for another type or a malformed GUID; ERROR_ALREADY_EXISTS when the system has an
   * instance with this id; E_HANDLE; ERROR_NOT_SUPPORTED under Windows
   */
  HdvCreateDeviceInstance(
    deviceHostHandle: HDV_HOST,
    deviceType: HDV_DEVICE_TYPE,
    deviceClassId: GUID,
    deviceInstanceId: GUID,
    deviceInterface: HdvDeviceInterface,
    deviceContext: null,
  ): Promise<HDV_DEVICE>;

  /**
   * Copies guest memory into `buffer`. No alignment is needed.
   * @param byteCount up to 2^32 - 1 and up to the length of `buffer`
   * @throws HdvError ERROR_INVALID_ADDRESS when a byte is not memory, nothing is copied; E_ACCESSDENIED on restricted
   * hosts; E_HANDLE
   */
  HdvReadGuestMemory(
    requestor: HDV_DEVICE,
    guestPhysicalAddress: number,
    byteCount: number,
    buffer: Uint8Array,
  ): void;

  /**
   * Copies `buffer` into guest memory. No alignment is needed.
   * @throws HdvError ERROR_INVALID_ADDRESS when a byte is not writable memory, nothing is copied; E_ACCESSDENIED on
   * restricted hosts; E_HANDLE
   */
  HdvWriteGuestMemory(
    requestor: HDV_DEVICE,
    guestPhysicalAddress: number,
    byteCount: number,
    buffer: Uint8Array,
  ): void;

  /**
   * Maps guest memory: the bytes of the returned Buffer are the guest's, coherent both ways. Under Hyper-V map on
   * first use: a page the VM has not backed yet when it is mapped does not become coherent later. There the whole pages
   * that hold the range are mapped, and the mapping is kept for the next aperture of the same pages and protection.
   * @param byteCount 1 to 2^32 - 1; under Hyper-V the whole pages have less than 4 GiB
   * @param writeProtected the caller does not store; under Hyper-V a store ends the process, elsewhere nothing stops it
   * @returns the mapping, which is also its name for {@link HdvDestroyGuestMemoryAperture}
   * @throws HdvError ERROR_INVALID_ADDRESS; ERROR_NOT_ENOUGH_QUOTA (0x80070718) when too many exist, after those not in
   * use were given up and some time has passed: destroy some and try again; E_INVALIDARG for a length of 0; E_HANDLE
   */
  HdvCreateGuestMemoryAperture(
    requestor: HDV_DEVICE,
    guestPhysicalAddress: number,
    byteCount: number,
    writeProtected: boolean,
  ): Buffer;

  /**
   * Ends an aperture. Its Buffer must not be used for the guest's bytes afterwards; touching it is harmless. Under
   * Hyper-V it may go on showing them while the mapping is kept, and may have no length once it is not.
   * @param mappedAddress the Buffer that {@link HdvCreateGuestMemoryAperture} returned, not a copy or a subarray
   * @throws HdvError E_INVALIDARG when it is not an aperture of this device; E_HANDLE
   */
  HdvDestroyGuestMemoryAperture(requestor: HDV_DEVICE, mappedAddress: Buffer): void;

  /**
   * Sends one message-signalled interrupt, address and data exactly as the guest programmed them. Masking and pending
   * bits are the device's affair. Useful only after Start.
   * @throws HdvError E_HANDLE
   */
  HdvDeliverGuestInterrupt(requestor: HDV_DEVICE, msiAddress: number, msiData: number): void;

  /**
   * Makes matching guest writes signal an event in place of WriteInterceptedMemory; the value is lost. Several doorbells
   * may share an offset when their values differ. Under Hyper-V register again after a reset of the device; elsewhere it
   * stays until it is unregistered or the device leaves its machine.
   * @param barOffset bytes
   * @param triggerValue compared over the width of the write, unless the flags have TRIGGER_ANY_VALUE
   * @param flags of {@link HDV_DOORBELL_FLAGS}
   * @param doorbellEvent event on Windows, which stays open until unregistered; an eventfd on the host linux, which the
   * doorbell duplicates; on every host but Windows, also one of `selectedHost().hdv.platform.doorbellEvent`
   * @throws HdvError E_INVALIDARG for a place outside the BAR or not aligned to the width, or flags or a value that no
   * write has; ERROR_ALREADY_EXISTS when such writes ring already, or go to memory; ERROR_NOT_SUPPORTED for a width that
   * the guest has not (8 bytes in the simulated machine); E_ACCESSDENIED on restricted hosts; E_HANDLE
   */
  HdvRegisterDoorbell(
    requestor: HDV_DEVICE,
    barIndex: HDV_PCI_BAR_SELECTOR,
    barOffset: number,
    triggerValue: bigint,
    flags: number,
    doorbellEvent: HANDLE,
  ): void;

  /**
   * Takes a doorbell out again; bar, offset, value and flags as at registration.
   * @throws HdvError ERROR_NOT_FOUND when there is none; E_HANDLE
   */
  HdvUnregisterDoorbell(
    requestor: HDV_DEVICE,
    barIndex: HDV_PCI_BAR_SELECTOR,
    barOffset: number,
    triggerValue: bigint,
    flags: number,
  ): void;

  /**
   * Makes every write anywhere in one 4 KiB page of a BAR signal an event; values are lost. Windows 10 1903 and later.
   * @param pageIndex 4 KiB page inside the BAR
   * @throws HdvError as {@link HdvRegisterDoorbell}
   */
  HdvRegisterDoorbellPage(
    requestor: HDV_DEVICE,
    barIndex: HDV_PCI_BAR_SELECTOR,
    pageIndex: number,
    doorbellEvent: HANDLE,
  ): void;

  /**
   * Takes a doorbell page out again.
   * @throws HdvError as {@link HdvUnregisterDoorbell}
   */
  HdvUnregisterDoorbellPage(
    requestor: HDV_DEVICE,
    barIndex: HDV_PCI_BAR_SELECTOR,
    pageIndex: number,
  ): void;

  /**
   * Maps pages of a section into pages of a BAR: the guest's accesses go to memory, intercepts for them stop. May be
   * called before or after Start, and outlives the guest's turning memory decoding off. QEMU maps what is there when it
   * gets the device, which is once Start has been answered, and keeps it until the device is removed; the accesses of a
   * range that comes later cost a message each, and do not reach the device either.
   * @param mappingFlags of {@link HDV_MMIO_MAPPING_FLAGS}; without Writeable, writes are intercepted
   * @param sectionHandle section on Windows; the descriptor of a file that can be written, as memfd_create(2) makes it,
   * on the host linux; one of `selectedHost().hdv.platform.section` in the simulated machine
   * @throws HdvError E_INVALIDARG for a place outside the BAR or no pages; ERROR_ALREADY_EXISTS when something else is
   * there; E_HANDLE also for a section that is too short
   */
  HdvCreateSectionBackedMmioRange(
    requestor: HDV_DEVICE,
    barIndex: HDV_PCI_BAR_SELECTOR,
    offsetInPages: number,
    lengthInPages: number,
    mappingFlags: number,
    sectionHandle: HANDLE,
    sectionOffsetInPages: number,
  ): void;

  /**
   * Takes a range out again, named by its first page; intercepts resume.
   * @throws HdvError ERROR_NOT_FOUND when none starts there; ERROR_NOT_SUPPORTED for one that QEMU has mapped; E_HANDLE
   */
  HdvDestroySectionBackedMmioRange(
    requestor: HDV_DEVICE,
    barIndex: HDV_PCI_BAR_SELECTOR,
    offsetInPages: number,
  ): void;
}

/** The names of all functions of {@link VmDeviceHost}, in the order of the interface. */
export const VM_DEVICE_HOST_FUNCTIONS = [
  'HdvInitializeDeviceHost',
  'HdvInitializeDeviceHostEx',
  'HdvInitializeDeviceHostForProxy',
  'HdvInitializeDeviceHostForProxyEx',
  'HdvProxyDeviceHost',
  'HdvTeardownDeviceHost',
  'HdvCreateDeviceInstance',
  'HdvReadGuestMemory',
  'HdvWriteGuestMemory',
  'HdvCreateGuestMemoryAperture',
  'HdvDestroyGuestMemoryAperture',
  'HdvDeliverGuestInterrupt',
  'HdvRegisterDoorbell',
  'HdvUnregisterDoorbell',
  'HdvRegisterDoorbellPage',
  'HdvUnregisterDoorbellPage',
  'HdvCreateSectionBackedMmioRange',
  'HdvDestroySectionBackedMmioRange',
] as const satisfies readonly (keyof VmDeviceHost)[];

/** The name of a function of {@link VmDeviceHost}. */
export type VmDeviceHostFunction = (typeof VM_DEVICE_HOST_FUNCTIONS)[number];
