/** Writing a device, attaching it, and the systems it is attached to. */

export type { ConnectServiceOptions } from './daemon/connect-service.ts';
export type { StartOnDemandOptions } from './daemon/start-daemon.ts';
export {
  type Bar,
  type BarOptions,
  type BarParts,
  type Bars,
  mmio,
  mmio64,
} from './device/bar.ts';
export { type BitField, type BitSpan, bit, bits, type FieldSpans } from './device/bit-field.ts';
export {
  type Capability,
  extendedVendorSpecific,
  type PciExpressOptions,
  pciExpress,
  powerManagement,
  serialNumber,
  type VendorSpecificOptions,
  vendorSpecific,
} from './device/capabilities.ts';
export { DeviceFailedError } from './device/device-failed-error.ts';
export { type DoorbellOptions, doorbells } from './device/doorbells.ts';
export {
  type Interrupts,
  intx,
  type MsiOptions,
  type MsixOptions,
  msi,
  msix,
} from './device/interrupts.ts';
export { mapped } from './device/mapped.ts';
export type { MmioRegion, Width } from './device/mmio-region.ts';
export { PciDevice, type PciIdentity } from './device/pci-device.ts';
export { ram } from './device/ram.ts';
export {
  gpa,
  type RegisterAccess,
  type RegisterOptions,
  type RegisterSpec,
  u8,
  u16,
  u32,
  u64,
} from './device/register.ts';
export { RegisterMap, registerMap } from './device/register-map.ts';
export type { Registers } from './device/registers.ts';
export type { Aperture, Clock, GuestMemory, ResetKind, Timer } from './device/services.ts';
export { ComputeSystem } from './hcs/compute-system.ts';
export { HcsError } from './hcs/hcs-error.ts';
export type { Attachment, DeviceNotice } from './hdv/attachment.ts';
export {
  type AttachOptions,
  DeviceHost,
  type DeviceHostOptions,
  type RestartOptions,
} from './hdv/device-host.ts';
export type { RestartResult } from './hdv/device-placement.ts';
export { HdvError } from './hdv/hdv-error.ts';
export type { HostCapabilities, Placement } from './hdv/host-capabilities.ts';
export type { HostingModel } from './hdv/initialize-host.ts';
export { DeviceLoadError } from './hdv/load-device.ts';
export type { RestartPolicy } from './hdv/restart-schedule.ts';
export { type HostBinding, type HostName, HostUnavailableError } from './hosts/host.ts';
export { selectedHost, selectedHostName, useHost, useService } from './hosts/index.ts';
