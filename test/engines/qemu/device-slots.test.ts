import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { EngineDevice } from '../../../src/compute/engine.ts';
import { DeviceSlots, type DeviceSlotsOptions } from '../../../src/engines/qemu/device-slots.ts';
import { HandedFiles } from '../../../src/engines/qemu/handed-files.ts';
import { QmpClient } from '../../../src/engines/qemu/qmp.ts';
import { ROOT_PORTS, RootPorts } from '../../../src/engines/qemu/root-ports.ts';
import { HcsError } from '../../../src/hcs/hcs-error.ts';
import { HRESULT } from '../../../src/hcs/hresult.ts';
import { QmpPeer, Refusal, SILENCE } from './qmp-peer.ts';

/** A loaded machine takes its time. */
const PATIENCE = { timeout: 30_000 };

let peer: QmpPeer;
let qmp: QmpClient;

beforeEach(async () => {
  peer = await QmpPeer.open();
  qmp = await QmpClient.open(peer.client);
});

afterEach(() => peer.close());

function slotsWith(options: Partial<DeviceSlotsOptions> = {}): DeviceSlots {
  return new DeviceSlots(qmp, new RootPorts(), {
    files: new HandedFiles(undefined),
    msixUnplug: false,
    ...options,
  });
}

interface TestDevice extends EngineDevice {
  readonly calls: string[];
}

/** A device whose endpoint writes down what is asked of it. */
function device(instanceId: string, endpoint: unknown = vfioUser()): TestDevice {
  const calls: string[] = [];
  return {
    calls,
    instanceId,
    configuration: ['port=1'],
    endpoint: {
      powerOn: async (configuration) => {
        calls.push(`on ${configuration.join()}`);
        return endpoint;
      },
      powerOff: async () => {
        calls.push('off');
      },
    },
  };
}

function vfioUser(msix = false): unknown {
  return { kind: 'vfio-user', socketPath: '/run/device', msix };
}

async function refusal(promise: Promise<unknown>): Promise<HcsError> {
  const error = await promise.then(
    () => expect.unreachable(),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(HcsError);
  return error as HcsError;
}

describe('adding a device', () => {
  test('powers it on, then has QEMU connect to it behind a root port', async () => {
    const one = device('A1');
    await slotsWith().plug(one);
    expect(one.calls).toEqual(['on port=1']);
    expect(peer.commands.at(-1)).toMatchObject({
      execute: 'device_add',
      arguments: {
        driver: 'vfio-user-pci',
        id: 'dev-a1',
        bus: 'rp0',
        socket: { type: 'unix', path: '/run/device' },
      },
    });
  });

  test('gives each device a port of its own, and no more than there are', async () => {
    const slots = slotsWith();
    for (let i = 0; i < ROOT_PORTS; i++) await slots.plug(device(`d${i}`));
    const buses = peer.commands.map((command) => command.arguments?.bus).filter(Boolean);
    expect(new Set(buses).size).toBe(ROOT_PORTS);
    const late = device('late');
    expect((await refusal(slots.plug(late))).message).toContain(
      `${ROOT_PORTS} slots, and all are taken`,
    );
    expect(late.calls).toEqual([]);
  });

  test('powers it off again when QEMU refuses, and frees the port', async () => {
    const slots = slotsWith();
    peer.handler = () => new Refusal('failed to get region 0 info');
    const one = device('a');
    const error = await refusal(slots.plug(one));
    expect(error.hresult).toBe(HRESULT.E_FAIL);
    expect(error.message).toContain('failed to get region 0 info');
    expect(one.calls).toEqual(['on port=1', 'off']);
    peer.handler = () => ({});
    await slots.plug(device('a'));
    expect(peer.commands.at(-1)?.arguments?.bus).toBe('rp0');
  });

  test('refuses an endpoint that is no vfio-user socket', async () => {
    const one = device('a', { kind: 'function' });
    expect((await refusal(slotsWith().plug(one))).message).toContain('offers no vfio-user socket');
    expect(one.calls).toEqual(['on port=1', 'off']);
  });

  test('refuses an instance that is there, whatever the case of its id', async () => {
    const slots = slotsWith();
    await slots.plug(device('abc'));
    expect((await refusal(slots.plug(device('ABC')))).hresult).toBe(HRESULT.ERROR_ALREADY_EXISTS);
  });

  test('lets a debugger stop in the device when asked to', async () => {
    await slotsWith({ messageTimeout: 2147483647 }).plug(device('a'));
    expect(peer.commands.at(-1)?.arguments?.['x-msg-timeout']).toBe(2147483647);
  });
});

describe('removing a device', () => {
  test('waits until the guest has let go, then powers it off', async () => {
    const slots = slotsWith();
    const one = device('a');
    await slots.plug(one);
    const removed = slots.unplug('A');
    await expect.poll(() => peer.asked, PATIENCE).toEqual(['device_add', 'device_del']);
    peer.event('DEVICE_DELETED', { path: '/machine/peripheral/other' });
    expect(one.calls).not.toContain('off');
    peer.event('DEVICE_DELETED', { device: 'dev-a', path: '/machine/peripheral/dev-a' });
    await removed;
    expect(one.calls).toEqual(['on port=1', 'off']);
  });

  test('is refused for a device with MSI-X before QEMU hears of it', async () => {
    const slots = slotsWith();
    const one = device('a', vfioUser(true));
    await slots.plug(one);
    const error = await refusal(slots.unplug('a'));
    expect(error.hresult).toBe(HRESULT.ERROR_NOT_SUPPORTED);
    expect(error.message).toMatch(/Cannot remove device a as it has MSI-X: QEMU aborts/);
    expect(peer.asked).toEqual(['device_add']);
    expect(one.calls).toEqual(['on port=1']);
  });

  test('is done for a device with MSI-X where QEMU is known to bear it', async () => {
    const slots = slotsWith({ msixUnplug: true });
    await slots.plug(device('a', vfioUser(true)));
    const removed = slots.unplug('a');
    await expect.poll(() => peer.asked, PATIENCE).toContain('device_del');
    peer.event('DEVICE_DELETED', { device: 'dev-a' });
    await removed;
  });

  test('is given up when the guest keeps it, and may be tried again', async () => {
    const slots = slotsWith({ unplugLimit: 30 });
    const one = device('a');
    await slots.plug(one);
    const error = await refusal(slots.unplug('a'));
    expect(error.hresult).toBe(HRESULT.ERROR_TIMEOUT);
    expect(one.calls).toEqual(['on port=1']);
    peer.handler = () => {
      peer.event('DEVICE_DELETED', { device: 'dev-a' });
      return {};
    };
    await slots.unplug('a');
    expect(one.calls).toEqual(['on port=1', 'off']);
  });

  test('is refused for one that QEMU never unplugs, in its words', async () => {
    const slots = slotsWith();
    await slots.plug(device('a'));
    peer.handler = () => new Refusal('virtio-pmem-pci device unplug is not supported.');
    const error = await refusal(slots.unplug('a'));
    expect(error.hresult).toBe(HRESULT.ERROR_NOT_SUPPORTED);
    expect(error.message).toContain(
      'device a cannot be removed: Cannot device_del: virtio-pmem-pci',
    );
  });

  test('is done when the device has gone before the request came', async () => {
    const slots = slotsWith();
    await slots.plug(device('a'));
    peer.handler = () => new Refusal("Device 'dev-a' not found", 'DeviceNotFound');
    await slots.unplug('a');
  });

  test('ends with the machine', async () => {
    const slots = slotsWith();
    await slots.plug(device('a'));
    peer.handler = () => SILENCE;
    const removed = slots.unplug('a');
    const rejected = expect(removed).rejects.toThrow('QEMU has ended');
    await expect.poll(() => peer.asked, PATIENCE).toContain('device_del');
    await peer.close();
    await rejected;
  });

  test('is refused for a device that is not there', async () => {
    expect((await refusal(slotsWith().unplug('a'))).hresult).toBe(HRESULT.ERROR_NOT_FOUND);
  });
});

test('all devices are off when the machine is no more', async () => {
  const slots = slotsWith();
  const all = [device('a'), device('b', vfioUser(true))];
  for (const one of all) await slots.plug(one);
  await slots.powerOffAll();
  expect(all.map(({ calls }) => calls)).toEqual([
    ['on port=1', 'off'],
    ['on port=1', 'off'],
  ]);
});
