/** Numbers of the virtio transport over PCI: virtio 1.2, sections 2.1, 2.2, 2.7 and 4.1. */
import { bit, registerMap, u8, u16, u32 } from 'hdvkit';

/** Vendor of every virtio device; device ids are 0x1040 plus the device type (4.1.2). */
export const VIRTIO_VENDOR = 0x1af4;
export const VIRTIO_DEVICE_BASE = 0x1040;

/** Bits of DEVICE_STATUS (2.1). */
export const DeviceStatus = {
  ACKNOWLEDGE: 0x01,
  DRIVER: 0x02,
  DRIVER_OK: 0x04,
  FEATURES_OK: 0x08,
  DEVICE_NEEDS_RESET: 0x40,
  FAILED: 0x80,
} as const;

/** Feature bit numbers (6). */
export const Feature = { INDIRECT_DESC: 28, VERSION_1: 32 } as const;

/** `cfg_type` of the vendor-specific capabilities (4.1.4). */
export const CapabilityType = { COMMON: 1, NOTIFY: 2, ISR: 3, DEVICE: 4 } as const;

/** Vector number that means none (4.1.5.1.2). */
export const NO_VECTOR = 0xffff;

/** Bits of ISR_STATUS (4.1.4.5). */
export const IsrStatus = { QUEUE: 0x1, CONFIGURATION: 0x2 } as const;

/** Flags of a descriptor (2.7.5). */
export const DescriptorFlag = { NEXT: 0x1, WRITE: 0x2, INDIRECT: 0x4 } as const;

/** Flags of the available ring (2.7.6). */
export const AvailableFlag = { NO_INTERRUPT: 0x1 } as const;

/** Bytes of the parts of a split virtqueue (2.7): per entry, and the indices around the rings. */
export const SplitLayout = {
  DESCRIPTOR: 16,
  AVAILABLE_ENTRY: 2,
  USED_ENTRY: 8,
  RING_HEADER: 4,
  RING_TRAILER: 2,
} as const;

/** Where the structures are in BAR 0; each has a page. */
export const Layout = { COMMON: 0x0000, ISR: 0x1000, DEVICE: 0x2000, NOTIFY: 0x3000 } as const;

/** Bytes of BAR 0. */
export const BAR_SIZE = 0x4000;

/** Distance of two queues' notification addresses: `notify_off_multiplier` (4.1.4.4). */
export const NOTIFY_STRIDE = 4;

/** The common configuration structure (4.1.4.3). */
export const COMMON = registerMap({
  DEVICE_FEATURE_SELECT: u32(0x00),
  DEVICE_FEATURE: u32(0x04, { access: 'ro' }),
  DRIVER_FEATURE_SELECT: u32(0x08),
  DRIVER_FEATURE: u32(0x0c),
  MSIX_CONFIG: u16(0x10, { reset: NO_VECTOR }),
  NUM_QUEUES: u16(0x12, { access: 'ro' }),
  DEVICE_STATUS: u8(0x14, {
    fields: {
      ACKNOWLEDGE: bit(0),
      DRIVER: bit(1),
      DRIVER_OK: bit(2),
      FEATURES_OK: bit(3),
      DEVICE_NEEDS_RESET: bit(6),
      FAILED: bit(7),
    },
  }),
  CONFIG_GENERATION: u8(0x15, { access: 'ro' }),
  QUEUE_SELECT: u16(0x16),
  QUEUE_SIZE: u16(0x18),
  QUEUE_MSIX_VECTOR: u16(0x1a, { reset: NO_VECTOR }),
  QUEUE_ENABLE: u16(0x1c),
  QUEUE_NOTIFY_OFF: u16(0x1e, { access: 'ro' }),
  QUEUE_DESC_LOW: u32(0x20),
  QUEUE_DESC_HIGH: u32(0x24),
  QUEUE_DRIVER_LOW: u32(0x28),
  QUEUE_DRIVER_HIGH: u32(0x2c),
  QUEUE_DEVICE_LOW: u32(0x30),
  QUEUE_DEVICE_HIGH: u32(0x34),
});

/** Bytes of the common configuration structure as far as the offered features reach. */
export const COMMON_LENGTH = 0x38;

/** The ISR status structure (4.1.4.5). */
export const ISR = registerMap({
  ISR_STATUS: u8(0x00, { access: 'rc', fields: { QUEUE: bit(0), CONFIGURATION: bit(1) } }),
});
