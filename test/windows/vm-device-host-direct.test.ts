import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { GateServer } from '../../src/ffi/gate/gate-server.ts';
import type { DevicePlatform } from '../../src/hdv/hdv-binding.ts';
import { HDV_DOORBELL_FLAGS } from '../../src/hdv/hdv-constants.ts';
import { HdvDirectAccess } from '../../src/hdv/hdv-direct-access.ts';
import type { DoorbellEvents } from '../../src/hdv/native/doorbell-events.ts';
import { WindowsSections } from '../../src/hdv/native/windows-section.ts';
import type { HDV_DEVICE } from '../../src/hdv/vm-device-host.ts';
import { NativeMachine } from './native-device-host.ts';
import type { StandInFunction } from './stand-in-function.ts';
import { standInsUnavailable } from './stand-ins.ts';

/** The device of these tests is memory: what is intercepted stays there. BAR 2 has 16 KiB. */
const BAR = 2;
const {
  HDV_DOORBELL_FLAG_TRIGGER_SIZE_ANY: SIZE_ANY,
  HDV_DOORBELL_FLAG_TRIGGER_SIZE_BYTE: BYTE,
  HDV_DOORBELL_FLAG_TRIGGER_SIZE_WORD: WORD,
  HDV_DOORBELL_FLAG_TRIGGER_SIZE_DWORD: DWORD,
  HDV_DOORBELL_FLAG_TRIGGER_SIZE_QWORD: QWORD,
  HDV_DOORBELL_FLAG_TRIGGER_ANY_VALUE: ANY_VALUE,
} = HDV_DOORBELL_FLAGS;

const afterThis = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe.runIf(standInsUnavailable === undefined)('direct access by vmdevicehost.dll', () => {
  let machine: NativeMachine;
  let device: HDV_DEVICE;
  let fn: StandInFunction;
  let events: DoorbellEvents;
  let server: GateServer;
  let direct: HdvDirectAccess;

  beforeAll(async () => {
    machine = new NativeMachine();
    ({ device } = await machine.withDevice());
    fn = await machine.abi.guest.open({ vendorId: 0x1234, deviceId: 0x5678 });
  });

  beforeEach(() => {
    const { system } = machine.abi;
    const doorbells = machine.doorbells(8);
    events = doorbells.events;
    server = new GateServer(system, doorbells.gate.handle);
    const sections = new WindowsSections(system);
    const platform: DevicePlatform = {
      clock: () => ({ now: 0, after: () => ({ cancel() {} }) }),
      doorbellEvent: (_, ring) => events.create(ring),
      section: (size) => sections.create(size),
    };
    direct = new HdvDirectAccess(machine.deviceHost, device, platform);
  });

  afterAll(async () => {
    const misuses = machine.abi.misuses();
    await machine[Symbol.asyncDispose]();
    expect(misuses).toEqual([]);
  });

  /** What the device's loop does: hands over the rings that have come, until there is one at least. */
  async function waitRing(): Promise<void> {
    for (;;) {
      let came = false;
      for (let bell = server.nextDoorbell(); bell >= 0; bell = server.nextDoorbell()) {
        came = true;
        events.ring(bell);
      }
      if (came) return;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  const memory = (offset: number, width: 1 | 2 | 4 = 4): Promise<number> =>
    fn.readBar(BAR, offset, width);

  describe('doorbells', () => {
    const ROW = { bar: BAR, offset: 0x100, count: 3, stride: 8 };

    test('ring where the guest writes, and the write goes nowhere else', async () => {
      const rung: number[] = [];
      using _watch = direct.watchDoorbells(ROW, (index) => rung.push(index));
      await afterThis();
      await fn.writeBar(BAR, 0x108, 4, 0x1234);
      await waitRing();
      await fn.writeBar(BAR, 0x110, 2, 1);
      await waitRing();
      await fn.writeBar64(BAR, 0x100, 5n);
      await waitRing();
      expect(rung).toEqual([1, 2, 0]);
      for (const offset of [0x100, 0x104, 0x108, 0x110]) expect(await memory(offset)).toBe(0);
    });

    test('are intercepted beside them, and again once they are not watched', async () => {
      const watch = direct.watchDoorbells(ROW, () => {});
      await afterThis();
      await fn.writeBar(BAR, 0x104, 4, 7);
      expect(await memory(0x104)).toBe(7);
      watch[Symbol.dispose]();
      await fn.writeBar(BAR, 0x108, 4, 9);
      expect(await memory(0x108)).toBe(9);
      expect(machine.abi.standIns.systemObjects('wait') ?? 0).toBe(0);
    });

    test('many rings may become one, and none is lost', async () => {
      let rung = 0;
      using _watch = direct.watchDoorbells({ ...ROW, count: 1 }, () => rung++);
      await afterThis();
      for (let i = 0; i < 200; i++) await fn.writeBar(BAR, 0x100, 4, i);
      await waitRing();
      expect(rung).toBeGreaterThan(0);
      expect(rung).toBeLessThanOrEqual(200);
      rung = 0;
      await fn.writeBar(BAR, 0x100, 4, 0);
      await waitRing();
      expect(rung).toBe(1);
    });

    test('can be watched again and again, as after resets', async () => {
      const rung: number[] = [];
      for (let round = 0; round < 30; round++) {
        using _watch = direct.watchDoorbells(ROW, (index) => rung.push(index));
        await afterThis();
        await fn.writeBar(BAR, 0x110, 4, round);
        await waitRing();
      }
      expect(rung).toEqual(Array(30).fill(2));
    });

    test('go as far as the device has entries for them', async () => {
      const rung: number[] = [];
      const row = { bar: BAR, offset: 0x200, count: 10, stride: 4 };
      using _watch = direct.watchDoorbells(row, (index) => rung.push(index));
      await afterThis();
      await fn.writeBar(BAR, 0x200 + 4 * 7, 4, 1);
      await waitRing();
      await fn.writeBar(BAR, 0x200 + 4 * 8, 4, 88);
      expect([rung, await memory(0x220)]).toEqual([[7], 88]);
    });

    test.each([
      ['any size and value', SIZE_ANY | ANY_VALUE, 0n, { 1: 5, 2: 5, 4: 5, 8: 5 }, [1, 2, 4, 8]],
      ['bytes', BYTE | ANY_VALUE, 0n, { 1: 5, 2: 5, 4: 5, 8: 5 }, [1]],
      ['words', WORD | ANY_VALUE, 0n, { 1: 5, 2: 5, 4: 5, 8: 5 }, [2]],
      ['double words', DWORD | ANY_VALUE, 0n, { 1: 5, 2: 5, 4: 5, 8: 5 }, [4]],
      ['quad words', QWORD | ANY_VALUE, 0n, { 1: 5, 2: 5, 4: 5, 8: 5 }, [8]],
      ['one value of any size', SIZE_ANY, 6n, { 1: 6, 2: 5, 4: 6, 8: 7 }, [1, 4]],
      ['one value of one size', DWORD, 6n, { 1: 6, 2: 6, 4: 6, 8: 6 }, [4]],
    ])('match %s', async (_, flags, value, written, expected) => {
      const { system } = machine.abi;
      const event = BigInt(system.CreateEventW(null, 0, 0, null));
      const { deviceHost } = machine;
      deviceHost.HdvRegisterDoorbell(device, BAR, 0x300, value, flags >>> 0, event);
      const rang: number[] = [];
      for (const [width, said] of Object.entries(written)) {
        if (width === '8') await fn.writeBar64(BAR, 0x300, BigInt(said));
        else await fn.writeBar(BAR, 0x300, Number(width) as 1 | 2 | 4, said);
        if (system.WaitForSingleObject(event, 0) === 0) rang.push(Number(width));
        else expect(await memory(0x300, 1), `width ${width}`).toBe(said);
      }
      expect(rang).toEqual(expected);
      deviceHost.HdvUnregisterDoorbell(device, BAR, 0x300, value, flags >>> 0);
      system.CloseHandle(event);
    });

    test('several share an offset when their values differ; a page takes every write in it', async () => {
      const { system } = machine.abi;
      const { deviceHost } = machine;
      const [one, two, page] = [0, 0, 0].map(() => BigInt(system.CreateEventW(null, 0, 0, null)));
      const isSet = (event: bigint | undefined): boolean =>
        system.WaitForSingleObject(event ?? 0n, 0) === 0;
      deviceHost.HdvRegisterDoorbell(device, BAR, 0x300, 1n, DWORD, one ?? 0n);
      deviceHost.HdvRegisterDoorbell(device, BAR, 0x300, 2n, DWORD, two ?? 0n);
      await fn.writeBar(BAR, 0x300, 4, 2);
      expect([isSet(one), isSet(two)]).toEqual([false, true]);
      const twice = (): void =>
        deviceHost.HdvRegisterDoorbell(device, BAR, 0x300, 1n, DWORD, one ?? 0n);
      expect(twice).toThrow(expect.objectContaining({ code: 'ERROR_ALREADY_EXISTS' }));
      deviceHost.HdvUnregisterDoorbell(device, BAR, 0x300, 1n, DWORD);
      deviceHost.HdvUnregisterDoorbell(device, BAR, 0x300, 2n, DWORD);
      expect(() => deviceHost.HdvUnregisterDoorbell(device, BAR, 0x300, 2n, DWORD)).toThrow(
        expect.objectContaining({ function: 'HdvUnregisterDoorbell' }),
      );
      deviceHost.HdvRegisterDoorbellPage(device, BAR, 1, page ?? 0n);
      await fn.writeBar(BAR, 0x1abc, 1, 9);
      expect([isSet(page), await memory(0x1abc, 1)]).toEqual([true, 0]);
      await fn.writeBar(BAR, 0x0ffc, 4, 9);
      expect([isSet(page), await memory(0x0ffc)]).toEqual([false, 9]);
      deviceHost.HdvUnregisterDoorbellPage(device, BAR, 1);
      for (const event of [one, two, page]) system.CloseHandle(event ?? 0n);
    });
  });

  describe('mapped pages', () => {
    test('are memory that guest and device share', async () => {
      const pages = direct.barMemory(2 * 4096, 0, 0);
      const shown = pages?.show(BAR, 0x1000);
      await afterThis();
      await fn.writeBar(BAR, 0x1ffc, 4, 0x0403_0201);
      expect(pages?.bytes.readUInt32LE(0xffc)).toBe(0x0403_0201);
      pages?.bytes.writeUInt16LE(0xbeef, 0x1ffe);
      expect(await memory(0x2ffe, 2)).toBe(0xbeef);
      shown?.[Symbol.dispose]();
      expect(await memory(0x1ffc)).toBe(0);
      pages?.[Symbol.dispose]();
    });

    test('can be put there before the machine runs', async () => {
      await using other = new NativeMachine();
      const [classId, instanceId] = [randomUUID(), randomUUID()];
      const { deviceHost } = other;
      const early = deviceHost.createDevice(
        await other.initialize(),
        classId,
        instanceId,
        await other.table(),
      );
      const section = new WindowsSections(other.abi.system).create(4096);
      section?.bytes.write('early');
      deviceHost.HdvCreateSectionBackedMmioRange(early, BAR, 3, 1, 1, section?.handle ?? 0n, 0);
      await other.abi.attach(instanceId, classId);
      await other.abi.start();
      const there = await other.abi.guest.open({ vendorId: 0x1234, deviceId: 0x5678 });
      const read = await there.readBar(BAR, 0x3000, 4);
      expect(read).toBe(Buffer.from('earl').readUInt32LE(0));
      deviceHost.HdvDestroySectionBackedMmioRange(early, BAR, 3);
      expect(await there.readBar(BAR, 0x3000, 4)).toBe(0);
      section?.[Symbol.dispose]();
    });

    test('can be touched when they are gone, and their handles are given back', () => {
      const before = machine.abi.standIns.systemObjects('section');
      const pages = direct.barMemory(4096, 0, 0);
      const { bytes } = pages ?? { bytes: Buffer.alloc(0) };
      bytes.fill(3);
      pages?.[Symbol.dispose]();
      pages?.[Symbol.dispose]();
      bytes.fill(4);
      expect(bytes.length).toBe(4096);
      expect(machine.abi.standIns.systemObjects('section')).toBe(before);
    });

    test('cannot be had where there is no memory', () => {
      const sections = new WindowsSections({
        ...machine.abi.system,
        CreateFileMappingW: Object.assign(() => 0, { async: async () => 0 }),
      } as never);
      expect(sections.create(4096)).toBeUndefined();
    });
  });
});
