import { describe, expect, test } from 'vitest';
import { NotSupportedError } from '../../src/ffi/native-library-error.ts';
import type { HCS_SYSTEM } from '../../src/hcs/core/handles.ts';
import type { DevicePlatform, HdvBinding } from '../../src/hdv/hdv-binding.ts';
import { HdvError } from '../../src/hdv/hdv-error.ts';
import { initializeHost } from '../../src/hdv/initialize-host.ts';
import type { HDV_HOST, VmDeviceHost } from '../../src/hdv/vm-device-host.ts';

const SYSTEM = 3n as HCS_SYSTEM;
const HOST = 0x5000n as HDV_HOST;

/** A binding whose initialization answers what `answers` throws or, where that is nothing, with a host. */
function bindingThat(
  answers: Partial<Record<string, () => void>>,
  proxyInterface?: NonNullable<DevicePlatform['proxyInterface']>,
): { binding: HdvBinding; calls: unknown[][] } {
  const calls: unknown[][] = [];
  const vmDeviceHost = new Proxy({} as VmDeviceHost, {
    get:
      (_, name: string) =>
      async (...parameters: unknown[]) => {
        calls.push([name, ...parameters]);
        answers[`${name}:${parameters[1]}`]?.();
        answers[name]?.();
        return HOST;
      },
  });
  const platform: DevicePlatform = {
    clock: () => ({ now: 0, after: () => ({ cancel() {} }) }),
    ...(proxyInterface && { proxyInterface }),
  };
  return { binding: { hostName: 'tested', vmDeviceHost, platform } as never, calls };
}

const tooLate = (): never => {
  throw new HdvError('HdvInitializeDeviceHostEx', 'RPC_E_TOO_LATE', 'too late');
};

describe('the hosting model External', () => {
  test('sets the COM security of the process', async () => {
    const { binding, calls } = bindingThat({});
    expect(await initializeHost(binding, SYSTEM, 'External')).toBe(HOST);
    expect(calls).toEqual([['HdvInitializeDeviceHostEx', SYSTEM, 1]]);
  });

  test('does without where somebody has set it before', async () => {
    const { binding, calls } = bindingThat({ 'HdvInitializeDeviceHostEx:1': tooLate });
    expect(await initializeHost(binding, SYSTEM, 'External')).toBe(HOST);
    expect(calls.map(([name, , flags]) => [name, flags])).toEqual([
      ['HdvInitializeDeviceHostEx', 1],
      ['HdvInitializeDeviceHostEx', 0],
    ]);
  });

  test('asks once more and not again', async () => {
    const { binding, calls } = bindingThat({ HdvInitializeDeviceHostEx: tooLate });
    await expect(initializeHost(binding, SYSTEM, 'External')).rejects.toThrow('too late');
    expect(calls).toHaveLength(2);
  });

  test('takes the function without flags on a Windows that has no other', async () => {
    const { binding, calls } = bindingThat({
      HdvInitializeDeviceHostEx: () => {
        throw new NotSupportedError('HdvInitializeDeviceHostEx', 'it is not exported');
      },
    });
    expect(await initializeHost(binding, SYSTEM, 'External')).toBe(HOST);
    expect(calls[1]).toEqual(['HdvInitializeDeviceHost', SYSTEM]);
  });

  test('passes on every other failure', async () => {
    const { binding, calls } = bindingThat({
      HdvInitializeDeviceHostEx: () => {
        throw new HdvError('HdvInitializeDeviceHostEx', 'ERROR_VID_PROCESS_ALREADY_SET', 'taken');
      },
    });
    await expect(initializeHost(binding, SYSTEM, 'External')).rejects.toThrow('taken');
    expect(calls).toHaveLength(1);
  });
});

describe('the hosting model ExternalRestricted', () => {
  test('registers by the COM object of this process, under an id of its own', async () => {
    const systems: HCS_SYSTEM[] = [];
    const { binding, calls } = bindingThat({}, (system) => {
      systems.push(system);
      return 0x7000n;
    });
    expect(await initializeHost(binding, SYSTEM, 'ExternalRestricted')).toBe(HOST);
    expect(systems).toEqual([SYSTEM]);
    const id = expect.stringMatching(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    expect(calls).toEqual([['HdvInitializeDeviceHostForProxy', id, 0x7000n]]);
  });

  test('is refused where there is no COM', async () => {
    const { binding, calls } = bindingThat({});
    await expect(initializeHost(binding, SYSTEM, 'ExternalRestricted')).rejects.toMatchObject({
      code: 'E_NOTIMPL',
      message: expect.stringContaining('the host tested has no restricted device hosts'),
    });
    expect(calls).toEqual([]);
  });
});
