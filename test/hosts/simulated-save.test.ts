// Longer than most files: each thing that a saved machine consists of, and each that keeps one from being saved.
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GuestPlatform, PciDriver, type SimulatedMachine } from 'hdvkit/testing';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { GENERIC_ALL, INFINITE } from '../../src/hcs/core/constants.ts';
import type { RestoreState } from '../../src/hcs/schema/documents.ts';
import { HDV_DEVICE_TYPE } from '../../src/hdv/hdv-constants.ts';
import { createSimulatedHost, type SimulatedHost } from '../../src/hosts/simulated/host.ts';
import { ComputeSystem, DeviceHost, type Placement } from '../../src/index.ts';
import { errorOf } from '../compute/recording-engine.ts';
import { RecordingDevice } from '../device-host/recording-device.ts';
import { DIRECT, Direct, PROBE } from '../host/conformance-devices.ts';
import { ADDER, Adder, another, Forgetful } from './save-devices.ts';

const PROBES = new URL('../host/conformance-devices.ts', import.meta.url);
const DEVICES = new URL('./save-devices.ts', import.meta.url);
const PROGRAMS = new URL('./guest-programs/programs.ts', import.meta.url);

const BAR_0 = 0x10;
const ids = {
  first: '00000000-0000-4000-8000-000000000001',
  msix: '00000000-0000-4000-8000-000000000002',
  direct: '00000000-0000-4000-8000-000000000003',
  adder: '00000000-0000-4000-8000-000000000004',
} as const;

let host: SimulatedHost;
let folder: string;
let opened: AsyncDisposable[];

beforeAll(() => {
  host = createSimulatedHost();
  folder = mkdtempSync(join(tmpdir(), 'hdvs-'));
});

afterAll(async () => {
  await host.close();
  rmSync(folder, { recursive: true });
});

beforeEach(() => {
  opened = [];
});

afterEach(async () => {
  for (const each of opened.reverse()) await each[Symbol.asyncDispose]();
});

interface Machine {
  readonly system: ComputeSystem;
  readonly devices: DeviceHost;
  readonly machine: SimulatedMachine;
  /** The guest's kernel. */
  readonly guest: GuestPlatform;
}

async function create(restore?: RestoreState, megabytes = 16): Promise<Machine> {
  const VirtualMachine = {
    ComputeTopology: { Memory: { SizeInMB: megabytes } },
    ...(restore === undefined ? {} : { RestoreState: restore }),
  };
  const core = host.computeCore;
  const system = await ComputeSystem.create(`vm-${randomUUID()}`, { VirtualMachine }, { core });
  const devices = await DeviceHost.create(system, { binding: host.hdv, report: () => {} });
  opened.push(system, devices);
  const machine = host.machineOf(system.id) as SimulatedMachine;
  return { system, devices, machine, guest: new GuestPlatform(machine) };
}

async function saved({ system }: Machine, name: string): Promise<RestoreState> {
  const SaveStateFilePath = join(folder, name);
  await system.pause();
  await system.save({ SaveStateFilePath });
  return { SaveStateFilePath };
}

function driver({ machine, guest }: Machine, device: number): PciDriver {
  const slot = machine.bus.slots.find((each) => each.device === device);
  if (slot === undefined) throw new Error(`There is no device ${device} on the bus`);
  return new PciDriver(guest, slot);
}

/** Reads a register where the guest placed BAR 0, without a driver that places it anew. */
function readWherePlaced({ machine }: Machine, device: number, bar: number, offset: number) {
  const base = machine.bus.readConfig(device, BAR_0 + 4 * bar, 4) & ~0xf;
  return machine.read((base >>> 0) + offset, 4);
}

async function attachAll({ devices }: Machine, placement: Placement): Promise<void> {
  // One worker for all of them: each is seconds on a machine that has much to do.
  const group = placement === 'worker' ? { group: 'one' } : {};
  const attach = (module: URL, name: string, instanceId: string) =>
    devices.attach(module, { export: name, instanceId, placement, ...group });
  await attach(PROBES, 'MsixProbe', ids.msix);
  await attach(PROBES, 'DirectProbe', ids.direct);
  await attach(DEVICES, 'Adder', ids.adder);
}

// Each worker may take seconds on a machine that has much to do.
const PATIENCE = { timeout: 180_000 };

describe.each(['inline', 'worker'] as const)(
  'a machine with devices, %s',
  PATIENCE,
  (placement) => {
    test('goes on with memory, registers, set-up, pending interrupts, places and time', async () => {
      const before = await create();
      const { devices, machine } = before;
      const gone = await devices.attach(new Adder(), { instanceId: ids.first });
      await attachAll(before, placement);
      await before.system.start();
      await devices.detach(gone);
      const msix = driver(before, 1);
      const direct = driver(before, 2);
      const adder = driver(before, 3);
      msix.bar(0).write32(PROBE.offsets.WORD, 0xcafe);
      msix.bar(2).write32(0x3ffc, 0xd00d);
      msix.interrupts.enableMsix(4);
      msix.interrupts.setMask(2, true);
      msix.bar(0).write32(PROBE.offsets.VECTOR, 2);
      msix.bar(0).write32(PROBE.offsets.COMMAND, 3);
      expect(msix.interrupts.isPending(2)).toBe(true);
      direct.bar(2).write32(0x1ffc, 0x0b1e);
      direct.bar(2).write32(Direct.BELLS + Direct.STRIDE, 1);
      for (const term of [1, 2, 3]) adder.bar(0).write32(ADDER.offsets.TERM, term);
      machine.ram.write(0x12_3000, Buffer.from('in memory'));
      machine.advance(7);
      machine.random.next();
      machine.deliverMessage(0xfee0_0000, 77);
      const places = [1, 2, 3].map((device) => machine.bus.readConfig(device, BAR_0, 4));
      const restore = await saved(before, `devices-${placement}`);
      const [time, random] = [machine.clock.now, machine.random.state];
      const messages = machine.interrupts.take().map(({ data }) => data);
      expect(messages).toContain(77);
      await before.system.terminate();

      const after = await create(restore);
      await attachAll(after, placement);
      await after.system.start();
      const { machine: again } = after;
      expect([again.clock.now, again.random.state]).toEqual([time, random]);
      expect(again.interrupts.take().map(({ data }) => data)).toEqual(messages);
      const bytes = Buffer.alloc(9);
      again.ram.read(0x12_3000, bytes);
      expect(bytes.toString()).toBe('in memory');
      expect(again.bus.slots.map(({ device }) => device)).toEqual([1, 2, 3]);
      expect([1, 2, 3].map((device) => again.bus.readConfig(device, BAR_0, 4))).toEqual(places);
      expect(readWherePlaced(after, 1, 0, PROBE.offsets.WORD)).toBe(0xcafe);
      expect(readWherePlaced(after, 2, 2, 0x1ffc)).toBe(0x0b1e);
      expect(readWherePlaced(after, 2, 0, DIRECT.offsets.RUNG)).toBe(2);
      expect(readWherePlaced(after, 3, 0, ADDER.offsets.SUM)).toBe(6);
      expect(driver(after, 1).bar(2).read32(0x3ffc)).toBe(0xd00d);
      // The vector that was pending arrives when it is unmasked, as it was set up.
      const fresh = driver(after, 1);
      fresh.interrupts.adopt();
      fresh.interrupts.setMask(2, false);
      fresh.waitInterrupt(2);
      await after.system.terminate();
    });

    test('is a template, whose clones have its devices, each with a life of its own', async () => {
      const template = await create();
      const options = { export: 'Adder', instanceId: ids.adder, placement };
      await template.devices.attach(DEVICES, options);
      await template.system.start();
      const registers = driver(template, 0).bar(0);
      // Posted to a worker, and there before the device stops.
      for (let i = 0; i < 200; i++) registers.write32(ADDER.offsets.TERM, 1);
      await template.system.pause();
      await template.system.save({ SaveType: 'AsTemplate' });
      const clones: Machine[] = [];
      for (const term of [10, 20]) {
        const clone = await create({ TemplateSystemId: template.system.id });
        await clone.devices.attach(DEVICES, options);
        await clone.system.start();
        driver(clone, 0).bar(0).write32(0, term);
        clones.push(clone);
      }
      await template.system.terminate();
      expect(clones.map((clone) => driver(clone, 0).bar(0).read32(4))).toEqual([210, 220]);
    });

    test.each([
      ['Unwritable', /what device .*0004 saved cannot be written: .*numbers, strings and Buffers/],
      ['Connected', /device .*0004 does not say its state: .*far end cannot be moved; .*remove it/],
    ])('is refused by name for a device that cannot be saved: %s', async (name, text) => {
      const machine = await create();
      const options = { export: name, instanceId: ids.adder, placement };
      const attachment = await machine.devices.attach(DEVICES, options);
      await machine.system.start();
      const error = await errorOf(() => saved(machine, 'never'));
      expect(error.code).toBe('ERROR_NOT_SUPPORTED');
      expect(error.reason.replaceAll('\n', ' ')).toMatch(
        placement === 'worker' && name === 'Unwritable'
          ? /device .*0004 .*could not be cloned/
          : text,
      );
      expect(readdirSync(folder)).not.toContain('never');
      await machine.system.resume();
      await machine.devices.detach(attachment);
      await saved(machine, `without-${name}-${placement}`);
    });
  },
);

describe('a machine is refused', () => {
  test('with a device of callbacks, which have no state to ask for', async () => {
    const machine = await create();
    const vdh = host.hdv.vmDeviceHost;
    await machine.devices[Symbol.asyncDispose]();
    const hostHandle = await vdh.HdvInitializeDeviceHost(await handleOf(machine.system));
    const type = HDV_DEVICE_TYPE.HdvDeviceTypePCI;
    const callbacks = new RecordingDevice();
    await vdh.HdvCreateDeviceInstance(hostHandle, type, ids.first, ids.msix, callbacks, null);
    await machine.system.modify({
      ResourcePath: `VirtualMachine/Devices/FlexibleIov/${ids.msix}`,
      RequestType: 'Add',
      Settings: { EmulatorId: ids.first, HostingModel: 'External' },
    });
    await machine.system.start();
    const error = await errorOf(() => saved(machine, 'never'));
    expect(error.code).toBe('ERROR_NOT_SUPPORTED');
    expect(error.reason).toContain(
      `device ${ids.msix} cannot say its state, as its callbacks have no save: make it a PciDevice, or remove it`,
    );
    await vdh.HdvTeardownDeviceHost(hostHandle);
  });

  test('while a guest program runs, and not when that has ended', async () => {
    const machine = await create();
    await machine.system.start();
    const stop = new AbortController();
    const options = { export: 'untilShutDown', signal: stop.signal };
    const program = host.run(machine.system.id, PROGRAMS, options);
    const error = await errorOf(() => saved(machine, 'never'));
    expect(error.code).toBe('ERROR_NOT_SUPPORTED');
    expect(error.reason).toContain('a guest program runs on its virtual processors');
    stop.abort();
    await expect(program).rejects.toThrow();
    await machine.system.save({ SaveStateFilePath: join(folder, 'program-ended') });
  });

  test('with timers of its guest, and with a function that no device host has', async () => {
    const machine = await create();
    await machine.system.start();
    const timer = machine.machine.clock.after(5, () => {});
    expect((await errorOf(() => saved(machine, 'never'))).reason).toContain(
      'its guest has set 1 timers, which cannot be moved',
    );
    timer.cancel();
    const slot = machine.machine.plug(new RecordingDevice());
    const save = () => machine.system.save({ SaveStateFilePath: join(folder, 'unplugged') });
    expect((await errorOf(save)).reason).toContain(
      'the function in slot 0 was plugged past the device hosts',
    );
    machine.machine.unplug(slot);
    await save();
  });
});

describe('a saved machine is not restored', () => {
  let restore: RestoreState;

  beforeAll(async () => {
    opened = [];
    const machine = await create();
    await machine.devices.attach(new Adder(), { instanceId: ids.adder });
    await machine.system.start();
    restore = await saved(machine, 'one-device');
    await machine.devices[Symbol.asyncDispose]();
    await machine.system[Symbol.asyncDispose]();
  });

  async function refusal(attach: (devices: DeviceHost) => Promise<unknown>): Promise<string> {
    const machine = await create(restore);
    await attach(machine.devices);
    const error = await errorOf(() => machine.system.start());
    expect(error.code).toBe('ERROR_VID_SAVED_STATE_INCOMPATIBLE');
    return error.reason;
  }

  const instanceId = ids.adder;

  test('without its device, or with another one', async () => {
    expect(await refusal(async () => {})).toContain(`it had the device ${ids.adder}`);
    const more = await refusal(async (devices) => {
      await devices.attach(new Adder(), { instanceId });
      await devices.attach(new Adder(), { instanceId: ids.first });
    });
    expect(more).toContain(`it had no device ${ids.first}`);
  });

  test('into a device of another class, of another shape, or that does not take the state', async () => {
    const Other = another();
    for (const [device, text] of [
      [new Forgetful(), 'the snapshot is of Adder'],
      [new Other(), 'the snapshot does not hold 16 bytes'],
    ] as const) {
      const reason = await refusal((devices) => devices.attach(device, { instanceId }));
      expect(reason).toContain(`device ${ids.adder} does not take what was saved`);
      expect(reason).toContain(text);
    }
  });
});

test('a save that is cancelled leaves the old file, and no part of the new one', async () => {
  const machine = await create(undefined, 64);
  const { ram } = machine.machine;
  ram.write(0, Buffer.alloc(ram.size, 0x5a));
  const own = mkdtempSync(join(folder, 'cancel-'));
  const SaveStateFilePath = join(own, 'saved');
  writeFileSync(SaveStateFilePath, 'old');
  await machine.system.start();
  await machine.system.pause();
  const core = host.computeCore;
  const handle = await handleOf(machine.system);
  const operation = core.HcsCreateOperation(null, null);
  core.HcsSaveComputeSystem(handle, operation, JSON.stringify({ SaveStateFilePath }));
  // Once the new file is begun.
  while (readdirSync(own).length < 2) await new Promise((resolve) => setTimeout(resolve, 0));
  core.HcsCancelOperation(operation);
  const error = await errorOf(() => core.HcsWaitForOperationResult(operation, INFINITE));
  expect([error.function, error.code]).toEqual(['HcsSaveComputeSystem', 'ERROR_CANCELLED']);
  core.HcsCloseOperation(operation);
  expect(readdirSync(own)).toEqual(['saved']);
  expect(readFileSync(SaveStateFilePath, 'utf8')).toBe('old');
});

test('a machine that ends while it is saved leaves no part of a file', async () => {
  const machine = await create(undefined, 64);
  const { ram } = machine.machine;
  ram.write(0, Buffer.alloc(ram.size, 0x5a));
  const own = mkdtempSync(join(folder, 'end-'));
  await machine.system.start();
  await machine.system.pause();
  const saving = machine.system.save({ SaveStateFilePath: join(own, 'saved') });
  const ended = expect(saving).rejects.toThrow();
  while (readdirSync(own).length < 1) await new Promise((resolve) => setTimeout(resolve, 0));
  await machine.system.terminate();
  await ended;
  expect(readdirSync(own)).toEqual([]);
});

test('4 GiB of memory that was never touched take no room, in a file or in a clone', async () => {
  const machine = await create(undefined, 4096);
  machine.machine.ram.write(0x1_4000_0000 - 8192, Buffer.from('at the end'));
  await machine.system.start();
  const restore = await saved(machine, 'large');
  expect(statSync(restore.SaveStateFilePath as string).size).toBeLessThan(80 * 1024);
  await machine.system.save({ SaveType: 'AsTemplate' });
  for (const source of [restore, { TemplateSystemId: machine.system.id }]) {
    const { machine: again, system } = await create(source, 4096);
    const bytes = Buffer.alloc(10);
    again.ram.read(0x1_4000_0000 - 8192, bytes);
    expect(bytes.toString()).toBe('at the end');
    await system.terminate();
  }
});

async function handleOf({ id }: ComputeSystem) {
  return await host.computeCore.HcsOpenComputeSystem(id, GENERIC_ALL);
}
