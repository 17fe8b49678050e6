import { koffi } from '../native-config.ts';
import type { WindowsSystem } from '../windows-system.ts';
import { GATE_CODE, type GateCode, type GateEntry } from './gate-code.ts';
import { DEVICE_TABLE, DEVICE_TABLE_BYTES } from './gate-layout.ts';
import { allocate } from './native-memory.ts';
import { addUnwindTable } from './unwind-table.ts';

const PAGE = 4096;
const PAGE_READONLY = 0x02;
const PAGE_EXECUTE_READ = 0x20;

/** HDV_PCI_INTERFACE_VERSION 1. */
const INTERFACE_VERSION = 1;

/** Code that native threads run, in memory of this process. */
export interface GateProgram {
  /** Address of each entry. */
  readonly entry: Readonly<Record<GateEntry, number>>;
  /** Address of HDV_PCI_DEVICE_INTERFACE. */
  readonly table: number;
}

const programs = new WeakMap<WindowsSystem, GateProgram>();

/**
 * The gate's code, put into memory at the first call, which must not be made by a thread that may be ended. It stays
 * for ever.
 * @throws Error when there is no memory, or the process may not make code: Arbitrary Code Guard
 */
export function gateProgram(system: WindowsSystem): GateProgram {
  const code = process.platform === 'win32' ? GATE_CODE.win64 : GATE_CODE.sysv;
  return programs.get(system) ?? installGateProgram(system, code);
}

/** Makes this code the one that {@link gateProgram} answers for `system` from now on.
 * @throws Error */
export function installGateProgram(system: WindowsSystem, code: GateCode): GateProgram {
  const program = install(system, code);
  programs.set(system, program);
  return program;
}

/**
 * Pages in memory: the code, with unwind information behind it, which may be executed; then the device table, which
 * may only be read.
 */
function install(system: WindowsSystem, code: GateCode): GateProgram {
  const bytes = Buffer.from(code.bytes, 'base64');
  const codeSize = Math.ceil(bytes.length / PAGE) * PAGE;
  const base = allocate(system, codeSize + PAGE);
  const memory = koffi.view(BigInt(base), codeSize + PAGE);
  new Uint8Array(memory).set(bytes);
  const entry = Object.fromEntries(
    Object.entries(code.entries).map(([name, offset]) => [name, base + offset]),
  ) as Record<GateEntry, number>;
  writeTable(new DataView(memory, codeSize, DEVICE_TABLE_BYTES), entry);
  protect(system, base, codeSize, PAGE_EXECUTE_READ);
  protect(system, base + codeSize, PAGE, PAGE_READONLY);
  system.FlushInstructionCache(system.GetCurrentProcess(), base, codeSize);
  if (code.unwindCount > 0) {
    addUnwindTable(base + code.unwindOffset, code.unwindCount, base);
  }
  return { entry, table: base + codeSize };
}

function writeTable(table: DataView, entry: Readonly<Record<GateEntry, number>>): void {
  table.setUint32(0, INTERFACE_VERSION, true);
  for (const [name, offset] of Object.entries(DEVICE_TABLE)) {
    table.setBigUint64(offset, BigInt(entry[name as GateEntry]), true);
  }
}

function protect(system: WindowsSystem, address: number, size: number, protection: number): void {
  if (system.VirtualProtect(address, size, protection, [0]) !== 0) return;
  throw new Error(
    protection === PAGE_EXECUTE_READ
      ? 'Cannot host devices as Windows does not let this process make code: the mitigation policy Arbitrary Code Guard (ProhibitDynamicCode) forbids it; turn "Arbitrary code guard (ACG)" off for node.exe in Windows Security, App & browser control, Exploit protection'
      : `Cannot protect ${size} bytes with 0x${protection.toString(16)}: Windows refused VirtualProtect`,
  );
}
