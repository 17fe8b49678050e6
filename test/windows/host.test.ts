import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createWindowsHost, WINDOWS_CAPABILITIES } from '../../src/hosts/windows/host.ts';
import { ComputeSystem, DeviceHost } from '../../src/index.ts';
import { openWindowsHost, type WindowsTestHost } from './windows-test-host.ts';

const nextTurn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 2));

describe('the windows host', () => {
  let host: WindowsTestHost;

  beforeAll(async () => {
    host = await openWindowsHost();
  });

  afterAll(async () => {
    await host?.close();
  });

  const create = (id: string): Promise<ComputeSystem> =>
    ComputeSystem.create(id, host.document(), { core: host.binding.computeCore });

  test('says what it can do', () => {
    expect(host.binding.name).toBe('windows');
    expect(host.binding.hdv.capabilities).toBe(WINDOWS_CAPABILITIES);
    expect(WINDOWS_CAPABILITIES).toMatchObject({
      commandRegister: 'unreliable',
      intx: false,
      placements: ['worker'],
    });
  });

  test('a process has one device host; the second is told whose the first is, and comes after it', async () => {
    const binding = host.binding.hdv;
    await using first = await create('hdvkit-first');
    await using second = await create('hdvkit-second');
    const devices = await DeviceHost.create(first, { binding });
    const refusal = await DeviceHost.create(second, { binding }).catch((error: unknown) => error);
    expect(refusal).toMatchObject({ name: 'HdvError', code: 'ERROR_VID_PROCESS_ALREADY_SET' });
    expect((refusal as Error).message).toContain('hdvkit-first');
    expect((refusal as Error).message).toContain('in another process');
    await devices[Symbol.asyncDispose]();
    const later = await DeviceHost.create(second, { binding });
    await later[Symbol.asyncDispose]();
    expect(host.standIns.openHandles('host')).toBe(0);
  });

  test('a device host is torn down by the thread that initialized it', async () => {
    await using system = await create('hdvkit-threads');
    const devices = await DeviceHost.create(system, { binding: host.binding.hdv });
    await devices[Symbol.asyncDispose]();
    expect(host.standIns.misuses({ id: system.id })).toEqual([]);
  });

  test('a compute system that is closed has no device host, and Windows is not asked', async () => {
    const system = await create('hdvkit-closed-first');
    const { vmDeviceHost } = host.binding.hdv;
    await system.terminate();
    await system.close();
    const before = host.standIns.transcript().length;
    for (const call of [
      () => vmDeviceHost.HdvInitializeDeviceHost(system.handle),
      () => vmDeviceHost.HdvProxyDeviceHost(system.handle, 0x1000n, 1),
    ]) {
      await expect(call()).rejects.toMatchObject({
        name: 'HdvError',
        code: 'E_HANDLE',
        message: expect.stringContaining(`${system.handle} is not open`) as string,
      });
    }
    expect(host.standIns.transcript().length).toBe(before);
  });

  test('a compute system that is closed meanwhile stays open until Windows has answered', async () => {
    const system = await create('hdvkit-closed-meanwhile');
    const { vmDeviceHost } = host.binding.hdv;
    const { standIns } = host;
    const rule = { id: system.id, at: 'call' } as const;
    standIns.hold('HdvInitializeDeviceHost', rule);
    standIns.failNext('HdvInitializeDeviceHost', 0x8000_ffff, rule);
    const refused = expect(
      vmDeviceHost.HdvInitializeDeviceHost(system.handle),
    ).rejects.toMatchObject({ code: 'E_UNEXPECTED' });
    while (standIns.held('HdvInitializeDeviceHost', rule) === 0) await nextTurn();
    await system.terminate();
    const closed = system.close();
    await nextTurn();
    expect(standIns.openHandles('system', system.id)).toBe(1);
    standIns.release('HdvInitializeDeviceHost', rule);
    await refused;
    await closed;
    expect(standIns.openHandles('system', system.id)).toBe(0);
    expect(standIns.misuses({ id: system.id })).toEqual([]);
  });

  test('a teardown that Windows refuses is told by name, and can be tried again', async () => {
    await using system = await create('hdvkit-refused');
    const { vmDeviceHost } = host.binding.hdv;
    const handle = await vmDeviceHost.HdvInitializeDeviceHost(system.handle);
    host.standIns.failNext('HdvTeardownDeviceHost', 0x8000_ffff);
    await expect(vmDeviceHost.HdvTeardownDeviceHost(handle)).rejects.toMatchObject({
      name: 'HdvError',
      code: 'E_UNEXPECTED',
    });
    await vmDeviceHost.HdvTeardownDeviceHost(handle);
    expect(host.standIns.openHandles('host', system.id)).toBe(0);
  });

  test('closing it tears down what is left, ends the devices and closes the systems', async () => {
    const binding = createWindowsHost({ libraries: host.standIns.libraries });
    const system = await ComputeSystem.create('hdvkit-closed', host.document(), {
      core: binding.computeCore,
    });
    const devices = await DeviceHost.create(system, { binding: binding.hdv });
    await devices.attach(new URL('../host/trouble-device.ts', import.meta.url));
    await system.start();
    await binding.close();
    expect(host.standIns.openHandles('host', system.id)).toBe(0);
    expect(host.standIns.openHandles('device', system.id)).toBe(0);
    expect(host.standIns.openHandles('system', system.id)).toBe(0);
    await binding.close();
  });

  test('a missing library is said by its call, with what brings it', async () => {
    const vmdevicehost = join(tmpdir(), 'hdvkit-none', 'vmdevicehost.dll');
    expect(existsSync(vmdevicehost)).toBe(false);
    const binding = createWindowsHost({ libraries: { ...host.standIns.libraries, vmdevicehost } });
    const system = await ComputeSystem.create('hdvkit-missing', host.document(), {
      core: binding.computeCore,
    });
    const refusal = await DeviceHost.create(system, { binding: binding.hdv }).catch(
      (error: unknown) => error,
    );
    expect(refusal).toMatchObject({
      name: 'NativeLibraryError',
      path: vmdevicehost,
      problem: 'missing',
    });
    expect((refusal as Error).message).toContain('Windows feature Hyper-V');
    await system[Symbol.asyncDispose]();
    await binding.close();
  });

  test.each([499, 0, -1, Number.NaN, Number.POSITIVE_INFINITY])(
    'a limit of %d ms for devices is refused, with the range',
    (stallLimitMs) => {
      const { libraries } = host.standIns;
      expect(() => createWindowsHost({ libraries, stallLimitMs })).toThrow(
        expect.objectContaining({
          name: 'RangeError',
          message: expect.stringMatching(
            new RegExp(`after ${stallLimitMs} ms: stallLimitMs is 500 to 2147483647`),
          ) as string,
        }),
      );
    },
  );

  test('without a compute service there is no such host, and the message says what to enable', () => {
    const computecore = join(tmpdir(), 'hdvkit-none', 'computecore.dll');
    expect(() =>
      createWindowsHost({ libraries: { ...host.standIns.libraries, computecore } }),
    ).toThrow(
      expect.objectContaining({
        name: 'HostUnavailableError',
        host: 'windows',
        message: expect.stringContaining('Windows feature Hyper-V') as string,
      }),
    );
  });
});

test.runIf(process.platform !== 'win32')('elsewhere it needs libraries by name', () => {
  expect(() => createWindowsHost()).toThrow(/it needs Windows; use HDVKIT_HOST=simulated/);
});
