import type { CapabilityField } from './capability-parsers.ts';
import type { ConfigSpace, DecodedCapability } from './config-space.ts';

const hex = (value: number, digits: number): string =>
  `0x${value.toString(16).padStart(digits, '0')}`;

/** Base classes by name (PCI Code and ID Assignment 1.11, chapter 1). */
const BASE_CLASSES = [
  'unclassified',
  'mass storage',
  'network',
  'display',
  'multimedia',
  'memory',
  'bridge',
  'communication',
  'system peripheral',
  'input',
  'docking station',
  'processor',
  'serial bus',
  'wireless',
  'intelligent I/O',
  'satellite',
  'encryption',
  'signal processing',
  'processing accelerator',
  'instrumentation',
] as const;

/** Names of standard registers of config space, by dword (PCI Local Bus 3.0, 6.1; PCIe 6.0, 7.5.1). */
const STANDARD_REGISTERS: readonly (readonly [offset: number, width: number, name: string])[] = [
  [0x00, 2, 'VENDOR_ID'],
  [0x02, 2, 'DEVICE_ID'],
  [0x04, 2, 'COMMAND'],
  [0x06, 2, 'STATUS'],
  [0x08, 1, 'REVISION_ID'],
  [0x09, 3, 'CLASS_CODE'],
  [0x0c, 1, 'CACHE_LINE_SIZE'],
  [0x0d, 1, 'LATENCY_TIMER'],
  [0x0e, 1, 'HEADER_TYPE'],
  [0x0f, 1, 'BIST'],
  [0x10, 4, 'BAR0'],
  [0x14, 4, 'BAR1'],
  [0x18, 4, 'BAR2'],
  [0x1c, 4, 'BAR3'],
  [0x20, 4, 'BAR4'],
  [0x24, 4, 'BAR5'],
  [0x28, 4, 'CARDBUS_CIS'],
  [0x2c, 2, 'SUBSYSTEM_VENDOR_ID'],
  [0x2e, 2, 'SUBSYSTEM_ID'],
  [0x30, 4, 'EXPANSION_ROM'],
  [0x34, 1, 'CAPABILITIES_POINTER'],
  [0x3c, 1, 'INTERRUPT_LINE'],
  [0x3d, 1, 'INTERRUPT_PIN'],
  [0x3e, 1, 'MIN_GNT'],
  [0x3f, 1, 'MAX_LAT'],
];

/** Name of the register at an offset of config space; for a capability its name and the offset inside it. */
export function configRegisterName(
  offset: number,
  capabilities: readonly DecodedCapability[] = [],
): string {
  const standard = STANDARD_REGISTERS.find(
    ([start, width]) => offset >= start && offset < start + width,
  );
  if (standard) return standard[2];
  const isExtended = offset >= 256;
  const owner = capabilities
    .filter((capability) => capability.offset <= offset && capability.offset >= 256 === isExtended)
    .sort((a, b) => b.offset - a.offset)[0];
  return owner ? `${owner.name}+${hex(offset - owner.offset, 2)}` : '';
}

/** One line: `COMMAND=Mem+ BusMaster-` and so on, as `name+` for flags that are set. */
function formatFlags(flags: Readonly<Record<string, boolean | number>>): string {
  const parts = Object.entries(flags).flatMap(([name, value]) => {
    if (value === false || value === 0) return [];
    return value === true ? [name] : [`${name}=${value}`];
  });
  return parts.length > 0 ? parts.join(' ') : 'none';
}

function formatField(name: string, value: CapabilityField): string {
  if (typeof value === 'boolean') return `${name}${value ? '+' : '-'}`;
  if (typeof value === 'string') return `${name}=${value}`;
  if (typeof value !== 'number') {
    return `${name}=${value.map((byte) => byte.toString(16).padStart(2, '0')).join(' ') || 'none'}`;
  }
  return `${name}=${value > 255 ? hex(value, 4) : value}`;
}

/** Breaks fields over lines of at most `width` characters. */
function wrap(fields: readonly string[], indent: string, width = 96): string[] {
  const lines: string[] = [];
  for (const field of fields) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 2 + field.length <= width) {
      lines[lines.length - 1] = `${last}  ${field}`;
    } else {
      lines.push(`${indent}${field}`);
    }
  }
  return lines;
}

function formatCapability(capability: DecodedCapability): string[] {
  const { offset, id, version, name, fields } = capability;
  const digits = version === undefined ? 2 : 3;
  const title = `  [${hex(offset, digits)}] ${name} (id ${hex(id, 2)}${version === undefined ? '' : `, version ${version}`})`;
  return [
    title,
    ...wrap(
      Object.entries(fields).map(([key, value]) => formatField(key, value)),
      '        ',
    ),
  ];
}

/** The decoded config space as text, one fact per line. */
export function formatConfigSpace(space: ConfigSpace): string {
  const base = BASE_CLASSES[space.classCode >>> 16] ?? 'other';
  const pin = space.interruptPin === 0 ? 'none' : `INT${' ABCD'[space.interruptPin] ?? '?'}`;
  const lines = [
    `  vendor ${hex(space.vendorId, 4)}  device ${hex(space.deviceId, 4)}  revision ${hex(space.revision, 2)}`,
    `  class ${hex(space.classCode, 6)} (${base})  header type ${space.headerType}${space.multiFunction ? ', multi-function' : ''}`,
    `  subsystem ${hex(space.subsystemVendorId, 4)}:${hex(space.subsystemId, 4)}  interrupt pin ${pin}`,
    `  command: ${formatFlags(space.command)}`,
    `  status: ${formatFlags(space.status)}`,
    ...space.capabilities.flatMap(formatCapability),
    ...space.extendedCapabilities.flatMap(formatCapability),
    ...space.faults.map((fault) => `  fault: ${fault}`),
  ];
  return lines.join('\n');
}
