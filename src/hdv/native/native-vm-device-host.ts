// Longer than most files: one class has all 18 functions of the contract.
import { guidBytes } from '../../ffi/guid.ts';
import { MAX_VIEW, view } from '../../ffi/memory.ts';
import type { NativeLibrary } from '../../ffi/native-library.ts';
import type { WindowsSystem } from '../../ffi/windows-system.ts';
import type { HANDLE, HCS_SYSTEM } from '../../hcs/core/handles.ts';
import {
  type HDV_DEVICE_HOST_FLAGS,
  HDV_DEVICE_TYPE,
  type HDV_PCI_BAR_SELECTOR,
} from '../hdv-constants.ts';
import { HDV_RESULTS, HdvError } from '../hdv-error.ts';
import type {
  GUID,
  HDV_DEVICE,
  HDV_HOST,
  HdvDeviceInterface,
  VmDeviceHost,
  VmDeviceHostFunction,
} from '../vm-device-host.ts';
import { APERTURE_LIMIT, ApertureCache, type ApertureMemory } from './aperture-cache.ts';
import { checkHdv } from './hdv-result.ts';
import { type Holdings, UNTRACKED_HOLDINGS } from './holdings.ts';
import type { HostThread, HostThreadFunction, HostThreadRequest } from './host-thread.ts';
import { RetiredMemory } from './retired-memory.ts';
import type { VM_DEVICE_HOST_ABI } from './vm-device-host-abi.ts';

const PAGE = 4096;
/** Most that a byteCount says: UINT32. Apertures are whole pages. */
const MAX_COUNT = 0xffff_ffff;
const MAX_PAGES_LENGTH = Math.min(0xffff_f000, MAX_VIEW);

type Library = NativeLibrary<typeof VM_DEVICE_HOST_ABI>;

/** What a {@link NativeVmDeviceHost} is made of; library and system are those of the thread it is used on. */
export interface NativeVmDeviceHostOptions {
  readonly library: Library;
  readonly system: WindowsSystem;
  /** How to reach the thread that initializes and tears down. Absent on a device's thread, which does neither. */
  readonly hostThread?: HostThread;
  /** On a device's thread: one word, shared with the thread that tears its device host down, which sets it before. */
  readonly tornDown?: Int32Array;
  /** Mappings of guest memory that a device keeps, whether it uses them or not. */
  readonly apertureLimit?: number;
  /** Runs what makes objects in native code, which a thread that is ended meanwhile does not survive. */
  readonly protect?: <T>(run: () => T) => T;
  /** Told of mappings of guest memory, and of the pages in their place. */
  readonly holdings?: Holdings;
}

/** A device interface as native code has it: a table of functions, and what they are called with. */
export interface NativeDeviceInterface {
  /** Address of an HDV_PCI_DEVICE_INTERFACE that stays as long as the process. */
  readonly table: number;
  /** The deviceContext. */
  readonly context: number;
}

/**
 * `VmDeviceHost` by vmdevicehost.dll. Any number of these, on any threads, share the handles of the process.
 *
 * Apertures are kept in a cache for each device: {@link ApertureCache}. Ask {@link releaseDevice} to undo them before
 * the thread ends, and at Teardown at the latest.
 */
export class NativeVmDeviceHost implements VmDeviceHost {
  readonly #library: Library;
  readonly #hostThread: HostThread | undefined;
  readonly #tornDown: Int32Array | undefined;
  readonly #apertureLimit: number;
  readonly #protect: <T>(run: () => T) => T;
  readonly #holdings: Holdings;
  readonly #retired: RetiredMemory;
  readonly #apertures = new Map<HDV_DEVICE, ApertureCache>();
  /** Host of each device that was created by this object. */
  readonly #hostOf = new Map<HDV_DEVICE, HDV_HOST>();
  readonly #tornDownHosts = new Set<HDV_HOST>();
  readonly #sleeping = new Int32Array(new SharedArrayBuffer(4));

  constructor({
    library,
    system,
    hostThread,
    tornDown,
    apertureLimit = APERTURE_LIMIT,
    protect = (run) => run(),
    holdings = UNTRACKED_HOLDINGS,
  }: NativeVmDeviceHostOptions) {
    this.#library = library;
    this.#hostThread = hostThread;
    this.#tornDown = tornDown;
    this.#apertureLimit = apertureLimit;
    this.#protect = protect;
    this.#holdings = holdings;
    this.#retired = new RetiredMemory(system, holdings);
  }

  async HdvInitializeDeviceHost(computeSystem: HCS_SYSTEM): Promise<HDV_HOST> {
    return this.#initialize('HdvInitializeDeviceHost', computeSystem);
  }

  async HdvInitializeDeviceHostEx(
    computeSystem: HCS_SYSTEM,
    flags: HDV_DEVICE_HOST_FLAGS,
  ): Promise<HDV_HOST> {
    const name = 'HdvInitializeDeviceHostEx';
    return this.#initialize(name, computeSystem, flags);
  }

  async HdvInitializeDeviceHostForProxy(
    deviceHostId: GUID,
    proxyInterface: bigint,
  ): Promise<HDV_HOST> {
    const name = 'HdvInitializeDeviceHostForProxy';
    checkProxy(name, deviceHostId, proxyInterface);
    return this.#initialize(name, deviceHostId, proxyInterface);
  }

  async HdvInitializeDeviceHostForProxyEx(
    deviceHostId: GUID,
    proxyInterface: bigint,
    flags: HDV_DEVICE_HOST_FLAGS,
  ): Promise<HDV_HOST> {
    const name = 'HdvInitializeDeviceHostForProxyEx';
    checkProxy(name, deviceHostId, proxyInterface);
    return this.#initialize(name, deviceHostId, proxyInterface, flags);
  }

  async HdvProxyDeviceHost(
    computeSystem: HCS_SYSTEM,
    deviceHost: bigint,
    targetProcessId: number,
  ): Promise<HANDLE> {
    const name = 'HdvProxyDeviceHost';
    return await this.#onHostThread(name, computeSystem, deviceHost, targetProcessId);
  }

  /** Apertures that this object made for devices of the host, or for devices it did not create, end before. */
  async HdvTeardownDeviceHost(deviceHostHandle: HDV_HOST): Promise<void> {
    for (const device of [...this.#apertures.keys()]) {
      const host = this.#hostOf.get(device) ?? deviceHostHandle;
      if (host === deviceHostHandle) this.releaseDevice(device);
    }
    this.#tornDownHosts.add(deviceHostHandle);
    await this.#onHostThread('HdvTeardownDeviceHost', deviceHostHandle);
  }

  /** Rejects: callbacks come on threads of Hyper-V, which wait for JavaScript only by {@link createDevice}. */
  async HdvCreateDeviceInstance(
    _deviceHostHandle: HDV_HOST,
    _deviceType: HDV_DEVICE_TYPE,
    _deviceClassId: GUID,
    _deviceInstanceId: GUID,
    _deviceInterface: HdvDeviceInterface,
    _deviceContext: null,
  ): Promise<HDV_DEVICE> {
    throw new HdvError(
      'HdvCreateDeviceInstance',
      'ERROR_NOT_SUPPORTED',
      'a device on Windows runs on a worker, not on the thread of an object: attach the URL of its module, as in devices.attach(new URL(…))',
    );
  }

  /**
   * HdvCreateDeviceInstance with a table of native functions, on the thread that will use the device.
   * @throws HdvError
   */
  createDevice(
    deviceHostHandle: HDV_HOST,
    deviceClassId: GUID,
    deviceInstanceId: GUID,
    { table, context }: NativeDeviceInterface,
  ): HDV_DEVICE {
    const name = 'HdvCreateDeviceInstance';
    const cell: [number | bigint] = [0];
    const result = this.#library.function(name)(
      deviceHostHandle,
      HDV_DEVICE_TYPE.HdvDeviceTypePCI,
      guid(name, 'class id', deviceClassId),
      guid(name, 'instance id', deviceInstanceId),
      table,
      context,
      cell,
    );
    if (result >>> 0 === HDV_RESULTS.ERROR_ALREADY_EXISTS) {
      const reason = `the device host has an instance ${deviceInstanceId} already: use another instance id`;
      throw new HdvError(name, 'ERROR_ALREADY_EXISTS', reason);
    }
    checkHdv(name, result);
    const device = BigInt(cell[0]) as HDV_DEVICE;
    this.#hostOf.set(device, deviceHostHandle);
    return device;
  }

  /** Undoes all mappings of a device that this object made. Their Buffers can be touched without harm. */
  releaseDevice(device: HDV_DEVICE): void {
    this.#apertures.get(device)?.clear();
    this.#apertures.delete(device);
  }

  /** HdvDestroyGuestMemoryAperture by its address, for a mapping of a thread that is gone. Not after the teardown. */
  undoMapping(device: HDV_DEVICE, address: number): void {
    this.#library.function('HdvDestroyGuestMemoryAperture')(device, address);
  }

  HdvReadGuestMemory(
    requestor: HDV_DEVICE,
    guestPhysicalAddress: number,
    byteCount: number,
    buffer: Uint8Array,
  ): void {
    const name = 'HdvReadGuestMemory';
    checkCopy(name, guestPhysicalAddress, byteCount, buffer);
    const read = this.#library.function(name);
    checkHdv(name, read(requestor, guestPhysicalAddress, byteCount, buffer));
  }

  HdvWriteGuestMemory(
    requestor: HDV_DEVICE,
    guestPhysicalAddress: number,
    byteCount: number,
    buffer: Uint8Array,
  ): void {
    const name = 'HdvWriteGuestMemory';
    checkCopy(name, guestPhysicalAddress, byteCount, buffer);
    const write = this.#library.function(name);
    checkHdv(name, write(requestor, guestPhysicalAddress, byteCount, buffer));
  }

  HdvCreateGuestMemoryAperture(
    requestor: HDV_DEVICE,
    guestPhysicalAddress: number,
    byteCount: number,
    writeProtected: boolean,
  ): Buffer {
    const name = 'HdvCreateGuestMemoryAperture';
    checkAddress(name, guestPhysicalAddress);
    const start = guestPhysicalAddress - (guestPhysicalAddress % PAGE);
    const length = Math.ceil((guestPhysicalAddress + byteCount) / PAGE) * PAGE - start;
    if (!(Number.isInteger(byteCount) && byteCount > 0 && length <= MAX_PAGES_LENGTH)) {
      throw new HdvError(
        name,
        'E_INVALIDARG',
        `cannot map ${byteCount} bytes: an aperture has 1 byte to 4 GiB less one page, in whole pages`,
      );
    }
    let apertures = this.#apertures.get(requestor);
    if (apertures === undefined) {
      apertures = new ApertureCache(this.#memoryOf(requestor), this.#apertureLimit);
      this.#apertures.set(requestor, apertures);
    }
    return apertures.open(start, length, writeProtected, guestPhysicalAddress, byteCount);
  }

  HdvDestroyGuestMemoryAperture(requestor: HDV_DEVICE, mappedAddress: Buffer): void {
    if (this.#apertures.get(requestor)?.close(mappedAddress) === true) return;
    throw new HdvError(
      'HdvDestroyGuestMemoryAperture',
      'E_INVALIDARG',
      'the Buffer is not an open aperture of this device on this thread: pass the very Buffer that HdvCreateGuestMemoryAperture returned',
    );
  }

  HdvDeliverGuestInterrupt(requestor: HDV_DEVICE, msiAddress: number, msiData: number): void {
    const name = 'HdvDeliverGuestInterrupt';
    checkHdv(name, this.#library.function(name)(requestor, msiAddress, msiData));
  }

  HdvRegisterDoorbell(
    requestor: HDV_DEVICE,
    barIndex: HDV_PCI_BAR_SELECTOR,
    barOffset: number,
    triggerValue: bigint,
    flags: number,
    doorbellEvent: HANDLE,
  ): void {
    const name = 'HdvRegisterDoorbell';
    const register = this.#library.function(name);
    checkHdv(name, register(requestor, barIndex, barOffset, triggerValue, flags, doorbellEvent));
  }

  HdvUnregisterDoorbell(
    requestor: HDV_DEVICE,
    barIndex: HDV_PCI_BAR_SELECTOR,
    barOffset: number,
    triggerValue: bigint,
    flags: number,
  ): void {
    const name = 'HdvUnregisterDoorbell';
    const unregister = this.#library.function(name);
    checkHdv(name, unregister(requestor, barIndex, barOffset, triggerValue, flags));
  }

  HdvRegisterDoorbellPage(
    requestor: HDV_DEVICE,
    barIndex: HDV_PCI_BAR_SELECTOR,
    pageIndex: number,
    doorbellEvent: HANDLE,
  ): void {
    const name = 'HdvRegisterDoorbellPage';
    checkHdv(name, this.#library.function(name)(requestor, barIndex, pageIndex, doorbellEvent));
  }

  HdvUnregisterDoorbellPage(
    requestor: HDV_DEVICE,
    barIndex: HDV_PCI_BAR_SELECTOR,
    pageIndex: number,
  ): void {
    const name = 'HdvUnregisterDoorbellPage';
    checkHdv(name, this.#library.function(name)(requestor, barIndex, pageIndex));
  }

  HdvCreateSectionBackedMmioRange(
    requestor: HDV_DEVICE,
    barIndex: HDV_PCI_BAR_SELECTOR,
    offsetInPages: number,
    lengthInPages: number,
    mappingFlags: number,
    sectionHandle: HANDLE,
    sectionOffsetInPages: number,
  ): void {
    const name = 'HdvCreateSectionBackedMmioRange';
    checkHdv(
      name,
      this.#library.function(name)(
        requestor,
        barIndex,
        offsetInPages,
        lengthInPages,
        mappingFlags,
        sectionHandle,
        sectionOffsetInPages,
      ),
    );
  }

  HdvDestroySectionBackedMmioRange(
    requestor: HDV_DEVICE,
    barIndex: HDV_PCI_BAR_SELECTOR,
    offsetInPages: number,
  ): void {
    const name = 'HdvDestroySectionBackedMmioRange';
    checkHdv(name, this.#library.function(name)(requestor, barIndex, offsetInPages));
  }

  async #initialize(
    name: HostThreadFunction,
    ...parameters: HostThreadRequest['parameters']
  ): Promise<HDV_HOST> {
    const host = (await this.#onHostThread(name, ...parameters)) as HDV_HOST;
    // The handle may be one that another device host had before.
    this.#tornDownHosts.delete(host);
    return host;
  }

  async #onHostThread(
    name: HostThreadFunction,
    ...parameters: HostThreadRequest['parameters']
  ): Promise<bigint> {
    if (this.#hostThread === undefined) {
      throw new HdvError(
        name,
        'ERROR_NOT_SUPPORTED',
        'the thread of a device does not own device hosts: call it where the host was opened',
      );
    }
    // A missing export is told here, with the error's class.
    this.#library.function(name);
    const { hresult, value } = await this.#hostThread({ name, parameters });
    checkHdv(name, hresult);
    return value;
  }

  #memoryOf(device: HDV_DEVICE): ApertureMemory {
    return {
      map: (gpa, length, writeProtected) =>
        this.#protect(() => this.#map(device, gpa, length, writeProtected)),
      view: (address, length) => this.#protect(() => view(address, length)),
      unmap: (address, bytes) => {
        // Undoing a mapping faults inside the library once its device host is gone, and the platform has done it then.
        const isOurs = this.#holdings.returns('aperture', address);
        if (isOurs && !this.#isTornDown(device)) this.undoMapping(device, address);
        this.#retired.retire(address, bytes);
      },
      sleep: (ms) => {
        Atomics.wait(this.#sleeping, 0, 0, ms);
      },
    };
  }

  #map(device: HDV_DEVICE, gpa: number, length: number, writeProtected: boolean): number {
    const name = 'HdvCreateGuestMemoryAperture';
    if (this.#isTornDown(device))
      throw new HdvError(name, 'E_HANDLE', 'the device host is torn down');
    const cell: [number | bigint] = [0];
    const map = this.#library.function(name);
    checkHdv(name, map(device, gpa, length, writeProtected ? 1 : 0, cell));
    const address = Number(cell[0]);
    this.#holdings.took('aperture', address);
    return address;
  }

  #isTornDown(device: HDV_DEVICE): boolean {
    if (this.#tornDown !== undefined && Atomics.load(this.#tornDown, 0) !== 0) return true;
    const host = this.#hostOf.get(device);
    return host !== undefined && this.#tornDownHosts.has(host);
  }
}

function guid(name: VmDeviceHostFunction, what: string, text: GUID): Uint8Array<ArrayBuffer> {
  try {
    return guidBytes(text);
  } catch (cause) {
    const example = '872270e1-a899-4af6-b454-7193634435ad';
    throw new HdvError(
      name,
      'E_INVALIDARG',
      `the ${what} '${text}' is not a GUID, such as ${example}`,
      { cause },
    );
  }
}

/** On Windows a null id or a null object ends the process. */
function checkProxy(name: VmDeviceHostFunction, deviceHostId: GUID, proxyInterface: bigint): void {
  guid(name, 'device host id', deviceHostId);
  if (proxyInterface !== 0n) return;
  throw new HdvError(name, 'E_INVALIDARG', 'proxyInterface is null: give a COM object');
}

function checkAddress(name: VmDeviceHostFunction, gpa: number): void {
  if (Number.isSafeInteger(gpa) && gpa >= 0) return;
  throw new HdvError(
    name,
    'ERROR_INVALID_ADDRESS',
    `${gpa} is not an address: they are 0 to 2^53 - 1`,
  );
}

function checkCopy(
  name: VmDeviceHostFunction,
  gpa: number,
  byteCount: number,
  buffer: Uint8Array,
): void {
  checkAddress(name, gpa);
  if (Number.isInteger(byteCount) && byteCount >= 0 && byteCount <= MAX_COUNT) {
    if (byteCount <= buffer.length) return;
  }
  throw new HdvError(
    name,
    'E_INVALIDARG',
    `${byteCount} bytes do not fit a buffer of ${buffer.length}, or a count of 32 bits`,
  );
}
