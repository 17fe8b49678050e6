import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { view } from '../../src/ffi/memory.ts';
import { NativeVmDeviceHost } from '../../src/hdv/native/native-vm-device-host.ts';
import { RetiredMemory } from '../../src/hdv/native/retired-memory.ts';
import type { HDV_DEVICE, HDV_HOST } from '../../src/hdv/vm-device-host.ts';
import { NativeMachine } from './native-device-host.ts';
import { standInsUnavailable } from './stand-ins.ts';

const PAGE = 4096;

/** What a device may do to bytes that it should not have kept. Fails when that shows it anything. */
function touch(bytes: Buffer): void {
  for (let at = 0; at < bytes.length; at += 64) {
    if (bytes[at] !== 0) throw new Error(`Byte ${at} is ${bytes[at]}`);
    bytes[at] = 0;
  }
  bytes[0] = 0xff;
}

describe.runIf(standInsUnavailable === undefined)('apertures by vmdevicehost.dll', () => {
  let machine: NativeMachine;
  let host: HDV_HOST;
  let device: HDV_DEVICE;

  async function open(options?: ConstructorParameters<typeof NativeMachine>[0]): Promise<void> {
    machine = new NativeMachine(options);
    ({ host, device } = await machine.withDevice());
  }

  afterEach(async () => {
    const misuses = machine.abi.misuses();
    await machine[Symbol.asyncDispose]();
    expect(misuses).toEqual([]);
  });

  const map = (gpa: number, length: number, writeProtected = false): Buffer =>
    machine.deviceHost.HdvCreateGuestMemoryAperture(device, gpa, length, writeProtected);
  const unmap = (bytes: Buffer): void =>
    machine.deviceHost.HdvDestroyGuestMemoryAperture(device, bytes);
  /** How often native code has mapped and unmapped. */
  const counts = (): [mapped: number, unmapped: number] => {
    const lines = machine.abi.transcript();
    const count = (name: string): number => lines.filter((line) => line.startsWith(name)).length;
    return [count('HdvCreateGuestMemoryAperture'), count('HdvDestroyGuestMemoryAperture')];
  };

  describe('of a machine', () => {
    beforeEach(() => open());

    test('are the bytes of the guest, both ways', async () => {
      const { gpa, read, write } = await machine.abi.guest.allocate(3 * PAGE);
      const bytes = map(gpa + 100, 2 * PAGE);
      await write(100, Buffer.from('from the guest'));
      expect(bytes.toString('latin1', 0, 14)).toBe('from the guest');
      bytes.write('from the device', PAGE);
      expect((await read(100 + PAGE, 15)).toString()).toBe('from the device');
      unmap(bytes);
    });

    test('are mapped once for a range that is asked for again and again', () => {
      for (let i = 0; i < 100; i++) unmap(map(0x8000 + 16 * i, 16));
      expect(counts()).toEqual([1, 0]);
    });

    test('can be open twice, each under its own name', () => {
      const [first, second] = [map(0x8000, PAGE), map(0x8000, PAGE)];
      first.write('seen');
      unmap(first);
      expect(second.toString('latin1', 0, 4)).toBe('seen');
      expect(() => unmap(first)).toThrow('the Buffer is not an open aperture');
      expect(() => unmap(second.subarray(0, 8))).toThrow('pass the very Buffer');
      unmap(second);
    });

    test('are refused of nothing, of more than 32 bits can count, and of what is not memory', () => {
      for (const length of [0, -1, 1.5, 2 ** 32, 2 ** 32 - 1]) {
        expect(() => map(0, length)).toThrow(expect.objectContaining({ code: 'E_INVALIDARG' }));
      }
      const nowhere = expect.objectContaining({ code: 'ERROR_INVALID_ADDRESS' });
      expect(() => map(64 * 2 ** 20 - PAGE, 2 * PAGE)).toThrow(nowhere);
      expect(() => map(2 ** 46, 1)).toThrow(nowhere);
      expect(() => map(-PAGE, 1)).toThrow(nowhere);
      const dead = 77n as HDV_DEVICE;
      expect(() => machine.deviceHost.HdvCreateGuestMemoryAperture(dead, 0, 1, false)).toThrow(
        expect.objectContaining({ code: 'E_HANDLE' }),
      );
    });

    test('that are gone can be touched, and show and reach nothing', async () => {
      const { gpa, read, write } = await machine.abi.guest.allocate(2 * PAGE);
      await write(0, Buffer.from('secret'));
      const stale = map(gpa, 2 * PAGE);
      expect(stale.toString('latin1', 0, 6)).toBe('secret');
      machine.deviceHost.releaseDevice(device);
      expect(counts()).toEqual([1, 1]);
      touch(stale);
      expect((await read(0, 6)).toString()).toBe('secret');
    });

    test('survive that hundreds of them come and go while their Buffers stay', () => {
      const stale: Buffer[] = [];
      for (let round = 0; round < 4; round++) {
        for (let i = 0; i < 100; i++) stale.push(map(PAGE * i, PAGE * (1 + (i % 3))));
        machine.deviceHost.releaseDevice(device);
        for (const bytes of stale) {
          for (let at = 0; at < bytes.length; at += PAGE) bytes[at] = round;
        }
      }
      const [mapped, unmapped] = counts();
      expect([mapped, unmapped]).toEqual([400, 400]);
    });

    test('leave zero pages at their addresses, until nobody has the Buffers any more', async () => {
      setFlagsFromString('--expose-gc');
      const collectGarbage = runInNewContext('gc') as () => void;
      const freed: number[] = [];
      const { system } = machine.abi;
      const retired = new RetiredMemory({
        VirtualAlloc: system.VirtualAlloc,
        VirtualFree: Object.assign((...parameters: Parameters<typeof system.VirtualFree>) => {
          freed.push(Number(parameters[0]));
          return system.VirtualFree(...parameters);
        }, system.VirtualFree),
      });
      const retire = (): number[] =>
        Array.from({ length: 20 }, () => {
          const size = 3 * PAGE;
          const address = Number(system.VirtualAlloc(null, size, 0x3000, 4));
          const memory = view(address, size);
          const bytes = Buffer.from(memory);
          bytes.fill(0x77);
          system.VirtualFree(address, 0, 0x8000);
          expect(retired.retire(address, memory)).toBe(true);
          touch(bytes);
          expect(bytes.length).toBe(size);
          return address;
        });
      const addresses = retire();
      for (let turn = 0; turn < 50 && freed.length < 20; turn++) {
        collectGarbage();
        await new Promise((resolve) => setImmediate(resolve));
      }
      expect(freed.sort()).toEqual(addresses.sort());
    });

    test('end with the device host, before it; a late one is neither made nor unmade', async () => {
      const stale = map(0x4000, PAGE);
      await machine.tearDown(host);
      const lines = machine.abi.transcript().map((line) => line.slice(0, line.indexOf('(')));
      expect(lines.indexOf('HdvDestroyGuestMemoryAperture')).toBeLessThan(
        lines.indexOf('HdvTeardownDeviceHost'),
      );
      touch(stale);
      expect(() => unmap(stale)).toThrow(expect.objectContaining({ code: 'E_INVALIDARG' }));
      expect(() => map(0x4000, PAGE)).toThrow(expect.objectContaining({ code: 'E_HANDLE' }));
      expect(counts()).toEqual([1, 1]);
    });
  });

  test('of another thread are not unmade once the teardown began', async () => {
    await open();
    const tornDown = new Int32Array(new SharedArrayBuffer(4));
    const { library, system } = machine.abi;
    const there = new NativeVmDeviceHost({ library, system, tornDown });
    const stale = there.HdvCreateGuestMemoryAperture(device, 0x4000, PAGE, false);
    const kept = there.HdvCreateGuestMemoryAperture(device, 0x5000, PAGE, false);
    stale.fill(1);
    Atomics.store(tornDown, 0, 1);
    await machine.tearDown(host);
    there.HdvDestroyGuestMemoryAperture(device, stale);
    there.releaseDevice(device);
    expect(counts()).toEqual([2, 0]);
    for (const bytes of [stale, kept]) touch(bytes);
    expect(() => there.HdvCreateGuestMemoryAperture(device, 0, 1, false)).toThrow(
      'the device host is torn down',
    );
  });

  describe('under a quota', () => {
    test('those not in use make room, and wait for nobody', async () => {
      await open();
      machine.set('quota', 3);
      const used = map(0, PAGE);
      for (let i = 1; i <= 20; i++) unmap(map(PAGE * i, PAGE));
      expect(used.length).toBe(PAGE);
      const refused = machine.abi.transcript().filter((line) => line.includes('0x80070718'));
      expect(refused.length).toBeGreaterThan(5);
      unmap(used);
    });

    test('an error says what to do, and the next try may succeed', async () => {
      await open();
      machine.set('quota', 1);
      const used = map(0, PAGE);
      expect(() => map(PAGE, PAGE)).toThrow('dispose apertures that are not in use');
      unmap(used);
      expect(map(PAGE, PAGE).length).toBe(PAGE);
    });

    test('no more are kept than the limit says', async () => {
      await open({ apertureLimit: 8 });
      for (let i = 0; i < 30; i++) unmap(map(PAGE * i, PAGE));
      expect(counts()).toEqual([30, 22]);
      expect(machine.abi.standIns.openHandles('aperture', machine.abi.id)).toBe(8);
    });
  });

  test('reach memory above 4 GiB, and more than 2 GiB at once', async () => {
    await open({ memoryMB: 8192 });
    const high = await machine.abi.guest.allocate(PAGE, { high: true });
    expect(high.gpa).toBeGreaterThanOrEqual(2 ** 32);
    await high.write(0, Buffer.from('high'));
    const bytes = map(high.gpa, 4, true);
    expect(bytes.toString()).toBe('high');
    const copied = Buffer.alloc(4);
    machine.deviceHost.HdvReadGuestMemory(device, high.gpa, 4, copied);
    expect(copied.toString()).toBe('high');
    const large = map(2 ** 32, 2 ** 31 + PAGE);
    expect(large.length).toBe(2 ** 31 + PAGE);
    large.writeUInt32LE(0x1234_5678, 2 ** 31);
    const end = await machine.abi.guest.readMemory(2 ** 32 + 2 ** 31, 4);
    expect(end.readUInt32LE(0)).toBe(0x1234_5678);
    unmap(large);
    machine.deviceHost.releaseDevice(device);
  });
});
