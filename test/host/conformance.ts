// Longer than most files: one suite that every host runs.
import { randomUUID } from 'node:crypto';
import type { HDV_DEVICE } from 'hdvkit/hdv';
import type { GuestAccess, GuestAllocation, GuestFunction } from 'hdvkit/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  type Attachment,
  ComputeSystem,
  DeviceHost,
  type DeviceNotice,
  type HostBinding,
  type HostingModel,
} from '../../src/index.ts';
import { TraceRecorder } from '../../src/inspect/trace-recorder.ts';
import { TraceKind, TraceRing } from '../../src/inspect/trace-ring.ts';
import { Command, DIRECT, Direct, LONGEST_COPY, MsiProbe, PROBE } from './conformance-devices.ts';

/** A host that this machine can run, as the suites use it. */
export interface TestHost {
  readonly binding: HostBinding;
  /** How device hosts are made; default `External`. */
  readonly hostingModel?: HostingModel;
  /** A document for a machine in which a guest runs that can be reached by {@link TestHost.guestOf}. */
  document(): Record<string, unknown>;
  /** Reaches the guest of a running system; waits until it answers. */
  guestOf(system: ComputeSystem): Promise<GuestAccess>;
  /** Called before a system is created: grants it the files of its document, where it needs that. */
  prepare?(id: string, document: Record<string, unknown>): Promise<void>;
  close(): Promise<void>;
}

/** What {@link openMachine} gives. */
export interface TestMachine extends AsyncDisposable {
  readonly host: TestHost;
  readonly system: ComputeSystem;
  readonly devices: DeviceHost;
  readonly guest: GuestAccess;
}

/** Module with the devices of the conformance suite. */
const MODULE = new URL('./conformance-devices.ts', import.meta.url);
const VENDOR = 0x1234;
const MSIX_PROBE = 0xc0f1;
const MSI_PROBE = 0xc0f2;
const CONFIGURED_PROBE = 0xc0f3;

/** A running machine with devices in it that were attached before its start. */
export async function openMachine(
  host: TestHost,
  attach: (devices: DeviceHost) => Promise<void>,
  report: (notice: DeviceNotice) => void = () => {},
): Promise<TestMachine> {
  const id = `hdvkit-${randomUUID()}`;
  const document = host.document();
  await host.prepare?.(id, document);
  const system = await ComputeSystem.create(id, document, {
    core: host.binding.computeCore,
  });
  const devices = await DeviceHost.create(system, {
    binding: host.binding.hdv,
    hostingModel: host.hostingModel ?? 'External',
    report,
  });
  let guest: GuestAccess | undefined;
  const dispose = async (): Promise<void> => {
    await guest?.close();
    await devices[Symbol.asyncDispose]();
    await system[Symbol.asyncDispose]();
  };
  try {
    await attach(devices);
    await system.start();
    guest = await host.guestOf(system);
    return { host, system, devices, guest, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/** Everything that a guest may expect of its devices, and a caller of a host, whatever the host is. */
export function describeHost(name: string, openHost: () => Promise<TestHost>): void {
  describe(`host ${name}`, () => {
    let host: TestHost;
    let machine: TestMachine;
    let msixAttachment: Attachment;

    beforeAll(async () => {
      host = await openHost();
      machine = await openMachine(host, async (devices) => {
        msixAttachment = await devices.attach(MODULE, { export: 'MsixProbe' });
        await devices.attach(MODULE, { export: 'MsiProbe' });
        await devices.attach(MODULE, { export: 'ConfiguredProbe', configuration: ['word=77'] });
      });
    });

    afterAll(async () => {
      await machine?.[Symbol.asyncDispose]();
      await host?.close();
    });

    const open = (deviceId: number): Promise<GuestFunction> =>
      machine.guest.open({ vendorId: VENDOR, deviceId });

    describe('enumeration', () => {
      test('the guest finds every device that was attached, with its class', async () => {
        const found = await machine.guest.functions();
        const ours = found.filter(({ vendorId }) => vendorId === VENDOR);
        const ids = ours.map(({ deviceId }) => deviceId).sort((a, b) => a - b);
        expect(ids).toEqual([MSIX_PROBE, MSI_PROBE, CONFIGURED_PROBE]);
        expect(new Set(ours.map(({ classCode }) => classCode))).toEqual(new Set([0xff0000]));
        expect(new Set(ours.map(({ address }) => address)).size).toBe(3);
      });

      test('config space shows the identity of the device', async () => {
        const fn = await open(MSIX_PROBE);
        expect(await fn.readConfig(0x00, 4)).toBe(0xc0f1_1234);
        expect(await fn.readConfig(0x02, 2)).toBe(0xc0f1);
        expect(await fn.readConfig(0x08, 1)).toBe(3);
        expect(await fn.readConfig(0x2c, 2)).toBe(0x4321);
        expect(await fn.readConfig(0x2e, 2)).toBe(0x1fc0);
      });

      test('identity cannot be written', async () => {
        const fn = await open(MSIX_PROBE);
        await fn.writeConfig(0x00, 4, 0);
        await fn.writeConfig(0x08, 4, 0xffff_ffff);
        expect(await fn.readConfig(0x00, 4)).toBe(0xc0f1_1234);
        expect(await fn.readConfig(0x08, 4)).toBe(0xff00_0003);
      });

      test('BARs are placed apart, sized as declared and aligned to their size', async () => {
        const { info } = await open(MSIX_PROBE);
        const bars = info.bars.filter(({ slot }) => slot === 0 || slot === 2);
        expect(bars.map(({ slot, size }) => [slot, size])).toEqual([
          [0, 0x1000],
          [2, 0x4000],
        ]);
        for (const bar of bars) expect(bar.gpa % bar.size).toBe(0);
        const [first, second] = bars.toSorted((a, b) => a.gpa - b.gpa);
        expect(first!.gpa + first!.size).toBeLessThanOrEqual(second!.gpa);
      });

      test('both capability lists are walked to their ends', async () => {
        const fn = await open(MSIX_PROBE);
        const ids = (await capabilities(fn)).map(({ id }) => id);
        for (const id of [0x01, 0x09, 0x10, 0x11]) expect(ids).toContain(id);
        const vendor = (await capabilities(fn)).find(({ id }) => id === 0x09)?.offset ?? 0;
        const bytes = await Promise.all(
          Array.from('conform!', (_, i) => fn.readConfig(vendor + 3 + i, 1)),
        );
        expect(String.fromCharCode(...bytes)).toBe('conform!');
        expect((await fn.readConfig(0x100, 4)) & 0xffff).toBe(0x0003);
        expect(await fn.readConfig(0x104, 4)).toBe(0x5566_7788);
        expect(await fn.readConfig(0x108, 4)).toBe(0x1122_3344);
      });

      test('a device has the configuration that it was attached with', async () => {
        const fn = await open(CONFIGURED_PROBE);
        expect(await fn.readBar(0, PROBE.offsets.WORD, 4)).toBe(77);
      });
    });

    describe('BAR access', () => {
      const { BYTE, HALF, ID, WIDE, WORD } = PROBE.offsets;
      const HOLE = 0x0c;
      let fn: GuestFunction;

      beforeEach(async () => {
        fn = await open(MSIX_PROBE);
      });

      test('registers of every width keep what is written to them', async () => {
        await fn.writeBar(0, BYTE, 1, 0xa5);
        await fn.writeBar(0, HALF, 2, 0xbeef);
        await fn.writeBar(0, WORD, 4, 0xdead_beef);
        await fn.writeBar64(0, WIDE, 0x0123_4567_89ab_cdefn);
        expect(await fn.readBar(0, BYTE, 1)).toBe(0xa5);
        expect(await fn.readBar(0, HALF, 2)).toBe(0xbeef);
        expect(await fn.readBar(0, WORD, 4)).toBe(0xdead_beef);
        expect(await fn.readBar64(0, WIDE)).toBe(0x0123_4567_89ab_cdefn);
      });

      test('narrow accesses reach the lanes of a wide register', async () => {
        await fn.writeBar(0, WORD, 4, 0x1122_3344);
        await fn.writeBar(0, WORD + 1, 1, 0xaa);
        await fn.writeBar(0, WORD + 2, 2, 0xbbcc);
        expect(await fn.readBar(0, WORD, 4)).toBe(0xbbcc_aa44);
        expect(await fn.readBar(0, WORD + 3, 1)).toBe(0xbb);
      });

      test('a read-only register ignores writes', async () => {
        await fn.writeBar(0, ID, 4, 0);
        expect(await fn.readBar(0, ID, 4)).toBe(0x0c0f_fee0);
      });

      test('a hole between registers reads as zeros, past the registers as ones', async () => {
        await fn.writeBar(0, HOLE, 4, 0xffff_ffff);
        expect(await fn.readBar(0, HOLE, 4)).toBe(0);
        await fn.writeBar(0, 0x800, 4, 0);
        expect(await fn.readBar(0, 0x800, 4)).toBe(0xffff_ffff);
      });

      test('memory in a 64-bit BAR keeps bytes up to its end', async () => {
        const last = 0x4000 - 8;
        await fn.writeBar64(2, last, 0xffee_ddcc_bbaa_9988n);
        expect(await fn.readBar(2, last, 1)).toBe(0x88);
        expect(await fn.readBar(2, 0x4000 - 1, 1)).toBe(0xff);
        expect(await fn.readBar(2, last + 4, 4)).toBe(0xffee_ddcc);
      });

      test('two devices of the same shape do not share registers', async () => {
        const other = await open(MSI_PROBE);
        await fn.writeBar(0, WORD, 4, 1);
        await other.writeBar(0, WORD, 4, 2);
        expect(await fn.readBar(0, WORD, 4)).toBe(1);
        expect(await other.readBar(0, WORD, 4)).toBe(2);
      });

      test('with memory decoding off, accesses do not reach the device, where the host can know', async () => {
        const isKnown = host.binding.hdv.capabilities.commandRegister === 'forwarded';
        await fn.writeBar(0, WORD, 4, 7);
        const command = await fn.readConfig(0x04, 2);
        await fn.writeConfig(0x04, 2, command & ~0x2);
        // Then the chipset answers: with ones by the specification, with zeros in QEMU behind a bridge.
        expect(isKnown ? [0, 0xffff_ffff] : [7]).toContain(await fn.readBar(0, WORD, 4));
        await fn.writeBar(0, WORD, 4, 8);
        await fn.writeConfig(0x04, 2, command);
        expect(await fn.readBar(0, WORD, 4)).toBe(isKnown ? 7 : 8);
      });
    });

    describe('DMA', () => {
      let fn: GuestFunction;
      let source: GuestAllocation;
      let target: GuestAllocation;

      beforeAll(async () => {
        source = await machine.guest.allocate(2 * LONGEST_COPY);
        target = await machine.guest.allocate(2 * LONGEST_COPY);
      });

      beforeEach(async () => {
        fn = await open(MSIX_PROBE);
        await target.write(0, Buffer.alloc(2 * LONGEST_COPY));
      });

      test('bytes go from guest memory to guest memory, at odd addresses too', async () => {
        await source.write(3, Buffer.from('the device copies this'));
        expect(await copy(fn, source.gpa + 3, target.gpa + 5, 22, Command.COPY)).toBe(1);
        expect((await target.read(4, 24)).toString()).toBe('\0the device copies this\0');
      });

      test('a copy across a page boundary arrives whole', async () => {
        const bytes = Buffer.from(Array.from({ length: 4000 }, (_, i) => i & 0xff));
        await source.write(2000, bytes);
        expect(await copy(fn, source.gpa + 2000, target.gpa + 1000, 4000, Command.COPY)).toBe(1);
        expect(await target.read(1000, 4000)).toEqual(bytes);
      });

      test('an aperture shows the same memory', async () => {
        await source.write(0, Buffer.from('mapped, not copied'));
        const command = Command.COPY_BY_APERTURE;
        expect(await copy(fn, source.gpa, target.gpa + 4090, 18, command)).toBe(1);
        expect((await target.read(4090, 18)).toString()).toBe('mapped, not copied');
      });

      test('where there is no memory nothing is copied, and the guest lives on', async () => {
        const nowhere = 2 ** 45;
        expect(await copy(fn, nowhere, target.gpa, 16, Command.COPY)).toBe(0);
        expect(await copy(fn, source.gpa, nowhere, 16, Command.COPY_BY_APERTURE)).toBe(0);
        expect(await target.read(0, 16)).toEqual(Buffer.alloc(16));
      });

      test('with bus mastering off nothing is copied, where the host can know', async () => {
        const isKnown = host.binding.hdv.capabilities.commandRegister === 'forwarded';
        await source.write(0, Buffer.from('secret'));
        const command = await fn.readConfig(0x04, 2);
        await fn.writeConfig(0x04, 2, command & ~0x4);
        expect(await copy(fn, source.gpa, target.gpa, 6, Command.COPY)).toBe(isKnown ? 0 : 1);
        await fn.writeConfig(0x04, 2, command);
        const copied = (await target.read(0, 6)).toString();
        expect(copied).toBe(isKnown ? '\0'.repeat(6) : 'secret');
        expect(await copy(fn, source.gpa, target.gpa, 6, Command.COPY)).toBe(1);
      });
    });

    describe.each([
      ['MSI-X', 'msix', MSIX_PROBE],
      ['MSI', 'msi', MSI_PROBE],
    ] as const)('interrupts by %s', (_, kind, deviceId) => {
      let fn: GuestFunction;

      beforeEach(async () => {
        fn = await open(deviceId);
        await fn.enableInterrupts(kind, 4);
        await fn.takeInterrupts();
      });

      test('each vector arrives as itself', async () => {
        for (const vector of [2, 0, 3, 1]) {
          await raise(fn, vector);
          await fn.waitInterrupt(vector);
        }
        expect(await fn.takeInterrupts()).toEqual([]);
      });

      test('an interrupt that the device raises by itself arrives', async () => {
        await fn.writeBar(0, PROBE.offsets.VECTOR, 4, 1);
        await fn.writeBar(0, PROBE.offsets.COMMAND, 4, Command.RAISE_LATER);
        await fn.waitInterrupt(1);
      });

      test('while disabled nothing arrives, and afterwards interrupts work again', async () => {
        await fn.disableInterrupts();
        await raise(fn, 0);
        await machine.guest.sleep(50);
        expect(await fn.takeInterrupts()).toEqual([]);
        await fn.enableInterrupts(kind, 4);
        await raise(fn, 1);
        await fn.waitInterrupt(1);
      });
    });

    test('a masked MSI-X vector waits, and arrives once unmasked', async () => {
      const fn = await open(MSIX_PROBE);
      await fn.enableInterrupts('msix', 4);
      const entry = await msixEntry(fn, 2);
      await fn.writeBar(entry.bar, entry.offset + 12, 4, 1);
      await raise(fn, 2);
      await raise(fn, 1);
      await fn.waitInterrupt(1);
      expect(await fn.takeInterrupts()).toEqual([]);
      await fn.writeBar(entry.bar, entry.offset + 12, 4, 0);
      await fn.waitInterrupt(2);
    });

    describe('reset', () => {
      test('a function-level reset puts registers back; BARs work on', async () => {
        const fn = await open(MSIX_PROBE);
        await fn.writeBar(0, PROBE.offsets.WORD, 4, 0x5555_5555);
        await fn.writeBar(2, 0, 4, 0x1234_5678);
        await fn.reset();
        expect(await fn.readBar(0, PROBE.offsets.WORD, 4)).toBe(0x1122_3344);
        expect(await fn.readBar(2, 0, 4)).toBe(0);
        await fn.enableInterrupts('msix', 4);
        await raise(fn, 3);
        await fn.waitInterrupt(3);
      });
    });

    describe('attach and detach', () => {
      test('the attached devices are listed in order', () => {
        expect(machine.devices.list().map((attachment) => attachment.name)).toEqual([
          'MsixProbe',
          'MsiProbe',
          'ConfiguredProbe',
        ]);
        expect(msixAttachment.placement).toBe(machine.devices.capabilities.placements[0]);
        expect(msixAttachment.failure).toBeUndefined();
      });

      test('a device can be added to the running machine and taken out again', async () => {
        const attachment = await machine.devices.attach(new URL('./hot-probe.ts', MODULE));
        const fn = await until(machine.guest, () =>
          machine.guest.open({ vendorId: VENDOR, deviceId: 0xc0f4 }),
        );
        expect(await fn.readBar(0, PROBE.offsets.ID, 4)).toBe(0x0c0f_fee0);
        if (machine.devices.capabilities.flexibleIovRemove === 'passedThrough') {
          await expectRemovalRefused(attachment);
          expect(await fn.readBar(0, PROBE.offsets.ID, 4)).toBe(0x0c0f_fee0);
          return;
        }
        await machine.devices.detach(attachment);
        await until(machine.guest, async () => {
          const found = await machine.guest.functions();
          if (found.some(({ deviceId }) => deviceId === 0xc0f4)) throw new Error('still there');
        });
        expect(machine.devices.list()).toHaveLength(3);
      });

      /** Tries to take a device out of a machine that does not let it go. */
      async function expectRemovalRefused(attachment: Attachment): Promise<void> {
        await expect(machine.devices.detach(attachment)).rejects.toMatchObject({
          name: 'HcsError',
          code: 'ERROR_NOT_SUPPORTED',
        });
        expect(machine.devices.list()).toContain(attachment);
        expect(attachment.failure).toBeUndefined();
      }

      test('a device with an interrupt line comes up where the host has them, else is refused', async () => {
        const attaching = machine.devices.attach(MODULE, { export: 'IntxProbe' });
        if (!machine.devices.capabilities.intx) {
          await expect(attaching).rejects.toMatchObject({ code: 'ERROR_NOT_SUPPORTED' });
          await expect(attaching).rejects.toThrow('IntxProbe uses INTx');
          return;
        }
        const attachment = await attaching;
        const fn = await until(machine.guest, () =>
          machine.guest.open({ vendorId: VENDOR, deviceId: 0xc0f5 }),
        );
        expect(await fn.readConfig(0x3d, 1)).toBe(1);
        await machine.devices.detach(attachment);
      });

      test('an instance is taken where the host runs devices on this thread, else refused', async () => {
        const { placements } = machine.devices.capabilities;
        const instance = new MsiProbe();
        const attaching = machine.devices.attach(instance);
        if (!placements.includes('inline')) {
          await expect(attaching).rejects.toThrow('Cannot place a device inline');
          return;
        }
        const attachment = await attaching;
        expect(attachment.placement).toBe('inline');
        await machine.devices.detach(attachment);
      });

      test('removing a device with MSI-X does what the host says it does', async () => {
        const { flexibleIovRemove } = machine.devices.capabilities;
        if (flexibleIovRemove === 'yes') {
          await machine.devices.detach(msixAttachment);
          msixAttachment = await machine.devices.attach(MODULE, { export: 'MsixProbe' });
        } else {
          await expectRemovalRefused(msixAttachment);
        }
        const fn = await until(machine.guest, () => open(MSIX_PROBE));
        expect(await fn.readBar(0, PROBE.offsets.ID, 4)).toBe(0x0c0f_fee0);
      });

      test('a second device with the same instance id is refused', async () => {
        const { instanceId } = msixAttachment;
        const before = machine.devices.list();
        await expect(
          machine.devices.attach(MODULE, { export: 'MsiProbe', instanceId }),
        ).rejects.toThrow(instanceId);
        expect(machine.devices.list()).toEqual(before);
      });

      test('a configuration that the device refuses fails the attach with the device’s reason', async () => {
        const before = machine.devices.list();
        await expect(
          machine.devices.attach(MODULE, { export: 'ConfiguredProbe', configuration: ['word=x'] }),
        ).rejects.toThrow('Cannot configure the probe with word=x');
        expect(machine.devices.list()).toEqual(before);
      });

      test('a module without the export, or whose class throws, is refused by name', async () => {
        const bad = new URL('./bad-devices.ts', MODULE);
        const before = machine.devices.list();
        await expect(machine.devices.attach(MODULE, { export: 'Missing' })).rejects.toThrow(
          'Cannot find the export Missing',
        );
        await expect(machine.devices.attach(bad, { export: 'notADevice' })).rejects.toThrow(
          'it is not a class that extends PciDevice',
        );
        await expect(machine.devices.attach(bad, { export: 'Throws' })).rejects.toThrow(
          'its constructor threw',
        );
        await expect(machine.devices.attach(new URL('./no-such-file.ts', MODULE))).rejects.toThrow(
          'no-such-file.ts',
        );
        expect(machine.devices.list()).toEqual(before);
      });

      test('an entry that no device host announced is refused', async () => {
        const instanceId = randomUUID();
        await expect(
          machine.system.modify({
            ResourcePath: `VirtualMachine/Devices/FlexibleIov/${instanceId}`,
            RequestType: 'Add',
            Settings: {
              EmulatorId: randomUUID(),
              HostingModel: host.hostingModel ?? 'External',
            },
          }),
        ).rejects.toMatchObject({ name: 'HcsError' });
      });
    });

    describe('lifecycle', () => {
      test('what the host says it does not have answers E_NOTIMPL', () => {
        const { capabilities, vmDeviceHost } = host.binding.hdv;
        const device = 0n as HDV_DEVICE;
        const doorbell = (): void => vmDeviceHost.HdvRegisterDoorbell(device, 0, 0, 0n, 0, 0n);
        const range = (): void =>
          vmDeviceHost.HdvCreateSectionBackedMmioRange(device, 0, 0, 1, 0, 0n, 0);
        const notThere = expect.objectContaining({ code: 'E_NOTIMPL' });
        const badHandle = expect.objectContaining({ code: 'E_HANDLE' });
        expect(doorbell).toThrow(capabilities.doorbells === 'no' ? notThere : badHandle);
        expect(range).toThrow(capabilities.mappedRanges === 'no' ? notThere : badHandle);
      });

      test('a process has one device host for a system', async () => {
        await expect(
          DeviceHost.create(machine.system, { binding: host.binding.hdv }),
        ).rejects.toMatchObject({ hresult: 0xc037_0030 });
      });

      test('the machine pauses, resumes and keeps its devices', async () => {
        const fn = await open(MSI_PROBE);
        await fn.writeBar(0, PROBE.offsets.WORD, 4, 0xabcd);
        await machine.system.pause();
        await machine.system.resume();
        expect(await fn.readBar(0, PROBE.offsets.WORD, 4)).toBe(0xabcd);
      });

      test('mapped pages are the same bytes to guest and device, and doorbells ring', async () => {
        const attachment = await machine.devices.attach(MODULE, { export: 'DirectProbe' });
        const fn = await until(machine.guest, () =>
          machine.guest.open({ vendorId: VENDOR, deviceId: 0xc0f6 }),
        );
        const { BYTE, INDEX, RUNG } = DIRECT.offsets;
        const last = Direct.PAGES * 4096 - 1;
        await fn.writeBar(2, last - 3, 4, 0xa1b2_c3d4);
        await fn.writeBar(0, INDEX, 4, last);
        expect(await fn.readBar(0, BYTE, 4)).toBe(0xa1);
        await fn.writeBar(0, INDEX, 4, 5);
        await fn.writeBar(0, BYTE, 4, 0x77);
        expect(await fn.readBar(2, 4, 4)).toBe(0x7700);
        for (const bell of [2, 0]) await fn.writeBar(2, Direct.BELLS + bell * Direct.STRIDE, 4, 1);
        await until(machine.guest, async () => {
          const rung = await fn.readBar(0, RUNG, 4);
          if (rung !== 0b101) throw new Error(`Rung: ${rung.toString(2)}`);
        });
        expect(attachment.failure).toBeUndefined();
      });

      test('rings and accesses to mapped pages do not enter the device, where the host has them', async () => {
        const { doorbells, mappedRanges } = host.binding.hdv.capabilities;
        const isRestricted = host.hostingModel === 'ExternalRestricted';
        const has = (capability: string): boolean =>
          capability === 'yes' || (capability === 'unlessRestricted' && !isRestricted);
        const trace = TraceRing.create(256);
        const attachment = await machine.devices.attach(MODULE, {
          export: 'TracedDirectProbe',
          trace: trace.memory,
        });
        if (attachment.function !== undefined) {
          attachment.function.observer = new TraceRecorder(trace);
        }
        const fn = await until(machine.guest, () =>
          machine.guest.open({ vendorId: VENDOR, deviceId: 0xc0f7 }),
        );
        const reader = trace.reader();
        /** What the device was asked for in BAR 2 since the last call, and its rings. */
        const seen = (): { pages: number; bells: number; rings: number } => {
          const counts = { pages: 0, bells: 0, rings: 0 };
          reader.drain(({ kind, slot, location }) => {
            if (kind === TraceKind.DOORBELL) counts.rings++;
            else if (slot === 2 && [TraceKind.BAR_READ, TraceKind.BAR_WRITE].includes(kind as 3)) {
              if (location < Direct.BELLS) counts.pages++;
              else counts.bells++;
            }
          });
          return counts;
        };
        const bell = Direct.BELLS + 3 * Direct.STRIDE;
        const { RUNG } = DIRECT.offsets;
        /** Uses pages and a doorbell once. */
        const use = async (value: number): Promise<void> => {
          await fn.writeBar(2, 0x40, 4, value);
          await fn.writeBar(2, 0x1ffe, 2, value & 0xffff);
          expect(await fn.readBar(2, 0x40, 4)).toBe(value);
          expect(await fn.readBar(2, 0x1fff, 1)).toBe((value >>> 8) & 0xff);
          await fn.writeBar(0, RUNG, 4, 0xf);
          await fn.writeBar(2, bell, 4, value);
          await until(machine.guest, async () => {
            if ((await fn.readBar(0, RUNG, 4)) !== 0b1000) throw new Error('It has not rung yet');
          });
        };
        // Windows learns of them some time after the start.
        await until(machine.guest, async () => {
          seen();
          await use(0xabcd_ef01);
          const { pages, bells } = seen();
          const isOpen = (!has(mappedRanges) || pages === 0) && (!has(doorbells) || bells === 0);
          if (!isOpen) throw new Error(`The device served ${pages} accesses and ${bells} rings`);
        });
        await use(0x1234_5678);
        expect(seen()).toEqual({
          pages: has(mappedRanges) ? 0 : 4,
          bells: has(doorbells) ? 0 : 1,
          rings: has(doorbells) ? 1 : 0,
        });
        expect(attachment.failure).toBeUndefined();
      });

      test('a device that is declared in the document comes up with the machine', async () => {
        // Windows lets a process have one device host.
        await machine[Symbol.asyncDispose]();
        const [instanceId, classId] = [randomUUID(), randomUUID()];
        const document = host.document();
        const vm = document.VirtualMachine as Record<string, unknown>;
        const devices = (vm.Devices ?? {}) as Record<string, unknown>;
        vm.Devices = {
          ...devices,
          FlexibleIov: {
            [instanceId]: {
              EmulatorId: classId,
              HostingModel: host.hostingModel ?? 'External',
              Configuration: ['word=5'],
            },
          },
        };
        await using declared = await openMachine({ ...host, document: () => document }, (to) =>
          to
            .attach(MODULE, { export: 'ConfiguredProbe', instanceId, classId, declared: true })
            .then(() => {}),
        );
        const fn = await declared.guest.open({ vendorId: VENDOR, deviceId: CONFIGURED_PROBE });
        expect(await fn.readBar(0, PROBE.offsets.WORD, 4)).toBe(5);
      });
    });
  });
}

/** Capability list at 0x34, walked as a driver does. */
async function capabilities(fn: GuestFunction): Promise<{ id: number; offset: number }[]> {
  const found: { id: number; offset: number }[] = [];
  let offset = await fn.readConfig(0x34, 1);
  while (offset !== 0 && found.length < 48) {
    const header = await fn.readConfig(offset, 2);
    found.push({ id: header & 0xff, offset });
    offset = header >> 8;
  }
  return found;
}

/** Where the MSI-X table entry of a vector is (PCIe 6.0, 7.7.2). */
async function msixEntry(
  fn: GuestFunction,
  vector: number,
): Promise<{ readonly bar: number; readonly offset: number }> {
  const at = (await capabilities(fn)).find(({ id }) => id === 0x11)?.offset ?? 0;
  const table = await fn.readConfig(at + 4, 4);
  return { bar: table & 7, offset: (table & ~7) + 16 * vector };
}

/** Runs a copy and gives its result: 1 when the device could do it. */
async function copy(
  fn: GuestFunction,
  from: number,
  to: number,
  count: number,
  command: number,
): Promise<number> {
  await fn.writeBar64(0, PROBE.offsets.SOURCE, BigInt(from));
  await fn.writeBar64(0, PROBE.offsets.TARGET, BigInt(to));
  await fn.writeBar(0, PROBE.offsets.COUNT, 4, count);
  await fn.writeBar(0, PROBE.offsets.COMMAND, 4, command);
  return fn.readBar(0, PROBE.offsets.RESULT, 4);
}

async function raise(fn: GuestFunction, vector: number): Promise<void> {
  await fn.writeBar(0, PROBE.offsets.VECTOR, 4, vector);
  await fn.writeBar(0, PROBE.offsets.COMMAND, 4, Command.RAISE);
}

/** A guest notices hot-plug in its own time: asks again until it has. */
async function until<T>(guest: GuestAccess, ask: () => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await ask();
    } catch (error) {
      if (attempt >= 100) throw error;
      await guest.sleep(100);
    }
  }
}
