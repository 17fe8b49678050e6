import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DEVICE_CLASS_ID, RESTRICTED_DEVICE_CLASS_ID } from '../../src/hdv/device-host.ts';
import type { HdvBinding } from '../../src/hdv/hdv-binding.ts';
import type { HostCapabilities } from '../../src/hdv/host-capabilities.ts';
import type { VmDeviceHost } from '../../src/hdv/vm-device-host.ts';
import { createSimulatedHost, type SimulatedHost } from '../../src/hosts/simulated/host.ts';
import {
  type Attachment,
  ComputeSystem,
  DeviceHost,
  type DeviceNotice,
  HcsError,
  intx,
  mmio,
  PciDevice,
  registerMap,
  u32,
} from '../../src/index.ts';
import { GuestPlatform, type PciDriver } from '../../src/testing.ts';
import { collectGarbage, collectUntil, warningsDuring } from '../hcs/collect-garbage.ts';

const MAP = registerMap({ FAIL: u32(0, { access: 'wo' }), WRONG: u32(4, { access: 'wo' }) });

class Fragile extends PciDevice {
  override readonly identity = { vendorId: 0x1234, deviceId: 0x20, classCode: 0xff0000 };
  readonly log: string[] = [];
  readonly regs = MAP.bind({
    FAIL: {
      write: () => {
        throw new Error('on purpose');
      },
    },
    WRONG: { write: (value) => this.guestError(`${value} is wrong`) },
  });
  override readonly bars = { 0: mmio(0x1000, { 0: this.regs }) };

  override start(): void {
    this.log.push('start');
  }

  override stop(): void {
    this.log.push('stop');
  }
}

class FailsToStart extends Fragile {
  override start(): void {
    throw new Error('no start today');
  }
}

class Line extends Fragile {
  override readonly interrupts = intx();
}

let host: SimulatedHost;
let system: ComputeSystem;
let notices: DeviceNotice[];
let devices: DeviceHost;

beforeEach(async () => {
  host = createSimulatedHost();
  system = await ComputeSystem.create('vm', document(), { core: host.computeCore });
  notices = [];
  devices = await createDevices();
});

afterEach(async () => {
  await devices[Symbol.asyncDispose]();
  await system[Symbol.asyncDispose]();
  await host.close();
});

function document() {
  return {
    SchemaVersion: { Major: 2, Minor: 1 },
    VirtualMachine: { ComputeTopology: { Memory: { SizeInMB: 4 } } },
  };
}

function createDevices(capabilities: Partial<HostCapabilities> = {}): Promise<DeviceHost> {
  return DeviceHost.create(system, {
    binding: { ...host.hdv, capabilities: { ...host.hdv.capabilities, ...capabilities } },
    report: (notice) => notices.push(notice),
  });
}

function enumerate(): PciDriver[] {
  const machine = host.machineOf('vm');
  if (machine === undefined) throw new Error('The machine has ended');
  return new GuestPlatform(machine).enumerate();
}

describe('attaching an instance', () => {
  test('before the start it starts with the system, and after it at once', async () => {
    const early = new Fragile();
    await devices.attach(early);
    expect(early.log).toEqual([]);
    await system.start();
    expect(early.log).toEqual(['start']);
    const late = new Fragile();
    await devices.attach(late);
    expect(late.log).toEqual(['start']);
    expect(enumerate()).toHaveLength(2);
  });

  test('takes ids with braces and without, in either case', async () => {
    await system.start();
    const id = randomUUID();
    const braced = `{${id.toUpperCase()}}`;
    const attachment = await devices.attach(new Fragile(), { instanceId: braced, classId: braced });
    const twin = devices.attach(new Fragile(), { instanceId: id });
    await expect(twin).rejects.toMatchObject({ code: 'ERROR_ALREADY_EXISTS' });
    await devices.detach(attachment);
    expect(enumerate()).toEqual([]);
  });

  test('gives an attachment that says what it is', async () => {
    const attachment = await devices.attach(new Fragile(), { configuration: [] });
    expect(attachment).toMatchObject({
      name: 'Fragile',
      placement: 'inline',
      failure: undefined,
      guestErrors: 0,
    });
    expect(attachment.shape.bars).toHaveLength(1);
    expect(attachment.function?.device).toBeInstanceOf(Fragile);
    expect(devices.list()).toEqual([attachment]);
  });

  test('a device that cannot start fails the attach, and is not attached', async () => {
    await system.start();
    await expect(devices.attach(new FailsToStart())).rejects.toThrow('no start today');
    expect(devices.list()).toEqual([]);
    expect(enumerate()).toEqual([]);
  });

  test('a device with INTx is refused where the host has none', async () => {
    await devices[Symbol.asyncDispose]();
    devices = await createDevices({ intx: false });
    await expect(devices.attach(new Line())).rejects.toThrow(
      'Line uses INTx, which the host simulated does not have: use msi() or msix()',
    );
    expect(devices.list()).toEqual([]);
  });

  test('an instance cannot go to a worker, nor anything where the host does not place it', async () => {
    await devices[Symbol.asyncDispose]();
    devices = await createDevices({ placements: ['inline'] });
    await expect(devices.attach(new Fragile(), { placement: 'worker' })).rejects.toThrow(
      'Cannot place a device worker on the host simulated: it places devices inline',
    );
    await devices[Symbol.asyncDispose]();
    devices = await createDevices({ placements: ['worker', 'inline'] });
    await expect(devices.attach(new Fragile(), { placement: 'worker' })).rejects.toThrow(
      'an instance stays on its thread; attach the URL of its module',
    );
  });

  test('devices share a worker by their group only where the host lets them', async () => {
    const { placement: _, ...binding } = host.hdv;
    await devices[Symbol.asyncDispose]();
    devices = await DeviceHost.create(system, { binding });
    await expect(devices.attach(new Fragile(), { group: 'g' })).rejects.toThrow(
      'Cannot attach a device to group g: on the host simulated each device has its own worker',
    );
  });
});

describe('detaching', () => {
  test('stops the device and takes it off the bus; its id is free again', async () => {
    await system.start();
    const device = new Fragile();
    const attachment = await devices.attach(device);
    await devices.detach(attachment);
    expect(device.log).toEqual(['start', 'stop']);
    expect(enumerate()).toEqual([]);
    await expect(devices.detach(attachment)).rejects.toThrow('it is not attached here');
    await devices.attach(new Fragile(), { instanceId: attachment.instanceId });
    expect(enumerate()).toHaveLength(1);
  });

  test('before the start the device never comes up', async () => {
    const device = new Fragile();
    await devices.detach(await devices.attach(device));
    await system.start();
    expect(device.log).toEqual([]);
    expect(enumerate()).toEqual([]);
  });
});

describe('a host that passes on what Windows answers', () => {
  const refusal = new HcsError({ function: 'HcsModifyComputeSystem', hresult: 0x8007_0032 });

  test('a removal that is refused leaves the device attached and at work', async () => {
    await devices[Symbol.asyncDispose]();
    devices = await createDevices({ flexibleIovRemove: 'passedThrough' });
    await system.start();
    const device = new Fragile();
    const attachment = await devices.attach(device);
    const modify = system.modify.bind(system);
    system.modify = async () => {
      throw refusal;
    };
    await expect(devices.detach(attachment)).rejects.toBe(refusal);
    expect(device.log).toEqual(['start']);
    expect(devices.list()).toEqual([attachment]);
    expect(enumerate()).toHaveLength(1);
    system.modify = modify;
    await devices.detach(attachment);
    expect(devices.list()).toEqual([]);
  });

  test('a restart that is refused leaves the device as it was', async () => {
    await system.start();
    const module = new URL('../../sample-devices/first-device.ts', import.meta.url);
    const attachment = await devices.attach(module);
    const before = attachment.function;
    const modify = system.modify.bind(system);
    system.modify = async () => {
      throw refusal;
    };
    await expect(devices.restart(attachment)).rejects.toBe(refusal);
    system.modify = modify;
    expect(attachment.function).toBe(before);
    expect(enumerate()).toHaveLength(1);
  });
});

describe('the hosting model', () => {
  /** The simulated host as one that has COM: what it gives out restricted is an ordinary device host. */
  function withProxies(): HdvBinding {
    const { vmDeviceHost } = host.hdv;
    const overrides: Partial<VmDeviceHost> = {
      HdvInitializeDeviceHostForProxy: () => vmDeviceHost.HdvInitializeDeviceHost(system.handle),
    };
    const both = new Proxy(vmDeviceHost, {
      get: (target, name) => {
        const own = overrides[name as keyof VmDeviceHost];
        const inherited = target[name as keyof VmDeviceHost];
        return own ?? (inherited as () => unknown).bind(target);
      },
    });
    const platform = { ...host.hdv.platform, proxyInterface: () => 0x7000n };
    return { ...host.hdv, vmDeviceHost: both, platform };
  }

  test.each([
    ['External', DEVICE_CLASS_ID],
    ['ExternalRestricted', RESTRICTED_DEVICE_CLASS_ID],
  ] as const)('%s stands in the entries of its devices, with its class', async (model, classId) => {
    await devices[Symbol.asyncDispose]();
    devices = await DeviceHost.create(system, { binding: withProxies(), hostingModel: model });
    const requests: unknown[] = [];
    system.modify = async (request) => void requests.push(request.Settings);
    const attachment = await devices.attach(new Fragile());
    expect(attachment.classId).toBe(classId);
    expect(requests).toEqual([{ EmulatorId: classId, HostingModel: model, Configuration: [] }]);
  });

  test('ExternalRestricted is refused by a host that has none', async () => {
    const create = DeviceHost.create(system, {
      binding: host.hdv,
      hostingModel: 'ExternalRestricted',
    });
    await expect(create).rejects.toMatchObject({ code: 'E_NOTIMPL' });
  });
});

describe('a device host that nobody refers to any more', () => {
  const names = ['HdvTeardownDeviceHost', 'HcsCloseComputeSystem'];
  let log: string[];

  /** What logs the calls of functions that end something. */
  function logging<T extends object>(target: T): T {
    const lines = log;
    return new Proxy(target, {
      get: (_, name) => {
        const member = (target[name as keyof T] as () => unknown).bind(target);
        if (!names.includes(name as string)) return member;
        return (...parameters: []) => {
          lines.push(name as string);
          return member(...parameters);
        };
      },
    });
  }

  /** Makes a device host that nobody holds when this has returned. */
  async function abandon(of: ComputeSystem, { attach = false } = {}): Promise<void> {
    const vmDeviceHost = logging(host.hdv.vmDeviceHost);
    const abandoned = await DeviceHost.create(of, { binding: { ...host.hdv, vmDeviceHost } });
    if (attach) await abandoned.attach(new Fragile());
  }

  beforeEach(async () => {
    log = [];
    await devices[Symbol.asyncDispose]();
  });

  test('is torn down once, with a warning', async () => {
    const warnings = await warningsDuring(async () => {
      await abandon(system);
      await collectUntil(() => log.length > 0);
      await collectGarbage();
    });
    expect(log).toEqual(['HdvTeardownDeviceHost']);
    expect(warnings).toEqual([
      'Device host of vm was garbage-collected while it was open, and is closed now: keep it in a variable, and close it or declare it by "await using"',
    ]);
    devices = await createDevices();
  });

  test('stays while it has devices and somebody has the system, as guests depend on them', async () => {
    const warnings = await warningsDuring(async () => {
      await abandon(system, { attach: true });
      await collectGarbage();
    });
    expect([log, warnings, system.id]).toEqual([[], [], 'vm']);
  });

  test('goes before the handle of its system, when nobody has that either', async () => {
    const core = logging(host.computeCore);
    const warnings = await warningsDuring(async () => {
      await (async () => {
        const other = await ComputeSystem.create('other', document(), { core });
        await abandon(other, { attach: true });
      })();
      await collectUntil(() => log.length === 2);
    });
    expect(log).toEqual(names);
    expect(warnings.filter((text) => text.includes(' other was '))).toHaveLength(2);
  });

  test('says nothing when it was disposed of', async () => {
    const warnings = await warningsDuring(async () => {
      await (await createDevices())[Symbol.asyncDispose]();
      await collectGarbage();
    });
    expect(warnings).toEqual([]);
  });
});

describe('a signal that aborts', () => {
  /** A signal that aborts as soon as the modify request is under way. */
  function abortOnModify(): AbortSignal {
    const controller = new AbortController();
    const modify = system.modify.bind(system);
    system.modify = (...args) => {
      const done = modify(...args);
      controller.abort(new Error('enough'));
      system.modify = modify;
      return done;
    };
    return controller.signal;
  }

  test('takes back an attach before the start, which the start survives', async () => {
    const device = new Fragile();
    const attach = devices.attach(device, { signal: abortOnModify() });
    await expect(attach).rejects.toThrow('enough');
    await system.start();
    expect([device.log, devices.list(), enumerate()]).toEqual([[], [], []]);
  });

  test('takes back an attach to a running system; the device can be attached again', async () => {
    await system.start();
    const [device, instanceId] = [new Fragile(), randomUUID()];
    const attach = devices.attach(device, { signal: abortOnModify(), instanceId });
    await expect(attach).rejects.toThrow('enough');
    // Calls are served in turn: the removal is behind this one at the latest.
    while (device.log.at(-1) !== 'stop') await system.properties();
    await system.properties();
    await devices.attach(device, { instanceId });
    expect(enumerate()).toHaveLength(1);
  });

  test('ends the wait for a detach, which goes on', async () => {
    await system.start();
    const attachment = await devices.attach(new Fragile());
    const detach = devices.detach(attachment, { signal: abortOnModify() });
    await expect(detach).rejects.toThrow('enough');
    while (devices.list().length > 0) await system.properties();
    expect(enumerate()).toEqual([]);
  });

  test('makes nothing when it has aborted before', async () => {
    const signal = AbortSignal.abort(new Error('too late'));
    await expect(devices.attach(new Fragile(), { signal })).rejects.toThrow('too late');
    expect(devices.list()).toEqual([]);
  });
});

describe('what devices report', () => {
  async function attachAndOpen(): Promise<{ attachment: Attachment; driver: PciDriver }> {
    await system.start();
    const attachment = await devices.attach(new Fragile());
    const [driver] = enumerate();
    if (driver === undefined) throw new Error('The device is not on the bus');
    return { attachment, driver };
  }

  test('a mistake of the guest is reported with its device and counted', async () => {
    const { attachment, driver } = await attachAndOpen();
    driver.bar(0).write32(4, 17);
    expect(notices).toEqual([{ type: 'guestError', attachment, text: '17 is wrong', count: 1 }]);
    expect(attachment.guestErrors).toBe(1);
  });

  test('a failure is reported once with its cause, and the device reads as ones', async () => {
    const { attachment, driver } = await attachAndOpen();
    driver.bar(0).write32(0, 1);
    driver.bar(0).write32(0, 1);
    expect(notices).toHaveLength(1);
    expect(notices[0]).toMatchObject({ type: 'failed', attachment });
    expect(attachment.failure?.cause).toMatchObject({ message: 'on purpose' });
    expect(driver.bar(0).read32(0)).toBe(0xffff_ffff);
  });

  test('a failed device that came by its module is brought back by a restart', async () => {
    await system.start();
    const module = new URL('../../sample-devices/failing.ts', import.meta.url);
    const attachment = await devices.attach(module, { export: 'FailingDevice' });
    const { FAILING, Fail, KEY } = await import('../../sample-devices/failing.ts');
    const [driver] = enumerate();
    driver?.bar(0).write32(FAILING.offsets.ARM, KEY);
    driver?.bar(0).write32(FAILING.offsets.FAIL, Fail.THROW);
    expect(attachment.failure).toBeDefined();
    await devices.restart(attachment);
    expect(attachment.failure).toBeUndefined();
    expect(enumerate()[0]?.bar(0).read32(FAILING.offsets.ALIVE)).toBe(1);
    expect(devices.list()).toEqual([attachment]);
  });

  test('a restart whose module does not construct any more can be tried again', async () => {
    await system.start();
    const module = new URL('./modules/moody.ts', import.meta.url);
    const { mood } = await import('./modules/moody.ts');
    const attachment = await devices.attach(module);
    mood.isBad = true;
    await expect(devices.restart(attachment)).rejects.toThrow('not today');
    await expect(devices.restart(attachment)).rejects.toThrow('not today');
    expect([devices.list(), enumerate()]).toEqual([[attachment], []]);
    mood.isBad = false;
    await devices.restart(attachment);
    expect(enumerate()).toHaveLength(1);
    mood.isBad = true;
    await expect(devices.restart(attachment)).rejects.toThrow('not today');
    await devices.detach(attachment);
    expect(devices.list()).toEqual([]);
  });

  test('an instance cannot be made again, so it is not restarted', async () => {
    const { attachment } = await attachAndOpen();
    await expect(devices.restart(attachment)).rejects.toThrow('attach the URL of its module');
    expect(enumerate()).toHaveLength(1);
  });
});

describe('the end', () => {
  test('disposal stops devices; the machine that still runs sees them no more', async () => {
    await system.start();
    const device = new Fragile();
    await devices.attach(device);
    const [driver] = enumerate();
    await devices[Symbol.asyncDispose]();
    await devices[Symbol.asyncDispose]();
    expect(device.log).toEqual(['start', 'stop']);
    expect(driver?.bar(0).read32(0)).toBe(0xffff_ffff);
    await expect(devices.attach(new Fragile())).rejects.toThrow('the device host is torn down');
  });

  test('a second disposal waits for the first', async () => {
    await system.start();
    const device = new Fragile();
    await devices.attach(device);
    void devices[Symbol.asyncDispose]();
    await devices[Symbol.asyncDispose]();
    expect(device.log).toEqual(['start', 'stop']);
  });

  test('a device that is being attached at the disposal is not attached', async () => {
    await system.start();
    const device = new Fragile();
    const attach = devices.attach(device);
    const disposal = devices[Symbol.asyncDispose]();
    await expect(attach).rejects.toThrow();
    await disposal;
    expect(devices.list()).toEqual([]);
    expect(device.log.filter((entry) => entry === 'start')).toHaveLength(
      device.log.filter((entry) => entry === 'stop').length,
    );
  });

  test('the end of the system stops its devices', async () => {
    await system.start();
    const device = new Fragile();
    await devices.attach(device);
    await system.terminate();
    expect(device.log).toEqual(['start', 'stop']);
  });

  test('a successor of the system with its id has none of its devices, and a device host of its own', async () => {
    const [old, young] = [new Fragile(), new Fragile()];
    const instanceId = randomUUID();
    await devices.attach(old, { instanceId });
    await system.start();
    await system.terminate();
    await expect(devices.attach(new Fragile())).rejects.toThrow('compute system vm has ended');
    const core = host.computeCore;
    await using successor = await ComputeSystem.create('vm', document(), { core });
    await using others = await DeviceHost.create(successor, { binding: host.hdv });
    await successor.start();
    await others.attach(young, { instanceId });
    await devices[Symbol.asyncDispose]();
    expect([old.log, young.log]).toEqual([['start', 'stop'], ['start']]);
    expect(enumerate()).toHaveLength(1);
  });

  test('pause and resume stop and start the device', async () => {
    await system.start();
    const device = new Fragile();
    await devices.attach(device);
    await system.pause();
    await system.resume();
    expect(device.log).toEqual(['start', 'stop', 'start']);
  });
});
