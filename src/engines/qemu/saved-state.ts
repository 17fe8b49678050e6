import { open } from 'node:fs/promises';
import type { VmProcessorRequirements } from '../../hcs/schema/documents.ts';
import {
  emptyHead,
  readHead,
  requireStream,
  SavedStateError,
  sumStream,
  writeHead,
} from '../saved-state-head.ts';
import type { MachineMemory } from './command-line.ts';
import type { CrashStorePlace } from './crash-store.ts';
import type { MachinePlan } from './machine-plan.ts';

const KIND = { magic: 'HDVKSAVE', version: 4 };

/** What a saved machine was: it goes on in a machine of the same make only. */
export interface SavedMachine {
  /** Version of QEMU: `'11.1.3'`. */
  readonly qemu: string;
  /** QEMU's versioned name of the machine type: `'pc-q35-11.1'`. */
  readonly machineType: string;
  readonly accelerator: 'tcg' | 'kvm';
  /** What the guest has seen of the processor, where that was the host's own. */
  readonly processor?: VmProcessorRequirements | undefined;
  /** The machine as it was then, with what was added and removed since it was created. */
  readonly plan: MachinePlan;
  readonly memory: MachineMemory;
  /** Root ports by what was behind them. */
  readonly ports: Readonly<Record<string, number>>;
  /** Guest-physical addresses of memory that is a device, by the device's id. */
  readonly memoryAddresses: Readonly<Record<string, number>>;
  /** Where the guest has its error record store, which QEMU's stream does not say. */
  readonly crashStore?: CrashStorePlace | undefined;
}

/** Writes the head of a file into which QEMU has written its stream, and sees to it that all of it is on the disk. */
export async function sealSavedState(path: string, machine: SavedMachine): Promise<void> {
  const file = await open(path, 'r+');
  try {
    await writeHead(file, KIND, machine, await sumStream(file));
  } finally {
    await file.close();
  }
}

/** A file for the state of a machine, with none in it. */
export function emptySavedState(): Buffer {
  return emptyHead(KIND);
}

/**
 * Reads what was saved, and checks that all of it is there.
 * @throws SavedStateError when the file is of another kind, or damaged; the system's error when it cannot be read
 */
export async function readSavedState(path: string): Promise<SavedMachine> {
  const file = await open(path, 'r');
  try {
    const { description, stream } = await readHead(file, path, KIND);
    if (description === undefined) {
      throw new SavedStateError(`${path} is empty: no machine was saved in it yet`);
    }
    requireStream(path, stream, await sumStream(file));
    return description as SavedMachine;
  } finally {
    await file.close();
  }
}
