import { vendorSpecific } from 'hdvkit';
import {
  BAR_SIZE,
  CapabilityType,
  COMMON_LENGTH,
  Layout,
  NOTIFY_STRIDE,
  VIRTIO_DEVICE_BASE,
  VIRTIO_VENDOR,
} from './registers.ts';

/** Identity of a modern virtio device (virtio 1.2, 4.1.2.1): revision 1 and a subsystem id from 0x40 on. */
export function virtioIdentity(type: number, classCode: number) {
  return {
    vendorId: VIRTIO_VENDOR,
    deviceId: VIRTIO_DEVICE_BASE + type,
    classCode,
    revision: 1,
    subsystemVendorId: VIRTIO_VENDOR,
    subsystemId: 0x1100,
  } as const;
}

/** The four capabilities that tell a driver where the structures are in BAR 0 (virtio 1.2, 4.1.4). */
export function virtioCapabilities(queues: number) {
  const pageOf = (offset: number): number => Math.min(0x1000, BAR_SIZE - offset);
  return [
    structure(CapabilityType.COMMON, Layout.COMMON, COMMON_LENGTH),
    structure(CapabilityType.NOTIFY, Layout.NOTIFY, queues * NOTIFY_STRIDE, NOTIFY_STRIDE),
    structure(CapabilityType.ISR, Layout.ISR, 1),
    structure(CapabilityType.DEVICE, Layout.DEVICE, pageOf(Layout.DEVICE)),
  ];
}

/**
 * One `virtio_pci_cap` from `cfg_type` on; the framework writes what comes before, `cap_len` included:
 *
 * | 3 | 4 | 5 | 8 | 12 | 16, notify only |
 * |---|---|---|---|---|---|
 * | cfg_type | bar | id, padding | offset | length | multiplier |
 */
function structure(type: number, offset: number, length: number, multiplier?: number) {
  const header = 3;
  const capability = Buffer.alloc(multiplier === undefined ? 16 : 20);
  capability[3] = type;
  capability.writeUInt32LE(offset, 8);
  capability.writeUInt32LE(length, 12);
  if (multiplier !== undefined) capability.writeUInt32LE(multiplier, 16);
  return vendorSpecific(capability.subarray(header));
}
