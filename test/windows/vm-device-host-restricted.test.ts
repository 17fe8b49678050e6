import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SupportObject } from '../../src/ffi/gate/support-object.ts';
import { guidBytes } from '../../src/ffi/guid.ts';
import type { DevicePlatform } from '../../src/hdv/hdv-binding.ts';
import { HdvDirectAccess } from '../../src/hdv/hdv-direct-access.ts';
import { HdvMemory } from '../../src/hdv/hdv-memory.ts';
import { WindowsSections } from '../../src/hdv/native/windows-section.ts';
import type { HDV_DEVICE, HDV_HOST } from '../../src/hdv/vm-device-host.ts';
import { NativeMachine } from './native-device-host.ts';
import type { StandInFunction } from './stand-in-function.ts';
import { standInsUnavailable } from './stand-ins.ts';

const IID_SUPPORT = 'e31aa49b-0914-465e-b145-1b9ba13efb10';
const BAR = 2;

describe.runIf(standInsUnavailable === undefined)('a restricted device host', () => {
  let machine: NativeMachine;
  let support: SupportObject;
  let host: HDV_HOST;
  let device: HDV_DEVICE;
  let fn: StandInFunction;
  let platform: DevicePlatform;

  beforeAll(async () => {
    machine = new NativeMachine();
    const { library, system } = machine.abi;
    support = SupportObject.create(system, {
      interfaceId: guidBytes(IID_SUPPORT),
      computeSystem: machine.abi.handle,
      proxyDeviceHost: library.addressOf('HdvProxyDeviceHost'),
    });
    host = await machine.deviceHost.HdvInitializeDeviceHostForProxy(
      randomUUID(),
      BigInt(support.address),
    );
    ({ device } = await machine.plug(host, 'ExternalRestricted'));
    fn = await machine.abi.guest.open({ vendorId: 0x1234, deviceId: 0x5678 });
    const { events } = machine.doorbells(4);
    const sections = new WindowsSections(system);
    platform = {
      clock: () => ({ now: 0, after: () => ({ cancel() {} }) }),
      doorbellEvent: (_, ring) => events.create(ring),
      section: (size) => sections.create(size),
    };
  });

  afterAll(async () => {
    await machine.deviceHost.HdvTeardownDeviceHost(host);
    const misuses = machine.abi.misuses();
    await machine[Symbol.asyncDispose]();
    expect(misuses).toEqual([]);
    expect(support.references).toBe(1);
  });

  const isDenied = expect.objectContaining({ code: 'E_ACCESSDENIED' });
  const lines = (name: string): string[] =>
    machine.abi.transcript().filter((line) => line.startsWith(name));

  test('registers by HdvProxyDeviceHost, with this process as its own broker', () => {
    expect(support.registrations).toBe(1);
    expect(support.registrationResult).toBe(0);
    expect(support.registeredProcess).toBe(process.pid);
    expect(lines('HdvProxyDeviceHost')).toEqual([
      'HdvProxyDeviceHost(system1, given, this process) = 0x00000000',
    ]);
  });

  test('may not copy, and says how else', () => {
    const bytes = Buffer.alloc(4);
    expect(() => machine.deviceHost.HdvReadGuestMemory(device, 0, 4, bytes)).toThrow(isDenied);
    expect(() => machine.deviceHost.HdvWriteGuestMemory(device, 0, 4, bytes)).toThrow(
      'map the memory by HdvCreateGuestMemoryAperture',
    );
  });

  test('serves copies of a device by apertures, after one refusal', async () => {
    const memory = new HdvMemory(machine.deviceHost, device, platform);
    const { gpa, read, write } = await machine.abi.guest.allocate(8192);
    const [reads, writes] = [lines('HdvReadGuestMemory').length, lines('HdvWrite').length];
    await write(4090, Buffer.from('over the seam'));
    const into = Buffer.alloc(13);
    expect(memory.read(gpa + 4090, into)).toBe(true);
    expect(into.toString()).toBe('over the seam');
    expect(memory.write(gpa + 4090, Buffer.from('written back!'))).toBe(true);
    expect((await read(4090, 13)).toString()).toBe('written back!');
    expect(memory.read(2 ** 40, into)).toBe(false);
    expect(into).toEqual(Buffer.alloc(13, 0xff));
    expect([lines('HdvReadGuestMemory').length, lines('HdvWrite').length]).toEqual([
      reads + 1,
      writes,
    ]);
    machine.deviceHost.releaseDevice(device);
  });

  test('intercepts doorbells and mapped pages, without a word', async () => {
    const direct = new HdvDirectAccess(machine.deviceHost, device, platform);
    const rung: number[] = [];
    const row = { bar: BAR, offset: 0x100, count: 2, stride: 4 };
    const watch = direct.watchDoorbells(row, (index) => rung.push(index));
    const pages = direct.barMemory(4096, 0, 0);
    const shown = pages?.show(BAR, 0x1000);
    await new Promise((resolve) => setImmediate(resolve));
    await fn.writeBar(BAR, 0x104, 4, 0x77);
    await fn.writeBar(BAR, 0x1004, 4, 0x88);
    expect(await fn.readBar(BAR, 0x104, 4)).toBe(0x77);
    expect(pages?.bytes.readUInt32LE(4)).toBe(0);
    for (const each of [watch, shown, pages]) each?.[Symbol.dispose]();
    expect(rung).toEqual([]);
    expect(lines('HdvRegisterDoorbell')).toHaveLength(1);
    expect(lines('HdvUnregisterDoorbell')).toEqual([]);
    expect(lines('HdvDestroySectionBackedMmioRange')).toEqual([]);
  });

  test('takes interrupts as any other', async () => {
    machine.deviceHost.HdvDeliverGuestInterrupt(device, 0xfee0_0000, 1);
    expect(lines('HdvDeliverGuestInterrupt')).toHaveLength(1);
  });
});
