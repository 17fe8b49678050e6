import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mapped, mmio, PciDevice, registerMap, u32 } from 'hdvkit';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { DeviceDirectory } from '../../src/compute/device-directory.ts';
import { LocalDeviceHost } from '../../src/device-host/local-device-host.ts';
import { createFileSection } from '../../src/device-host/memory-sections.ts';
import type { VfioUserEndpoint } from '../../src/device-host/vfio-user-endpoint.ts';
import { VfioUserPlatform } from '../../src/device-host/vfio-user-platform.ts';
import { closeFd } from '../../src/ffi/descriptors.ts';
import { mapFileOver, reserve, unmap, view } from '../../src/ffi/memory.ts';
import { watchReadable } from '../../src/ffi/readable-watch.ts';
import type { HCS_SYSTEM } from '../../src/hcs/core/handles.ts';
import { hdvServices } from '../../src/hdv/hdv-services.ts';
import type { HDV_DEVICE, HDV_HOST, HdvDeviceInterface } from '../../src/hdv/vm-device-host.ts';
import { LINUX_CAPABILITIES } from '../../src/hosts/linux/host.ts';
import { PciFunction } from '../../src/pci/pci-function.ts';
import type { Message } from '../../src/vfio-user/client.ts';
import { Command, RegionFlag } from '../../src/vfio-user/wire.ts';
import { CallbacksDouble } from './callbacks-double.ts';
import { expectNoMore, heldResources, ServedClient } from './served-client.ts';

const CLASS = '872270e1-a899-4af6-b454-7193634435ad';
const INSTANCE = 'a7a27a1c-1d4c-4d39-8b3b-0c8b1d6e3a11';
const WRITEABLE = 1;

class Pages extends PciDevice {
  override readonly identity = { vendorId: 1, deviceId: 2, classCode: 0xff0000 };
  readonly one = mapped(1);
  readonly two = mapped(2);
  override readonly bars = {
    0: mmio(0x1000, { 0: registerMap({ SCRATCH: u32(0) }).bind() }),
    2: mmio(0x8000, { 4096: this.one, 16384: this.two }),
  };
}

let folder: string;
let host: LocalDeviceHost;
let platform: VfioUserPlatform;
let hdv: HDV_HOST;
let directory: DeviceDirectory;
let device: HDV_DEVICE;
let before: ReturnType<typeof heldResources>;

beforeEach(async () => {
  before = heldResources();
  folder = mkdtempSync(join(tmpdir(), 'hdvt-'));
  directory = new DeviceDirectory();
  platform = new VfioUserPlatform({
    systemIdOf: () => 'system',
    socketPath: () => join(folder, 'device'),
    instanceOf: (handle) => host.instanceOf(handle),
  });
  host = new LocalDeviceHost(directory, platform);
  hdv = await host.HdvInitializeDeviceHost(1n as HCS_SYSTEM);
});

afterEach(async () => {
  rmSync(folder, { recursive: true });
  await expectNoMore(before, heldResources);
});

async function create(callbacks: HdvDeviceInterface): Promise<void> {
  device = await host.HdvCreateDeviceInstance(hdv, 1, CLASS, INSTANCE, callbacks);
  if (!(callbacks instanceof PciFunction)) return;
  const binding = {
    vmDeviceHost: host,
    capabilities: LINUX_CAPABILITIES,
    platform: {
      clock: () => platform.clock(),
      doorbellEvent: (_: HDV_DEVICE, ring: () => void) => platform.doorbellEvent(ring),
      section: platform.section.bind(platform),
      knowsDeviceInStart: true,
    },
  };
  callbacks.connect(hdvServices(binding, device, () => {}));
}

async function powerOn(): Promise<ServedClient> {
  const endpoint = directory.find({ systemId: 'system', classId: CLASS, instanceId: INSTANCE });
  if (endpoint === undefined) throw new Error('The instance was not announced');
  const { socketPath } = (await endpoint.powerOn([])) as VfioUserEndpoint;
  return ServedClient.connect(socketPath);
}

/** GET_REGION_INFO with room for so many bytes. */
async function regionInfo(
  { client }: ServedClient,
  index: number,
  argsz: number,
): Promise<Message> {
  const request = Buffer.alloc(32);
  request.writeUInt32LE(argsz, 0);
  request.writeUInt32LE(index, 8);
  client.send(Command.DEVICE_GET_REGION_INFO, request);
  await new Promise<void>((resolve) => {
    const watch = watchReadable(client.fd, () => {
      watch.close();
      resolve();
    });
  });
  return client.receive()!;
}

/** What a client maps of a region: where it starts in the file, areas, and their bytes. Asks twice, as QEMU does. */
async function mapRegion(client: ServedClient, index: number) {
  const first = await regionInfo(client, index, 32);
  expect(first.fds).toEqual([]);
  expect(first.payload.readUInt32LE(4) & RegionFlag.CAPABILITIES).toBe(0);
  if ((first.payload.readUInt32LE(4) & RegionFlag.MMAP) === 0) return [];
  const { payload, fds } = await regionInfo(client, index, first.payload.readUInt32LE(0));
  expect(fds).toHaveLength(1);
  const start = Number(payload.readBigUInt64LE(24));
  const count = payload.readUInt32LE(32 + 8);
  const areas = Array.from({ length: count }, (_, i) => {
    const offset = Number(payload.readBigUInt64LE(32 + 16 + 16 * i));
    const size = Number(payload.readBigUInt64LE(32 + 16 + 16 * i + 8));
    const address = reserve(size);
    mapFileOver(address, size, fds[0]!, start + offset);
    return { offset, size, bytes: Buffer.from(view(address, size)), address };
  });
  closeFd(fds[0]!);
  return areas;
}

test('a client maps the pages that a device declares, and has the bytes of the device', async () => {
  const pages = new Pages();
  const fn = new PciFunction(pages);
  const seen: string[] = [];
  await create(fn);
  const client = await powerOn();
  const areas = await mapRegion(client, 2);
  expect(areas.map(({ offset, size }) => [offset, size])).toEqual([
    [0x1000, 0x1000],
    [0x4000, 0x2000],
  ]);
  expect(await mapRegion(client, 0)).toEqual([]);
  areas[1]!.bytes.write('from the guest', 0x1ff0);
  expect(pages.two.bytes.toString('latin1', 0x1ff0, 0x1ffe)).toBe('from the guest');
  pages.one.bytes.writeUInt32LE(0xcafe_f00d, 4);
  expect(areas[0]!.bytes.readUInt32LE(4)).toBe(0xcafe_f00d);

  // By messages it is the same memory, and the function is not asked once it decodes.
  await client.write(7, 4, 6);
  fn.observer = {
    memoryRead: (bar, offset) => void seen.push(`read ${bar} ${offset}`),
    memoryWrite: (bar, offset) => void seen.push(`write ${bar} ${offset}`),
  };
  expect(await client.read(2, 0x1004)).toBe(0xcafe_f00d);
  await client.write(2, 0x4000, 0x1234);
  expect(areas[1]!.bytes.readUInt32LE(0)).toBe(0x1234);
  expect(seen).toEqual([]);
  await client.read(2, 0x2000);
  expect(seen).toEqual(['read 2 8192']);

  const { bytes } = pages.one;
  client.close();
  await host.HdvTeardownDeviceHost(hdv);
  expect(pages.one.bytes).not.toBe(bytes);
  expect(bytes[4]).toBe(0);
  for (const { address, size } of areas) unmap(address, size);
});

test('the next client finds zeros in the same pages', async () => {
  const pages = new Pages();
  await create(new PciFunction(pages));
  const first = await powerOn();
  const areas = await mapRegion(first, 2);
  areas[0]!.bytes.fill(7);
  first.close();
  const next = await ServedClient.connect(join(folder, 'device'));
  const again = await mapRegion(next, 2);
  expect(again[0]!.bytes[9]).toBe(0);
  again[0]!.bytes[9] = 5;
  expect(pages.one.bytes[9]).toBe(5);
  next.close();
  await host.HdvTeardownDeviceHost(hdv);
  for (const { address, size } of [...areas, ...again]) unmap(address, size);
});

test('ranges of one file at one distance are offered, in the order of the BAR, and stay while a client is there', async () => {
  await create(new CallbacksDouble([0xffff_0000, 0, 0, 0, 0, 0]));
  const [one, other] = [createFileSection(0x8000)!, createFileSection(0x8000)!];
  const range = (page: number, pages: number, handle: bigint, at: number, flags = WRITEABLE) =>
    host.HdvCreateSectionBackedMmioRange(device, 0, page, pages, flags, handle, at);
  range(4, 1, one.handle, 6);
  range(1, 2, one.handle, 3);
  range(5, 1, one.handle, 0);
  range(6, 1, other.handle, 7);
  range(7, 1, one.handle, 1, 0);
  const client = await powerOn();
  const areas = await mapRegion(client, 0);
  expect(areas.map(({ offset, size }) => [offset, size])).toEqual([
    [0x1000, 0x2000],
    [0x4000, 0x1000],
  ]);
  areas[1]!.bytes.writeUInt32LE(77, 0);
  expect(one.bytes.readUInt32LE(0x6000)).toBe(77);
  // The others are the server's to serve.
  await client.write(0, 0x6004, 99);
  expect(other.bytes.readUInt32LE(0x7004)).toBe(99);
  one.bytes.writeUInt32LE(55, 0x8);
  expect(await client.read(0, 0x5008)).toBe(55);
  expect(() => host.HdvDestroySectionBackedMmioRange(device, 0, 1)).toThrow('has mapped the range');
  host.HdvDestroySectionBackedMmioRange(device, 0, 5);
  client.close();
  // The server hears of it in a turn of the event loop.
  const instance = host.instanceOf(device);
  while (platform.isHeld(instance, 0, 0x1000)) await new Promise((done) => setImmediate(done));
  host.HdvDestroySectionBackedMmioRange(device, 0, 1);
  await host.HdvTeardownDeviceHost(hdv);
  one[Symbol.dispose]();
  other[Symbol.dispose]();
  for (const { address, size } of areas) unmap(address, size);
});
