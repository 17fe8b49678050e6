/** Power states D0 and D3hot (PCIe 6.0, 7.5.2). */
export interface PowerManagementCapability {
  readonly kind: 'powerManagement';
  /** Does the function keep its state from D3hot to D0 (No_Soft_Reset)? */
  readonly noSoftReset: boolean;
}

/** PCI Express (PCIe 6.0, 7.5.3); makes config space 4096 bytes. */
export interface PciExpressCapability {
  readonly kind: 'pciExpress';
  /** Can the guest reset the function by Device Control bit 15? */
  readonly functionLevelReset: boolean;
  readonly integrated: boolean;
}

/** What a vendor-specific capability may do besides being read. Offsets are bytes from the capability's start. */
export interface VendorSpecificOptions {
  /** Bits of the payload that the guest can change; default none. As long as the payload. */
  readonly writable?: Uint8Array;
  /** Computes a dword that the guest reads, at a multiple of 4; undefined: what is stored. */
  readonly read?: (offset: number) => number | undefined;
  /** Runs after a dword was written, at a multiple of 4. */
  readonly write?: (offset: number, value: number) => void;
}

/** A vendor-specific capability (PCIe 6.0, 7.9.4). */
export interface VendorSpecificCapability {
  readonly kind: 'vendorSpecific';
  /** What follows the id, the next pointer and the length. */
  readonly bytes: Uint8Array;
  readonly options: VendorSpecificOptions;
}

/** A vendor-specific extended capability (PCIe 6.0, 7.9.5). */
export interface ExtendedVendorSpecificCapability {
  readonly kind: 'extendedVendorSpecific';
  /** VSEC ID, 16 bits. */
  readonly id: number;
  /** VSEC Rev, 4 bits. */
  readonly revision: number;
  /** What follows the two header dwords. */
  readonly bytes: Uint8Array;
}

/** Device serial number (PCIe 6.0, 7.9.3). */
export interface SerialNumberCapability {
  readonly kind: 'serialNumber';
  /** EUI-64. */
  readonly value: bigint;
}

/** Anything in a device's capability lists that is not about interrupts. */
export type Capability =
  | PowerManagementCapability
  | PciExpressCapability
  | VendorSpecificCapability
  | ExtendedVendorSpecificCapability
  | SerialNumberCapability;

/** Power management with D0 and D3hot. By default the function keeps its state in D3hot. */
export function powerManagement({
  noSoftReset = true,
}: {
  readonly noSoftReset?: boolean;
} = {}): PowerManagementCapability {
  return { kind: 'powerManagement', noSoftReset };
}

/** How a function presents itself on PCI Express. */
export interface PciExpressOptions {
  /** Default false. */
  readonly functionLevelReset?: boolean;
  /** Is it a Root Complex Integrated Endpoint, which has no link? Default false. */
  readonly integrated?: boolean;
}

/** PCI Express, as an endpoint. */
export function pciExpress({
  functionLevelReset = false,
  integrated = false,
}: PciExpressOptions = {}): PciExpressCapability {
  return { kind: 'pciExpress', functionLevelReset, integrated };
}

/**
 * A vendor-specific capability.
 * @param bytes what follows the length byte, at most 189 bytes
 */
export function vendorSpecific(
  bytes: Uint8Array,
  options: VendorSpecificOptions = {},
): VendorSpecificCapability {
  if (options.writable !== undefined && options.writable.length !== bytes.length) {
    throw new RangeError(
      `Cannot use a writable mask of ${options.writable.length} bytes: the capability has ${bytes.length}`,
    );
  }
  return { kind: 'vendorSpecific', bytes, options };
}

/**
 * A vendor-specific extended capability. The device needs {@link pciExpress} too: without it no guest looks past 256 bytes.
 * @throws RangeError when the id or revision does not fit
 */
export function extendedVendorSpecific(
  id: number,
  revision: number,
  bytes: Uint8Array,
): ExtendedVendorSpecificCapability {
  if (!(id >= 0 && id <= 0xffff && revision >= 0 && revision <= 0xf)) {
    throw new RangeError(`Cannot use VSEC ID ${id}, revision ${revision}: 16 and 4 bits`);
  }
  return { kind: 'extendedVendorSpecific', id, revision, bytes };
}

/**
 * The device's serial number, an EUI-64. The device needs {@link pciExpress} too: without it no guest looks past 256 bytes.
 * @throws RangeError when it has more than 64 bits
 */
export function serialNumber(value: bigint | number): SerialNumberCapability {
  const wide = BigInt(value);
  if (BigInt.asUintN(64, wide) !== wide) {
    throw new RangeError(`Cannot use serial number ${value}: it is an unsigned 64-bit number`);
  }
  return { kind: 'serialNumber', value: wide };
}
