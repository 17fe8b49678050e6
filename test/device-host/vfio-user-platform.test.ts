import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mmio, PciDevice, registerMap, u32 } from 'hdvkit';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { DeviceDirectory } from '../../src/compute/device-directory.ts';
import { LocalDeviceHost } from '../../src/device-host/local-device-host.ts';
import type { VfioUserEndpoint } from '../../src/device-host/vfio-user-endpoint.ts';
import { VfioUserPlatform } from '../../src/device-host/vfio-user-platform.ts';
import type { HCS_SYSTEM } from '../../src/hcs/core/handles.ts';
import type { HDV_HOST, HdvDeviceInterface } from '../../src/hdv/vm-device-host.ts';
import { PciFunction } from '../../src/pci/pci-function.ts';
import { CallbacksDouble } from './callbacks-double.ts';
import { expectNoMore, heldResources, ServedClient } from './served-client.ts';

const CLASS = '872270e1-a899-4af6-b454-7193634435ad';
const INSTANCE = 'a7a27a1c-1d4c-4d39-8b3b-0c8b1d6e3a11';
const REGS = registerMap({ SCRATCH: u32(0) });

class Scratch extends PciDevice {
  override readonly identity = { vendorId: 1, deviceId: 2, classCode: 0xff0000 };
  readonly regs = REGS.bind();
  override readonly bars = { 0: mmio(0x1000, { 0: this.regs }) };
}

let folder: string;
let host: LocalDeviceHost;
let hdv: HDV_HOST;
let directory: DeviceDirectory;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'hdvt-'));
  directory = new DeviceDirectory();
  const platform = new VfioUserPlatform({
    systemIdOf: () => 'system',
    socketPath: () => join(folder, 'device'),
    instanceOf: (device) => host.instanceOf(device),
  });
  host = new LocalDeviceHost(directory, platform);
  hdv = await host.HdvInitializeDeviceHost(1n as HCS_SYSTEM);
});

afterEach(() => rmSync(folder, { recursive: true }));

/** A function of a device of this thread. */
function functionOf(device: PciDevice): PciFunction {
  const fn = new PciFunction(device);
  fn.connect({
    capabilities: { commandRegister: 'forwarded', intx: true },
    memory: { read: () => false, write: () => false, aperture: () => undefined },
    clock: { now: 0, after: () => ({ cancel() {} }) },
    deliverInterrupt() {},
    setInterruptLine() {},
    report() {},
  });
  return fn;
}

/** Puts callbacks of this thread behind a socket. */
async function powerOn(callbacks: HdvDeviceInterface): Promise<VfioUserEndpoint> {
  await host.HdvCreateDeviceInstance(hdv, 1, CLASS, INSTANCE, callbacks);
  const endpoint = directory.find({ systemId: 'system', classId: CLASS, instanceId: INSTANCE });
  return (await endpoint?.powerOn([])) as VfioUserEndpoint;
}

test('a device of this thread answers from its event loop, one client at a time, each after a reset', async () => {
  const before = heldResources();
  const device = new Scratch();
  const { socketPath, msix } = await powerOn(functionOf(device));
  expect(msix).toBe(false);

  const first = await ServedClient.connect(socketPath);
  const second = ServedClient.connect(socketPath);
  await first.write(7, 4, 6);
  await first.write(0, 0, 5);
  expect(await first.read(0, 0)).toBe(5);
  expect(device.regs.SCRATCH).toBe(5);
  first.close();

  const next = await second;
  await next.write(7, 4, 6);
  expect(await next.read(0, 0)).toBe(0);
  await host.HdvTeardownDeviceHost(hdv);
  await expect(next.read(0, 0)).rejects.toThrow();
  next.close();
  expect(existsSync(socketPath)).toBe(false);
  await expectNoMore(before, heldResources);
});

test('callbacks that throw cost the guest an error, and their host a warning', async () => {
  const callbacks = new CallbacksDouble([0xffff_f000, 0, 0, 0, 0, 0]);
  callbacks.readInterceptedMemory = () => {
    throw new Error('no answer');
  };
  callbacks.start = () => {
    throw new Error('no start');
  };
  const warnings: string[] = [];
  const listen = (warning: Error): number => warnings.push(warning.message);
  process.on('warning', listen);
  const { socketPath } = await powerOn(callbacks);
  const client = await ServedClient.connect(socketPath);
  await expect(client.read(0, 0)).rejects.toThrow('errno 5');
  await client.write(7, 4, 6);
  expect(await client.read(7, 4)).toBe(6);
  client.close();
  await host.HdvTeardownDeviceHost(hdv);
  process.off('warning', listen);
  expect(warnings.map((text) => text.split(': ')[1])).toEqual(['no start', 'no answer']);
});
