/**
 * Enumerations of HyperVDeviceVirtualization.h, as constant objects with Microsoft's member names. All are 32 bits
 * wide in the ABI.
 */

/** HDV_DEVICE_TYPE: kind of a device instance. */
export const HDV_DEVICE_TYPE = { HdvDeviceTypeUndefined: 0, HdvDeviceTypePCI: 1 } as const;
/** A value of {@link HDV_DEVICE_TYPE}. */
export type HDV_DEVICE_TYPE = (typeof HDV_DEVICE_TYPE)[keyof typeof HDV_DEVICE_TYPE];

/**
 * HDV_DEVICE_HOST_FLAGS. `InitializeComSecurity` sets the COM security of the whole process so that the VM worker may
 * call in; possible once per process. Hosts other than Windows ignore it.
 */
export const HDV_DEVICE_HOST_FLAGS = {
  HdvDeviceHostFlagNone: 0,
  HdvDeviceHostFlagInitializeComSecurity: 1,
} as const;
/** A value of {@link HDV_DEVICE_HOST_FLAGS}. */
export type HDV_DEVICE_HOST_FLAGS =
  (typeof HDV_DEVICE_HOST_FLAGS)[keyof typeof HDV_DEVICE_HOST_FLAGS];

/** HDV_PCI_BAR_SELECTOR: one of the six BAR slots. There is no ROM BAR. */
export const HDV_PCI_BAR_SELECTOR = {
  HDV_PCI_BAR0: 0,
  HDV_PCI_BAR1: 1,
  HDV_PCI_BAR2: 2,
  HDV_PCI_BAR3: 3,
  HDV_PCI_BAR4: 4,
  HDV_PCI_BAR5: 5,
} as const;
/** A value of {@link HDV_PCI_BAR_SELECTOR}. */
export type HDV_PCI_BAR_SELECTOR = (typeof HDV_PCI_BAR_SELECTOR)[keyof typeof HDV_PCI_BAR_SELECTOR];

/** HDV_PCI_BAR_COUNT. */
export const HDV_PCI_BAR_COUNT = 6;

/** HDV_DOORBELL_FLAGS: one size (an enumeration, not bits), optionally with the bit `TRIGGER_ANY_VALUE`. */
export const HDV_DOORBELL_FLAGS = {
  HDV_DOORBELL_FLAG_TRIGGER_SIZE_ANY: 0,
  HDV_DOORBELL_FLAG_TRIGGER_SIZE_BYTE: 1,
  HDV_DOORBELL_FLAG_TRIGGER_SIZE_WORD: 2,
  HDV_DOORBELL_FLAG_TRIGGER_SIZE_DWORD: 3,
  HDV_DOORBELL_FLAG_TRIGGER_SIZE_QWORD: 4,
  HDV_DOORBELL_FLAG_TRIGGER_ANY_VALUE: 0x8000_0000,
} as const;

/** HDV_MMIO_MAPPING_FLAGS: bits. */
export const HDV_MMIO_MAPPING_FLAGS = {
  HdvMmioMappingFlagNone: 0,
  HdvMmioMappingFlagWriteable: 1,
  HdvMmioMappingFlagExecutable: 2,
} as const;

/** HDV_PCI_INTERFACE_VERSION. */
export const HDV_PCI_INTERFACE_VERSION = {
  HdvPciDeviceInterfaceVersionInvalid: 0,
  HdvPciDeviceInterfaceVersion1: 1,
} as const;
