import type {
  BarShape,
  FunctionShape,
  InterruptShape,
  PciDeviceCallbacks,
  PciFunctionExtras,
} from '../pci/device-callbacks.ts';

/** What stands behind a vfio-user connection: HDV's ten callbacks, and the extras where the function has them. */
export type ServedFunction = PciDeviceCallbacks & Partial<PciFunctionExtras>;

const BAR_SLOTS = 6;
const BAR_64_BIT = 0x4;
const BAR_PREFETCHABLE = 0x8;

/** Offsets in config space and capability ids (PCI 3.0, chapter 6 and appendix H). */
const STATUS_DWORD = 0x04;
const STATUS_HAS_CAPABILITIES = 1 << (16 + 4);
const CAPABILITY_POINTER = 0x34;
const INTERRUPT_PIN_DWORD = 0x3c;
const CAPABILITY_MSI = 0x05;
const CAPABILITY_MSIX = 0x11;

/** Most capabilities that fit config space: a chain that is longer is a circle. */
const MAX_CAPABILITIES = 48;

/** The fixed facts of a function; for one that is nothing but the ten callbacks, read from what they answer. */
export function functionShape(fn: ServedFunction): FunctionShape {
  return (
    fn.shape ?? {
      bars: barsOf(fn.getDetails().probedBars),
      interrupts: interruptsOf(fn),
      configSize: 256,
      doorbells: [],
      mapped: [],
    }
  );
}

/** The BARs of a function, without a look at anything else. */
export function functionBars(fn: ServedFunction): readonly BarShape[] {
  return fn.shape?.bars ?? barsOf(fn.getDetails().probedBars);
}

/** BARs from the values that read back after all ones were written (PCI 3.0, 6.2.5.1). */
function barsOf(probed: readonly number[]): readonly BarShape[] {
  const bars: BarShape[] = [];
  for (let slot = 0; slot < BAR_SLOTS; slot++) {
    const low = (probed[slot] ?? 0) >>> 0;
    if (low === 0) continue;
    const is64Bit = (low & BAR_64_BIT) !== 0;
    const high = is64Bit ? (probed[slot + 1] ?? 0) >>> 0 : 0xffff_ffff;
    bars.push({
      slot,
      size: sizeOf((low & ~0xf) >>> 0, high),
      is64Bit,
      prefetchable: (low & BAR_PREFETCHABLE) !== 0,
    });
    if (is64Bit) slot++;
  }
  return bars;
}

/** Two's complement of a 64-bit mask, in halves: a double would lose the low bits. */
function sizeOf(low: number, high: number): number {
  return low === 0 ? (2 ** 32 - high) * 2 ** 32 : (0xffff_ffff - high) * 2 ** 32 + (2 ** 32 - low);
}

function interruptsOf(fn: ServedFunction): InterruptShape {
  let pointer = hasCapabilities(fn) ? fn.readConfigSpace(CAPABILITY_POINTER) & 0xfc : 0;
  for (let i = 0; pointer >= 0x40 && i < MAX_CAPABILITIES; i++) {
    const header = fn.readConfigSpace(pointer);
    const control = header >>> 16;
    if ((header & 0xff) === CAPABILITY_MSIX) {
      return {
        kind: 'msix',
        count: (control & 0x7ff) + 1,
        capability: pointer,
        table: structure(fn.readConfigSpace(pointer + 4)),
        pendingBits: structure(fn.readConfigSpace(pointer + 8)),
      };
    }
    if ((header & 0xff) === CAPABILITY_MSI) {
      return { kind: 'msi', count: 1 << ((control >>> 1) & 7), capability: pointer };
    }
    pointer = (header >>> 8) & 0xfc;
  }
  return { kind: ((fn.readConfigSpace(INTERRUPT_PIN_DWORD) >>> 8) & 0xff) === 0 ? 'none' : 'intx' };
}

function hasCapabilities(fn: ServedFunction): boolean {
  return (fn.readConfigSpace(STATUS_DWORD) & STATUS_HAS_CAPABILITIES) !== 0;
}

function structure(dword: number): { readonly bar: number; readonly offset: number } {
  return { bar: dword & 7, offset: (dword & ~7) >>> 0 };
}
