// One line per function of vmdevicehost.dll, in the order of the contract.
import { selectedHdv } from './hdv-binding.ts';
import type { VmDeviceHost } from './vm-device-host.ts';

const host = (): VmDeviceHost => selectedHdv().vmDeviceHost;

/** {@link VmDeviceHost.HdvInitializeDeviceHost} of the selected host. */
export const HdvInitializeDeviceHost: VmDeviceHost['HdvInitializeDeviceHost'] = (...args) =>
  host().HdvInitializeDeviceHost(...args);

/** {@link VmDeviceHost.HdvInitializeDeviceHostEx} of the selected host. */
export const HdvInitializeDeviceHostEx: VmDeviceHost['HdvInitializeDeviceHostEx'] = (...args) =>
  host().HdvInitializeDeviceHostEx(...args);

/** {@link VmDeviceHost.HdvInitializeDeviceHostForProxy} of the selected host. */
export const HdvInitializeDeviceHostForProxy: VmDeviceHost['HdvInitializeDeviceHostForProxy'] = (
  ...args
) => host().HdvInitializeDeviceHostForProxy(...args);

/** {@link VmDeviceHost.HdvInitializeDeviceHostForProxyEx} of the selected host. */
export const HdvInitializeDeviceHostForProxyEx: VmDeviceHost['HdvInitializeDeviceHostForProxyEx'] =
  (...args) => host().HdvInitializeDeviceHostForProxyEx(...args);

/** {@link VmDeviceHost.HdvProxyDeviceHost} of the selected host. */
export const HdvProxyDeviceHost: VmDeviceHost['HdvProxyDeviceHost'] = (...args) =>
  host().HdvProxyDeviceHost(...args);

/** {@link VmDeviceHost.HdvTeardownDeviceHost} of the selected host. */
export const HdvTeardownDeviceHost: VmDeviceHost['HdvTeardownDeviceHost'] = (...args) =>
  host().HdvTeardownDeviceHost(...args);

/** {@link VmDeviceHost.HdvCreateDeviceInstance} of the selected host. */
export const HdvCreateDeviceInstance: VmDeviceHost['HdvCreateDeviceInstance'] = (...args) =>
  host().HdvCreateDeviceInstance(...args);

/** {@link VmDeviceHost.HdvReadGuestMemory} of the selected host. */
export const HdvReadGuestMemory: VmDeviceHost['HdvReadGuestMemory'] = (...args) =>
  host().HdvReadGuestMemory(...args);

/** {@link VmDeviceHost.HdvWriteGuestMemory} of the selected host. */
export const HdvWriteGuestMemory: VmDeviceHost['HdvWriteGuestMemory'] = (...args) =>
  host().HdvWriteGuestMemory(...args);

/** {@link VmDeviceHost.HdvCreateGuestMemoryAperture} of the selected host. */
export const HdvCreateGuestMemoryAperture: VmDeviceHost['HdvCreateGuestMemoryAperture'] = (
  ...args
) => host().HdvCreateGuestMemoryAperture(...args);

/** {@link VmDeviceHost.HdvDestroyGuestMemoryAperture} of the selected host. */
export const HdvDestroyGuestMemoryAperture: VmDeviceHost['HdvDestroyGuestMemoryAperture'] = (
  ...args
) => host().HdvDestroyGuestMemoryAperture(...args);

/** {@link VmDeviceHost.HdvDeliverGuestInterrupt} of the selected host. */
export const HdvDeliverGuestInterrupt: VmDeviceHost['HdvDeliverGuestInterrupt'] = (...args) =>
  host().HdvDeliverGuestInterrupt(...args);

/** {@link VmDeviceHost.HdvRegisterDoorbell} of the selected host. */
export const HdvRegisterDoorbell: VmDeviceHost['HdvRegisterDoorbell'] = (...args) =>
  host().HdvRegisterDoorbell(...args);

/** {@link VmDeviceHost.HdvUnregisterDoorbell} of the selected host. */
export const HdvUnregisterDoorbell: VmDeviceHost['HdvUnregisterDoorbell'] = (...args) =>
  host().HdvUnregisterDoorbell(...args);

/** {@link VmDeviceHost.HdvRegisterDoorbellPage} of the selected host. */
export const HdvRegisterDoorbellPage: VmDeviceHost['HdvRegisterDoorbellPage'] = (...args) =>
  host().HdvRegisterDoorbellPage(...args);

/** {@link VmDeviceHost.HdvUnregisterDoorbellPage} of the selected host. */
export const HdvUnregisterDoorbellPage: VmDeviceHost['HdvUnregisterDoorbellPage'] = (...args) =>
  host().HdvUnregisterDoorbellPage(...args);

/** {@link VmDeviceHost.HdvCreateSectionBackedMmioRange} of the selected host. */
export const HdvCreateSectionBackedMmioRange: VmDeviceHost['HdvCreateSectionBackedMmioRange'] = (
  ...args
) => host().HdvCreateSectionBackedMmioRange(...args);

/** {@link VmDeviceHost.HdvDestroySectionBackedMmioRange} of the selected host. */
export const HdvDestroySectionBackedMmioRange: VmDeviceHost['HdvDestroySectionBackedMmioRange'] = (
  ...args
) => host().HdvDestroySectionBackedMmioRange(...args);
