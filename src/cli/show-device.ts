import Table from 'cli-table3';
import type { Bar } from '../device/bar.ts';
import type { PciDevice } from '../device/pci-device.ts';
import type { RegisterDescription } from '../device/register-description.ts';
import { regionKind, registersOf } from '../inspect/bar-names.ts';
import { decodeConfigSpace } from '../inspect/config-space.ts';
import { formatConfigSpace } from '../inspect/config-space-text.ts';
import { formatLspciHex } from '../inspect/lspci-hex.ts';
import type { PciFunction } from '../pci/pci-function.ts';
import { readConfigSpace } from './config-bytes.ts';
import { openDeviceFile } from './device-file.ts';
import { PLAIN_BORDERS } from './plain-borders.ts';
import { colors, print } from './terminal.ts';

/** What `hdvkit show` was given. */
export interface ShowOptions {
  readonly export?: string;
  readonly raw?: boolean;
  readonly json?: boolean;
}

/** Prints a device's config space, BARs and registers. */
export async function showDevice(path: string, options: ShowOptions): Promise<void> {
  const { device, function: fn } = await openDeviceFile(path, options.export);
  const bytes = readConfigSpace(fn);
  if (options.raw) {
    process.stdout.write(formatLspciHex(bytes));
    return;
  }
  if (options.json) {
    print(JSON.stringify(describe(device, fn, bytes), jsonValue, 2));
    return;
  }
  const c = colors();
  print(c.bold(`${device.constructor.name}: config space, ${bytes.length} bytes`));
  print(formatConfigSpace(decodeConfigSpace(bytes)));
  for (const { slot, size, is64Bit, prefetchable } of fn.shape.bars) {
    const kind = `${is64Bit ? 64 : 32}-bit${prefetchable ? ', prefetchable' : ''}`;
    print(`\n${c.bold(`BAR ${slot}`)}: ${formatSize(size)}, ${kind}`);
    for (const line of barLines(device, fn, slot)) print(line);
  }
}

/** The parts of one BAR in order: the register blocks as tables. */
function barLines(device: PciDevice, fn: PciFunction, slot: number): string[] {
  const { parts = [] } = (device.bars as Readonly<Record<number, Bar>>)[slot] ?? {};
  const lines = parts.flatMap(({ offset, region }) => {
    const registers = registersOf(region);
    return registers === undefined
      ? [`  ${hex(offset)}  ${regionKind(region)}, ${formatSize(region.size)}`]
      : [registerTable(registers, offset)];
  });
  const { interrupts } = fn.shape;
  if (interrupts.kind === 'msix' && interrupts.table.bar === slot) {
    lines.push(
      `  ${hex(interrupts.table.offset)}  MSI-X table, ${interrupts.count} ${interrupts.count === 1 ? 'vector' : 'vectors'}`,
    );
  }
  if (interrupts.kind === 'msix' && interrupts.pendingBits.bar === slot) {
    lines.push(`  ${hex(interrupts.pendingBits.offset)}  MSI-X pending bits`);
  }
  return lines;
}

function registerTable(registers: readonly RegisterDescription[], base: number): string {
  const c = colors();
  const table = new Table({
    head: ['offset', 'register', 'bits', 'access', 'reset', 'fields'],
    style: { head: [], border: [], compact: true },
    chars: PLAIN_BORDERS,
  });
  for (const register of [...registers].sort((a, b) => a.offset - b.offset)) {
    const { name, offset, width, access, reset, isArray, count, stride } = register;
    const array = isArray ? `[${count}]${stride === width ? '' : ` every ${hex(stride)}`}` : '';
    table.push([
      c.dim(hex(base + offset)),
      `${name}${array}`,
      String(width * 8),
      access,
      `0x${reset.toString(16).padStart(width * 2, '0')}`,
      fieldList(register),
    ]);
  }
  // Empty cells at the end of a line are padded, too.
  return table.toString().replace(/ +$/gm, '');
}

function fieldList({ fields }: RegisterDescription): string {
  return Object.entries(fields)
    .map(([name, { lsb, count }]) => `${name} ${count === 1 ? lsb : `${lsb + count - 1}:${lsb}`}`)
    .join(', ');
}

/** Everything that the text shows, as data. */
function describe(device: PciDevice, fn: PciFunction, bytes: Buffer): unknown {
  return {
    name: device.constructor.name,
    configSpace: decodeConfigSpace(bytes),
    interrupts: fn.shape.interrupts,
    bars: fn.shape.bars.map((bar) => ({
      ...bar,
      parts: ((device.bars as Readonly<Record<number, Bar>>)[bar.slot]?.parts ?? []).map(
        ({ offset, region }) => ({
          offset,
          size: region.size,
          kind: registersOf(region) === undefined ? regionKind(region) : 'registers',
          registers: registersOf(region),
        }),
      ),
    })),
  };
}

/** 64-bit values are hexadecimal text, as JSON has no integers of that size. */
function jsonValue(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? `0x${value.toString(16)}` : value;
}

const hex = (value: number): string => `0x${value.toString(16).padStart(4, '0')}`;

function formatSize(bytes: number): string {
  for (const [unit, name] of [
    [2 ** 30, 'GiB'],
    [2 ** 20, 'MiB'],
    [2 ** 10, 'KiB'],
  ] as const) {
    if (bytes >= unit && bytes % unit === 0) return `${bytes / unit} ${name}`;
  }
  return `${bytes} bytes`;
}
