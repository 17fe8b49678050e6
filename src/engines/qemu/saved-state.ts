import { type FileHandle, open } from 'node:fs/promises';
import { nextData } from '../../ffi/file-holes.ts';
import type { VmProcessorRequirements } from '../../hcs/schema/documents.ts';
import {
  emptyHead,
  readHead,
  requireStream,
  SavedStateError,
  sumStream,
  writeAt,
  writeHead,
} from '../saved-state-head.ts';
import type { MachineMemory } from './command-line.ts';
import type { CrashStorePlace } from './crash-store.ts';
import type { MachinePlan } from './machine-plan.ts';

const KIND = { magic: 'HDVKSAVE', version: 5 };

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

/** Bytes that are copied at once, and left out where they are zeros. */
const COPIED = 64 * 1024;

/** Copies a file with a saved machine into one that is there, without the zeros in it, and sees to it that all of it is on the disk. */
export async function copySaved(from: FileHandle, path: string): Promise<void> {
  const { size } = await from.stat();
  const zeros = Buffer.alloc(COPIED);
  const part = Buffer.allocUnsafe(COPIED);
  const to = await open(path, 'r+');
  try {
    await to.truncate(size);
    for (let at = nextData(from.fd, 0); at !== undefined && at < size; ) {
      const { bytesRead } = await from.read(part, 0, part.length, at);
      if (bytesRead === 0) break;
      const bytes = part.subarray(0, bytesRead);
      if (!bytes.equals(zeros.subarray(0, bytesRead))) await writeAt(to, bytes, at);
      at = nextData(from.fd, at + bytesRead);
    }
    await to.sync();
  } finally {
    await to.close();
  }
}

/** A file for the state of a machine, with none in it. */
export function emptySavedState(): Buffer {
  return emptyHead(KIND);
}

/** A saved machine whose state is still being looked at. */
export interface OpenedState {
  readonly machine: SavedMachine;
  /**
   * Resolves when all of the state was found to be there. Nothing has to wait for it.
   * @throws SavedStateError when it is damaged
   */
  readonly whole: Promise<void>;
}

/**
 * Reads what was saved, and goes on to check the state, which takes its time.
 * @throws SavedStateError when the file is of another kind; the system's error when it cannot be read
 */
export async function openSavedState(path: string): Promise<OpenedState> {
  const file = await open(path, 'r');
  try {
    const { description, stream } = await readHead(file, path, KIND);
    if (description === undefined) {
      throw new SavedStateError(`${path} is empty: no machine was saved in it yet`);
    }
    const whole = sumStream(file)
      .finally(() => file.close())
      .then((found) => requireStream(path, stream, found));
    whole.catch(() => undefined); // Whoever waits for it is told.
    return { machine: description as SavedMachine, whole };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/**
 * Reads what was saved, and checks that all of it is there.
 * @throws SavedStateError when the file is of another kind, or damaged; the system's error when it cannot be read
 */
export async function readSavedState(path: string): Promise<SavedMachine> {
  const { machine, whole } = await openSavedState(path);
  await whole;
  return machine;
}
