import { Parser } from 'binary-parser';
import { wordFields } from './word-fields.ts';

/** A decoded capability field: a number, a flag, text, or raw bytes. */
export type CapabilityField = number | boolean | string | readonly number[];

/** How one kind of capability is named and read. */
export interface CapabilityFormat {
  readonly name: string;
  /** Fewest bytes, header included, that the parser needs. */
  readonly length: number;
  /**
   * @param bytes from the capability's first byte to the end of the space
   * @param vendorId of the function, which says what vendor-specific bytes mean
   */
  decode(bytes: Buffer, vendorId: number): Record<string, CapabilityField>;
}

const little = (): Parser => new Parser().endianness('little');
const payload = (value: number): number => 128 << value;
const units = (value: number): number => value * 8;

/** PCI Bus Power Management Interface 1.2, 3.2. */
const powerManagement = little()
  .seek(2)
  .uint16('capabilities', {
    formatter: wordFields({
      version: [0, 3],
      pmeClock: 3,
      immediateReadiness: 4,
      deviceSpecificInitialization: 5,
      auxCurrent: [6, 3],
      d1: 9,
      d2: 10,
      pmeSupport: [11, 5],
    }),
  })
  .uint16('control', {
    formatter: wordFields({
      powerState: [0, 2],
      noSoftReset: 3,
      pmeEnable: 8,
      dataSelect: [9, 4],
      dataScale: [13, 2],
      pmeStatus: 15,
    }),
  });

/** PCI Local Bus 3.0, 6.8.1. */
const msiControl = little()
  .seek(2)
  .uint16('control', {
    formatter: wordFields({
      enable: 0,
      vectors: [1, 3, (value) => 1 << value],
      vectorsEnabled: [4, 3, (value) => 1 << value],
      address64: 7,
      perVectorMasking: 8,
    }),
  });

/** PCI Local Bus 3.0, 6.8.2. */
const msix = little()
  .seek(2)
  .uint16('control', {
    formatter: wordFields({
      vectors: [0, 11, (value) => value + 1],
      functionMask: 14,
      enable: 15,
    }),
  })
  .uint32('table', { formatter: wordFields({ tableBar: [0, 3], tableOffset: [3, 29, units] }) })
  .uint32('pendingBits', {
    formatter: wordFields({ pendingBitsBar: [0, 3], pendingBitsOffset: [3, 29, units] }),
  });

/** PCIe 6.0, 7.5.3. */
const pciExpress = little()
  .seek(2)
  .uint16('capabilities', {
    formatter: wordFields({
      version: [0, 4],
      portType: [4, 4],
      slotImplemented: 8,
      interruptMessageNumber: [9, 5],
    }),
  })
  .uint32('deviceCapabilities', {
    formatter: wordFields({
      maxPayloadSupported: [0, 3, payload],
      phantomFunctions: [3, 2],
      extendedTag: 5,
      l0sLatency: [6, 3],
      l1Latency: [9, 3],
      roleBasedErrorReporting: 15,
      functionLevelReset: 28,
    }),
  })
  .uint16('deviceControl', {
    formatter: wordFields({
      correctableErrorReporting: 0,
      nonFatalErrorReporting: 1,
      fatalErrorReporting: 2,
      unsupportedRequestReporting: 3,
      relaxedOrdering: 4,
      maxPayload: [5, 3, payload],
      extendedTagEnable: 8,
      phantomFunctionsEnable: 9,
      auxPowerEnable: 10,
      noSnoop: 11,
      maxReadRequest: [12, 3, payload],
    }),
  })
  .uint16('deviceStatus', {
    formatter: wordFields({
      correctableErrorDetected: 0,
      nonFatalErrorDetected: 1,
      fatalErrorDetected: 2,
      unsupportedRequestDetected: 3,
      auxPowerDetected: 4,
      transactionsPending: 5,
    }),
  })
  .uint32('linkCapabilities', {
    formatter: wordFields({ linkSpeedSupported: [0, 4], linkWidthSupported: [4, 6] }),
  })
  .seek(2)
  .uint16('linkStatus', { formatter: wordFields({ linkSpeed: [0, 4], linkWidth: [4, 6] }) });

const serialNumber = little().seek(4).uint32('low').uint32('high');

/** PCIe 6.0, 7.9.5. */
const extendedVendorSpecific = little()
  .seek(4)
  .uint32('header', {
    formatter: wordFields({ vendorSpecificId: [0, 16], revision: [16, 4], length: [20, 12] }),
  });

/** Runs a parser; the fields of a word stand beside the words that have none. */
function read(parser: Parser, bytes: Buffer): Record<string, CapabilityField> {
  const words = Object.entries(
    parser.parse(bytes) as Record<string, number | Record<string, CapabilityField>>,
  );
  return Object.assign(
    {},
    ...words.map(([name, word]) => (typeof word === 'number' ? { [name]: word } : word)),
  );
}

function decodeMsi(bytes: Buffer): Record<string, CapabilityField> {
  const control = read(msiControl, bytes);
  const body = little().seek(4).uint32('address');
  if (control.address64) body.uint32('addressHigh');
  body.uint16('data').seek(2);
  if (control.perVectorMasking) body.uint32('mask').uint32('pending');
  return bytes.length < body.sizeOf() ? control : { ...control, ...read(body, bytes) };
}

/** Virtio 1.2, 4.1.4. */
const VIRTIO_VENDOR = 0x1af4;
const VIRTIO_BYTES = 16;
const VIRTIO_STRUCTURES = ['CommonCfg', 'Notify', 'ISR', 'DeviceCfg', 'PCICfg'];
const virtio = little().seek(3).uint8('type').uint8('bar').seek(3).uint32('offset').uint32('size');

function decodeVirtio(bytes: Buffer, length: number): Record<string, CapabilityField> {
  const { type, ...place } = read(virtio, bytes);
  return { length, virtio: VIRTIO_STRUCTURES[Number(type) - 1] ?? `type ${type}`, ...place };
}

function decodeVendorSpecific(bytes: Buffer, vendorId: number): Record<string, CapabilityField> {
  const length = bytes[2] as number;
  if (vendorId === VIRTIO_VENDOR && length >= VIRTIO_BYTES && bytes.length >= VIRTIO_BYTES) {
    return decodeVirtio(bytes, length);
  }
  return { length, data: [...bytes.subarray(3, Math.max(3, length))] };
}

function decodeSerialNumber(bytes: Buffer): Record<string, CapabilityField> {
  const { low, high } = read(serialNumber, bytes) as { low: number; high: number };
  const text = [high, low].map((half) => half.toString(16).padStart(8, '0')).join('');
  return { serialNumber: (text.match(/../g) ?? []).join('-') };
}

function decodeExtendedVendorSpecific(bytes: Buffer): Record<string, CapabilityField> {
  const fields = read(extendedVendorSpecific, bytes);
  return { ...fields, data: [...bytes.subarray(8, Math.max(8, fields.length as number))] };
}

/** Capabilities of the 256-byte space by id (PCI Code and ID Assignment 1.11, chapter 2). */
export const CAPABILITIES: Readonly<Record<number, CapabilityFormat>> = {
  1: { name: 'Power Management', length: 6, decode: (bytes) => read(powerManagement, bytes) },
  5: { name: 'MSI', length: 4, decode: decodeMsi },
  9: { name: 'Vendor Specific', length: 3, decode: decodeVendorSpecific },
  16: { name: 'PCI Express', length: 20, decode: (bytes) => read(pciExpress, bytes) },
  17: { name: 'MSI-X', length: 12, decode: (bytes) => read(msix, bytes) },
};

/** Capabilities of the extended space by id (PCI Code and ID Assignment 1.11, chapter 3). */
export const EXTENDED_CAPABILITIES: Readonly<Record<number, CapabilityFormat>> = {
  3: { name: 'Device Serial Number', length: 12, decode: decodeSerialNumber },
  11: { name: 'Vendor Specific', length: 8, decode: decodeExtendedVendorSpecific },
};
