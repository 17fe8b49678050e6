import type {
  Capability,
  ExtendedVendorSpecificCapability,
  PciExpressCapability,
  PowerManagementCapability,
  SerialNumberCapability,
  VendorSpecificCapability,
} from '../device/capabilities.ts';
import { refusePromise } from '../device/promise-check.ts';
import type { CapabilityBlock, ExtendedCapabilityBlock } from './capability-chain.ts';
import { CapabilityId, ExtendedCapabilityId } from './config-registers.ts';

/** What capabilities ask of the function they are in. */
export interface CapabilityActions {
  /** Goes to D0 or D3hot; `reset` when the function loses its state on the way. */
  setPower(asleep: boolean, reset: boolean): void;
  functionLevelReset(): void;
}

/**
 * The blocks of a device's own capabilities: conventional and extended.
 * @throws TypeError when one is of no known kind, there twice, or where guests never look for it
 */
export function capabilityBlocks(
  capabilities: readonly Capability[],
  actions: CapabilityActions,
): { conventional: CapabilityBlock[]; extended: ExtendedCapabilityBlock[] } {
  const conventional: CapabilityBlock[] = [];
  const extended: ExtendedCapabilityBlock[] = [];
  for (const capability of capabilities) {
    switch (capability.kind) {
      case 'powerManagement':
        conventional.push(powerManagementBlock(capability, actions));
        break;
      case 'pciExpress':
        conventional.push(pciExpressBlock(capability, actions));
        break;
      case 'vendorSpecific':
        conventional.push(vendorSpecificBlock(capability));
        break;
      case 'extendedVendorSpecific':
        extended.push(extendedVendorSpecificBlock(capability));
        break;
      case 'serialNumber':
        extended.push(serialNumberBlock(capability));
        break;
      default:
        throw new TypeError(
          `Cannot place capability ${JSON.stringify((capability as { kind?: unknown }).kind)}: it is of no known kind; MSI and MSI-X come from interrupts`,
        );
    }
  }
  refuseTwice(conventional, [CapabilityId.POWER_MANAGEMENT, CapabilityId.PCI_EXPRESS]);
  refuseTwice(extended, [ExtendedCapabilityId.SERIAL_NUMBER]);
  const [first] = extended;
  if (first !== undefined && !conventional.some(({ id }) => id === CapabilityId.PCI_EXPRESS)) {
    throw new TypeError(
      `Cannot place capability ${first.name} without PCI Express: guests read past 256 bytes of PCI Express functions only; add pciExpress()`,
    );
  }
  return { conventional, extended };
}

function refuseTwice(blocks: readonly CapabilityBlock[], ids: readonly number[]): void {
  for (const id of ids) {
    const same = blocks.filter((block) => block.id === id);
    if (same.length > 1) {
      throw new TypeError(`Cannot place capability ${same[0]?.name} twice: a function has one`);
    }
  }
}

/** PCIe 6.0, 7.5.2. No D1, no D2, no PME. */
function powerManagementBlock(
  { noSoftReset }: PowerManagementCapability,
  actions: CapabilityActions,
): CapabilityBlock {
  return {
    name: 'power management',
    id: CapabilityId.POWER_MANAGEMENT,
    size: 8,
    fill(space, offset) {
      space.view.setUint16(offset + 2, 0x0003, true); // PMC: version 3
      space.view.setUint16(offset + 4, noSoftReset ? 0x0008 : 0, true);
      space.allow(offset + 4, 0x0003);
      space.onWrite(offset + 4, (_value, old) => {
        const dword = (offset + 4) >>> 2;
        const state = space.words[dword]! & 3;
        // "If software attempts to write an unsupported state, the data is discarded" (7.5.2.2).
        if (state === 1 || state === 2) space.words[dword] = old;
        else actions.setPower(state === 3, (old & 3) === 3 && state === 0 && !noSoftReset);
      });
    },
  };
}

/** PCIe 6.0, 7.5.3. A 2.5 GT/s x1 endpoint with a payload of 128 bytes. */
function pciExpressBlock(
  { functionLevelReset, integrated }: PciExpressCapability,
  actions: CapabilityActions,
): CapabilityBlock {
  return {
    name: 'PCI Express',
    id: CapabilityId.PCI_EXPRESS,
    size: 0x3c,
    fill(space, offset) {
      space.view.setUint16(offset + 0x02, integrated ? 0x0092 : 0x0002, true);
      const roleBasedErrors = 0x8000;
      const capabilities = roleBasedErrors | (functionLevelReset ? 0x1000_0000 : 0);
      space.view.setUint32(offset + 0x04, capabilities, true);
      space.view.setUint16(offset + 0x08, 0x2810, true); // relaxed ordering, no snoop, 512-byte reads
      space.allow(offset + 0x08, 0x78ff);
      space.keep(offset + 0x08, 0x00e0); // Max_Payload_Size
      if (functionLevelReset) {
        space.onWrite(offset + 0x08, (value) => {
          if ((value & 0x8000) !== 0) actions.functionLevelReset();
        });
      }
      if (integrated) return;
      space.view.setUint32(offset + 0x0c, 0x0040_0011, true);
      space.view.setUint32(offset + 0x10, 0x0011_0000, true);
      space.allow(offset + 0x10, 0x00cb);
      space.keep(offset + 0x10, 0x00cb);
      space.view.setUint32(offset + 0x2c, 0x0000_0002, true);
      space.view.setUint32(offset + 0x30, 0x0000_0001, true);
    },
  };
}

/** PCIe 6.0, 7.9.4: id, next, length, then the vendor's bytes. */
function vendorSpecificBlock({ bytes, options }: VendorSpecificCapability): CapabilityBlock {
  const size = bytes.length + 3;
  return {
    name: 'vendor-specific',
    id: CapabilityId.VENDOR_SPECIFIC,
    size,
    fill(space, offset) {
      space.bytes[offset + 2] = size;
      space.bytes.set(bytes, offset + 3);
      options.writable?.forEach((mask, index) => {
        const at = offset + 3 + index;
        space.allow(at & ~3, mask << ((at & 3) * 8));
      });
      const { read, write } = options;
      for (let dword = 0; dword < size; dword += 4) {
        if (read !== undefined) {
          space.onRead(offset + dword, (stored) => computedDword(read(dword)) ?? stored);
        }
        if (write !== undefined) {
          space.onWrite(offset + dword, () => {
            const result: unknown = write(dword, space.words[(offset + dword) >>> 2]!);
            refusePromise(result, 'the write hook of a vendor-specific capability');
          });
        }
      }
    },
  };
}

function computedDword(result: unknown): number | undefined {
  if (typeof result === 'number' || result === undefined) return result;
  refusePromise(result, 'the read hook of a vendor-specific capability');
  throw new TypeError(
    `Cannot read a vendor-specific capability: its read hook returned ${String(result)}`,
  );
}

/** PCIe 6.0, 7.9.5: header, VSEC header, then the vendor's bytes. */
function extendedVendorSpecificBlock({
  id,
  revision,
  bytes,
}: ExtendedVendorSpecificCapability): ExtendedCapabilityBlock {
  const size = bytes.length + 8;
  return {
    name: 'extended vendor-specific',
    id: ExtendedCapabilityId.VENDOR_SPECIFIC,
    version: 1,
    size,
    fill(space, offset) {
      space.view.setUint32(offset + 4, (id | (revision << 16) | (size << 20)) >>> 0, true);
      space.bytes.set(bytes, offset + 8);
    },
  };
}

/** PCIe 6.0, 7.9.3. */
function serialNumberBlock({ value }: SerialNumberCapability): ExtendedCapabilityBlock {
  return {
    name: 'serial number',
    id: ExtendedCapabilityId.SERIAL_NUMBER,
    version: 1,
    size: 12,
    fill: (space, offset) => space.view.setBigUint64(offset + 4, value, true),
  };
}
