import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  openSync,
  readdirSync,
  readlinkSync,
  rmSync,
} from 'node:fs';
import { join } from 'node:path';
import { HcsError } from '../../hcs/hcs-error.ts';
import { HRESULT, type HresultName } from '../../hcs/hresult.ts';
import { crashStorePlace } from './crash-store.ts';
import { MEMORY_NAME } from './guest-memory-file.ts';
import type { PlannedDisk } from './machine-plan.ts';
import { saveTo } from './migration.ts';
import type { QemuProcess } from './qemu-process.ts';
import { HOT_MEMORY_ID } from './resources/memory.ts';
import { diskId } from './resources/scsi.ts';
import type { Template } from './restore.ts';
import type { SavedMachine } from './saved-state.ts';
import { VM_GROUP } from './vm-account.ts';

/** What is known before the machine is asked. */
export type Make = Omit<SavedMachine, 'machineType' | 'crashStore'>;

/**
 * Makes a stopped machine one that clones go on from. It must not run again.
 * @param note is told of the template before QEMU writes it: once it has, the machine is nothing else
 */
export async function saveAsTemplate(
  qemu: QemuProcess,
  make: Make,
  state: string,
  note: (template: Template) => void,
  signal?: AbortSignal,
): Promise<Template> {
  if (make.ports[HOT_MEMORY_ID] !== undefined) {
    throw failure(
      'ERROR_NOT_SUPPORTED',
      'the machine was given memory beyond what it was created with, which clones cannot share: create it with all of it',
    );
  }
  if (make.plan.hardware.numa.nodes.length > 1) {
    throw failure(
      'ERROR_NOT_SUPPORTED',
      'the machine has NUMA nodes, whose memory clones cannot share: leave out Numa',
    );
  }
  const ram = ramOf(qemu.pid);
  const template = { machine: await savedMachine(qemu, make), state, ram };
  const file = openSync(state, 'wx', 0o600);
  try {
    note(template);
    const out = await qemu.files.lendForWriting(qemu.qmp, state);
    try {
      await writeState(qemu, make, `file:${out.name}`, true, signal);
    } finally {
      await out.back();
    }
    if (qemu.files.account !== undefined) shareWithClones(file, ram);
  } catch (error) {
    rmSync(state, { force: true });
    throw error;
  } finally {
    closeSync(file);
  }
  return template;
}

/** Knows a template again that another process has made, which may have ended before clones could use it. */
export function adoptTemplate({ files }: QemuProcess, { state, ram }: Template): void {
  if (files.account === undefined) return;
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
  const file = openSync(state, O_RDONLY | O_NOFOLLOW | O_NONBLOCK); // What QEMU may have put there.
  try {
    shareWithClones(file, ram);
  } finally {
    closeSync(file);
  }
}

/** Has QEMU write the state of a stopped machine, and says which disk keeps it from that. */
export async function writeState(
  { qmp }: QemuProcess,
  { plan }: Make,
  ...args: [uri: string, sharedRam: boolean, signal?: AbortSignal]
): Promise<void> {
  try {
    await saveTo(qmp, ...args);
  } catch (error) {
    throw savingFailure(error, plan.disks);
  }
}

/** What the system has told QEMU, by the words in which QEMU passes it on (strerror(3)). */
const SYSTEM_WORDS: readonly (readonly [words: string, code: string])[] = [
  ['No space left on device', 'ENOSPC'],
  ['Disk quota exceeded', 'EDQUOT'],
];

/**
 * What QEMU says of the system as an error of the system, and of disks whose format it saves no machine with (VHD, VHDX) with
 * the disk and the remedy.
 */
function savingFailure(error: unknown, disks: readonly PlannedDisk[]): unknown {
  const reason = error instanceof Error ? error.message : '';
  const [, code] = SYSTEM_WORDS.find(([words]) => reason.includes(words)) ?? [];
  if (code !== undefined) return Object.assign(new Error(reason, { cause: error }), { code });
  const node = /used by node '([^']+)' does not support live migration/.exec(reason)?.[1];
  const disk = disks.find((one) => node === diskId(one) || node?.startsWith(`${diskId(one)}-`));
  if (disk === undefined) return error;
  return new HcsError({
    function: 'HcsSaveComputeSystem',
    hresult: HRESULT.ERROR_NOT_SUPPORTED,
    message: `Cannot save the machine as it has the disk "${disk.path}": QEMU saves none with an image of the format ${disk.format}; make a qcow2 or raw image of it with "qemu-img convert", and use that`,
    cause: error,
  });
}

/** What is kept with the state. */
export async function savedMachine(qemu: QemuProcess, make: Make): Promise<SavedMachine> {
  return {
    ...make,
    machineType: await machineType(qemu),
    crashStore: await crashStorePlace(qemu.qmp),
  };
}

async function machineType({ qmp }: QemuProcess): Promise<string> {
  const type = await qmp.execute('qom-get', { path: '/machine', property: 'type' });
  return String(type).replace(/-machine$/, '');
}

/** The RAM of a QEMU, which is a file in memory, by a name that other processes of the user can open. */
function ramOf(pid: number): string {
  const folder = `/proc/${pid}/fd`;
  for (const fd of readdirSync(folder)) {
    const path = join(folder, fd);
    if (isGuestMemory(path)) return path;
  }
  throw failure(
    'ERROR_NOT_SUPPORTED',
    'the machine is a clone, whose memory is partly that of its template: make clones of the template itself',
  );
}

/**
 * Clones have accounts of their own, and read what they are handed of both. QEMU may have put something else where the names
 * are, so that rights are given by descriptors alone.
 */
function shareWithClones(state: number, ram: string): void {
  const memory = openSync(ram, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    if (!isGuestMemory(`/proc/self/fd/${memory}`)) {
      throw failure(
        'E_UNEXPECTED',
        `${ram} is not the memory of the machine any more: terminate it`,
      );
    }
    for (const fd of [state, memory]) {
      fchownSync(fd, 0, VM_GROUP);
      fchmodSync(fd, 0o640);
    }
  } finally {
    closeSync(memory);
  }
}

function isGuestMemory(descriptor: string): boolean {
  return readlinkSync(descriptor).startsWith(`/memfd:${MEMORY_NAME}`);
}

function failure(code: HresultName, message: string): HcsError {
  return new HcsError({ function: 'HcsSaveComputeSystem', hresult: HRESULT[code], message });
}
