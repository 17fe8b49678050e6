/** Byte offsets in the type 0 configuration header (PCIe 6.0, 7.5.1). */
export const Header = {
  VENDOR_ID: 0x00,
  DEVICE_ID: 0x02,
  COMMAND: 0x04,
  STATUS: 0x06,
  REVISION_ID: 0x08,
  CLASS_CODE: 0x09,
  CACHE_LINE_SIZE: 0x0c,
  BAR0: 0x10,
  SUBSYSTEM_VENDOR_ID: 0x2c,
  SUBSYSTEM_ID: 0x2e,
  CAPABILITIES: 0x34,
  INTERRUPT_LINE: 0x3c,
  INTERRUPT_PIN: 0x3d,
} as const;

/** Bits of the command register that a function of ours has (PCIe 6.0, 7.5.1.1.3). */
export const Command = {
  MEMORY_SPACE: 0x0002,
  BUS_MASTER: 0x0004,
  PARITY_ERROR_RESPONSE: 0x0040,
  SERR_ENABLE: 0x0100,
  INTERRUPT_DISABLE: 0x0400,
} as const;

/** Bits of the status register (PCIe 6.0, 7.5.1.1.4). */
export const Status = { INTERRUPT: 0x0008, CAPABILITIES_LIST: 0x0010 } as const;

/** Type bits of a memory BAR (PCIe 6.0, 7.5.1.2.1). */
export const BarType = { MEMORY_64: 0x4, PREFETCHABLE: 0x8 } as const;

/** Capability IDs (PCI Code and ID Assignment Specification). */
export const CapabilityId = {
  POWER_MANAGEMENT: 0x01,
  MSI: 0x05,
  VENDOR_SPECIFIC: 0x09,
  PCI_EXPRESS: 0x10,
  MSIX: 0x11,
  ADVANCED_FEATURES: 0x13,
} as const;

/** Extended capability IDs. */
export const ExtendedCapabilityId = { SERIAL_NUMBER: 0x0003, VENDOR_SPECIFIC: 0x000b } as const;

/** First byte of the capability list, and of the extended one (PCIe 6.0, 7.2.1). */
export const CAPABILITIES_START = 0x40;
export const EXTENDED_START = 0x100;

/** Sizes of a configuration space without and with extended capabilities. */
export const CONVENTIONAL_SIZE = 256;
export const EXPRESS_SIZE = 4096;
