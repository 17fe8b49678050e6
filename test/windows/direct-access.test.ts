import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ComputeSystem, DeviceHost } from '../../src/index.ts';
import { DIRECT, DOORBELLS, End, PAGES, Page } from './direct-device.ts';
import type { StandInFunction } from './stand-in-function.ts';
import { standInsUnavailable } from './stand-ins.ts';
import { openWindowsHost, type WindowsTestHost } from './windows-test-host.ts';

const MODULE = new URL('./direct-device.ts', import.meta.url);
const { STARTS, END } = DIRECT.offsets;
const PATIENCE = { timeout: 30_000 };
/** What a device host that is not restricted is asked for. */
const OPENED = ['HdvCreateSectionBackedMmioRange', 'HdvRegisterDoorbell', 'HdvRegisterDoorbell'];

describe.runIf(standInsUnavailable === undefined).each(['External', 'ExternalRestricted'] as const)(
  'a device with doorbells and mapped pages, %s',
  (hostingModel) => {
    const isRestricted = hostingModel === 'ExternalRestricted';
    let host: WindowsTestHost;
    let system: ComputeSystem;
    let devices: DeviceHost;
    let fn: StandInFunction;

    beforeAll(async () => {
      host = await openWindowsHost();
    });

    afterAll(async () => {
      await host?.close();
    });

    beforeEach(async () => {
      const core = host.binding.computeCore;
      system = await ComputeSystem.create(randomUUID(), host.document(), { core });
      devices = await DeviceHost.create(system, {
        binding: host.binding.hdv,
        hostingModel,
        report: () => {},
      });
      await devices.attach(MODULE);
      await system.start();
      const guest = await host.guestOf(system);
      fn = await guest.open({ vendorId: 0x1af5, deviceId: 0x7002 });
      await opened(1);
    });

    afterEach(async () => {
      await devices[Symbol.asyncDispose]();
      await system[Symbol.asyncDispose]();
      expect(host.standIns.misuses({ id: system.id })).toEqual([]);
    });

    /** Names of calls that concern doorbells and ranges, in order; refusals too. */
    const calls = (): string[] =>
      host.standIns
        .transcript({ id: system.id })
        .flatMap((line) => /^Hdv\w*(?:Doorbell|MmioRange)/.exec(line) ?? []);
    const count = (name: string): number => calls().filter((call) => call === name).length;

    /** Waits until doorbells and pages were offered to Windows so many times. */
    async function opened(times: number): Promise<void> {
      const doorbells = isRestricted ? times : 2 * times;
      while (count('HdvRegisterDoorbell') < doorbells) await turn();
    }

    const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1));
    const read = (offset: number): Promise<number> => fn.readBar(0, PAGES + offset, 4);
    const write = (offset: number, value: number): Promise<void> =>
      fn.writeBar(0, PAGES + offset, 4, value);

    /** Has a number doubled; the value that is written to the doorbell says nothing. */
    async function double(index: number, value: number): Promise<number> {
      const rings = await read(Page.RINGS + 4 * index);
      await write(Page.INPUT + 4 * index, value);
      await fn.writeBar(0, DOORBELLS + 4 * index, 4, 99);
      while ((await read(Page.RINGS + 4 * index)) === rings) await turn();
      return await read(Page.OUTPUT + 4 * index);
    }

    test('does its work, whether Windows helps or not', async () => {
      expect(await double(0, 21)).toBe(42);
      expect(await double(1, 5)).toBe(10);
      expect(await double(0, 7)).toBe(14);
      const offered = isRestricted
        ? ['HdvCreateSectionBackedMmioRange', 'HdvRegisterDoorbell']
        : OPENED;
      expect(calls()).toEqual(offered);
    });

    test('goes on after a pause, and hears of what it may have missed', async () => {
      expect(await double(1, 3)).toBe(6);
      const rings = await read(Page.RINGS);
      await system.pause();
      if (!isRestricted) {
        expect(count('HdvUnregisterDoorbell')).toBe(2);
        expect(count('HdvDestroySectionBackedMmioRange')).toBe(1);
      }
      await system.resume();
      await opened(2);
      expect(await fn.readBar(0, STARTS, 4)).toBe(2);
      expect(await read(Page.OUTPUT + 4)).toBe(6);
      expect(await read(Page.RINGS)).toBe(rings + 1);
      expect(await double(0, 8)).toBe(16);
    });

    test('a function-level reset clears the pages, and doorbells are registered again', async () => {
      expect(await double(0, 21)).toBe(42);
      await fn.reset();
      await opened(2);
      for (const offset of [Page.INPUT, Page.OUTPUT, Page.RINGS])
        expect(await read(offset)).toBe(0);
      expect(await double(0, 4)).toBe(8);
      if (!isRestricted) expect(count('HdvUnregisterDoorbell')).toBe(2);
    });

    /** What this process has of the system; nothing on Windows itself, which does not say. */
    const objects = (): Readonly<Record<string, number | undefined>> => ({
      aperture: host.standIns.openHandles('aperture', system.id),
      ...Object.fromEntries(
        (['wait', 'event', 'section', 'view', 'memory'] as const).map((kind) => [
          kind,
          host.standIns.systemObjects(kind),
        ]),
      ),
    });

    /** What there is more of than this; threads that are ending have an event or two until they have. */
    const surplus = (most: Readonly<Record<string, number | undefined>>): string[] =>
      Object.entries(objects()).flatMap(([kind, count]) => {
        const limit = most[kind];
        return count === undefined || limit === undefined || count <= limit
          ? []
          : [`${kind}: ${count}, not ${limit}`];
      });

    test('a thread that exits leaves no mapping, wait, event or section behind', async () => {
      const { wait, event, section, view } = objects();
      expect(objects().aperture).toBe(1);
      await fn.writeBar(0, END, 4, End.EXIT);
      while (devices.list()[0]?.failure === undefined) await turn();
      const bells = isRestricted ? 0 : 2;
      const less = (before: number | undefined, by: number): number | undefined =>
        before === undefined ? undefined : before - by;
      const rest = {
        aperture: 0,
        wait: less(wait, bells),
        event: less(event, bells),
        section: less(section, 1),
        view: less(view, 1),
      };
      await expect.poll(() => surplus(rest), PATIENCE).toEqual([]);
    });

    test('restarts in place do not pile up anything', async () => {
      const [attachment] = devices.list();
      if (attachment === undefined) throw new Error('The device is not attached');
      const before = objects();
      for (let restarts = 1; restarts <= 2; restarts++) {
        await devices.restart(attachment);
        await opened(1 + restarts);
      }
      await expect.poll(() => surplus(before), PATIENCE).toEqual([]);
    });

    test.each([
      ['throws', End.THROW],
      ['exits', End.EXIT],
    ])('nothing is left of a device that %s', async (_, how) => {
      expect(await double(0, 21)).toBe(42);
      await fn.writeBar(0, END, 4, how);
      while ((await read(Page.OUTPUT)) !== 0xffff_ffff) await turn();
      await fn.writeBar(0, DOORBELLS, 4, 1);
      expect(await fn.readBar(0, STARTS, 4)).toBe(0xffff_ffff);
      const [attachment] = devices.list();
      expect(attachment?.failure?.name).toBe('DeviceFailedError');
    });

    test('its restart opens them anew', async () => {
      await fn.writeBar(0, END, 4, End.EXIT);
      while ((await read(Page.OUTPUT)) !== 0xffff_ffff) await turn();
      const [attachment] = devices.list();
      if (attachment === undefined) throw new Error('The device is not attached');
      await devices.restart(attachment);
      await opened(2);
      expect(await double(1, 50)).toBe(100);
    });
  },
);
