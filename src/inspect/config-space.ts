import { Parser } from 'binary-parser';
import {
  CAPABILITIES,
  type CapabilityField,
  type CapabilityFormat,
  EXTENDED_CAPABILITIES,
} from './capability-parsers.ts';
import { wordFields } from './word-fields.ts';

/** One BAR register as it stands, not as it was probed. */
export interface DecodedBar {
  readonly slot: number;
  readonly kind: 'memory32' | 'memory64' | 'io';
  readonly prefetchable: boolean;
  /** What the guest has written, 0 when unplaced. A double holds it exactly: no bus reaches past 52 bits. */
  readonly address: number;
}

/** One entry of a capability chain. */
export interface DecodedCapability {
  readonly offset: number;
  readonly id: number;
  /** Extended capabilities only. */
  readonly version?: number;
  /** `Unknown` for an id that is not in the tables. */
  readonly name: string;
  readonly fields: Readonly<Record<string, CapabilityField>>;
}

/** Type 0 configuration space, decoded (PCI Local Bus 3.0, 6.1; PCIe 6.0, 7.5.1). */
export interface ConfigSpace {
  readonly vendorId: number;
  readonly deviceId: number;
  readonly command: Readonly<Record<string, boolean>>;
  readonly status: Readonly<Record<string, boolean | number>>;
  readonly revision: number;
  /** 24 bits: base class, subclass, programming interface. */
  readonly classCode: number;
  readonly headerType: number;
  readonly multiFunction: boolean;
  readonly subsystemVendorId: number;
  readonly subsystemId: number;
  readonly interruptLine: number;
  /** 0 for none, 1 to 4 for INTA to INTD. */
  readonly interruptPin: number;
  /** Memory and I/O BARs that are not all zero, by slot. */
  readonly bars: readonly DecodedBar[];
  readonly capabilities: readonly DecodedCapability[];
  readonly extendedCapabilities: readonly DecodedCapability[];
  /** Faults of the chains: loops, links out of range, capabilities cut short. */
  readonly faults: readonly string[];
}

const commandFields = wordFields({
  ioSpace: 0,
  memorySpace: 1,
  busMaster: 2,
  specialCycles: 3,
  memoryWriteInvalidate: 4,
  vgaPaletteSnoop: 5,
  parityErrorResponse: 6,
  stepping: 7,
  serrEnable: 8,
  fastBackToBack: 9,
  interruptDisable: 10,
});

/** Bits of the command register that are set, by name (PCI Local Bus 3.0, 6.2.2). */
export function commandBits(command: number): string[] {
  const fields = Object.entries(commandFields(command & 0xffff));
  return fields.flatMap(([name, isSet]) => (isSet ? name : []));
}

const statusFields = wordFields({
  interruptStatus: 3,
  capabilitiesList: 4,
  capable66MHz: 5,
  fastBackToBack: 7,
  masterDataParityError: 8,
  devselTiming: [9, 2],
  signaledTargetAbort: 11,
  receivedTargetAbort: 12,
  receivedMasterAbort: 13,
  signaledSystemError: 14,
  detectedParityError: 15,
});

const header = new Parser()
  .endianness('little')
  .uint16('vendorId')
  .uint16('deviceId')
  .uint16('command', { formatter: commandFields })
  .uint16('status', { formatter: statusFields })
  .uint32('classWord', { formatter: wordFields({ revision: [0, 8], classCode: [8, 24] }) })
  .uint8('cacheLineSize')
  .uint8('latencyTimer')
  .uint8('headerWord', { formatter: wordFields({ headerType: [0, 7], multiFunction: 7 }) })
  .uint8('bist')
  .array('bars', { type: 'uint32le', length: 6 })
  .uint32('cardbusPointer')
  .uint16('subsystemVendorId')
  .uint16('subsystemId')
  .uint32('expansionRom')
  .uint8('capabilitiesPointer')
  .seek(7)
  .uint8('interruptLine')
  .uint8('interruptPin')
  .seek(2);

const extendedHeader = wordFields({ id: [0, 16], version: [16, 4], next: [20, 12] });

interface Header extends Omit<ConfigSpace, 'bars'> {
  readonly bars: readonly number[];
  readonly capabilitiesPointer: number;
  readonly classWord: Pick<ConfigSpace, 'revision' | 'classCode'>;
  readonly headerWord: Pick<ConfigSpace, 'headerType' | 'multiFunction'>;
}

/**
 * Decodes a configuration space of 64 to 4096 bytes.
 * @throws RangeError when `bytes` is shorter than the standard header
 */
export function decodeConfigSpace(bytes: Uint8Array): ConfigSpace {
  if (bytes.length < 64) {
    throw new RangeError(
      `Cannot decode config space of ${bytes.length} bytes: the header alone takes 64`,
    );
  }
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const raw = header.parse(buffer) as Header;
  const faults: string[] = [];
  return {
    vendorId: raw.vendorId,
    deviceId: raw.deviceId,
    command: raw.command,
    status: raw.status,
    ...raw.classWord,
    ...raw.headerWord,
    subsystemVendorId: raw.subsystemVendorId,
    subsystemId: raw.subsystemId,
    interruptLine: raw.interruptLine,
    interruptPin: raw.interruptPin,
    bars: decodeBars(raw.bars),
    capabilities: raw.status.capabilitiesList
      ? decodeChain(buffer, raw.capabilitiesPointer & 0xfc, faults)
      : [],
    extendedCapabilities: decodeExtendedChain(buffer, faults),
    faults,
  };
}

function decodeBars(registers: readonly number[]): DecodedBar[] {
  const bars: DecodedBar[] = [];
  for (let slot = 0; slot < 6; slot++) {
    const value = registers[slot] as number;
    if (value === 0) continue;
    if (value & 1) {
      bars.push({ slot, kind: 'io', prefetchable: false, address: (value & ~3) >>> 0 });
      continue;
    }
    const prefetchable = (value & 8) !== 0;
    const low = (value & ~0xf) >>> 0;
    if ((value & 6) !== 4) {
      bars.push({ slot, kind: 'memory32', prefetchable, address: low });
      continue;
    }
    const high = registers[slot + 1] ?? 0;
    bars.push({ slot, kind: 'memory64', prefetchable, address: high * 2 ** 32 + low });
    slot++;
  }
  return bars;
}

function decodeOne(
  buffer: Buffer,
  offset: number,
  format: CapabilityFormat | undefined,
  vendorId: number,
  faults: string[],
): Record<string, CapabilityField> {
  if (!format) return {};
  const rest = buffer.subarray(offset);
  if (rest.length < format.length) {
    faults.push(`${format.name} at 0x${offset.toString(16)} is cut short by the end of the space`);
    return {};
  }
  return format.decode(rest, vendorId);
}

function decodeChain(buffer: Buffer, first: number, faults: string[]): DecodedCapability[] {
  const found: DecodedCapability[] = [];
  const seen = new Set<number>();
  const end = Math.min(buffer.length, 256);
  for (let offset = first; offset !== 0; offset = (buffer[offset + 1] as number) & 0xfc) {
    if (offset < 64 || offset + 2 > end || seen.has(offset)) {
      const reason = seen.has(offset) ? 'loops back' : 'leaves the space';
      faults.push(`Capability chain ${reason} at 0x${offset.toString(16)}`);
      break;
    }
    seen.add(offset);
    const id = buffer[offset] as number;
    const format = CAPABILITIES[id];
    const fields = decodeOne(
      buffer.subarray(0, end),
      offset,
      format,
      buffer.readUInt16LE(0),
      faults,
    );
    found.push({ offset, id, name: format?.name ?? 'Unknown', fields });
  }
  return found;
}

function decodeExtendedChain(buffer: Buffer, faults: string[]): DecodedCapability[] {
  const found: DecodedCapability[] = [];
  const seen = new Set<number>();
  let offset = 256;
  while (offset !== 0) {
    if (offset < 256 || offset + 4 > buffer.length || seen.has(offset)) {
      if (offset !== 256 || seen.has(offset)) {
        const reason = seen.has(offset) ? 'loops back' : 'leaves the space';
        faults.push(`Extended capability chain ${reason} at 0x${offset.toString(16)}`);
      }
      break;
    }
    seen.add(offset);
    const { id, version, next } = extendedHeader(buffer.readUInt32LE(offset)) as Record<
      'id' | 'version' | 'next',
      number
    >;
    // An empty extended space starts with a null capability (PCIe 6.0, 7.6.3).
    if (id === 0 && version === 0) break;
    const format = EXTENDED_CAPABILITIES[id];
    const fields = decodeOne(buffer, offset, format, buffer.readUInt16LE(0), faults);
    found.push({ offset, id, version, name: format?.name ?? 'Unknown', fields });
    offset = next & 0xffc;
  }
  return found;
}
