import { doorbells, mapped, mmio, msix, PciDevice, pciExpress, registerMap, u32 } from 'hdvkit';
import type { HDV_DEVICE } from 'hdvkit/hdv';
import type { GuestFunction } from 'hdvkit/testing';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { VfioUserFunction } from '../../src/device-host/vfio-user-function.ts';
import {
  closeFd,
  createEventFd,
  createMemoryFile,
  takeEventFd,
} from '../../src/ffi/descriptors.ts';
import { mapFileOver, reserve, unmap, view } from '../../src/ffi/memory.ts';
import { HDV_DOORBELL_FLAGS, HDV_MMIO_MAPPING_FLAGS } from '../../src/hdv/hdv-constants.ts';
import type { VmDeviceHost } from '../../src/hdv/vm-device-host.ts';
import { Region } from '../../src/vfio-user/device.ts';
import type { VfioUserServer } from '../../src/vfio-user/server.ts';
import { StateWord } from '../../src/vfio-user/server-state.ts';
import { HeaderFlag } from '../../src/vfio-user/wire.ts';
import { openMachine, type TestMachine } from '../host/conformance.ts';
import { type LinuxTestHost, openLinuxHost } from './linux-test-host.ts';

/*
 * What QEMU maps, and what it asks the server for. Devices are on this thread, so that every access which QEMU sends
 * can be counted where it leaves the server.
 */

const VENDOR = 0x1234;
const PAGES = 0x1000;
const BELLS = 0x4000;
/** Where nothing but the device's own registers is, in BAR 2: two pages. */
const OPEN = 0x6000;

const REGISTERS = registerMap({ PLAIN: u32(0x00) });

/** With pages, doorbells and registers in one BAR, and two pages of registers behind them. */
class DirectDevice extends PciDevice {
  override readonly identity = { vendorId: VENDOR, deviceId: 0xd001, classCode: 0xff0000 };
  override readonly interrupts = msix(1);
  override readonly capabilities = [pciExpress({ functionLevelReset: true })];
  readonly pages = mapped(2);
  readonly rung: number[] = [];
  readonly stored: [number, number][] = [];
  readonly regs = REGISTERS.bind();
  override readonly bars = {
    0: mmio(0x1000, { 0: this.regs }),
    2: mmio(0x8000, {
      [PAGES]: this.pages,
      [BELLS]: doorbells({
        count: 4,
        stride: 8,
        valueless: true,
        ring: (index) => this.rung.push(index),
      }),
      [OPEN]: {
        size: 0x2000,
        read: () => 0x5e,
        write: (offset, _width, value) => void this.stored.push([offset, value]),
      },
    }),
  };
}

/** Without any of it. */
class PlainDevice extends PciDevice {
  override readonly identity = { vendorId: VENDOR, deviceId: 0xd002, classCode: 0xff0000 };
  readonly regs = REGISTERS.bind();
  override readonly bars = { 0: mmio(0x1000, { 0: this.regs }) };
}

/** Maps a page of its BAR by the Hdv functions themselves, in its start. */
class EarlyDevice extends PciDevice {
  override readonly identity = { vendorId: VENDOR, deviceId: 0xd003, classCode: 0xff0000 };
  override readonly bars = { 0: mmio(0x4000, { 0: REGISTERS.bind() }) };
  onStart: () => void = () => {};

  override start(): void {
    this.onStart();
  }
}

interface Seen {
  readonly kind: 'read' | 'write';
  readonly region: number;
  readonly offset: number;
  /** Did QEMU go on without an answer? */
  readonly posted: boolean;
}

/** A memory file, and its bytes here. */
class Section implements Disposable {
  readonly fd: number;
  readonly bytes: Buffer;
  readonly #address: number;

  constructor(size: number) {
    this.fd = createMemoryFile('doorbells-test', size);
    this.#address = reserve(size);
    mapFileOver(this.#address, size, this.fd, 0);
    this.bytes = Buffer.from(view(this.#address, size));
  }

  [Symbol.dispose](): void {
    closeFd(this.fd);
    unmap(this.#address, this.bytes.length);
  }
}

let host: LinuxTestHost;
let machine: TestMachine;
let hdv: VmDeviceHost;
let handles: HDV_DEVICE[];
const direct = new DirectDevice();
const plain = new PlainDevice();
const early = new EarlyDevice();
const earlySection = new Section(0x4000);
/** Accesses of BARs that QEMU has sent and no doorbell has taken, since they were last looked at. */
let seen: Seen[] = [];

const { attach, readRegion, writeRegion } = VfioUserFunction.prototype;
const servers = new WeakMap<VfioUserFunction, VfioUserServer>();

function note(served: VfioUserFunction, kind: Seen['kind'], region: number, offset: number): void {
  if (region === Region.CONFIG) return;
  const flags = servers.get(served)?.state.words[StateWord.MESSAGE_FLAGS] ?? 0;
  seen.push({ kind, region, offset, posted: (flags & HeaderFlag.NO_REPLY) !== 0 });
}

beforeAll(async () => {
  VfioUserFunction.prototype.attach = function (port) {
    servers.set(this, port as VfioUserServer);
    return attach.call(this, port);
  };
  VfioUserFunction.prototype.readRegion = function (region, offset, width) {
    note(this, 'read', region, offset);
    return readRegion.call(this, region, offset, width);
  };
  VfioUserFunction.prototype.writeRegion = function (region, offset, width, value) {
    note(this, 'write', region, offset);
    writeRegion.call(this, region, offset, width, value);
  };
  host = await openLinuxHost();
  hdv = host.binding.hdv.vmDeviceHost;
  handles = [];
  const create = hdv.HdvCreateDeviceInstance.bind(hdv);
  hdv.HdvCreateDeviceInstance = async (...parameters) => {
    const handle = await create(...parameters);
    handles.push(handle);
    return handle;
  };
  machine = await openMachine(host, async (devices) => {
    await devices.attach(direct);
    await devices.attach(plain);
    await devices.attach(early);
    early.onStart = () => {
      early.onStart = () => {};
      const { HdvMmioMappingFlagWriteable: flags } = HDV_MMIO_MAPPING_FLAGS;
      const section = BigInt(earlySection.fd);
      hdv.HdvCreateSectionBackedMmioRange(handles[2]!, 0, 1, 1, flags, section, 3);
    };
  });
});

afterAll(async () => {
  await machine?.[Symbol.asyncDispose]();
  await host?.close();
  earlySection[Symbol.dispose]();
  Object.assign(VfioUserFunction.prototype, { attach, readRegion, writeRegion });
});

let fn: GuestFunction;

const open = (deviceId: number): Promise<GuestFunction> =>
  machine.guest.open({ vendorId: VENDOR, deviceId });

beforeEach(async () => {
  fn = await open(0xd001);
  seen = [];
});

/** Accesses of BAR 2 since they were last looked at. */
function accesses(): string[] {
  const texts = seen
    .filter(({ region }) => region === 2)
    .map(({ kind, offset }) => `${kind} ${offset.toString(16)}`);
  seen = [];
  return texts;
}

test('mapped pages keep what either side writes, and QEMU asks for nothing', async () => {
  await fn.writeBar(2, PAGES, 4, 0xfeed_f00d);
  await fn.writeBar(2, PAGES + 0x1ffc, 4, 0x0102_0304);
  await fn.writeBar64(2, PAGES + 0x800, 0x1122_3344_5566_7788n);
  expect(direct.pages.bytes.readUInt32LE(0)).toBe(0xfeed_f00d);
  expect(direct.pages.bytes.readUInt32LE(0x1ffc)).toBe(0x0102_0304);
  direct.pages.bytes.writeUInt16LE(0xbeef, 0x1000);
  expect(await fn.readBar(2, PAGES + 0x1000, 2)).toBe(0xbeef);
  expect(await fn.readBar(2, PAGES + 0x1fff, 1)).toBe(1);
  expect(await fn.readBar64(2, PAGES + 0x800)).toBe(0x1122_3344_5566_7788n);
  expect(accesses()).toEqual([]);
});

test('a doorbell rings, and its write does not reach the device', async () => {
  direct.rung.length = 0;
  const observed: string[] = [];
  const [attachment] = machine.devices.list();
  attachment!.function!.observer = {
    memoryWrite: (bar, offset) => void observed.push(`write ${bar} ${offset}`),
    doorbellRung: (bar, offset) => void observed.push(`ring ${bar} ${offset}`),
  };
  await fn.writeBar(2, BELLS + 16, 4, 0x77);
  await fn.writeBar(2, BELLS, 2, 1);
  // Comes after the writes: they are served by then.
  await fn.readBar(0, 0, 4);
  attachment!.function!.observer = undefined;
  expect(direct.rung).toEqual([2, 0]);
  expect(observed).toEqual([`ring 2 ${BELLS + 16}`, `ring 2 ${BELLS}`]);
  expect(accesses()).toEqual([]);
});

test('a doorbell of a value and a width signals an eventfd, and other writes are the device’s', async () => {
  const {
    HDV_DOORBELL_FLAG_TRIGGER_SIZE_QWORD: QWORD,
    HDV_DOORBELL_FLAG_TRIGGER_SIZE_DWORD: DWORD,
  } = HDV_DOORBELL_FLAGS;
  const [quad, double, page] = [createEventFd(), createEventFd(), createEventFd()];
  const value = 0x8000_0000_0000_0001n;
  const [device] = handles as [HDV_DEVICE];
  hdv.HdvRegisterDoorbell(device, 2, OPEN, value, QWORD, BigInt(quad));
  hdv.HdvRegisterDoorbell(device, 2, OPEN + 8, 5n, DWORD, BigInt(double));
  hdv.HdvRegisterDoorbellPage(device, 2, (OPEN + 0x1000) / 4096, BigInt(page));
  direct.stored.length = 0;
  await fn.writeBar64(2, OPEN, value);
  await fn.writeBar64(2, OPEN, 1n);
  for (const low of [4, 5, 5]) await fn.writeBar(2, OPEN + 8, 4, low);
  await fn.writeBar(2, OPEN + 0x1ff0, 1, 1);
  await fn.readBar(0, 0, 4);
  expect([takeEventFd(quad), takeEventFd(double), takeEventFd(page)]).toEqual([1, 2, 1]);
  expect(direct.stored).toEqual([
    [0, 1],
    [4, 0],
    [8, 4],
  ]);
  hdv.HdvUnregisterDoorbell(device, 2, OPEN, value, QWORD);
  hdv.HdvUnregisterDoorbell(device, 2, OPEN + 8, 5n, DWORD);
  hdv.HdvUnregisterDoorbellPage(device, 2, (OPEN + 0x1000) / 4096);
  for (const fd of [quad, double, page]) closeFd(fd);
  await fn.writeBar(2, OPEN + 8, 4, 5);
  await fn.readBar(0, 0, 4);
  expect(direct.stored.at(-1)).toEqual([8, 5]);
});

test('a range that comes after the attach is memory behind the server, until it is destroyed', async () => {
  using section = new Section(0x3000);
  const [device] = handles as [HDV_DEVICE];
  const page = OPEN / 4096;
  const { HdvMmioMappingFlagWriteable: flags } = HDV_MMIO_MAPPING_FLAGS;
  hdv.HdvCreateSectionBackedMmioRange(device, 2, page, 2, flags, BigInt(section.fd), 1);
  direct.stored.length = 0;
  await fn.writeBar(2, OPEN + 0x1004, 4, 0xabcd);
  await fn.readBar(0, 0, 4);
  expect(section.bytes.readUInt32LE(0x2004)).toBe(0xabcd);
  section.bytes.writeUInt8(9, 0x1000);
  expect(await fn.readBar(2, OPEN, 1)).toBe(9);
  expect(direct.stored).toEqual([]);
  expect(accesses()).toEqual(['write 7004', 'read 6000']);
  hdv.HdvDestroySectionBackedMmioRange(device, 2, page);
  expect(await fn.readBar(2, OPEN, 1)).toBe(0x5e);
});

test('a range that is there before QEMU asks is mapped, and stays', async () => {
  const guest = await open(0xd003);
  seen = [];
  await guest.writeBar(0, 0x1010, 4, 0x600d_cafe);
  expect(earlySection.bytes.readUInt32LE(0x3010)).toBe(0x600d_cafe);
  earlySection.bytes.writeUInt8(0x42, 0x3fff);
  expect(await guest.readBar(0, 0x1fff, 1)).toBe(0x42);
  expect(seen).toEqual([]);
  expect(() => hdv.HdvDestroySectionBackedMmioRange(handles[2]!, 0, 1)).toThrow(
    expect.objectContaining({ code: 'ERROR_NOT_SUPPORTED' }),
  );
});

test('pages stay mapped over decoding off and on, and over a reset, which clears them', async () => {
  await fn.writeBar(2, PAGES + 8, 4, 0x1234);
  const command = await fn.readConfig(0x04, 2);
  await fn.writeConfig(0x04, 2, command & ~0x2);
  await fn.writeConfig(0x04, 2, command);
  expect(await fn.readBar(2, PAGES + 8, 4)).toBe(0x1234);
  await fn.reset();
  expect(await fn.readBar(2, PAGES + 8, 4)).toBe(0);
  await fn.writeBar(2, PAGES + 8, 4, 0x5678);
  expect(direct.pages.bytes.readUInt32LE(8)).toBe(0x5678);
  expect(accesses()).toEqual([]);
});

test('QEMU posts writes to a device without mapped pages, and waits for those to one with them', async () => {
  const posts = async (guest: GuestFunction): Promise<boolean[]> => {
    seen = [];
    for (let i = 0; i < 3; i++) await guest.writeBar(0, 0, 4, i);
    await guest.readBar(0, 0, 4);
    return seen.filter(({ kind }) => kind === 'write').map(({ posted }) => posted);
  };
  expect(await posts(fn)).toEqual([false, false, false]);
  expect(await posts(await open(0xd002))).toEqual([true, true, true]);
});
