import {
  BarType,
  CAPABILITIES_START,
  CapabilityId,
  CONVENTIONAL_SIZE,
  Header,
  Status,
} from '../../pci/config-registers.ts';
import type { PciDetails } from '../../pci/device-callbacks.ts';
import type { VfioUserClient } from '../../vfio-user/client.ts';
import { Irq, Region } from '../../vfio-user/device.ts';
import { VfioUserError } from '../../vfio-user/vfio-user-error.ts';
import { MAX_VECTORS } from './event-interrupts.ts';

/** More than fit into 256 bytes: the list has a loop. */
const MOST_CAPABILITIES = 48;

/** How a function of another process interrupts. */
export type ProcessInterrupts =
  | { readonly kind: 'none' | 'intx' }
  | { readonly kind: 'msi'; readonly capability: number; readonly count: number }
  | {
      readonly kind: 'msix';
      readonly capability: number;
      readonly count: number;
      readonly bar: number;
      /** Of the table, bytes from the BAR's base. */
      readonly table: number;
    };

/** What a simulated machine has to know of a function of another process; offsets of capabilities are 0 where absent. */
export interface ProcessShape {
  readonly details: PciDetails;
  readonly interrupts: ProcessInterrupts;
  /** Whose function-level reset empties the MSI-X table. */
  readonly express: number;
  readonly advanced: number;
  readonly power: number;
}

/**
 * Asks a device what it is.
 * @throws VfioUserError as the client does; EPROTO when it is nothing that can be plugged
 */
export function readShape(client: VfioUserClient): ProcessShape {
  const read = (offset: number, width: 1 | 2 | 4) => client.read(Region.CONFIG, offset, width);
  if (client.regionInfo(Region.CONFIG).size < CONVENTIONAL_SIZE) {
    throw new VfioUserError('Cannot plug the device: it has no configuration space', 'EPROTO');
  }
  const capabilities = new Map<number, number>();
  let at =
    (read(Header.STATUS, 2) & Status.CAPABILITIES_LIST) === 0
      ? 0
      : read(Header.CAPABILITIES, 1) & ~3;
  for (let seen = 0; at >= CAPABILITIES_START && seen < MOST_CAPABILITIES; seen++) {
    const header = read(at, 2);
    if (!capabilities.has(header & 0xff)) capabilities.set(header & 0xff, at);
    at = (header >>> 8) & ~3;
  }
  return {
    details: {
      pnpId: {
        vendorId: read(Header.VENDOR_ID, 2),
        deviceId: read(Header.DEVICE_ID, 2),
        revisionId: read(Header.REVISION_ID, 1),
        progIf: read(Header.CLASS_CODE, 1),
        subClass: read(Header.CLASS_CODE + 1, 1),
        baseClass: read(Header.CLASS_CODE + 2, 1),
        subVendorId: read(Header.SUBSYSTEM_VENDOR_ID, 2),
        subSystemId: read(Header.SUBSYSTEM_ID, 2),
      },
      probedBars: probedBars(client),
    },
    interrupts: interruptsOf(client, capabilities),
    express: capabilities.get(CapabilityId.PCI_EXPRESS) ?? 0,
    advanced: capabilities.get(CapabilityId.ADVANCED_FEATURES) ?? 0,
    power: capabilities.get(CapabilityId.POWER_MANAGEMENT) ?? 0,
  };
}

/** The BARs as they would read back after all ones, of the sizes of their regions and the types in their registers. */
function probedBars(client: VfioUserClient): number[] {
  const probed = [0, 0, 0, 0, 0, 0];
  for (let slot = 0; slot < 6; slot++) {
    const { size } = client.regionInfo(Region.BAR0 + slot);
    if (size === 0) continue;
    if (!isPowerOfTwo(size)) {
      throw new VfioUserError(
        `Cannot plug the device: its BAR ${slot} has ${size} bytes, which is no power of two`,
        'EPROTO',
      );
    }
    const type = client.read(Region.CONFIG, Header.BAR0 + 4 * slot, 4) & 0xf;
    probed[slot] = ((2 ** 32 - (size % 2 ** 32)) | type) >>> 0;
    if ((type & 0x7) !== BarType.MEMORY_64 || slot === 5) continue;
    slot++;
    probed[slot] = (2 ** 32 - Math.max(1, size / 2 ** 32)) >>> 0;
  }
  return probed;
}

function interruptsOf(
  client: VfioUserClient,
  capabilities: ReadonlyMap<number, number>,
): ProcessInterrupts {
  const msix = capabilities.get(CapabilityId.MSIX);
  if (msix !== undefined) {
    const size = (client.read(Region.CONFIG, msix + 2, 2) & 0x7ff) + 1;
    const table = client.read(Region.CONFIG, msix + 4, 4);
    const count = Math.min(size, client.irqCount(Irq.MSIX), MAX_VECTORS);
    const place = { bar: table & 7, table: (table & ~7) >>> 0 };
    if (count > 0) return { kind: 'msix', capability: msix, count, ...place };
  }
  const msi = capabilities.get(CapabilityId.MSI);
  if (msi !== undefined) {
    const count = Math.min(client.irqCount(Irq.MSI), 32);
    if (count > 0) return { kind: 'msi', capability: msi, count };
  }
  return { kind: client.irqCount(Irq.INTX) > 0 ? 'intx' : 'none' };
}

function isPowerOfTwo(size: number): boolean {
  return Number.isSafeInteger(size) && size > 0 && Number.isInteger(Math.log2(size));
}
