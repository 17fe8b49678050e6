import type { VirtualMachine } from '../../../hcs/schema/documents.ts';
import { chipsetArguments, type PlannedChipset, planChipset } from './chipset.ts';
import { layoutArguments, type PlannedMemoryLayout, planMemoryLayout } from './memory-layout.ts';
import { type PlannedProcessorModel, planProcessorModel } from './processor-model.ts';

/** What the guest finds as its machine, without devices. */
export interface PlannedHardware {
  readonly chipset: PlannedChipset;
  readonly processor: PlannedProcessorModel;
  readonly layout: PlannedMemoryLayout;
}

/** Reads the document for it. @throws HcsError naming the JSON path */
export function planHardware({ Chipset, ComputeTopology }: VirtualMachine): PlannedHardware {
  const topology = '$.VirtualMachine.ComputeTopology';
  return {
    chipset: planChipset(Chipset),
    processor: planProcessorModel(`${topology}.Processor`, ComputeTopology?.Processor),
    layout: planMemoryLayout(`${topology}.Memory`, ComputeTopology?.Memory),
  };
}

/** QEMU's arguments for what needs no other option's. */
export function hardwareArguments({ chipset, layout }: PlannedHardware): string[] {
  return [...chipsetArguments(chipset), ...layoutArguments(layout)];
}
