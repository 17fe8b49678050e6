/** Host Device Virtualization: vmdevicehost.dll function by function, bound to the selected host, and what stands on it. */
import './hosts/index.ts';

export {
  NativeLibraryError,
  type NativeLibraryProblem,
  NotSupportedError,
} from './ffi/native-library-error.ts';
export type { HANDLE } from './hcs/core/handles.ts';
export type { Attachment, DeviceNotice } from './hdv/attachment.ts';
export {
  type AttachOptions,
  DEVICE_CLASS_ID,
  DeviceHost,
  type DeviceHostOptions,
  RESTRICTED_DEVICE_CLASS_ID,
  type RestartOptions,
} from './hdv/device-host.ts';
export type { RestartResult } from './hdv/device-placement.ts';
export {
  HdvCreateDeviceInstance,
  HdvCreateGuestMemoryAperture,
  HdvCreateSectionBackedMmioRange,
  HdvDeliverGuestInterrupt,
  HdvDestroyGuestMemoryAperture,
  HdvDestroySectionBackedMmioRange,
  HdvInitializeDeviceHost,
  HdvInitializeDeviceHostEx,
  HdvInitializeDeviceHostForProxy,
  HdvInitializeDeviceHostForProxyEx,
  HdvProxyDeviceHost,
  HdvReadGuestMemory,
  HdvRegisterDoorbell,
  HdvRegisterDoorbellPage,
  HdvTeardownDeviceHost,
  HdvUnregisterDoorbell,
  HdvUnregisterDoorbellPage,
  HdvWriteGuestMemory,
} from './hdv/functions.ts';
export * from './hdv/hdv-constants.ts';
export { HDV_RESULTS, HdvError, type HdvResultName } from './hdv/hdv-error.ts';
export type { HostCapabilities, Placement } from './hdv/host-capabilities.ts';
export type { HostingModel } from './hdv/initialize-host.ts';
export { DeviceLoadError } from './hdv/load-device.ts';
export type { RestartPolicy } from './hdv/restart-schedule.ts';
export {
  type GUID,
  type HDV_DEVICE,
  type HDV_HOST,
  type HdvDeviceInterface,
  VM_DEVICE_HOST_FUNCTIONS,
  type VmDeviceHost,
  type VmDeviceHostFunction,
} from './hdv/vm-device-host.ts';
export type {
  BarShape,
  DoorbellShape,
  FunctionShape,
  InterruptShape,
  MappedShape,
  PciDetails,
  PciDeviceCallbacks,
  PciFunctionExtras,
  PciPnpId,
} from './pci/device-callbacks.ts';
