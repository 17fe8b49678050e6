import type { PciIdentity } from '../device/pci-device.ts';
import { barAddressMask, barTypeBits, type PlacedBar } from './bar-layout.ts';
import { Command, Header } from './config-registers.ts';
import type { ConfigSpace } from './config-space.ts';
import type { PciPnpId } from './device-callbacks.ts';

/**
 * Identity with its defaults.
 * @throws RangeError naming the field that does not fit
 */
export function pnpIdOf(device: string, identity: PciIdentity): PciPnpId {
  const field = (name: keyof PciIdentity, value: number | undefined, bits: number): number => {
    if (Number.isInteger(value) && value! >= 0 && value! < 2 ** bits) return value!;
    throw new RangeError(
      `Cannot use identity.${name} ${String(value)} of ${device}: it is an unsigned ${bits}-bit number`,
    );
  };
  if (typeof identity !== 'object') {
    throw new TypeError(`Cannot use ${device}: it has no identity`);
  }
  const { revision = 0, subsystemVendorId, subsystemId } = identity;
  const vendorId = field('vendorId', identity.vendorId, 16);
  const deviceId = field('deviceId', identity.deviceId, 16);
  if (vendorId === 0xffff) {
    throw new RangeError(
      `Cannot use vendor id 0xffff of ${device}: it means that there is no device`,
    );
  }
  const classCode = field('classCode', identity.classCode, 24);
  return {
    vendorId,
    deviceId,
    revisionId: field('revision', revision, 8),
    progIf: classCode & 0xff,
    subClass: (classCode >> 8) & 0xff,
    baseClass: classCode >> 16,
    subVendorId: field('subsystemVendorId', subsystemVendorId ?? vendorId, 16),
    subSystemId: field('subsystemId', subsystemId ?? deviceId, 16),
  };
}

/** Writes the type 0 header (PCIe 6.0, 7.5.1) and says what guests can write in it. */
export function fillHeader(space: ConfigSpace, id: PciPnpId, bars: readonly PlacedBar[]): void {
  const { view, bytes } = space;
  view.setUint16(Header.VENDOR_ID, id.vendorId, true);
  view.setUint16(Header.DEVICE_ID, id.deviceId, true);
  bytes[Header.REVISION_ID] = id.revisionId;
  bytes[Header.CLASS_CODE] = id.progIf;
  bytes[Header.CLASS_CODE + 1] = id.subClass;
  bytes[Header.CLASS_CODE + 2] = id.baseClass;
  view.setUint16(Header.SUBSYSTEM_VENDOR_ID, id.subVendorId, true);
  view.setUint16(Header.SUBSYSTEM_ID, id.subSystemId, true);
  space.allow(
    Header.COMMAND,
    Command.MEMORY_SPACE |
      Command.BUS_MASTER |
      Command.PARITY_ERROR_RESPONSE |
      Command.SERR_ENABLE |
      Command.INTERRUPT_DISABLE,
  );
  space.allow(Header.CACHE_LINE_SIZE, 0xff);
  space.allow(Header.INTERRUPT_LINE, 0xff);
  for (const bar of bars) {
    const [low, high] = barAddressMask(bar);
    const offset = Header.BAR0 + bar.slot * 4;
    view.setUint32(offset, barTypeBits(bar), true);
    space.allow(offset, low);
    if (bar.is64Bit) space.allow(offset + 4, high);
  }
}
