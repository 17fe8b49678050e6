import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TraceKind, TraceRing } from '../../src/inspect/trace-ring.ts';
import { TROUBLE, Trouble } from '../host/trouble-device.ts';
import { CHANGING, FACE } from './changing-device.ts';
import { makeTrouble, TroubledMachine } from './host-life.ts';
import { openWindowsHost, type WindowsTestHost } from './windows-test-host.ts';

const { ID, SCRATCH, TICKS, TROUBLE_ON_READ } = TROUBLE.offsets;
const IDENTITY = 0x7041_b1e0;
const ALL_ONES = 0xffff_ffff;
const COMMAND = 0x04;
const BUS_MASTER = 0x4;

describe('a device on a worker of the windows host', () => {
  let host: WindowsTestHost;

  beforeAll(async () => {
    host = await openWindowsHost({ stallLimitMs: 500, heapLimit: 32 });
  });

  afterAll(async () => {
    await host?.close();
  });

  test('timers and promises of a device run while native threads keep it busy', async () => {
    await using machine = await TroubledMachine.start(host);
    await machine.attach();
    const fn = await machine.open();
    const before = await fn.readBar(0, TICKS, 4);
    let after = before;
    while (after < before + 3) {
      await machine.guest.measure(fn, 0, { offset: SCRATCH, threads: 2, accesses: 500 });
      after = await fn.readBar(0, TICKS, 4);
    }
    expect(machine.failures).toEqual([]);
  });

  test('the trace shows what the guest did', async () => {
    await using machine = await TroubledMachine.start(host);
    const ring = TraceRing.create(64);
    const reader = ring.reader();
    await machine.attach({ trace: ring.memory });
    const fn = await machine.open();
    await fn.writeBar(0, SCRATCH, 2, 0x77);
    const seen: unknown[] = [];
    reader.drain(({ kind, length, location, slot, value }) => {
      if (kind === TraceKind.BAR_WRITE) seen.push({ slot, location, length, value });
    });
    expect(seen).toEqual([{ slot: 0, location: SCRATCH, length: 2, value: 0x77 }]);
  });

  test('bus mastering is off until the guest asks for it', async () => {
    await using machine = await TroubledMachine.start(host);
    await machine.attach();
    const words = await machine.guest.functions();
    expect(words).toHaveLength(1);
    const [slot] = await machine.guest.slots();
    const value = new BigUint64Array(16);
    const read = machine.guest.devices.function('StandInGuestConfig');
    await read.async(machine.system.id, slot!.slot, COMMAND, 2, 0, value);
    expect(Number(value[0]) & BUS_MASTER).toBe(0);
  });

  test.each([
    [
      'a hook that never returns',
      Trouble.LOOP,
      /did not return from a write of 4 bytes at 0x8 of BAR 0 within 500 ms/,
    ],
    ['a timer that never returns', Trouble.LOOP_IN_TIMER, /did not return from a timer/],
    ['a thread that exits', Trouble.EXIT, /process\.exit\(5\)/],
    ['a heap that is full', Trouble.FILL_HEAP, /out of heap/],
    ['a hook that throws', Trouble.THROW, /thrown by a hook/],
    ['a late exception', Trouble.THROW_LATE, /thrown late/],
    ['a promise that nobody catches', Trouble.REJECT, /rejected/],
  ])(
    '%s: the guest reads ones, the failure has its reason, and a restart in place brings the device back',
    async (_name, what, reason) => {
      await using machine = await TroubledMachine.start(host);
      const attachment = await machine.attach();
      const fn = await machine.open();
      await fn.writeBar(0, SCRATCH, 4, 5);
      await makeTrouble(fn, what);
      const failure = await machine.failed();
      expect(failure.name).toBe('DeviceFailedError');
      expect(failure.message).toMatch(reason);
      expect(attachment.failure).toBe(failure);
      expect(await fn.readBar(0, ID, 4)).toBe(ALL_ONES);
      expect(await fn.readConfig(0, 4)).toBe(ALL_ONES);

      await machine.devices.restart(attachment);
      expect(attachment.failure).toBeUndefined();
      expect(await fn.readConfig(0, 4)).toBe(0x7001_1af5);
      expect(await fn.readBar(0, ID, 4)).toBe(IDENTITY);
      expect(await fn.readBar(0, SCRATCH, 4)).toBe(0);
      const ticks = await fn.readBar(0, TICKS, 4);
      while ((await fn.readBar(0, TICKS, 4)) === ticks);
      expect(machine.failures).toHaveLength(1);
    },
  );

  test('a read that never returns gives all ones to whoever waits', async () => {
    await using machine = await TroubledMachine.start(host);
    await machine.attach();
    const fn = await machine.open();
    await fn.writeBar(0, TROUBLE_ON_READ, 4, Trouble.LOOP);
    expect(await fn.readBar(0, TROUBLE_ON_READ, 4)).toBe(ALL_ONES);
    expect((await machine.failed()).message).toMatch(/a read of 4 bytes at 0xc of BAR 0/);
  });

  test('a restarted device has the configuration and goes on being started and stopped', async () => {
    await using machine = await TroubledMachine.start(host);
    const attachment = await machine.attach({ configuration: ['fine'] });
    await machine.devices.restart(attachment);
    await machine.devices.restart(attachment);
    await machine.system.pause();
    await machine.system.resume();
    const fn = await machine.open();
    expect(await fn.readBar(0, ID, 4)).toBe(IDENTITY);
    expect(machine.failures).toEqual([]);
  });

  test('a restart in place does not start a device that the platform has stopped meanwhile', async () => {
    await using machine = await TroubledMachine.start(host);
    const attachment = await machine.attach({ configuration: ['write'] });
    const writes = (): number =>
      host.standIns
        .transcript({ id: machine.system.id })
        .filter((line) => line.startsWith('HdvWriteGuestMemory')).length;
    expect(writes()).toBe(1);
    await makeTrouble(await machine.open(), Trouble.EXIT);
    await machine.failed();
    await machine.system.pause();
    await machine.devices.restart(attachment);
    expect(writes()).toBe(1);
    await machine.system.resume();
    expect(writes()).toBe(2);
    expect(host.standIns.misuses({ id: machine.system.id })).toEqual([]);
  });

  test.each([
    ['another device', /its device id is 0x7004, and the guest knows 0x7003/],
    ['larger', /its BAR 0 is 0x2000 bytes .*guest knows 0x1000/],
    ['broken', /half edited/],
  ] as const)(
    'a restart whose module has become %s is refused, and the device goes on',
    async (face, reason) => {
      await using machine = await TroubledMachine.start(host);
      const module = new URL('./changing-device.ts', import.meta.url);
      const attachment = await machine.devices.attach(module, { export: 'ChangingDevice' });
      const fn = await machine.guest.open({ vendorId: 0x1af5, deviceId: 0x7003 });
      await fn.writeBar(0, CHANGING.offsets.WORD, 4, 0x55);
      process.env[FACE] = face;
      try {
        await expect(machine.devices.restart(attachment)).rejects.toThrow(reason);
      } finally {
        delete process.env[FACE];
      }
      expect(await fn.readBar(0, CHANGING.offsets.WORD, 4)).toBe(0x55);
      expect(attachment.failure).toBeUndefined();
      await machine.devices.restart(attachment);
      expect(await fn.readBar(0, CHANGING.offsets.WORD, 4)).toBe(0);
      expect(machine.failures).toEqual([]);
    },
  );

  test('what a device refuses is the reason of the failed attach', async () => {
    await using machine = await TroubledMachine.start(host);
    const refusal = await machine
      .attach({ configuration: ['coarse'] })
      .catch((error: unknown) => error);
    expect(refusal).toMatchObject({
      name: 'HcsError',
      cause: { message: "Cannot configure 'coarse': use 'fine'" },
    });
    expect((refusal as Error).message).toContain("TroubleDevice: Cannot configure 'coarse'");
    await machine.attach({ configuration: ['fine'] });
    expect(machine.devices.list()).toHaveLength(1);
    expect(machine.failures).toEqual([]);
  });

  test('an instance that the service did not take is taken over by the next device with its id', async () => {
    await using machine = await TroubledMachine.start(host);
    const instanceId = '6a2e7d10-94c3-4d5f-8c0b-2f7d1a9b3e55';
    const id = machine.system.id;
    host.standIns.failNext('HcsModifyComputeSystem', 0x8007_0005, { id });
    await expect(machine.attach({ instanceId })).rejects.toMatchObject({ name: 'HcsError' });
    await machine.attach({ instanceId });
    expect(await (await machine.open()).readBar(0, ID, 4)).toBe(IDENTITY);
    expect(host.standIns.openHandles('device', id)).toBe(1);
  });

  test('a device of the document that cannot be configured says so, where the start has a number only', async () => {
    const instanceId = '0d3f9a4e-51b7-4b4e-9d4a-7a5be1c0f2d3';
    const classId = '5d1a7c52-6f0e-4f6b-9a77-0e2d5c3b8a41';
    const document = host.document() as { VirtualMachine: Record<string, unknown> };
    document.VirtualMachine.Devices = {
      FlexibleIov: {
        [instanceId]: { EmulatorId: classId, HostingModel: 'External', Configuration: ['coarse'] },
      },
    };
    const { computeCore: core, hdv: binding } = host.binding;
    const { ComputeSystem, DeviceHost } = await import('../../src/index.ts');
    const system = await ComputeSystem.create(`hdvkit-${instanceId}`, document, { core });
    const reports: Error[] = [];
    const devices = await DeviceHost.create(system, {
      binding,
      report: (notice) => {
        if (notice.type === 'failed') reports.push(notice.error);
      },
    });
    const module = new URL('../host/trouble-device.ts', import.meta.url);
    await devices.attach(module, { export: 'TroubleDevice', instanceId, classId, declared: true });
    await expect(system.start()).rejects.toMatchObject({ name: 'HcsError' });
    await devices[Symbol.asyncDispose]();
    await system[Symbol.asyncDispose]();
    expect(reports.map(({ message }) => message)).toEqual([
      "SetConfiguration of TroubleDevice failed: Cannot configure 'coarse': use 'fine'",
    ]);
  });
});
