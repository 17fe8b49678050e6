// Longer than most files: what each of the 18 functions of vmdevicehost.dll is given and gives.
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { OutCell } from '../../src/ffi/abi.ts';
import { SupportObject } from '../../src/ffi/gate/support-object.ts';
import { guidBytes } from '../../src/ffi/guid.ts';
import { view } from '../../src/ffi/memory.ts';
import { VM_DEVICE_HOST_ABI } from '../../src/hdv/native/vm-device-host-abi.ts';
import { AbiMachine, expectOk } from './abi-machine.ts';
import { standInsUnavailable } from './stand-ins.ts';

const E_FAIL = 0x8000_4005;
const E_UNEXPECTED = 0x8000_ffff;
const RPC_E_WRONG_THREAD = 0x8001_010e;
const E_ACCESSDENIED = 0x8007_0005;
const E_HANDLE = 0x8007_0006;
const E_INVALIDARG = 0x8007_0057;
const ERROR_ALREADY_EXISTS = 0x8007_00b7;
const ERROR_INVALID_ADDRESS = 0x8007_01e7;
const ERROR_NOT_FOUND = 0x8007_0490;
const ERROR_NOT_ENOUGH_QUOTA = 0x8007_0718;
const ERROR_HV_INVALID_PARAMETER = 0xc035_0005;
const ERROR_VID_PROCESS_ALREADY_SET = 0xc037_0030;
/** IVmDeviceHostSupport. */
const SUPPORT_ID = 'e31aa49b-0914-465e-b145-1b9ba13efb10';
const VIRTIO_FS = '872270e1-a899-4af6-b454-7193634435ad';
const PAGE = 4096;
const DWORD_ANY_VALUE = 0x8000_0003;

if (standInsUnavailable !== undefined) console.warn(`Skipped: ${standInsUnavailable}`);

describe.runIf(standInsUnavailable === undefined)('the functions of vmdevicehost.dll', () => {
  test('all 18 are exported', async () => {
    await using machine = new AbiMachine();
    const names = Object.keys(VM_DEVICE_HOST_ABI.functions);
    expect(names).toHaveLength(18);
    expect(names.filter((name) => !machine.library.has(name))).toEqual([]);
  });

  test('a device lives from Initialize to Teardown, and everything in between is as it was said', async () => {
    await using machine = new AbiMachine();
    const { library, guest } = machine;
    const [classId, instanceId] = [
      '00000001-0002-0003-0405-060708090a0b',
      '10000000-2000-3000-4000-500000000000',
    ];
    const host = machine.initialize();
    const { device, result } = machine.create(host, await machine.gate(), classId, instanceId);
    expectOk(result);
    expectOk(await machine.attach(instanceId, classId));
    expectOk(await machine.start());
    const fn = await guest.open({ vendorId: 0x1234, deviceId: 0x5678 });
    expect(fn.info.bars.map(({ slot, size }) => [slot, size])).toEqual([
      [0, 0x1000],
      [2, 0x4000],
    ]);
    const memory = await guest.allocate(2 * PAGE);
    await memory.write(PAGE - 2, Buffer.from('guest'));
    const buffer = Buffer.alloc(128);
    expectOk(library.function('HdvReadGuestMemory')(device, memory.gpa + PAGE - 2, 5, buffer));
    expect(buffer.toString('latin1', 0, 5)).toBe('guest');
    expectOk(library.function('HdvWriteGuestMemory')(device, memory.gpa, 5, buffer));
    expect((await memory.read(0, 6)).toString('latin1')).toBe('guest\0');
    const mapped: OutCell = [0];
    const create = library.function('HdvCreateGuestMemoryAperture');
    expectOk(create(device, memory.gpa, 2 * PAGE, 0, mapped));
    Buffer.from(view(Number(mapped[0]), 2 * PAGE)).write('mapped', 100);
    expect((await memory.read(100, 6)).toString('latin1')).toBe('mapped');
    expectOk(library.function('HdvDestroyGuestMemoryAperture')(device, mapped[0]));
    expectOk(library.function('HdvDeliverGuestInterrupt')(device, 0xfee0_1000, 0x4021));
    expectOk(await guest.devices.function('StandInPauseSystem').async(machine.id));
    expectOk(await guest.devices.function('StandInResumeSystem').async(machine.id));
    expectOk(library.function('HdvTeardownDeviceHost')(host));

    const gpa = (offset: number): string => `0x${(memory.gpa + offset).toString(16)}`;
    const details = '34127856030405069a78debc, 00f0ffff000000000cc0ffffffffffff0000000000000000';
    expect(machine.transcript()).toEqual([
      'HdvInitializeDeviceHost(system1) = 0x00000000, host1',
      `HdvCreateDeviceInstance(host1, 1, ${classId}, ${instanceId}, version 1, given) = 0x00000000, device1`,
      'callback Initialize(device1) = 0x00000000',
      'callback SetConfiguration(device1, 0, null) = 0x00000000',
      `callback GetDetails(device1, 6) = 0x00000000, ${details}`,
      `callback GetDetails(device1, 6) = 0x00000000, ${details}`,
      'callback Start(device1) = 0x00000000',
      `HdvReadGuestMemory(device1, ${gpa(PAGE - 2)}, 0x5) = 0x00000000`,
      `HdvWriteGuestMemory(device1, ${gpa(0)}, 0x5) = 0x00000000`,
      `HdvCreateGuestMemoryAperture(device1, ${gpa(0)}, 0x2000, 0) = 0x00000000, aperture1`,
      'HdvDestroyGuestMemoryAperture(device1, aperture1) = 0x00000000',
      'HdvDeliverGuestInterrupt(device1, 0xfee01000, 0x4021) = 0x00000000',
      'callback Stop(device1)',
      'callback Start(device1) = 0x00000000',
      'HdvTeardownDeviceHost(host1) = 0x00000000',
      'callback Stop(device1)',
      'callback Teardown(device1)',
    ]);
  });

  test('accesses of 1, 2, 4 and 8 bytes arrive as they were made', async () => {
    await using machine = new AbiMachine();
    const { host } = await machine.withDevice();
    const fn = await machine.guest.open({ vendorId: 0x1234, deviceId: 0x5678 });
    machine.guest.devices.function('StandInSet')(null, 'logAccesses', 1);
    machine.standIns.clear();
    await fn.writeBar64(2, 0x3ff8, 0x8877_6655_4433_2211n);
    await fn.writeBar(2, 0x3ffb, 1, 0xaa);
    await fn.writeBar(2, 0x3ffe, 2, 0xbbcc);
    expect(await fn.readBar64(2, 0x3ff8)).toBe(0xbbcc_6655_aa33_2211n);
    expect(await fn.readBar(2, 0x3ffc, 4)).toBe(0xbbcc_6655);
    expect(await fn.readConfig(2, 2)).toBe(0x5678);
    await fn.writeConfig(0x3c, 1, 11);
    machine.guest.devices.function('StandInSet')(null, 'logAccesses', 0);
    expect(machine.transcript()).toEqual([
      'callback WriteInterceptedMemory(device1, 2, 0x3ff8, 8, 0x8877665544332211) = 0x0',
      'callback WriteInterceptedMemory(device1, 2, 0x3ffb, 1, 0xaa) = 0x0',
      'callback WriteInterceptedMemory(device1, 2, 0x3ffe, 2, 0xbbcc) = 0x0',
      'callback ReadInterceptedMemory(device1, 2, 0x3ff8, 8) = 0x0, 0xbbcc6655aa332211',
      'callback ReadInterceptedMemory(device1, 2, 0x3ffc, 4) = 0x0, 0xbbcc6655',
      'callback ReadConfigSpace(device1, 0x0) = 0x0, 0x56781234',
      'callback ReadConfigSpace(device1, 0x3c) = 0x0, 0x0',
      'callback WriteConfigSpace(device1, 0x3c, 0xb) = 0x0',
    ]);
    expectOk(machine.library.function('HdvTeardownDeviceHost')(host));
  });

  test('the platform keeps command register and BARs, or passes them on', async () => {
    for (const forwards of [0, 1]) {
      await using machine = new AbiMachine();
      machine.guest.devices.function('StandInSet')(machine.id, 'forwards', forwards);
      const { host } = await machine.withDevice();
      machine.guest.devices.function('StandInSet')(null, 'logAccesses', 1);
      const fn = await machine.guest.open({ vendorId: 0x1234, deviceId: 0x5678 });
      await fn.writeConfig(0x10, 4, 0xffff_ffff);
      const probed = await fn.readConfig(0x10, 4);
      machine.guest.devices.function('StandInSet')(null, 'logAccesses', 0);
      const writes = machine.transcript().filter((line) => line.includes('WriteConfigSpace'));
      expect(writes).toEqual(
        forwards === 0
          ? []
          : [
              'callback WriteConfigSpace(device1, 0x4, 0x100006) = 0x0',
              'callback WriteConfigSpace(device1, 0x10, 0xffffffff) = 0x0',
            ],
      );
      // The test's device keeps every bit of it, where it gets the write.
      expect(probed).toBe(forwards === 0 ? 0xffff_f000 : 0xffff_ffff);
      expectOk(machine.library.function('HdvTeardownDeviceHost')(host));
    }
  });

  test('memory above 4 GiB is reached by copies and by apertures; the hole below is not memory', async () => {
    await using machine = new AbiMachine({ memoryMB: 5120 });
    const { host, device } = await machine.withDevice();
    const { library, guest } = machine;
    const high = await guest.allocate(PAGE, { high: true });
    expect(high.gpa).toBeGreaterThanOrEqual(2 ** 32);
    await high.write(0, Buffer.from('far'));
    const buffer = Buffer.alloc(128);
    expectOk(library.function('HdvReadGuestMemory')(device, high.gpa, 3, buffer));
    expect(buffer.toString('latin1', 0, 3)).toBe('far');
    const cell: OutCell = [0];
    const create = library.function('HdvCreateGuestMemoryAperture');
    expectOk(create(device, high.gpa, PAGE, 1, cell));
    expect(Buffer.from(view(Number(cell[0]), PAGE)).toString('latin1', 0, 3)).toBe('far');
    const lowEnd = 0xf000_0000;
    expectOk(create(device, lowEnd - PAGE, PAGE, 0, cell));
    expect(create(device, lowEnd - PAGE, 2 * PAGE, 0, cell)).toBe(ERROR_INVALID_ADDRESS);
    expect(create(device, lowEnd, PAGE, 0, cell)).toBe(ERROR_INVALID_ADDRESS);
    const read = library.function('HdvReadGuestMemory');
    expect(read(device, lowEnd - 2, 4, buffer)).toBe(ERROR_INVALID_ADDRESS);
    expect(read(device, 2 ** 32 - 1, 2, buffer)).toBe(ERROR_INVALID_ADDRESS);
    expectOk(library.function('HdvTeardownDeviceHost')(host));
    expect(machine.standIns.openHandles('aperture', machine.id)).toBe(0);
  });

  test('apertures have a quota, whole pages and one end', async () => {
    await using machine = new AbiMachine();
    const { host, device } = await machine.withDevice();
    const { library, guest } = machine;
    guest.devices.function('StandInSet')(machine.id, 'quota', 2);
    const create = library.function('HdvCreateGuestMemoryAperture');
    const destroy = library.function('HdvDestroyGuestMemoryAperture');
    const [first, second, third]: [OutCell, OutCell, OutCell] = [[0], [0], [0]];
    expectOk(create(device, 0, PAGE, 0, first));
    expectOk(create(device, 0, PAGE, 0, second));
    expect(create(device, 0, PAGE, 0, third)).toBe(ERROR_NOT_ENOUGH_QUOTA);
    expectOk(destroy(device, first[0]));
    expectOk(create(device, 0, PAGE, 0, third));
    expect(create(device, 0, 0, 0, [0])).toBe(E_INVALIDARG);
    expect(machine.misuses()).toEqual([]);
    expect(create(device, 16, PAGE, 0, [0])).toBe(E_INVALIDARG);
    expect(destroy(device, 12_345)).toBe(E_INVALIDARG);
    expectOk(library.function('HdvTeardownDeviceHost')(host));
    expect(destroy(device, second[0])).toBe(E_HANDLE);
    expect(machine.misuses()).toEqual([
      'MISUSE HdvCreateGuestMemoryAperture: 0x10 and 0x1000 are no whole pages',
      'MISUSE HdvDestroyGuestMemoryAperture: device1 has no such aperture',
      expect.stringMatching(/^MISUSE HdvDestroyGuestMemoryAperture: device1/),
    ]);
  });

  test.runIf(process.platform === 'linux')(
    'an aperture is what the processor lets it be, and is gone when it is destroyed',
    async () => {
      await using machine = new AbiMachine();
      const { host, device } = await machine.withDevice();
      const { library } = machine;
      const modeOf = (address: number | bigint): string | undefined => {
        const start = `${address.toString(16)}-`;
        const lines = readFileSync('/proc/self/maps', 'latin1').split('\n');
        return lines.find((line) => line.startsWith(start))?.split(' ')[1];
      };
      const [reading, writing]: [OutCell, OutCell] = [[0], [0]];
      const create = library.function('HdvCreateGuestMemoryAperture');
      expectOk(create(device, 0, PAGE, 1, reading));
      expectOk(create(device, 0x8000, PAGE, 0, writing));
      expect(modeOf(reading[0])).toBe('r--s');
      expect(modeOf(writing[0])).toBe('rw-s');
      expectOk(library.function('HdvDestroyGuestMemoryAperture')(device, reading[0]));
      expect(modeOf(reading[0])).toBeUndefined();
      expectOk(library.function('HdvTeardownDeviceHost')(host));
      expect(modeOf(writing[0])).toBeUndefined();
    },
  );

  test('doorbells take the writes that match, by size, value and page', async () => {
    await using machine = new AbiMachine();
    const { host, device } = await machine.withDevice();
    const { library, system } = machine;
    const fn = await machine.guest.open({ vendorId: 0x1234, deviceId: 0x5678 });
    const event = system.CreateEventW(null, 0, 0, null);
    const rang = (): boolean => system.WaitForSingleObject(event, 0) === 0;
    const register = library.function('HdvRegisterDoorbell');
    const unregister = library.function('HdvUnregisterDoorbell');
    expectOk(register(device, 0, 0x10, 7, 3, event));
    expect(register(device, 0, 0x10, 7, 3, event)).toBe(ERROR_ALREADY_EXISTS);
    expectOk(register(device, 0, 0x20, 0, DWORD_ANY_VALUE, event));
    await fn.writeBar(0, 0x10, 4, 8);
    await fn.writeBar(0, 0x10, 2, 7);
    expect([rang(), await fn.readBar(0, 0x10, 4)]).toEqual([false, 7]);
    await fn.writeBar(0, 0x10, 4, 0);
    await fn.writeBar(0, 0x10, 4, 7);
    expect([rang(), await fn.readBar(0, 0x10, 4)]).toEqual([true, 0]);
    await fn.writeBar(0, 0x20, 4, 0x1234);
    expect([rang(), await fn.readBar(0, 0x20, 4)]).toEqual([true, 0]);
    expectOk(library.function('HdvRegisterDoorbellPage')(device, 2, 1, event));
    await fn.writeBar(2, 0x1ffe, 2, 0x55);
    expect([rang(), await fn.readBar(2, 0x1ffe, 2)]).toEqual([true, 0]);
    await fn.writeBar(2, 0x2000, 4, 0x66);
    expect([rang(), await fn.readBar(2, 0x2000, 4)]).toEqual([false, 0x66]);
    expectOk(library.function('HdvUnregisterDoorbellPage')(device, 2, 1));
    expect(unregister(device, 0, 0x10, 8, 3)).toBe(ERROR_NOT_FOUND);
    expectOk(unregister(device, 0, 0x10, 7, 3));
    await fn.writeBar(0, 0x10, 4, 7);
    expect([rang(), await fn.readBar(0, 0x10, 4)]).toEqual([false, 7]);
    expect(register(device, 0, 0, 0, 5, event)).toBe(E_INVALIDARG);
    expect(register(device, 6, 0, 0, 3, event)).toBe(E_INVALIDARG);
    expect(machine.misuses()).toEqual([]);
    expectOk(library.function('HdvTeardownDeviceHost')(host));
    system.CloseHandle(event);
  });

  test('a section-backed range is memory of both sides until it is destroyed', async () => {
    await using machine = new AbiMachine();
    const { host, device } = await machine.withDevice();
    const { library, system } = machine;
    const fn = await machine.guest.open({ vendorId: 0x1234, deviceId: 0x5678 });
    const section = system.CreateFileMappingW(-1, null, 4, 0, 4 * PAGE, null);
    const mapped = system.MapViewOfFile(section, 6, 0, 0, 4 * PAGE);
    const ours = Buffer.from(view(Number(mapped), 4 * PAGE));
    const create = library.function('HdvCreateSectionBackedMmioRange');
    const destroy = library.function('HdvDestroySectionBackedMmioRange');
    expectOk(create(device, 2, 1, 2, 1, section, 2));
    expect(create(device, 2, 2, 1, 1, section, 0)).toBe(ERROR_ALREADY_EXISTS);
    expect(create(device, 2, 3, 2, 1, section, 0)).toBe(E_INVALIDARG);
    await fn.writeBar(2, 0x1004, 4, 0xcafe_f00d);
    expect(ours.readUInt32LE(2 * PAGE + 4)).toBe(0xcafe_f00d);
    ours.writeUInt8(0x99, 4 * PAGE - 1);
    expect(await fn.readBar(2, 0x2fff, 1)).toBe(0x99);
    await fn.writeBar(2, 0x3000, 4, 1);
    expectOk(destroy(device, 2, 1));
    expect(destroy(device, 2, 1)).toBe(ERROR_NOT_FOUND);
    expect(await fn.readBar(2, 0x1004, 4)).toBe(0);
    expectOk(create(device, 2, 1, 1, 0, section, 0));
    await fn.writeBar(2, 0x1000, 4, 5);
    expect([await fn.readBar(2, 0x1000, 4), ours.readUInt32LE(0)]).toEqual([0, 0]);
    expectOk(library.function('HdvTeardownDeviceHost')(host));
    system.UnmapViewOfFile(mapped);
    system.CloseHandle(section);
  });

  test('handles, threads and second hosts are refused by their codes', async () => {
    await using machine = new AbiMachine();
    const { host, device, instanceId } = await machine.withDevice();
    const { library } = machine;
    const initialize = library.function('HdvInitializeDeviceHost');
    expect(initialize(machine.handle, [0])).toBe(ERROR_VID_PROCESS_ALREADY_SET);
    const ex = library.function('HdvInitializeDeviceHostEx');
    expect(ex(machine.handle, 1, [0])).toBe(ERROR_VID_PROCESS_ALREADY_SET);
    expect(ex(machine.handle, 2, [0])).toBe(E_INVALIDARG);
    const gate = await machine.gate();
    const again = machine.create(host, gate, randomUUID(), instanceId);
    expect(again).toEqual({ result: ERROR_ALREADY_EXISTS, device: 0 });
    expect(await machine.attach(randomUUID(), randomUUID())).toBe(E_UNEXPECTED);
    const teardown = library.function('HdvTeardownDeviceHost');
    expect(await teardown.async(host)).toBe(RPC_E_WRONG_THREAD);
    expect(machine.misuses()).toEqual([
      'MISUSE HdvTeardownDeviceHost: not the thread that initialized host1',
    ]);
    expectOk(teardown(host));
    expect(teardown(host)).toBe(E_HANDLE);
    expect(library.function('HdvDeliverGuestInterrupt')(device, 0xfee0_0000, 1)).toBe(E_HANDLE);
    expect(machine.misuses()).toHaveLength(3);
  });

  test('a system that is closed while its device host lives is a misuse', async () => {
    await using machine = new AbiMachine();
    const host = machine.initialize();
    const second: OutCell = [0];
    machine.guest.devices.function('StandInOpenSystem')(machine.id, second);
    machine.guest.devices.function('StandInCloseSystemHandle')(Number(second[0]));
    expect(machine.misuses()).toEqual([]);
    machine.guest.devices.function('StandInCloseSystemHandle')(machine.handle);
    expect(machine.misuses()).toEqual([
      'MISUSE HcsCloseComputeSystem: host1 lives on the handle system1',
    ]);
    expectOk(machine.library.function('HdvTeardownDeviceHost')(host));
  });

  test('what a device does after Stop is a misuse', async () => {
    await using machine = new AbiMachine();
    const { host, device } = await machine.withDevice();
    await machine.guest.devices.function('StandInPauseSystem').async(machine.id);
    expectOk(machine.library.function('HdvDeliverGuestInterrupt')(device, 0xfee0_0000, 1));
    expect(machine.misuses()).toEqual([
      'MISUSE HdvDeliverGuestInterrupt: device1 has been stopped',
    ]);
    expectOk(machine.library.function('HdvTeardownDeviceHost')(host));
  });

  describe('a restricted device host', () => {
    /** A host that the object of this package connects, as the broker in the same process. */
    function initializeRestricted(machine: AbiMachine): { host: number; support: SupportObject } {
      const support = SupportObject.create(machine.system, {
        interfaceId: guidBytes(SUPPORT_ID),
        computeSystem: machine.handle,
        proxyDeviceHost: machine.library.addressOf('HdvProxyDeviceHost'),
      });
      const initialize = machine.library.function('HdvInitializeDeviceHostForProxy');
      const cell: OutCell = [0];
      expectOk(initialize(guidBytes(randomUUID()), support.address, cell));
      return { host: Number(cell[0]), support };
    }

    test('is connected by its support object, which outlives it', async () => {
      await using machine = new AbiMachine();
      const { host, support } = initializeRestricted(machine);
      expect([support.registrations, support.registrationResult]).toEqual([1, 0]);
      expect(support.references).toBe(2);
      expectOk(machine.library.function('HdvTeardownDeviceHost')(host));
      expect(support.references).toBe(1);
      expect(machine.transcript()).toEqual([
        'HdvProxyDeviceHost(system1, given, this process) = 0x00000000',
        'HdvTeardownDeviceHost(host1) = 0x00000000',
      ]);
      const misuses = machine.standIns.misuses();
      expect(misuses.filter((line) => line.includes('IVmDeviceHost'))).toEqual([]);
    });

    test('reaches memory by apertures alone, and has no doorbells and no ranges', async () => {
      await using machine = new AbiMachine();
      const { library, system } = machine;
      const { host } = initializeRestricted(machine);
      const instanceId = randomUUID();
      const { device } = machine.create(host, await machine.gate(), VIRTIO_FS, instanceId);
      expectOk(await machine.start());
      expect(await machine.attach(instanceId, VIRTIO_FS)).toBe(E_UNEXPECTED);
      expectOk(await machine.attach(instanceId, VIRTIO_FS, 'ExternalRestricted'));
      const buffer = Buffer.alloc(128);
      expect(library.function('HdvReadGuestMemory')(device, 0, 4, buffer)).toBe(E_ACCESSDENIED);
      expect(library.function('HdvWriteGuestMemory')(device, 0, 4, buffer)).toBe(E_ACCESSDENIED);
      const event = system.CreateEventW(null, 0, 0, null);
      const register = library.function('HdvRegisterDoorbell');
      expect(register(device, 0, 0, 0, 3, event)).toBe(E_ACCESSDENIED);
      const page = library.function('HdvRegisterDoorbellPage');
      expect(page(device, 0, 0, event)).toBe(E_ACCESSDENIED);
      const range = library.function('HdvCreateSectionBackedMmioRange');
      expect(range(device, 0, 0, 1, 1, event, 0)).toBe(E_ACCESSDENIED);
      const cell: OutCell = [0];
      expectOk(library.function('HdvCreateGuestMemoryAperture')(device, 0, PAGE, 0, cell));
      expectOk(library.function('HdvTeardownDeviceHost')(host));
      system.CloseHandle(event);
    });

    test('has one device of a custom class, and any number of a well-known one', async () => {
      await using machine = new AbiMachine();
      const { host } = initializeRestricted(machine);
      expectOk(await machine.start());
      const results: number[] = [];
      for (const classId of [randomUUID(), VIRTIO_FS, VIRTIO_FS, randomUUID()]) {
        const instanceId = randomUUID();
        machine.create(host, await machine.gate(), classId, instanceId);
        results.push(await machine.attach(instanceId, classId, 'ExternalRestricted'));
      }
      expect(results).toEqual([0, 0, 0, ERROR_HV_INVALID_PARAMETER]);
      expectOk(machine.library.function('HdvTeardownDeviceHost')(host));
    });

    test('cannot be made twice at once, nor without an id', async () => {
      await using machine = new AbiMachine();
      const support = SupportObject.create(machine.system, {
        interfaceId: guidBytes(SUPPORT_ID),
        computeSystem: machine.handle,
        proxyDeviceHost: machine.library.addressOf('HdvProxyDeviceHost'),
      });
      const initialize = machine.library.function('HdvInitializeDeviceHostForProxy');
      expect(initialize(null, support.address, [0])).toBe(E_INVALIDARG);
      expect(machine.standIns.misuses()).toContain(
        'MISUSE HdvInitializeDeviceHostForProxy: the id is NULL, which crashes on Windows',
      );
      machine.standIns.hold('HdvProxyDeviceHost', { id: machine.id });
      const first: OutCell = [0];
      const pending = initialize.async(guidBytes(randomUUID()), support.address, first);
      await expect
        .poll(() => machine.standIns.held('HdvProxyDeviceHost', { id: machine.id }), {
          timeout: 30_000,
        })
        .toBe(1);
      const second = initialize(guidBytes(randomUUID()), support.address, [0]);
      machine.standIns.release('HdvProxyDeviceHost', { id: machine.id });
      expect([second, await pending]).toEqual([E_ACCESSDENIED, 0]);
    });
  });

  describe('native threads', () => {
    test('four of them use a device at once, and each finds what it wrote', async () => {
      await using machine = new AbiMachine();
      const { host } = await machine.withDevice();
      const fn = await machine.guest.open({ vendorId: 0x1234, deviceId: 0x5678 });
      const options = { length: 0x4000, threads: 4, accesses: 2000, seed: 11 };
      const result = await machine.guest.hammer(fn, 2, options);
      expect(result).toMatchObject({ accesses: 8000, failed: 0, wrong: 0, gone: 0 });
      const { nanoseconds } = await machine.guest.measure(fn, 2, { threads: 2, accesses: 500 });
      expect(nanoseconds.every((ns) => ns > 0)).toBe(true);
      expect(machine.guest.threadsInside()).toBe(0);
      expectOk(machine.library.function('HdvTeardownDeviceHost')(host));
    });

    test('a device host can be torn down under them, and they find no device', async () => {
      await using machine = new AbiMachine();
      const { host, instanceId } = await machine.withDevice();
      const fn = await machine.guest.open({ vendorId: 0x1234, deviceId: 0x5678 });
      const options = { length: 0x4000, threads: 4, accesses: 100_000_000, seed: 12 };
      const hammering = machine.guest.hammer(fn, 2, options);
      await expect.poll(() => machine.guest.threadsInside(), { timeout: 30_000 }).not.toBe(0);
      expectOk(machine.library.function('HdvTeardownDeviceHost')(host));
      expect(await hammering).toMatchObject({ failed: 0, wrong: 0, gone: 4 });
      const last = machine
        .transcript()
        .filter((line) => line.startsWith('callback'))
        .at(-1);
      expect(last).toBe('callback Teardown(device1)');
      // The worker still serves: the device answers, whatever state it is in.
      expect(await machine.guest.lateCalls(instanceId, 2)).toHaveLength(10);
    });

    test('a closed gate answers by its code, before and after the teardown: accesses as an empty slot, the rest with E_FAIL', async () => {
      await using machine = new AbiMachine();
      const host = machine.initialize();
      const [classId, instanceId] = [randomUUID(), randomUUID()];
      const gate = await machine.gate();
      machine.create(host, gate, classId, instanceId);
      expectOk(await machine.start());
      expectOk(await machine.attach(instanceId, classId));
      const fn = await machine.guest.open({ vendorId: 0x1234, deviceId: 0x5678 });
      gate.close();
      const options = { length: 0x4000, threads: 4, accesses: 100, seed: 13 };
      const result = await machine.guest.hammer(fn, 2, options);
      expect(result).toMatchObject({ accesses: 400, failed: 0, gone: 0 });
      expect(result.ones).toBeGreaterThan(0);
      expect(await fn.readBar(2, 0, 4)).toBe(0xffff_ffff);
      expectOk(machine.library.function('HdvTeardownDeviceHost')(host));
      const late = await machine.guest.lateCalls(instanceId, 4);
      const [initialize, teardown, configure, details, start, stop, ...accesses] = late;
      expect([initialize, configure, details, start]).toEqual(new Array(4).fill(E_FAIL));
      expect([teardown, stop, ...accesses]).toEqual(new Array(6).fill(0));
    });
  });
});
