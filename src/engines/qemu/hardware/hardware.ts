import type { VirtualMachine } from '../../../hcs/schema/documents.ts';
import { chipsetArguments, type PlannedChipset, planChipset } from './chipset.ts';
import { layoutArguments, type PlannedMemoryLayout, planMemoryLayout } from './memory-layout.ts';
import type { PlannedNuma } from './numa.ts';
import { type PlannedProcessorModel, planProcessorModel } from './processor-model.ts';

/** What the guest finds as its machine, without devices. */
export interface PlannedHardware {
  readonly chipset: PlannedChipset;
  readonly processor: PlannedProcessorModel;
  readonly layout: PlannedMemoryLayout;
  readonly numa: PlannedNuma;
}

/** Reads the document for it. @throws HcsError naming the JSON path */
export function planHardware(
  { Chipset, ComputeTopology }: VirtualMachine,
  numa: PlannedNuma,
): PlannedHardware {
  const topology = '$.VirtualMachine.ComputeTopology';
  return {
    chipset: planChipset(Chipset),
    processor: planProcessorModel(`${topology}.Processor`, ComputeTopology?.Processor),
    layout: planMemoryLayout(`${topology}.Memory`, ComputeTopology?.Memory),
    numa,
  };
}

/** QEMU's arguments for what needs no other option's. */
export function hardwareArguments({ chipset, layout }: PlannedHardware): string[] {
  return [...chipsetArguments(chipset), ...layoutArguments(layout)];
}
