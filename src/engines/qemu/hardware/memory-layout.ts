import type { VirtualMachine_Memory } from '../../../hcs/schema/documents.ts';
import { wholeNumber } from '../resources/resource-failure.ts';

/** Where the guest has windows for devices beside its memory. */
export interface PlannedMemoryLayout {
  /** MiB below 4 GiB that are no memory, at least. 0: as QEMU has it, 1280 to 2048. */
  readonly lowGapMB: number;
  /** MiB above the memory that the firmware gives to devices. 0: QEMU's 32 GiB. */
  readonly highGapMB: number;
}

/** What a low gap leaves for memory, of the 4096 MiB. */
const LEAST_LOW_MEMORY_MB = 1024;
/** What q35 leaves free anyway. */
const USUAL_LOW_GAP_MB = 1280;
const LARGEST_HIGH_GAP_MB = 1024 * 1024;

/** Reads the windows that Memory of a document asks for. @throws HcsError E_INVALIDARG */
export function planMemoryLayout(
  at: string,
  { LowMmioGapInMB = 0, HighMmioGapInMB = 0 }: VirtualMachine_Memory = {},
): PlannedMemoryLayout {
  return {
    lowGapMB: wholeNumber(`${at}.LowMmioGapInMB`, LowMmioGapInMB, 4096 - LEAST_LOW_MEMORY_MB, 0),
    highGapMB: wholeNumber(`${at}.HighMmioGapInMB`, HighMmioGapInMB, LARGEST_HIGH_GAP_MB, 0),
  };
}

/** What is said of it among the properties of QEMU's machine: `,NAME=VALUE`, or nothing. */
export function layoutProperties({ lowGapMB }: PlannedMemoryLayout): string {
  return lowGapMB <= USUAL_LOW_GAP_MB ? '' : `,max-ram-below-4g=${4096 - lowGapMB}M`;
}

/** QEMU's arguments for it. */
export function layoutArguments({ highGapMB }: PlannedMemoryLayout): string[] {
  return highGapMB === 0 ? [] : ['-global', `q35-pcihost.pci-hole64-size=${highGapMB}M`];
}
