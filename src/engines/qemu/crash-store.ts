import type { QmpClient } from './qmp.ts';

/** Vendor and device id of QEMU's acpi-erst (docs/specs/acpi_erst.rst). */
const VENDOR = 0x1b36;
const DEVICE = 0x0012;

/** Ports by which a PC reaches configuration space (PCI 3.0, 3.2.2.3.2). */
const CONFIG_ADDRESS = 0xcf8;
const CONFIG_DATA = 0xcfc;
const ENABLE = 0x8000_0000;

/** The command register, whose upper half is the status, and the two BARs (PCI 3.0, 6.1). */
const COMMAND = 0x04;
const REGISTERS = [0x10, 0x14, COMMAND] as const;

/** Where a guest has its error record store: configuration space, in words by their offsets. */
export interface CrashStorePlace {
  readonly slot: number;
  readonly registers: readonly (readonly [offset: number, value: number])[];
}

interface PciBus {
  readonly bus: number;
  readonly devices: readonly {
    readonly slot: number;
    readonly id: { readonly vendor: number; readonly device: number };
  }[];
}

/**
 * Reads where the guest of a stopped machine has its error record store. QEMU does not save that: without it, the guest of
 * a machine that is restored writes its last messages into nothing.
 */
export async function crashStorePlace(qmp: QmpClient): Promise<CrashStorePlace | undefined> {
  const buses = (await qmp.execute('query-pci')) as readonly PciBus[];
  const device = buses
    .find(({ bus }) => bus === 0)
    ?.devices.find(({ id }) => id.vendor === VENDOR && id.device === DEVICE);
  if (device === undefined) return undefined;
  const { slot } = device;
  return await withConfigAddress(qmp, async () => {
    const registers: [number, number][] = [];
    for (const offset of REGISTERS) {
      await write(qmp, CONFIG_ADDRESS, configAddress(slot, offset));
      registers.push([offset, await read(qmp, CONFIG_DATA)]);
    }
    return { slot, registers };
  });
}

/** Puts the error record store of a machine that was restored, and is still stopped, where its guest has it. */
export async function placeCrashStore(
  qmp: QmpClient,
  { slot, registers }: CrashStorePlace,
): Promise<void> {
  await withConfigAddress(qmp, async () => {
    for (const [offset, value] of registers) {
      await write(qmp, CONFIG_ADDRESS, configAddress(slot, offset));
      // Ones would clear bits of the status.
      await write(qmp, CONFIG_DATA, offset === COMMAND ? value & 0xffff : value);
    }
  });
}

/** The machine may have stopped between the guest's writes to the two ports. */
async function withConfigAddress<T>(qmp: QmpClient, work: () => Promise<T>): Promise<T> {
  const address = await read(qmp, CONFIG_ADDRESS);
  try {
    return await work();
  } finally {
    await write(qmp, CONFIG_ADDRESS, address);
  }
}

function configAddress(slot: number, offset: number): number {
  return (ENABLE | (slot << 11) | offset) >>> 0;
}

async function read(qmp: QmpClient, port: number): Promise<number> {
  const command = `i /w 0x${port.toString(16)}`;
  const said = await qmp.execute('human-monitor-command', { 'command-line': command });
  const [, value] = /= (0x[\da-f]+)/i.exec(String(said)) ?? [];
  if (value === undefined)
    throw new Error(`Cannot read port 0x${port.toString(16)}: QEMU said ${said}`);
  return Number(value);
}

async function write(qmp: QmpClient, port: number, value: number): Promise<void> {
  const command = `o /w 0x${port.toString(16)} 0x${value.toString(16)}`;
  const said = await qmp.execute('human-monitor-command', { 'command-line': command });
  if (String(said).trim() !== '') {
    throw new Error(`Cannot write port 0x${port.toString(16)}: QEMU said ${said}`);
  }
}
