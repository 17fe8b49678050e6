import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SupportObject } from '../../src/ffi/gate/support-object.ts';
import { guidBytes } from '../../src/ffi/guid.ts';
import { NativeLibrary } from '../../src/ffi/native-library.ts';
import { NotSupportedError } from '../../src/ffi/native-library-error.ts';
import type { HCS_SYSTEM } from '../../src/hcs/core/handles.ts';
import { NativeVmDeviceHost } from '../../src/hdv/native/native-vm-device-host.ts';
import { VM_DEVICE_HOST_ABI } from '../../src/hdv/native/vm-device-host-abi.ts';
import {
  type HDV_DEVICE,
  type HDV_HOST,
  VM_DEVICE_HOST_FUNCTIONS,
} from '../../src/hdv/vm-device-host.ts';
import { NativeMachine } from './native-device-host.ts';
import { standInsUnavailable } from './stand-ins.ts';

const IID_SUPPORT = 'e31aa49b-0914-465e-b145-1b9ba13efb10';
const ANY_VALUE = 0x8000_0000;

describe.runIf(standInsUnavailable === undefined)('VmDeviceHost by vmdevicehost.dll', () => {
  let machine: NativeMachine;
  let deviceHost: NativeVmDeviceHost;

  beforeEach(() => {
    machine = new NativeMachine();
    deviceHost = machine.deviceHost;
  });

  afterEach(async () => {
    const misuses = machine.abi.misuses();
    await machine[Symbol.asyncDispose]();
    expect(misuses).toEqual([]);
  });

  /** Lines of the calls, without those of callbacks. */
  const calls = (): string[] =>
    machine.abi.transcript().filter((line) => !line.startsWith('callback'));

  const supportFor = (system: HCS_SYSTEM): bigint =>
    BigInt(
      SupportObject.create(machine.abi.system, {
        interfaceId: guidBytes(IID_SUPPORT),
        computeSystem: Number(system),
        proxyDeviceHost: machine.abi.library.addressOf('HdvProxyDeviceHost'),
      }).address,
    );

  test('initializes, creates, reads, writes, maps and interrupts as it is asked to', async () => {
    const host = await deviceHost.HdvInitializeDeviceHost(machine.handle);
    const { device, instanceId } = await machine.plug(host);
    const bytes = Buffer.from('hello');
    deviceHost.HdvWriteGuestMemory(device, 0x1_0ffe, 5, bytes);
    const into = Buffer.alloc(7, 0xff);
    deviceHost.HdvReadGuestMemory(device, 0x1_0ffe, 5, into);
    expect(into.toString('latin1')).toBe('hello\xff\xff');
    const aperture = deviceHost.HdvCreateGuestMemoryAperture(device, 0x1_0ffe, 5, true);
    expect(aperture.toString()).toBe('hello');
    deviceHost.HdvDestroyGuestMemoryAperture(device, aperture);
    deviceHost.HdvDeliverGuestInterrupt(device, 0xfee0_1000, 0x4041);
    await deviceHost.HdvTeardownDeviceHost(host);
    const classId = expect.stringMatching(/^[0-9a-f-]{36}$/);
    const [, created = '', ...rest] = calls();
    expect(calls()[0]).toBe('HdvInitializeDeviceHost(system1) = 0x00000000, host1');
    const [, ...parameters] = /^HdvCreateDeviceInstance\((.*)\) = (.*)$/.exec(created) ?? [];
    expect(parameters[0]?.split(', ')).toEqual([
      'host1',
      '1',
      classId,
      instanceId,
      'version 1',
      'given',
    ]);
    expect(parameters[1]).toBe('0x00000000, device1');
    expect(rest).toEqual([
      'HdvWriteGuestMemory(device1, 0x10ffe, 0x5) = 0x00000000',
      'HdvReadGuestMemory(device1, 0x10ffe, 0x5) = 0x00000000',
      'HdvCreateGuestMemoryAperture(device1, 0x10000, 0x2000, 1) = 0x00000000, aperture1',
      'HdvDeliverGuestInterrupt(device1, 0xfee01000, 0x4041) = 0x00000000',
      'HdvDestroyGuestMemoryAperture(device1, aperture1) = 0x00000000',
      'HdvTeardownDeviceHost(host1) = 0x00000000',
    ]);
  });

  test('registers doorbells, pages of doorbells and ranges as it is asked to', async () => {
    const { device } = await machine.withDevice();
    const { CreateEventW, CreateFileMappingW, CloseHandle } = machine.abi.system;
    const event = BigInt(CreateEventW(null, 0, 0, null));
    const section = BigInt(CreateFileMappingW(0xffff_ffff_ffff_ffffn, null, 4, 0, 8192, null));
    const before = calls().length;
    const value = 0xffff_ffff_ffff_fff0n;
    deviceHost.HdvRegisterDoorbell(device, 2, 0x2008, value, 4, event);
    deviceHost.HdvRegisterDoorbell(device, 2, 0x2008, 0n, ANY_VALUE, event);
    deviceHost.HdvUnregisterDoorbell(device, 2, 0x2008, value, 4);
    deviceHost.HdvUnregisterDoorbell(device, 2, 0x2008, 0n, ANY_VALUE);
    deviceHost.HdvRegisterDoorbellPage(device, 2, 3, event);
    deviceHost.HdvUnregisterDoorbellPage(device, 2, 3);
    deviceHost.HdvCreateSectionBackedMmioRange(device, 2, 1, 2, 1, section, 0);
    deviceHost.HdvDestroySectionBackedMmioRange(device, 2, 1);
    for (const handle of [event, section]) CloseHandle(handle);
    expect(calls().slice(before)).toEqual([
      'HdvRegisterDoorbell(device1, 2, 0x2008, 0xfffffffffffffff0, 0x4, given) = 0x00000000',
      'HdvRegisterDoorbell(device1, 2, 0x2008, 0x0, 0x80000000, given) = 0x00000000',
      'HdvUnregisterDoorbell(device1, 2, 0x2008, 0xfffffffffffffff0, 0x4) = 0x00000000',
      'HdvUnregisterDoorbell(device1, 2, 0x2008, 0x0, 0x80000000) = 0x00000000',
      'HdvRegisterDoorbellPage(device1, 2, 0x3, given) = 0x00000000',
      'HdvUnregisterDoorbellPage(device1, 2, 0x3) = 0x00000000',
      'HdvCreateSectionBackedMmioRange(device1, 2, 0x1, 0x2, 0x1, given, 0x0) = 0x00000000',
      'HdvDestroySectionBackedMmioRange(device1, 2, 0x1) = 0x00000000',
    ]);
  });

  test('initializes with flags, and by proxy with and without', async () => {
    await deviceHost.HdvTeardownDeviceHost(
      await deviceHost.HdvInitializeDeviceHostEx(machine.handle, 1),
    );
    const support = supportFor(machine.handle);
    const id = randomUUID();
    await deviceHost.HdvTeardownDeviceHost(
      await deviceHost.HdvInitializeDeviceHostForProxy(id, support),
    );
    await deviceHost.HdvTeardownDeviceHost(
      await deviceHost.HdvInitializeDeviceHostForProxyEx(`{${id.toUpperCase()}}`, support, 0),
    );
    const lines = machine.abi.standIns.transcript();
    const [plain, flags] = lines.filter((line) => line.includes(id));
    expect(plain).toMatch(
      /^HdvInitializeDeviceHostForProxy\([0-9a-f-]{36}, given\) = 0x00000000, host\d+$/,
    );
    expect(flags).toMatch(
      /^HdvInitializeDeviceHostForProxyEx\([0-9a-f-]{36}, given, 0x0\) = 0x00000000, host\d+$/,
    );
    const own = calls().filter((line) => !line.startsWith('HdvProxyDeviceHost'));
    expect(own).toEqual([
      'HdvInitializeDeviceHostEx(system1, 0x1) = 0x00000000, host1',
      'HdvTeardownDeviceHost(host1) = 0x00000000',
      'HdvTeardownDeviceHost(host2) = 0x00000000',
      'HdvTeardownDeviceHost(host3) = 0x00000000',
    ]);
    expect(calls().filter((line) => line.startsWith('HdvProxyDeviceHost'))).toHaveLength(2);
  });

  test('the broker function gives back the section of the other process', async () => {
    const broker = deviceHost.HdvProxyDeviceHost(machine.handle, 0n, process.pid);
    await expect(broker).rejects.toMatchObject({ code: 'E_INVALIDARG' });
    expect(calls()).toEqual(['HdvProxyDeviceHost(system1, null, this process) = 0x80070057']);
  });

  test('every function of the contract is a member', () => {
    for (const name of VM_DEVICE_HOST_FUNCTIONS) expect(deviceHost[name]).toBeTypeOf('function');
    expect(Object.keys(VM_DEVICE_HOST_ABI.functions).sort()).toEqual(
      [...VM_DEVICE_HOST_FUNCTIONS].sort(),
    );
  });

  describe('what cannot be', () => {
    test('a second device host of the system in this process', async () => {
      await machine.initialize();
      await expect(deviceHost.HdvInitializeDeviceHost(machine.handle)).rejects.toMatchObject({
        name: 'HdvError',
        function: 'HdvInitializeDeviceHost',
        hresult: 0xc037_0030,
        code: 'ERROR_VID_PROCESS_ALREADY_SET',
      });
    });

    test('a device host of what is no system', async () => {
      const nothing = deviceHost.HdvInitializeDeviceHost(0x5555n as HCS_SYSTEM);
      await expect(nothing).rejects.toMatchObject({ code: 'E_INVALIDARG' });
    });

    test('a proxy without an id or an object, which would end the process', async () => {
      const calls = [
        deviceHost.HdvInitializeDeviceHostForProxy('', 0x1000n),
        deviceHost.HdvInitializeDeviceHostForProxy(randomUUID(), 0n),
        deviceHost.HdvInitializeDeviceHostForProxyEx(randomUUID(), 0n, 0),
      ];
      for (const call of calls) await expect(call).rejects.toMatchObject({ code: 'E_INVALIDARG' });
      expect(machine.abi.transcript()).toEqual([]);
    });

    test('a device on the thread of an object', async () => {
      const host = await machine.initialize();
      const create = deviceHost.HdvCreateDeviceInstance(
        host,
        1,
        randomUUID(),
        randomUUID(),
        {} as never,
        null,
      );
      await expect(create).rejects.toMatchObject({
        code: 'ERROR_NOT_SUPPORTED',
        message: expect.stringContaining('attach the URL of its module'),
      });
    });

    test('an instance without a GUID, twice, or of a host that is gone', async () => {
      const host = await machine.initialize();
      const table = await machine.table();
      const id = randomUUID();
      expect(() => deviceHost.createDevice(host, id, 'one', table)).toThrow(
        "the instance id 'one' is not a GUID",
      );
      deviceHost.createDevice(host, id, id, table);
      expect(() => deviceHost.createDevice(host, id, id, table)).toThrow(
        expect.objectContaining({ code: 'ERROR_ALREADY_EXISTS' }),
      );
      const gone = 0x1234n as HDV_HOST;
      expect(() => deviceHost.createDevice(gone, id, randomUUID(), table)).toThrow(
        expect.objectContaining({ code: 'E_HANDLE' }),
      );
    });

    test('copies past a buffer, past the memory, or of no address', async () => {
      const { device } = await machine.withDevice();
      const code = (name: string): unknown => expect.objectContaining({ code: name });
      const buffer = Buffer.alloc(16, 1);
      const read = (gpa: number, count: number) => (): void =>
        deviceHost.HdvReadGuestMemory(device, gpa, count, buffer);
      const before = calls().length;
      for (const count of [17, -1, 1.5, 2 ** 32])
        expect(read(0, count)).toThrow(code('E_INVALIDARG'));
      for (const gpa of [-1, 0.5, 2 ** 53])
        expect(read(gpa, 1)).toThrow(code('ERROR_INVALID_ADDRESS'));
      expect(calls()).toHaveLength(before);
      expect(read(64 * 2 ** 20 - 8, 16)).toThrow(code('ERROR_INVALID_ADDRESS'));
      expect(() => deviceHost.HdvWriteGuestMemory(device, 2 ** 52, 16, buffer)).toThrow(
        code('ERROR_INVALID_ADDRESS'),
      );
      expect(() => deviceHost.HdvReadGuestMemory(9n as HDV_DEVICE, 0, 1, buffer)).toThrow(
        code('E_HANDLE'),
      );
      expect(buffer).toEqual(Buffer.alloc(16, 1));
    });

    test('anything that Windows answers with a failure: its name arrives', async () => {
      const { device } = await machine.withDevice();
      machine.abi.standIns.failNext('HdvDeliverGuestInterrupt', 0x8000_ffff, {
        id: machine.abi.id,
      });
      expect(() => deviceHost.HdvDeliverGuestInterrupt(device, 0, 0)).toThrow(
        expect.objectContaining({ code: 'E_UNEXPECTED', function: 'HdvDeliverGuestInterrupt' }),
      );
    });

    test('a function that this Windows does not have, without touching the others', async () => {
      const { library, system } = machine.abi;
      const old = Object.create(library, {
        function: {
          value: (name: string) => {
            if (name !== 'HdvInitializeDeviceHostEx') return library.function(name as never);
            throw new NotSupportedError(name, 'it is not exported', 'Windows 11');
          },
        },
      }) as typeof library;
      expect(old).toBeInstanceOf(NativeLibrary);
      const other = new NativeVmDeviceHost({
        library: old,
        system,
        hostThread: async () => ({ hresult: 0, value: 5n }),
      });
      await expect(other.HdvInitializeDeviceHostEx(machine.handle, 0)).rejects.toThrow(
        'Cannot call HdvInitializeDeviceHostEx as it is not exported: it needs Windows 11',
      );
      expect(await other.HdvInitializeDeviceHost(machine.handle)).toBe(5n);
    });

    test('nothing for the devices of a host that got the handle of one that was torn down', async () => {
      const host = await machine.initialize();
      const { library, system } = machine.abi;
      const answers = [host, 0n, host];
      const again = new NativeVmDeviceHost({
        library,
        system,
        hostThread: async () => ({ hresult: 0, value: answers.shift() ?? 0n }),
      });
      await again.HdvInitializeDeviceHost(machine.handle);
      await again.HdvTeardownDeviceHost(host);
      await again.HdvInitializeDeviceHost(machine.handle);
      const id = randomUUID();
      const device = again.createDevice(host, id, id, await machine.table());
      expect(again.HdvCreateGuestMemoryAperture(device, 0, 16, false)).toHaveLength(16);
      again.releaseDevice(device);
    });

    test('initialization on the thread of a device', async () => {
      const { library, system } = machine.abi;
      const there = new NativeVmDeviceHost({ library, system });
      await expect(there.HdvInitializeDeviceHost(machine.handle)).rejects.toMatchObject({
        code: 'ERROR_NOT_SUPPORTED',
      });
    });
  });
});
