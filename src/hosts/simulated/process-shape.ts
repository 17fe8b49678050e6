import type { PciDetails } from '../../pci/device-callbacks.ts';
import type { VfioUserClient } from '../../vfio-user/client.ts';
import { Irq, Region } from '../../vfio-user/device.ts';
import { VfioUserError } from '../../vfio-user/vfio-user-error.ts';
import { MAX_VECTORS } from './event-interrupts.ts';

/** Capability ids (PCI Code and ID Assignment, 2). */
const Capability = { POWER: 0x01, MSI: 0x05, EXPRESS: 0x10, MSIX: 0x11, ADVANCED: 0x13 } as const;

/** More than fit into 256 bytes: the list has a loop. */
const MOST_CAPABILITIES = 48;

const STATUS = 0x06;
const HAS_CAPABILITIES = 0x10;
const CAPABILITIES = 0x34;
const BARS = 0x10;

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
  if (client.regionInfo(Region.CONFIG).size < 256) {
    throw new VfioUserError('Cannot plug the device: it has no configuration space', 'EPROTO');
  }
  const capabilities = new Map<number, number>();
  let at = (read(STATUS, 2) & HAS_CAPABILITIES) === 0 ? 0 : read(CAPABILITIES, 1) & ~3;
  for (let seen = 0; at >= 0x40 && seen < MOST_CAPABILITIES; seen++) {
    const header = read(at, 2);
    if (!capabilities.has(header & 0xff)) capabilities.set(header & 0xff, at);
    at = (header >>> 8) & ~3;
  }
  return {
    details: {
      pnpId: {
        vendorId: read(0x00, 2),
        deviceId: read(0x02, 2),
        revisionId: read(0x08, 1),
        progIf: read(0x09, 1),
        subClass: read(0x0a, 1),
        baseClass: read(0x0b, 1),
        subVendorId: read(0x2c, 2),
        subSystemId: read(0x2e, 2),
      },
      probedBars: probedBars(client),
    },
    interrupts: interruptsOf(client, capabilities),
    express: capabilities.get(Capability.EXPRESS) ?? 0,
    advanced: capabilities.get(Capability.ADVANCED) ?? 0,
    power: capabilities.get(Capability.POWER) ?? 0,
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
    const type = client.read(Region.CONFIG, BARS + 4 * slot, 4) & 0xf;
    probed[slot] = ((2 ** 32 - (size % 2 ** 32)) | type) >>> 0;
    if ((type & 0x7) !== 0x4 || slot === 5) continue;
    slot++;
    probed[slot] = (2 ** 32 - Math.max(1, size / 2 ** 32)) >>> 0;
  }
  return probed;
}

function interruptsOf(
  client: VfioUserClient,
  capabilities: ReadonlyMap<number, number>,
): ProcessInterrupts {
  const msix = capabilities.get(Capability.MSIX);
  if (msix !== undefined) {
    const size = (client.read(Region.CONFIG, msix + 2, 2) & 0x7ff) + 1;
    const table = client.read(Region.CONFIG, msix + 4, 4);
    const count = Math.min(size, client.irqCount(Irq.MSIX), MAX_VECTORS);
    const place = { bar: table & 7, table: (table & ~7) >>> 0 };
    if (count > 0) return { kind: 'msix', capability: msix, count, ...place };
  }
  const msi = capabilities.get(Capability.MSI);
  if (msi !== undefined) {
    const count = Math.min(client.irqCount(Irq.MSI), 32);
    if (count > 0) return { kind: 'msi', capability: msi, count };
  }
  return { kind: client.irqCount(Irq.INTX) > 0 ? 'intx' : 'none' };
}

function isPowerOfTwo(size: number): boolean {
  return Number.isSafeInteger(size) && size > 0 && Number.isInteger(Math.log2(size));
}
