import { Irq, Region, type VfioUserDevice, type VfioUserRegion } from './device.ts';
import {
  DeviceFlag,
  Errno,
  FeatureFlag,
  IrqFlag,
  PayloadSize,
  putUint64,
  RegionFlag,
  SparseMmap,
} from './wire.ts';

/** Where a reply's payload starts in the composed message. */
const OUT = 16;

/** Length of a reply's payload, or the negative errno. */
type Outcome = number;

/** DEVICE_GET_INFO. @param at, length the payload */
export function deviceInfo(view: DataView, at: number, length: number, out: DataView): Outcome {
  if (length < PayloadSize.DEVICE_INFO || view.getUint32(at, true) < PayloadSize.DEVICE_INFO) {
    return -Errno.EINVAL;
  }
  out.setUint32(OUT, PayloadSize.DEVICE_INFO, true);
  out.setUint32(OUT + 4, DeviceFlag.RESET | DeviceFlag.PCI, true);
  out.setUint32(OUT + 8, Region.COUNT, true);
  out.setUint32(OUT + 12, Irq.COUNT, true);
  return PayloadSize.DEVICE_INFO;
}

/** The flags of a region info reply, as far as they do not depend on the request. */
export function regionFlags(region: VfioUserRegion): number {
  if (region.size === 0) return 0;
  return (
    (region.readable === false ? 0 : RegionFlag.READ) |
    (region.writable === false ? 0 : RegionFlag.WRITE) |
    (region.mapping === undefined ? 0 : RegionFlag.MMAP)
  );
}

/**
 * DEVICE_GET_REGION_INFO: first without the capabilities, to say how long they are, then with them. The file of a
 * mapped region goes along with the last of these replies: {@link regionFile}.
 */
export function regionInfo(
  device: VfioUserDevice,
  view: DataView,
  at: number,
  length: number,
  out: DataView,
): Outcome {
  if (length < PayloadSize.REGION_INFO) return -Errno.EINVAL;
  const argsz = view.getUint32(at, true);
  const index = view.getUint32(at + 8, true);
  if (argsz < PayloadSize.REGION_INFO || index >= Region.COUNT) return -Errno.EINVAL;
  const region = device.regions[index]!;
  const areas = region.mapping?.areas ?? [];
  const capability = areas.length === 0 ? 0 : SparseMmap.SIZE + areas.length * SparseMmap.AREA_SIZE;
  const full = PayloadSize.REGION_INFO + capability;
  const complete = capability > 0 && argsz >= full;
  out.setUint32(OUT, full, true);
  out.setUint32(OUT + 4, regionFlags(region) | (complete ? RegionFlag.CAPABILITIES : 0), true);
  out.setUint32(OUT + 8, index, true);
  out.setUint32(OUT + 12, complete ? PayloadSize.REGION_INFO : 0, true);
  putUint64(out, OUT + 16, region.size);
  putUint64(out, OUT + 24, region.mapping?.offset ?? 0);
  if (!complete) return PayloadSize.REGION_INFO;
  const start = OUT + PayloadSize.REGION_INFO;
  out.setUint16(start, SparseMmap.ID, true);
  out.setUint16(start + 2, SparseMmap.VERSION, true);
  out.setUint32(start + 4, 0, true);
  out.setUint32(start + 8, areas.length, true);
  out.setUint32(start + 12, 0, true);
  for (const [i, area] of areas.entries()) {
    putUint64(out, start + SparseMmap.SIZE + i * SparseMmap.AREA_SIZE, area.offset);
    putUint64(out, start + SparseMmap.SIZE + i * SparseMmap.AREA_SIZE + 8, area.size);
  }
  return full;
}

/** The descriptor that goes with a region info reply composed in `out`, or -1. */
export function regionFile(device: VfioUserDevice, payloadLength: number, out: DataView): number {
  const mapping = device.regions[out.getUint32(OUT + 8, true)]?.mapping;
  if (mapping === undefined || out.getUint32(OUT, true) !== payloadLength) return -1;
  return mapping.fd;
}

/** DEVICE_GET_REGION_IO_FDS: none are offered. */
export function regionIoFds(view: DataView, at: number, length: number, out: DataView): Outcome {
  if (length < PayloadSize.REGION_IO_FDS) return -Errno.EINVAL;
  const index = view.getUint32(at + 8, true);
  if (view.getUint32(at, true) < PayloadSize.REGION_IO_FDS || index >= Region.COUNT) {
    return -Errno.EINVAL;
  }
  if (view.getUint32(at + 4, true) !== 0) return -Errno.EINVAL;
  out.setUint32(OUT, PayloadSize.REGION_IO_FDS, true);
  out.setUint32(OUT + 4, 0, true);
  out.setUint32(OUT + 8, index, true);
  out.setUint32(OUT + 12, 0, true);
  return PayloadSize.REGION_IO_FDS;
}

/**
 * DEVICE_GET_IRQ_INFO. MSI and MSI-X are never `noresize`: QEMU would take every vector away for each new one, and
 * what is signalled in the gap would be lost.
 */
export function irqInfo(
  device: VfioUserDevice,
  view: DataView,
  at: number,
  length: number,
  out: DataView,
): Outcome {
  if (length < PayloadSize.IRQ_INFO) return -Errno.EINVAL;
  const index = view.getUint32(at + 8, true);
  if (view.getUint32(at, true) < PayloadSize.IRQ_INFO || index >= Irq.COUNT) return -Errno.EINVAL;
  const intx = IrqFlag.EVENTFD | IrqFlag.MASKABLE | IrqFlag.AUTOMASKED;
  out.setUint32(OUT, PayloadSize.IRQ_INFO, true);
  out.setUint32(OUT + 4, index === Irq.INTX ? intx : IrqFlag.EVENTFD, true);
  out.setUint32(OUT + 8, index, true);
  out.setUint32(OUT + 12, device.irqCounts[index]!, true);
  return PayloadSize.IRQ_INFO;
}

/** DEVICE_FEATURE: no feature is supported. */
export function deviceFeature(view: DataView, at: number, length: number): Outcome {
  if (length < PayloadSize.DEVICE_FEATURE) return -Errno.EINVAL;
  const flags = view.getUint32(at + 4, true);
  const operation = flags & ~FeatureFlag.INDEX;
  const both = FeatureFlag.GET | FeatureFlag.SET;
  if (view.getUint32(at, true) < PayloadSize.DEVICE_FEATURE || operation === 0) {
    return -Errno.EINVAL;
  }
  if ((operation & ~(both | FeatureFlag.PROBE)) !== 0 || operation === both) return -Errno.EINVAL;
  return -Errno.ENOTSUP;
}

/** MIG_DATA_READ and MIG_DATA_WRITE: there is no migration to carry data for. */
export function migrationData(view: DataView, at: number, length: number): Outcome {
  if (length < PayloadSize.MIG_DATA || view.getUint32(at, true) < PayloadSize.MIG_DATA) {
    return -Errno.EINVAL;
  }
  return -Errno.ENOTSUP;
}
