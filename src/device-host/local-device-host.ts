// Longer than most files: one class has all 18 functions of the contract.
import type { DeviceEndpoint, DeviceRegistry, Withdraw } from '../compute/device-directory.ts';
import type { Aperture, GuestMemory } from '../device/services.ts';
import type { HANDLE, HCS_SYSTEM } from '../hcs/core/handles.ts';
import { HcsError } from '../hcs/hcs-error.ts';
import { HDV_DEVICE_TYPE, type HDV_PCI_BAR_SELECTOR } from '../hdv/hdv-constants.ts';
import { HdvError } from '../hdv/hdv-error.ts';
import type {
  GUID,
  HDV_DEVICE,
  HDV_HOST,
  HdvDeviceInterface,
  VmDeviceHost,
} from '../hdv/vm-device-host.ts';
import { DirectTable } from '../pci/direct-table.ts';
import { functionBars } from './function-shape.ts';
import { LocalDirect } from './local-direct.ts';
import type { LocalInstance, LocalPlatform } from './local-platform.ts';

interface HostEntry {
  readonly computeSystem: HCS_SYSTEM;
  readonly systemId: string;
  readonly devices: Set<HDV_DEVICE>;
}

interface DeviceEntry {
  readonly host: HDV_HOST;
  readonly endpoint: DeviceEndpoint;
  readonly withdraw: Withdraw;
  /** Absent for a device that runs on a worker: nothing here answers for it. */
  readonly instance: LocalInstance | undefined;
  /** Absent likewise. */
  readonly direct: LocalDirect | undefined;
  readonly apertures: Map<Buffer, Aperture>;
}

/** A device whose callbacks are on this thread. */
type LocalEntry = DeviceEntry & {
  readonly instance: LocalInstance;
  readonly direct: LocalDirect;
};

const GUID_TEXT = /^\{?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\}?$/i;

/**
 * `VmDeviceHost` where there is no Hyper-V: keeps hosts, instances and apertures, announces instances to the service,
 * and leaves memory and interrupts to its platform. Handles are counted up and never used twice.
 */
export class LocalDeviceHost implements VmDeviceHost {
  readonly #directory: DeviceRegistry;
  readonly #platform: LocalPlatform;
  readonly #hosts = new Map<HDV_HOST, HostEntry>();
  readonly #devices = new Map<HDV_DEVICE, DeviceEntry>();
  #nextHost = 0x1000n;
  #nextDevice = 0x10_0000n;

  constructor(directory: DeviceRegistry, platform: LocalPlatform) {
    this.#directory = directory;
    this.#platform = platform;
  }

  HdvInitializeDeviceHost(computeSystem: HCS_SYSTEM): Promise<HDV_HOST> {
    return this.#initialize('HdvInitializeDeviceHost', computeSystem);
  }

  HdvInitializeDeviceHostEx(computeSystem: HCS_SYSTEM): Promise<HDV_HOST> {
    return this.#initialize('HdvInitializeDeviceHostEx', computeSystem);
  }

  async HdvInitializeDeviceHostForProxy(): Promise<HDV_HOST> {
    throw noCom('HdvInitializeDeviceHostForProxy');
  }

  async HdvInitializeDeviceHostForProxyEx(): Promise<HDV_HOST> {
    throw noCom('HdvInitializeDeviceHostForProxyEx');
  }

  async HdvProxyDeviceHost(): Promise<HANDLE> {
    throw noCom('HdvProxyDeviceHost');
  }

  async HdvTeardownDeviceHost(deviceHostHandle: HDV_HOST): Promise<void> {
    const host = this.#host('HdvTeardownDeviceHost', deviceHostHandle);
    this.#hosts.delete(deviceHostHandle);
    const ends = await Promise.allSettled([...host.devices].map((device) => this.release(device)));
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  }

  async HdvCreateDeviceInstance(
    deviceHostHandle: HDV_HOST,
    deviceType: HDV_DEVICE_TYPE,
    deviceClassId: GUID,
    deviceInstanceId: GUID,
    deviceInterface: HdvDeviceInterface,
  ): Promise<HDV_DEVICE> {
    const name = 'HdvCreateDeviceInstance';
    const { systemId } = this.#host(name, deviceHostHandle);
    if (deviceType !== HDV_DEVICE_TYPE.HdvDeviceTypePCI) {
      throw new HdvError(
        name,
        'E_INVALIDARG',
        `device type ${deviceType} is not HdvDeviceTypePCI (1)`,
      );
    }
    const device = this.#takeNumber();
    const instance = new CallbackInstance(
      device,
      systemId,
      guid(name, 'class id', deviceClassId),
      guid(name, 'instance id', deviceInstanceId),
      deviceInterface,
    );
    const direct = new LocalDirect(instance, this.#platform);
    return this.#register(name, deviceHostHandle, device, instance, {
      endpoint: new InstanceEndpoint(instance, this.#platform, direct),
      instance,
      direct,
    });
  }

  /**
   * Announces an instance that does not run on this thread; its endpoint answers for it. For the placement of devices
   * on workers.
   * @throws HdvError as `HdvCreateDeviceInstance`
   */
  async announce(
    host: HDV_HOST,
    classId: GUID,
    instanceId: GUID,
    endpoint: DeviceEndpoint,
  ): Promise<HDV_DEVICE> {
    const name = 'HdvCreateDeviceInstance';
    this.#host(name, host);
    const ids = {
      classId: guid(name, 'class id', classId),
      instanceId: guid(name, 'instance id', instanceId),
    };
    const what = { endpoint, instance: undefined, direct: undefined };
    return this.#register(name, host, this.#takeNumber(), ids, what);
  }

  /** Withdraws an instance before its device host is torn down: Stop and Teardown run. Safe to call twice. */
  async release(device: HDV_DEVICE): Promise<void> {
    const entry = this.#devices.get(device);
    if (entry === undefined) return;
    this.#hosts.get(entry.host)?.devices.delete(device);
    try {
      await entry.withdraw();
      await entry.endpoint.powerOff();
    } finally {
      entry.direct?.clear();
      for (const aperture of entry.apertures.values()) aperture[Symbol.dispose]();
      entry.apertures.clear();
      this.#devices.delete(device);
    }
  }

  /** The instance behind a handle, for what the platform offers beside HDV. @throws HdvError E_HANDLE */
  instanceOf(device: HDV_DEVICE): LocalInstance {
    return this.#local('HdvCreateDeviceInstance', device).instance;
  }

  HdvReadGuestMemory(
    requestor: HDV_DEVICE,
    guestPhysicalAddress: number,
    byteCount: number,
    buffer: Uint8Array,
  ): void {
    const name = 'HdvReadGuestMemory';
    const memory = this.#memory(name, requestor);
    const into = sized(name, buffer, byteCount);
    if (!memory.read(guestPhysicalAddress, into)) {
      throw notMemory(name, guestPhysicalAddress, byteCount);
    }
  }

  HdvWriteGuestMemory(
    requestor: HDV_DEVICE,
    guestPhysicalAddress: number,
    byteCount: number,
    buffer: Uint8Array,
  ): void {
    const name = 'HdvWriteGuestMemory';
    const memory = this.#memory(name, requestor);
    const from = sized(name, buffer, byteCount);
    if (!memory.write(guestPhysicalAddress, from)) {
      throw notMemory(name, guestPhysicalAddress, byteCount);
    }
  }

  HdvCreateGuestMemoryAperture(
    requestor: HDV_DEVICE,
    guestPhysicalAddress: number,
    byteCount: number,
    writeProtected: boolean,
  ): Buffer {
    const name = 'HdvCreateGuestMemoryAperture';
    const memory = this.#memory(name, requestor);
    if (!(Number.isInteger(byteCount) && byteCount > 0 && byteCount <= 0xffff_ffff)) {
      throw new HdvError(name, 'E_INVALIDARG', `cannot map ${byteCount} bytes: use 1 to 2^32 - 1`);
    }
    const aperture = memory.aperture(guestPhysicalAddress, byteCount, { readOnly: writeProtected });
    if (aperture === undefined) throw notMemory(name, guestPhysicalAddress, byteCount);
    const { bytes } = aperture;
    this.#local(name, requestor).apertures.set(bytes, aperture);
    return bytes;
  }

  HdvDestroyGuestMemoryAperture(requestor: HDV_DEVICE, mappedAddress: Buffer): void {
    const name = 'HdvDestroyGuestMemoryAperture';
    const { apertures } = this.#local(name, requestor);
    const aperture = apertures.get(mappedAddress);
    if (aperture === undefined) {
      throw new HdvError(
        name,
        'E_INVALIDARG',
        'the Buffer is not an aperture of this device: pass the very Buffer that HdvCreateGuestMemoryAperture returned',
      );
    }
    apertures.delete(mappedAddress);
    aperture[Symbol.dispose]();
  }

  HdvDeliverGuestInterrupt(requestor: HDV_DEVICE, msiAddress: number, msiData: number): void {
    const { instance } = this.#local('HdvDeliverGuestInterrupt', requestor);
    this.#platform.deliverInterrupt(instance, msiAddress, msiData);
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
    const { direct } = this.#local(name, requestor);
    direct.registerDoorbell(name, barIndex, barOffset, triggerValue, flags, doorbellEvent);
  }

  HdvUnregisterDoorbell(
    requestor: HDV_DEVICE,
    barIndex: HDV_PCI_BAR_SELECTOR,
    barOffset: number,
    triggerValue: bigint,
    flags: number,
  ): void {
    const name = 'HdvUnregisterDoorbell';
    const { direct } = this.#local(name, requestor);
    direct.unregisterDoorbell(name, barIndex, barOffset, triggerValue, flags);
  }

  HdvRegisterDoorbellPage(
    requestor: HDV_DEVICE,
    barIndex: HDV_PCI_BAR_SELECTOR,
    pageIndex: number,
    doorbellEvent: HANDLE,
  ): void {
    const name = 'HdvRegisterDoorbellPage';
    const { direct } = this.#local(name, requestor);
    direct.registerDoorbellPage(name, barIndex, pageIndex, doorbellEvent);
  }

  HdvUnregisterDoorbellPage(
    requestor: HDV_DEVICE,
    barIndex: HDV_PCI_BAR_SELECTOR,
    pageIndex: number,
  ): void {
    const name = 'HdvUnregisterDoorbellPage';
    this.#local(name, requestor).direct.unregisterDoorbellPage(name, barIndex, pageIndex);
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
    this.#local(name, requestor).direct.createRange(
      name,
      barIndex,
      offsetInPages,
      lengthInPages,
      mappingFlags,
      sectionHandle,
      sectionOffsetInPages,
    );
  }

  HdvDestroySectionBackedMmioRange(
    requestor: HDV_DEVICE,
    barIndex: HDV_PCI_BAR_SELECTOR,
    offsetInPages: number,
  ): void {
    const name = 'HdvDestroySectionBackedMmioRange';
    this.#local(name, requestor).direct.destroyRange(name, barIndex, offsetInPages);
  }

  async #initialize(name: string, computeSystem: HCS_SYSTEM): Promise<HDV_HOST> {
    const systemId = this.#platform.systemIdOf(computeSystem);
    if (systemId === undefined) {
      throw new HdvError(
        name,
        'E_INVALIDARG',
        'the handle is not open, or its compute system has ended',
      );
    }
    for (const known of this.#hosts.values()) {
      // One of an ended system of the same id is none of this system's.
      if (known.systemId === systemId && this.#isAlive(known)) {
        throw new HdvError(
          name,
          'ERROR_VID_PROCESS_ALREADY_SET',
          `this process already hosts devices of ${systemId}: use that device host, it carries any number of devices`,
        );
      }
    }
    const handle = this.#nextHost as HDV_HOST;
    this.#nextHost += 8n;
    this.#hosts.set(handle, { computeSystem, systemId, devices: new Set() });
    return handle;
  }

  #takeNumber(): HDV_DEVICE {
    const device = this.#nextDevice as HDV_DEVICE;
    this.#nextDevice += 8n;
    return device;
  }

  async #register(
    name: string,
    host: HDV_HOST,
    device: HDV_DEVICE,
    { classId, instanceId }: { readonly classId: GUID; readonly instanceId: GUID },
    what: Pick<DeviceEntry, 'endpoint' | 'instance' | 'direct'>,
  ): Promise<HDV_DEVICE> {
    const entry = this.#host(name, host);
    if (!this.#isAlive(entry)) {
      throw new HdvError(
        name,
        'E_HANDLE',
        `the device host's compute system ${entry.systemId} has ended, or its handle was closed`,
      );
    }
    let withdraw: Withdraw;
    try {
      const key = { systemId: entry.systemId, classId, instanceId };
      withdraw = await this.#directory.register(key, what.endpoint);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      const hresult = cause instanceof HcsError ? cause.hresult : 'ERROR_ALREADY_EXISTS';
      throw new HdvError(name, hresult, cause instanceof HcsError ? cause.reason : reason, {
        cause,
      });
    }
    if (!this.#hosts.has(host)) {
      await withdraw();
      throw new HdvError(name, 'E_HANDLE', 'the device host was torn down meanwhile');
    }
    this.#devices.set(device, { host, withdraw, apertures: new Map(), ...what });
    entry.devices.add(device);
    return device;
  }

  #isAlive({ computeSystem, systemId }: HostEntry): boolean {
    return this.#platform.systemIdOf(computeSystem) === systemId;
  }

  #host(name: string, handle: HDV_HOST): HostEntry {
    const host = this.#hosts.get(handle);
    if (host === undefined) throw new HdvError(name, 'E_HANDLE', 'not an open device host');
    return host;
  }

  #local(name: string, handle: HDV_DEVICE): LocalEntry {
    const entry = this.#devices.get(handle);
    if (entry === undefined) throw new HdvError(name, 'E_HANDLE', 'not a device instance');
    if (entry.instance === undefined) {
      throw new HdvError(
        name,
        'E_ACCESSDENIED',
        'the device runs on a worker, which alone can reach its guest',
      );
    }
    return entry as LocalEntry;
  }

  #memory(name: string, requestor: HDV_DEVICE): GuestMemory {
    const memory = this.#platform.memory(this.#local(name, requestor).instance);
    if (memory === undefined) {
      throw new HdvError(name, 'ERROR_INVALID_ADDRESS', 'the device is not in a machine');
    }
    return memory;
  }
}

/** Keeps Start and Stop in step: whoever calls, each runs only when it changes something. */
class CallbackInstance implements LocalInstance {
  readonly device: HDV_DEVICE;
  readonly systemId: string;
  readonly classId: GUID;
  readonly instanceId: GUID;
  readonly interface: HdvDeviceInterface;
  #runs = false;
  #direct: DirectTable | undefined;

  constructor(
    device: HDV_DEVICE,
    systemId: string,
    classId: GUID,
    instanceId: GUID,
    callbacks: HdvDeviceInterface,
  ) {
    this.device = device;
    this.systemId = systemId;
    this.classId = classId;
    this.instanceId = instanceId;
    this.interface = callbacks;
  }

  /** Made when it is first asked for: what is not a `PciFunction` has to answer GetDetails for it. */
  get direct(): DirectTable {
    this.#direct ??= new DirectTable(functionBars(this.interface));
    return this.#direct;
  }

  start(): void {
    if (this.#runs) return;
    this.interface.start();
    this.#runs = true;
  }

  stop(): void {
    if (!this.#runs) return;
    this.#runs = false;
    withoutResult(this.instanceId, 'Stop', () => this.interface.stop());
  }
}

/** Drives the lifecycle of an instance in HDV's order for an engine. */
class InstanceEndpoint implements DeviceEndpoint {
  readonly #instance: LocalInstance;
  readonly #platform: LocalPlatform;
  readonly #direct: LocalDirect;
  #isPowered = false;

  constructor(instance: LocalInstance, platform: LocalPlatform, direct: LocalDirect) {
    this.#instance = instance;
    this.#platform = platform;
    this.#direct = direct;
  }

  get failure(): Error | undefined {
    return this.#instance.interface.failure;
  }

  async powerOn(configuration: readonly string[]): Promise<unknown> {
    const callbacks = this.#instance.interface;
    if (this.#isPowered) {
      throw new HdvError(
        'HdvCreateDeviceInstance',
        'E_UNEXPECTED',
        `device instance ${this.#instance.instanceId} is in a machine already`,
      );
    }
    this.#isPowered = true;
    try {
      callbacks.initialize();
      callbacks.setConfiguration(configuration);
      callbacks.getDetails();
      return await this.#platform.connect(this.#instance);
    } catch (error) {
      this.#isPowered = false;
      this.#tearDown();
      throw error;
    }
  }

  async powerOff(): Promise<void> {
    if (!this.#isPowered) return;
    this.#isPowered = false;
    this.#instance.stop();
    try {
      await this.#platform.disconnect(this.#instance);
    } finally {
      this.#tearDown();
    }
  }

  #tearDown(): void {
    const { instanceId, interface: callbacks } = this.#instance;
    withoutResult(instanceId, 'Teardown', () => callbacks.teardown());
    this.#direct.clear();
  }
}

/** Runs a callback that has no result: what it throws is nobody's answer, and becomes a warning of the process. */
function withoutResult(instanceId: GUID, name: string, callback: () => void): void {
  try {
    callback();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    process.emitWarning(`${name} of device instance ${instanceId} threw: ${reason}`);
  }
}

function guid(name: string, what: string, text: GUID): GUID {
  const match = GUID_TEXT.exec(text);
  if (match === null) {
    throw new HdvError(
      name,
      'E_INVALIDARG',
      `the ${what} '${text}' is not a GUID, such as 872270e1-a899-4af6-b454-7193634435ad`,
    );
  }
  return (match[1] as string).toLowerCase();
}

function sized(name: string, buffer: Uint8Array, byteCount: number): Uint8Array {
  if (byteCount === buffer.length) return buffer;
  if (!(Number.isInteger(byteCount) && byteCount >= 0 && byteCount < buffer.length)) {
    throw new HdvError(
      name,
      'E_INVALIDARG',
      `${byteCount} bytes do not fit a buffer of ${buffer.length}`,
    );
  }
  return buffer.subarray(0, byteCount);
}

function notMemory(name: string, gpa: number, length: number): HdvError {
  return new HdvError(
    name,
    'ERROR_INVALID_ADDRESS',
    `${length} bytes at 0x${gpa.toString(16)} are not all guest memory that allows this`,
  );
}

function noCom(name: string): HdvError {
  return new HdvError(name, 'E_NOTIMPL', 'restricted device hosts exist under Windows only');
}
