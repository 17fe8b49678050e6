import { beforeEach, describe, expect, test } from 'vitest';
import { DeviceDirectory, type DeviceEndpoint } from '../../src/compute/device-directory.ts';
import { LocalDeviceHost } from '../../src/device-host/local-device-host.ts';
import { LocalEvents } from '../../src/device-host/local-events.ts';
import type {
  LocalInstance,
  LocalPlatform,
  OpenSection,
} from '../../src/device-host/local-platform.ts';
import { GuestRam } from '../../src/engines/simulated/guest-ram.ts';
import type { HCS_SYSTEM } from '../../src/hcs/core/handles.ts';
import { HDV_DEVICE_TYPE, HDV_DOORBELL_FLAGS } from '../../src/hdv/hdv-constants.ts';
import { HdvError } from '../../src/hdv/hdv-error.ts';
import type { HDV_DEVICE, HDV_HOST } from '../../src/hdv/vm-device-host.ts';
import { RecordingDevice } from './recording-device.ts';

const SYSTEM = 7n as HCS_SYSTEM;
const OTHER_SYSTEM = 8n as HCS_SYSTEM;
const CLASS = '872270e1-a899-4af6-b454-7193634435ad';
const INSTANCE = '0f6c8a2e-5b1d-4c3e-8f70-2a9b4d6e8c01';
const PCI = HDV_DEVICE_TYPE.HdvDeviceTypePCI;

/** Two systems with one memory, and a record of what is connected and delivered. */
class TestPlatform implements LocalPlatform {
  readonly ram = new GuestRam(16384);
  readonly log: string[] = [];
  hasMemory = true;
  readonly widestWrite = 4;
  readonly events = new LocalEvents();
  /** Sections by handle. */
  readonly sections = new Map<bigint, Buffer>();

  systemIdOf(computeSystem: HCS_SYSTEM): string | undefined {
    return computeSystem === SYSTEM ? 'vm' : computeSystem === OTHER_SYSTEM ? 'other' : undefined;
  }

  openEvent(handle: bigint) {
    return this.events.open(handle);
  }

  openSection(
    _instance: LocalInstance,
    handle: bigint,
    offset: number,
    length: number,
  ): OpenSection | undefined {
    const bytes = this.sections.get(handle)?.subarray(offset, offset + length);
    if (bytes?.length !== length) return undefined;
    return {
      memory: { bytes },
      [Symbol.dispose]: () => void this.log.push(`close section ${handle}`),
    };
  }

  async connect(instance: LocalInstance): Promise<LocalInstance> {
    this.log.push(`connect ${instance.instanceId}`);
    return instance;
  }

  async disconnect(instance: LocalInstance): Promise<void> {
    this.log.push(`disconnect ${instance.instanceId}`);
  }

  memory(): GuestRam | undefined {
    return this.hasMemory ? this.ram : undefined;
  }

  deliverInterrupt(_instance: LocalInstance, address: number, data: number): void {
    this.log.push(`interrupt ${address.toString(16)} ${data}`);
  }
}

let directory: DeviceDirectory;
let platform: TestPlatform;
let hdv: LocalDeviceHost;

beforeEach(() => {
  directory = new DeviceDirectory();
  platform = new TestPlatform();
  hdv = new LocalDeviceHost(directory, platform);
});

async function hostAndDevice(
  callbacks = new RecordingDevice(),
): Promise<{ host: HDV_HOST; device: HDV_DEVICE; callbacks: RecordingDevice }> {
  const host = await hdv.HdvInitializeDeviceHost(SYSTEM);
  const device = await hdv.HdvCreateDeviceInstance(host, PCI, CLASS, INSTANCE, callbacks);
  return { host, device, callbacks };
}

function find(): DeviceEndpoint | undefined {
  return directory.find({ systemId: 'vm', classId: CLASS, instanceId: INSTANCE });
}

function powerOn(configuration: readonly string[] = []): Promise<LocalInstance> {
  const endpoint = find();
  if (endpoint === undefined) throw new Error('The instance was not announced');
  return endpoint.powerOn(configuration) as Promise<LocalInstance>;
}

async function codeOf(call: () => unknown): Promise<string> {
  try {
    await call();
  } catch (error) {
    expect(error).toBeInstanceOf(HdvError);
    return (error as HdvError).code;
  }
  return 'S_OK';
}

describe('device hosts', () => {
  test('a process has one device host per system, and another after its teardown', async () => {
    const host = await hdv.HdvInitializeDeviceHost(SYSTEM);
    await expect(hdv.HdvInitializeDeviceHostEx(SYSTEM)).rejects.toMatchObject({
      hresult: 0xc037_0030,
      function: 'HdvInitializeDeviceHostEx',
    });
    const other = await hdv.HdvInitializeDeviceHost(OTHER_SYSTEM);
    expect(other).not.toBe(host);
    await hdv.HdvTeardownDeviceHost(host);
    expect(await hdv.HdvInitializeDeviceHost(SYSTEM)).not.toBe(host);
  });

  test('a handle that is no open system is refused, and a torn-down host is no host', async () => {
    expect(await codeOf(() => hdv.HdvInitializeDeviceHost(99n as HCS_SYSTEM))).toBe('E_INVALIDARG');
    const { host } = await hostAndDevice();
    await hdv.HdvTeardownDeviceHost(host);
    expect(await codeOf(() => hdv.HdvTeardownDeviceHost(host))).toBe('E_HANDLE');
  });

  test('restricted hosts answer E_NOTIMPL by their own names', async () => {
    const calls = [
      'HdvInitializeDeviceHostForProxy',
      'HdvInitializeDeviceHostForProxyEx',
      'HdvProxyDeviceHost',
    ] as const;
    for (const name of calls) {
      await expect(async () => hdv[name]()).rejects.toMatchObject({
        function: name,
        code: 'E_NOTIMPL',
      });
    }
  });
});

describe('device instances', () => {
  test('powering on runs Initialize, SetConfiguration, GetDetails; Start and Stop run once each', async () => {
    const { callbacks } = await hostAndDevice();
    const instance = await powerOn(['port=1', 'x']);
    expect(callbacks.calls).toEqual(['initialize', 'setConfiguration port=1,x', 'getDetails']);
    instance.start();
    instance.start();
    instance.stop();
    instance.stop();
    instance.start();
    await find()?.powerOff();
    await find()?.powerOff();
    expect(callbacks.calls.slice(3)).toEqual(['start', 'stop', 'start', 'stop', 'teardown']);
    expect(platform.log).toEqual([`connect ${INSTANCE}`, `disconnect ${INSTANCE}`]);
  });

  test('a device that refuses its configuration is torn down and may be powered on again', async () => {
    const { callbacks } = await hostAndDevice();
    callbacks.failing = 'setConfiguration';
    await expect(powerOn()).rejects.toThrow('setConfiguration fails');
    expect(callbacks.calls.at(-1)).toBe('teardown');
    expect(platform.log).toEqual([]);
    callbacks.failing = undefined;
    await powerOn();
    expect(platform.log).toEqual([`connect ${INSTANCE}`]);
    await expect(powerOn()).rejects.toThrow('is in a machine already');
  });

  test('the teardown of the host stops its devices and withdraws them', async () => {
    const { host, callbacks } = await hostAndDevice();
    (await powerOn()).start();
    await hdv.HdvTeardownDeviceHost(host);
    expect(callbacks.calls.slice(-2)).toEqual(['stop', 'teardown']);
    expect(find()).toBeUndefined();
  });

  test('a device that fails to stop or to be torn down is off all the same, and so is the next one', async () => {
    const { host, callbacks } = await hostAndDevice();
    const other = new RecordingDevice();
    const OTHER = '0f6c8a2e-5b1d-4c3e-8f70-2a9b4d6e8c02';
    await hdv.HdvCreateDeviceInstance(host, PCI, CLASS, OTHER, other);
    const second = directory.find({ systemId: 'vm', classId: CLASS, instanceId: OTHER });
    (await powerOn()).start();
    await second?.powerOn([]);
    callbacks.failing = 'stop';
    other.failing = 'teardown';
    const warnings: string[] = [];
    const listen = (warning: Error) => warnings.push(warning.message);
    process.on('warning', listen);
    await hdv.HdvTeardownDeviceHost(host);
    await new Promise(setImmediate);
    process.off('warning', listen);
    expect(warnings).toEqual([
      `Stop of device instance ${INSTANCE} threw: stop fails`,
      `Teardown of device instance ${OTHER} threw: teardown fails`,
    ]);
    expect(platform.log.slice(2)).toEqual([`disconnect ${INSTANCE}`, `disconnect ${OTHER}`]);
    expect([callbacks.calls.at(-1), other.calls.at(-1)]).toEqual(['teardown', 'teardown']);
    expect(find()).toBeUndefined();
    expect(await hdv.HdvInitializeDeviceHost(SYSTEM)).not.toBe(host);
  });

  test('ids are GUIDs, compared without case and braces; one id is given once', async () => {
    const { host } = await hostAndDevice();
    const create = (classId: string, instanceId: string) =>
      hdv.HdvCreateDeviceInstance(host, PCI, classId, instanceId, new RecordingDevice());
    expect(await codeOf(() => create(CLASS, `{${INSTANCE.toUpperCase()}}`))).toBe(
      'ERROR_ALREADY_EXISTS',
    );
    expect(await codeOf(() => create('edu', INSTANCE))).toBe('E_INVALIDARG');
    expect(await codeOf(() => create(CLASS, 'device-1'))).toBe('E_INVALIDARG');
    const undefinedType = HDV_DEVICE_TYPE.HdvDeviceTypeUndefined;
    const wrongType = () =>
      hdv.HdvCreateDeviceInstance(host, undefinedType, CLASS, CLASS, new RecordingDevice());
    expect(await codeOf(wrongType)).toBe('E_INVALIDARG');
  });

  test('a released instance leaves its id free', async () => {
    const { host, device, callbacks } = await hostAndDevice();
    await powerOn();
    await hdv.release(device);
    await hdv.release(device);
    expect(callbacks.calls.filter((call) => call === 'teardown')).toHaveLength(1);
    await hdv.HdvCreateDeviceInstance(host, PCI, CLASS, INSTANCE, new RecordingDevice());
    expect(find()).toBeDefined();
    expect(await codeOf(() => hdv.HdvDeliverGuestInterrupt(device, 0xfee0_0000, 1))).toBe(
      'E_HANDLE',
    );
  });

  test('an announced instance answers through its own endpoint; its memory is not reached here', async () => {
    const host = await hdv.HdvInitializeDeviceHost(SYSTEM);
    let off = 0;
    const endpoint = {
      powerOn: async () => 'elsewhere',
      powerOff: async () => {
        off++;
      },
    };
    const device = await hdv.announce(host, CLASS, INSTANCE, endpoint);
    expect(await powerOn()).toBe('elsewhere');
    expect(await codeOf(() => hdv.HdvReadGuestMemory(device, 0, 4, Buffer.alloc(4)))).toBe(
      'E_ACCESSDENIED',
    );
    await hdv.HdvTeardownDeviceHost(host);
    expect(off).toBe(1);
  });
});

describe('guest memory and interrupts', () => {
  test('copies go both ways, in the length that was asked for', async () => {
    const { device } = await hostAndDevice();
    hdv.HdvWriteGuestMemory(device, 100, 5, Buffer.from('hello world'));
    const buffer = Buffer.alloc(16, '.');
    hdv.HdvReadGuestMemory(device, 100, 8, buffer);
    expect(buffer.toString()).toBe('hello\0\0\0........');
  });

  test('what is no memory fails with ERROR_INVALID_ADDRESS and writes nothing', async () => {
    const { device } = await hostAndDevice();
    const write = () => hdv.HdvWriteGuestMemory(device, 16380, 8, Buffer.alloc(8, 1));
    expect(await codeOf(write)).toBe('ERROR_INVALID_ADDRESS');
    const tail = Buffer.alloc(4, 0xff);
    hdv.HdvReadGuestMemory(device, 16380, 4, tail);
    expect(tail).toEqual(Buffer.alloc(4));
    platform.hasMemory = false;
    expect(await codeOf(() => hdv.HdvReadGuestMemory(device, 0, 4, tail))).toBe(
      'ERROR_INVALID_ADDRESS',
    );
  });

  test('more bytes than the buffer has are refused', async () => {
    const { device } = await hostAndDevice();
    expect(await codeOf(() => hdv.HdvReadGuestMemory(device, 0, 9, Buffer.alloc(8)))).toBe(
      'E_INVALIDARG',
    );
    expect(await codeOf(() => hdv.HdvReadGuestMemory(device, 0, -1, Buffer.alloc(8)))).toBe(
      'E_INVALIDARG',
    );
  });

  test('an aperture is guest memory until it is destroyed by the Buffer it was given as', async () => {
    const { device } = await hostAndDevice();
    const aperture = hdv.HdvCreateGuestMemoryAperture(device, 4096, 64, false);
    aperture.write('seen by the guest');
    const buffer = Buffer.alloc(17);
    hdv.HdvReadGuestMemory(device, 4096, 17, buffer);
    expect(buffer.toString()).toBe('seen by the guest');
    const other = aperture.subarray(0);
    expect(await codeOf(() => hdv.HdvDestroyGuestMemoryAperture(device, other))).toBe(
      'E_INVALIDARG',
    );
    hdv.HdvDestroyGuestMemoryAperture(device, aperture);
    expect(platform.ram.apertureCount).toBe(0);
    expect(await codeOf(() => hdv.HdvDestroyGuestMemoryAperture(device, aperture))).toBe(
      'E_INVALIDARG',
    );
  });

  test('apertures need a length and memory, and end with their device host', async () => {
    const { host, device } = await hostAndDevice();
    const create = (gpa: number, length: number) => () =>
      hdv.HdvCreateGuestMemoryAperture(device, gpa, length, false);
    expect(await codeOf(create(0, 0))).toBe('E_INVALIDARG');
    expect(await codeOf(create(0, 2 ** 32))).toBe('E_INVALIDARG');
    expect(await codeOf(create(16384, 1))).toBe('ERROR_INVALID_ADDRESS');
    create(0, 4096)();
    create(0, 4096)();
    expect(platform.ram.apertureCount).toBe(2);
    await hdv.HdvTeardownDeviceHost(host);
    expect(platform.ram.apertureCount).toBe(0);
  });

  test('an interrupt arrives with the address and data it was sent with', async () => {
    const { device } = await hostAndDevice();
    hdv.HdvDeliverGuestInterrupt(device, 0xfee0_1000, 0x41);
    expect(platform.log).toEqual(['interrupt fee01000 65']);
  });
});

describe('doorbells and mapped ranges', () => {
  const { HDV_DOORBELL_FLAG_TRIGGER_SIZE_DWORD: DWORD } = HDV_DOORBELL_FLAGS;
  const ANY = HDV_DOORBELL_FLAGS.HDV_DOORBELL_FLAG_TRIGGER_ANY_VALUE;
  let device: HDV_DEVICE;
  let rings: number;
  let event: bigint;

  beforeEach(async () => {
    ({ device } = await hostAndDevice());
    rings = 0;
    event = platform.events.create(() => rings++).handle;
    platform.sections.set(5n, Buffer.alloc(3 * 4096));
  });

  const register = (offset: number, value: bigint, flags: number, handle = event) =>
    codeOf(() => hdv.HdvRegisterDoorbell(device, 0, offset, value, flags, handle));
  const unregister = (offset: number, value: bigint, flags: number) =>
    codeOf(() => hdv.HdvUnregisterDoorbell(device, 0, offset, value, flags));
  const create = (page: number, pages: number, { flags = 1, handle = 5n, at = 0 } = {}) =>
    codeOf(() => hdv.HdvCreateSectionBackedMmioRange(device, 0, page, pages, flags, handle, at));
  const destroy = (page: number) =>
    codeOf(() => hdv.HdvDestroySectionBackedMmioRange(device, 0, page));
  const direct = () => hdv.instanceOf(device).direct;

  test('a doorbell rings its event from registration to unregistration', async () => {
    expect(await register(8, 7n, DWORD)).toBe('S_OK');
    expect(direct().ring(0, 8, 4, 7, 0)).toBe(true);
    expect(direct().ring(0, 8, 4, 6, 0)).toBe(false);
    expect(rings).toBe(1);
    expect(await unregister(8, 7n, DWORD)).toBe('S_OK');
    expect(direct().ring(0, 8, 4, 7, 0)).toBe(false);
    expect(await register(8, 0n, ANY | DWORD)).toBe('S_OK');
    expect(direct().ring(0, 8, 4, 6, 0)).toBe(true);
    expect(rings).toBe(2);
  });

  test('a doorbell that makes no sense is refused by its own code', async () => {
    expect(await register(4096, 0n, ANY)).toBe('E_INVALIDARG');
    expect(await register(2, 0n, DWORD)).toBe('E_INVALIDARG');
    expect(await register(0, 0n, 5)).toBe('E_INVALIDARG');
    expect(await register(0, 0n, 0x1000)).toBe('E_INVALIDARG');
    expect(await register(0, 1n << 32n, DWORD)).toBe('E_INVALIDARG');
    expect(await register(0, 0n, ANY, 99n)).toBe('E_HANDLE');
    expect(await codeOf(() => hdv.HdvRegisterDoorbell(device, 1, 0, 0n, ANY, event))).toBe(
      'E_INVALIDARG',
    );
    expect(
      await codeOf(() => hdv.HdvRegisterDoorbell(1n as HDV_DEVICE, 0, 0, 0n, ANY, event)),
    ).toBe('E_HANDLE');
    // Guests of this platform have no access that wide.
    const { HDV_DOORBELL_FLAG_TRIGGER_SIZE_QWORD: QWORD } = HDV_DOORBELL_FLAGS;
    expect(await register(0, 0n, QWORD)).toBe('ERROR_NOT_SUPPORTED');
    expect(direct().doorbellCount).toBe(0);
  });

  test('a doorbell that is there already is refused, and one that is not is not found', async () => {
    expect(await register(8, 7n, DWORD)).toBe('S_OK');
    expect(await register(8, 7n, DWORD)).toBe('ERROR_ALREADY_EXISTS');
    expect(await register(8, 0n, ANY | DWORD)).toBe('ERROR_ALREADY_EXISTS');
    expect(await register(8, 8n, DWORD)).toBe('S_OK');
    expect(await unregister(8, 9n, DWORD)).toBe('ERROR_NOT_FOUND');
    expect(await unregister(8, 7n, DWORD)).toBe('S_OK');
    expect(await unregister(8, 7n, DWORD)).toBe('ERROR_NOT_FOUND');
    expect(direct().ring(0, 8, 4, 8, 0)).toBe(true);
  });

  test('a doorbell page has every write of its page, and no other is put there', async () => {
    const page = (index: number) =>
      codeOf(() => hdv.HdvRegisterDoorbellPage(device, 0, index, event));
    expect(await page(1)).toBe('E_INVALIDARG');
    expect(await page(0)).toBe('S_OK');
    expect(await page(0)).toBe('ERROR_ALREADY_EXISTS');
    expect(await register(8, 7n, DWORD)).toBe('ERROR_ALREADY_EXISTS');
    expect(direct().ring(0, 0xffe, 2, 1, 0)).toBe(true);
    expect(rings).toBe(1);
    const leave = (index: number) => codeOf(() => hdv.HdvUnregisterDoorbellPage(device, 0, index));
    expect(await leave(1)).toBe('ERROR_NOT_FOUND');
    expect(await leave(0)).toBe('S_OK');
    expect(await leave(0)).toBe('ERROR_NOT_FOUND');
  });

  test('a mapped range shows the section until it is destroyed', async () => {
    expect(await create(0, 1, { at: 2 })).toBe('S_OK');
    direct().write(0, 16, 4, 0x1234);
    expect(platform.sections.get(5n)?.readUInt32LE(2 * 4096 + 16)).toBe(0x1234);
    expect(await create(0, 1)).toBe('ERROR_ALREADY_EXISTS');
    expect(await register(8, 7n, DWORD)).toBe('ERROR_ALREADY_EXISTS');
    expect(await destroy(1)).toBe('ERROR_NOT_FOUND');
    expect(await destroy(0)).toBe('S_OK');
    expect(direct().read(0, 16, 4)).toBe(-1);
    expect(await destroy(0)).toBe('ERROR_NOT_FOUND');
    expect(platform.log).toEqual(['close section 5', 'close section 5']);
  });

  test('a mapped range that makes no sense is refused by its own code', async () => {
    expect(await create(1, 1)).toBe('E_INVALIDARG');
    expect(await create(0, 2)).toBe('E_INVALIDARG');
    expect(await create(0, 0)).toBe('E_INVALIDARG');
    expect(await create(0.5, 1)).toBe('E_INVALIDARG');
    expect(await create(-1, 1)).toBe('E_INVALIDARG');
    expect(await create(0, 1, { flags: 4 })).toBe('E_INVALIDARG');
    expect(await create(0, 1, { handle: 6n })).toBe('E_HANDLE');
    expect(await create(0, 1, { at: 3 })).toBe('E_HANDLE');
    expect(direct().rangeCount).toBe(0);
  });

  test('writes to a range that is not writable go to the device', async () => {
    expect(await create(0, 1, { flags: 0 })).toBe('S_OK');
    expect(direct().read(0, 0, 4)).toBe(0);
    expect(direct().write(0, 0, 4, 1)).toBe(false);
  });

  test('nothing of it outlasts the device in its machine', async () => {
    await powerOn();
    expect(await register(8, 7n, DWORD)).toBe('S_OK');
    await find()?.powerOff();
    expect(direct().ring(0, 8, 4, 7, 0)).toBe(false);
    expect(await create(0, 1)).toBe('S_OK');
    await powerOn();
    await find()?.powerOff();
    expect(direct().rangeCount).toBe(0);
    expect(platform.log.at(-1)).toBe('close section 5');
  });
});
