import { randomUUID } from 'node:crypto';
import { NotSupportedError } from '../ffi/native-library-error.ts';
import type { HCS_SYSTEM } from '../hcs/core/handles.ts';
import type { HdvBinding } from './hdv-binding.ts';
import { HDV_DEVICE_HOST_FLAGS } from './hdv-constants.ts';
import { HdvError } from './hdv-error.ts';
import type { HDV_HOST } from './vm-device-host.ts';

/**
 * Where devices run, as the HostingModel of their FlexibleIov entries says it. `External`: in a process that the
 * machine trusts. `ExternalRestricted`: in one that it does not; guest memory is reached by mapping alone, and there
 * are no doorbells and mapped ranges. Devices do not notice.
 */
export type HostingModel = 'External' | 'ExternalRestricted';

/**
 * Makes this process a device host of a system. @throws HdvError
 */
export function initializeHost(
  binding: HdvBinding,
  system: HCS_SYSTEM,
  hostingModel: HostingModel,
): Promise<HDV_HOST> {
  return hostingModel === 'External'
    ? initializeExternal(binding, system)
    : initializeRestricted(binding, system);
}

/**
 * The machine's worker process runs under an account of its own and calls in by COM, which the COM security of an
 * ordinary process does not allow: so it is set. That works once per process and not after COM was used; what is set
 * then is taken as it is. An older Windows, without the function that sets it, has the one without flags.
 */
async function initializeExternal(
  { vmDeviceHost }: HdvBinding,
  system: HCS_SYSTEM,
): Promise<HDV_HOST> {
  const { HdvDeviceHostFlagInitializeComSecurity, HdvDeviceHostFlagNone } = HDV_DEVICE_HOST_FLAGS;
  try {
    return await vmDeviceHost.HdvInitializeDeviceHostEx(
      system,
      HdvDeviceHostFlagInitializeComSecurity,
    );
  } catch (error) {
    if (error instanceof NotSupportedError) {
      return await vmDeviceHost.HdvInitializeDeviceHost(system);
    }
    if (!(error instanceof HdvError && error.code === 'RPC_E_TOO_LATE')) throw error;
    return await vmDeviceHost.HdvInitializeDeviceHostEx(system, HdvDeviceHostFlagNone);
  }
}

/** This process is its own broker: the COM object registers the device host with the system by HdvProxyDeviceHost. */
async function initializeRestricted(
  { vmDeviceHost, platform, hostName }: HdvBinding,
  system: HCS_SYSTEM,
): Promise<HDV_HOST> {
  const proxyInterface = platform.proxyInterface?.(system);
  if (proxyInterface === undefined) {
    throw new HdvError(
      'HdvInitializeDeviceHostForProxy',
      'E_NOTIMPL',
      `the host ${hostName} has no restricted device hosts: they exist under Windows only; use the hosting model External`,
    );
  }
  return await vmDeviceHost.HdvInitializeDeviceHostForProxy(randomUUID(), proxyInterface);
}
