import { mmio, PciDevice } from 'hdvkit';
import type { HDV_DEVICE } from 'hdvkit/hdv';
import { SimulatedGuestAccess } from 'hdvkit/testing';
import { expect, test } from 'vitest';
import { HDV_DOORBELL_FLAGS, HDV_MMIO_MAPPING_FLAGS } from '../../src/hdv/hdv-constants.ts';
import { createSimulatedHost } from '../../src/hosts/simulated/host.ts';
import { ComputeSystem, DeviceHost } from '../../src/index.ts';

const { HDV_DOORBELL_FLAG_TRIGGER_SIZE_DWORD: DWORD, HDV_DOORBELL_FLAG_TRIGGER_SIZE_QWORD: QWORD } =
  HDV_DOORBELL_FLAGS;
const { HdvMmioMappingFlagWriteable: WRITEABLE } = HDV_MMIO_MAPPING_FLAGS;

/** Writes down what reaches it. */
class Plain extends PciDevice {
  override readonly identity = { vendorId: 0x1234, deviceId: 0xe010, classCode: 0xff0000 };
  readonly seen: string[] = [];
  override readonly bars = {
    0: mmio(0x4000, {
      0: {
        size: 0x4000,
        read: (offset) => {
          this.seen.push(`read ${offset.toString(16)}`);
          return 0x5e;
        },
        write: (offset, _width, value) => {
          this.seen.push(`write ${offset.toString(16)} ${value}`);
        },
      },
    }),
  };
}

async function plug() {
  const host = createSimulatedHost();
  const { vmDeviceHost: hdv, platform } = host.hdv;
  let device: HDV_DEVICE | undefined;
  const create = hdv.HdvCreateDeviceInstance.bind(hdv);
  hdv.HdvCreateDeviceInstance = async (...parameters) => {
    device = await create(...parameters);
    return device;
  };
  const document = {
    SchemaVersion: { Major: 2, Minor: 1 },
    Owner: 'hdvkit tests',
    VirtualMachine: { ComputeTopology: { Memory: { SizeInMB: 16 }, Processor: { Count: 1 } } },
  };
  const core = host.computeCore;
  const system = await ComputeSystem.create('hdvkit-direct', document, { core });
  const devices = await DeviceHost.create(system, { binding: host.hdv, report: () => {} });
  const plain = new Plain();
  await devices.attach(plain);
  await system.start();
  const guest = new SimulatedGuestAccess(host.machineOf(system.id)!);
  const fn = await guest.open({ vendorId: 0x1234, deviceId: 0xe010 });
  return {
    hdv,
    platform,
    device: device!,
    plain,
    fn,
    async [Symbol.asyncDispose]() {
      await devices[Symbol.asyncDispose]();
      await system[Symbol.asyncDispose]();
      await host.close();
    },
  };
}

test('doorbells that are registered while the guest runs take its writes, until they are unregistered', async () => {
  await using machine = await plug();
  const { hdv, platform, device, plain, fn } = machine;
  const rung: string[] = [];
  const [value, page] = ['value', 'page'].map(
    (name) => platform.doorbellEvent!(device, () => rung.push(name))!,
  );
  hdv.HdvRegisterDoorbell(device, 0, 0x10, 7n, DWORD, value!.handle);
  hdv.HdvRegisterDoorbellPage(device, 0, 3, page!.handle);
  await fn.writeBar(0, 0x10, 4, 7);
  await fn.writeBar(0, 0x10, 4, 8);
  await fn.writeBar(0, 0x10, 2, 7);
  await fn.writeBar(0, 0x3abc, 1, 1);
  expect(rung).toEqual(['value', 'page']);
  expect(plain.seen.splice(0)).toEqual(['write 10 8', 'write 10 7']);
  hdv.HdvUnregisterDoorbell(device, 0, 0x10, 7n, DWORD);
  await fn.writeBar(0, 0x10, 4, 7);
  expect(plain.seen.splice(0)).toEqual(['write 10 7']);
  expect(() => hdv.HdvRegisterDoorbell(device, 0, 0x18, 7n, QWORD, value!.handle)).toThrow(
    expect.objectContaining({ code: 'ERROR_NOT_SUPPORTED' }),
  );
  page![Symbol.dispose]();
  expect(() => hdv.HdvRegisterDoorbell(device, 0, 0x18, 7n, DWORD, page!.handle)).toThrow(
    expect.objectContaining({ code: 'E_HANDLE' }),
  );
});

test('ranges that are created while the guest runs are its memory, until they are destroyed', async () => {
  await using machine = await plug();
  const { hdv, platform, device, plain, fn } = machine;
  const section = platform.section!(0x2000)!;
  hdv.HdvCreateSectionBackedMmioRange(device, 0, 2, 1, WRITEABLE, section.handle, 1);
  await fn.writeBar(0, 0x2004, 4, 0xcafe_f00d);
  expect(section.bytes.readUInt32LE(0x1004)).toBe(0xcafe_f00d);
  section.bytes.writeUInt8(0x42, 0x1fff);
  expect(await fn.readBar(0, 0x2fff, 1)).toBe(0x42);
  expect(plain.seen).toEqual([]);
  // What is beside it is the device's, and so are writes to a range that is not writable.
  expect(await fn.readBar(0, 0x3000, 1)).toBe(0x5e);
  hdv.HdvCreateSectionBackedMmioRange(device, 0, 0, 1, 0, section.handle, 0);
  await fn.writeBar(0, 8, 4, 1);
  expect(await fn.readBar(0, 8, 4)).toBe(0);
  expect(plain.seen.splice(0)).toEqual(['read 3000', 'write 8 1']);
  expect(() =>
    hdv.HdvCreateSectionBackedMmioRange(device, 0, 1, 1, WRITEABLE, section.handle, 2),
  ).toThrow(expect.objectContaining({ code: 'E_HANDLE' }));
  section[Symbol.dispose]();
  expect(await fn.readBar(0, 0x2004, 4)).toBe(0xcafe_f00d);
  hdv.HdvDestroySectionBackedMmioRange(device, 0, 2);
  expect(await fn.readBar(0, 0x2004, 1)).toBe(0x5e);
  expect(plain.seen.splice(0)).toEqual(['read 2004']);
});
