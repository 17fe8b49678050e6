/**
 * The vfio-user messages: numbers and layouts. Little-endian. Offsets of a payload count from the end of the header.
 *
 * | header offset | size | field |
 * | --- | --- | --- |
 * | 0 | 2 | message id, chosen by the sender, echoed |
 * | 2 | 2 | command, echoed |
 * | 4 | 4 | size of the whole message |
 * | 8 | 4 | flags: type in bits 0 to 3, no-reply 0x10, error 0x20 |
 * | 12 | 4 | errno, in replies with the error flag |
 *
 * | command | request payload | reply payload |
 * | --- | --- | --- |
 * | VERSION | u16 major 0, u16 minor 2, JSON text with NUL 4 | the same |
 * | DMA_MAP | u32 argsz 0, u32 flags 4, u64 offset 8, u64 address 16, u64 size 24 | |
 * | DMA_UNMAP | u32 argsz 0, u32 flags 4, u64 address 8, u64 size 16 | the request |
 * | DEVICE_GET_INFO | u32 argsz 0 | u32 argsz 0, u32 flags 4, u32 regions 8, u32 irqs 12 |
 * | DEVICE_GET_REGION_INFO | u32 argsz 0, u32 index 8 | argsz 0, flags 4, index 8, capabilities 12, u64 size 16, u64 offset 24 |
 * | DEVICE_GET_REGION_IO_FDS | u32 argsz 0, u32 flags 4, u32 index 8, u32 count 12 | the same, entries |
 * | DEVICE_GET_IRQ_INFO | u32 argsz 0, u32 index 8 | argsz 0, flags 4, index 8, count 12 |
 * | DEVICE_SET_IRQS | u32 argsz 0, flags 4, index 8, start 12, count 16, bytes 20 | |
 * | REGION_READ | u64 offset 0, u32 region 8, u32 count 12 | the request, data |
 * | REGION_WRITE | u64 offset 0, u32 region 8, u32 count 12, data 16 | the first 16 bytes |
 * | DMA_READ (to the client) | u64 address 0, u64 count 8 | the request, data |
 * | DMA_WRITE (to the client) | u64 address 0, u64 count 8, data 16 | the first 16 bytes |
 * | REGION_WRITE_MULTI | u64 n, n times: u64 offset 0, u32 region 8, u32 count 12, 8 bytes 16 | u64 n |
 * | DEVICE_FEATURE | u32 argsz 0, u32 flags 4, data 8 | depends on the feature |
 * | MIG_DATA_READ, MIG_DATA_WRITE | u32 argsz 0, u32 size 4, data 8 | |
 */

/** Bytes of a message header. */
export const HEADER_SIZE = 16;

/** Command numbers. */
export const Command = {
  VERSION: 1,
  DMA_MAP: 2,
  DMA_UNMAP: 3,
  DEVICE_GET_INFO: 4,
  DEVICE_GET_REGION_INFO: 5,
  DEVICE_GET_REGION_IO_FDS: 6,
  DEVICE_GET_IRQ_INFO: 7,
  DEVICE_SET_IRQS: 8,
  REGION_READ: 9,
  REGION_WRITE: 10,
  DMA_READ: 11,
  DMA_WRITE: 12,
  DEVICE_RESET: 13,
  DIRTY_PAGES: 14,
  REGION_WRITE_MULTI: 15,
  DEVICE_FEATURE: 16,
  MIG_DATA_READ: 17,
  MIG_DATA_WRITE: 18,
} as const;

const commandNames = new Map<number, string>(
  Object.entries(Command).map(([name, number]) => [number, name]),
);

/** The name of a command number (`REGION_READ`). */
export function commandName(command: number): string {
  return commandNames.get(command) ?? `command ${command}`;
}

/** Bits of a header's flags. */
export const HeaderFlag = { TYPE: 0xf, COMMAND: 0, REPLY: 1, NO_REPLY: 0x10, ERROR: 0x20 } as const;

/** Errno numbers of error replies, as Linux has them. */
export const Errno = {
  ENOENT: 2,
  EIO: 5,
  E2BIG: 7,
  ENOMEM: 12,
  EACCES: 13,
  EEXIST: 17,
  ENODEV: 19,
  EINVAL: 22,
  EMFILE: 24,
  ENOSPC: 28,
  ENOTSUP: 95,
} as const;

/** Bytes of a command's smallest payload, by command. */
export const PayloadSize = {
  VERSION: 4,
  DMA_MAP: 32,
  DMA_UNMAP: 24,
  DEVICE_INFO: 16,
  REGION_INFO: 32,
  REGION_IO_FDS: 16,
  IRQ_INFO: 16,
  SET_IRQS: 20,
  REGION_ACCESS: 16,
  DMA_ACCESS: 16,
  WRITE_MULTI: 8,
  WRITE_MULTI_ENTRY: 24,
  DEVICE_FEATURE: 8,
  MIG_DATA: 8,
} as const;

/** Flags of DMA_MAP and DMA_UNMAP. */
export const DmaFlag = { READ: 1, WRITE: 2, UNMAP_ALL: 2 } as const;

/** Flags of a region info reply. */
export const RegionFlag = { READ: 1, WRITE: 2, MMAP: 4, CAPABILITIES: 8 } as const;

/** Flags of an IRQ info reply. */
export const IrqFlag = { EVENTFD: 1, MASKABLE: 2, AUTOMASKED: 4 } as const;

/** Flags of SET_IRQS: one of the data bits, one of the action bits. */
export const IrqSet = {
  DATA_NONE: 1,
  DATA_BOOL: 2,
  DATA_EVENTFD: 4,
  DATA: 7,
  MASK: 8,
  UNMASK: 0x10,
  TRIGGER: 0x20,
  ACTION: 0x38,
} as const;

/** Flags of a DEVICE_GET_INFO reply. */
export const DeviceFlag = { RESET: 1, PCI: 2 } as const;

/** Flags of DEVICE_FEATURE above the feature index. */
export const FeatureFlag = {
  INDEX: 0xffff,
  GET: 0x1_0000,
  SET: 0x2_0000,
  PROBE: 0x4_0000,
} as const;

/** The sparse-mmap capability of a region: id, and bytes before its areas and of each area. */
export const SparseMmap = { ID: 1, VERSION: 1, SIZE: 16, AREA_SIZE: 16 } as const;

/** What this implementation offers, and the most it accepts. */
export const Limit = {
  MAX_MSG_FDS: 16,
  MAX_DATA_XFER_SIZE: 1 << 20,
  MAX_DMA_MAPS: 65535,
  PAGE_SIZE: 4096,
  /** Longest message accepted: the largest write, with room for payloads longer than their structure. */
  MESSAGE: (1 << 20) + 4096,
  /** Longest piece asked for by DMA_READ: QEMU never completes replies above its socket's send buffer. */
  DMA_READ: 128 << 10,
} as const;

/** Writes a header. */
export function putHeader(
  view: DataView,
  id: number,
  command: number,
  size: number,
  flags: number,
  error = 0,
): void {
  view.setUint16(0, id, true);
  view.setUint16(2, command, true);
  view.setUint32(4, size, true);
  view.setUint32(8, flags, true);
  view.setUint32(12, error, true);
}

/** Reads 64 bits as a number; exact up to 2^53. */
export function getUint64(view: DataView, offset: number): number {
  return view.getUint32(offset, true) + view.getUint32(offset + 4, true) * 2 ** 32;
}

/** Writes a number of up to 2^53 as 64 bits. */
export function putUint64(view: DataView, offset: number, value: number): void {
  const low = value >>> 0;
  view.setUint32(offset, low, true);
  view.setUint32(offset + 4, (value - low) / 2 ** 32, true);
}
