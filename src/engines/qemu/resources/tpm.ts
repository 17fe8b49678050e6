import {
  closeSync,
  constants,
  existsSync,
  fchownSync,
  fstatSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { lockFile } from '../../../ffi/file-lock.ts';
import { AclPermission, allow } from '../../../ffi/posix-acl.ts';
import type { GuestState, SecuritySettings } from '../../../hcs/schema/documents.ts';
import { findSideProgram } from '../../../provision/find-side-program.ts';
import { isBlank } from '../firmware-files.ts';
import type { MachinePlan, PlannedTpm } from '../machine-plan.ts';
import type { SideProcesses } from '../side-processes.ts';
import type { VmAccount } from '../vm-account.ts';
import type { WatchedFolder } from '../watched-folder.ts';
import { cannotHonour, resourceFailure } from './resource-failure.ts';

const ID = 'tpm';
const AT = '$.VirtualMachine.GuestState.GuestStateFilePath';

/** The file beside a guest state that keeps what a TPM keeps. */
export function tpmStateOf(guestState: string): string {
  return `${guestState}.tpm`;
}

/** The TPM of a document, if it asks for one. */
export function planTpm(
  settings: SecuritySettings | undefined,
  uefi: boolean,
  { GuestStateFilePath }: GuestState = {},
): PlannedTpm | undefined {
  if (settings?.EnableTpm !== true) return undefined;
  if (!uefi) {
    // The log of a TPM's measurements leaves no room for the BIOS's tables above an initrd: the kernel finds no hardware.
    throw cannotHonour(
      '$.VirtualMachine.SecuritySettings.EnableTpm',
      "beside a TPM, a kernel that is booted directly loses the tables of QEMU's BIOS; boot by Chipset.Uefi, which takes LinuxKernelDirect as well, with a kernel for UEFI as distributions have it",
    );
  }
  return { state: GuestStateFilePath === undefined ? undefined : tpmStateOf(GuestStateFilePath) };
}

/** The TPM of a machine that may not come to be. */
export interface StartedTpm {
  /** The machine is there: what the TPM keeps stays. */
  keep(): void;
  /** The machine is not: a file that was made for its TPM goes again. */
  discard(): void;
}

/**
 * Starts the TPM of a machine, if it has one: what it keeps is in the file of the plan, or ends with the machine. It runs
 * as who QEMU is, whose guest's commands it carries out.
 * @param account whose QEMU is, which gets access to the file; by default this process's own
 * @throws ProvisionError when there is no swtpm, HcsError ERROR_FILE_NOT_FOUND for a guest state whose TPM is not with it,
 * ERROR_SHARING_VIOLATION when another machine has it; nothing new is left then
 */
export async function startTpm(
  sides: SideProcesses,
  folder: WatchedFolder,
  plan: Pick<MachinePlan, 'tpm' | 'isTransient' | 'guestState'>,
  account?: VmAccount,
): Promise<StartedTpm> {
  const { tpm } = plan;
  let made: string | undefined;
  const started: StartedTpm = {
    keep() {
      if (made !== undefined) folder.leaveFile(made);
    },
    discard() {
      if (made === undefined) return;
      rmSync(made, { force: true });
      folder.leaveFile(made);
    },
  };
  if (tpm === undefined) return started;
  const program = await findSideProgram('swtpm');
  try {
    await sides.start(ID, {
      program,
      args: (socket, files) => {
        // At once with the lock: another machine that is made of the same guest state must not take it for its own.
        made = makeState(folder, plan, tpm);
        // By its descriptor: swtpm takes a comma for the end of a path. The lock stays with swtpm, which inherits it.
        const state = files.give(openState(folder, plan, tpm, account));
        return [
          ...['socket', '--tpm2', '--tpmstate', `backend-uri=file:///proc/self/fd/${state}`],
          ...['--ctrl', `type=unixio,path=${socket}`],
          '--terminate',
        ];
      },
    });
    return started;
  } catch (error) {
    started.discard();
    throw error;
  }
}

/** Makes the file of a TPM that the machine is the first to have. @returns its path; undefined where it is there, or ends with the machine */
function makeState(
  folder: WatchedFolder,
  { isTransient, guestState }: Pick<MachinePlan, 'isTransient' | 'guestState'>,
  { state }: PlannedTpm,
): string | undefined {
  if (state === undefined || guestState === undefined || existsSync(state)) return undefined;
  requireFresh(guestState, state);
  if (isTransient) return undefined;
  folder.watchFile(state);
  try {
    makeOwned(state, guestState);
    return state;
  } catch (error) {
    folder.leaveFile(state);
    throw error;
  }
}

/** A descriptor of the file with what the TPM keeps, empty for a new one. The account may open what it names. */
function openState(
  folder: WatchedFolder,
  { isTransient, guestState }: Pick<MachinePlan, 'isTransient' | 'guestState'>,
  { state }: PlannedTpm,
  account: VmAccount | undefined,
): number {
  if (state === undefined || guestState === undefined) return openOwn(folder, account);
  if (isTransient) {
    return openOwn(folder, account, existsSync(state) ? readOwned(state, guestState) : undefined);
  }
  const fd = openOwned(state, guestState, constants.O_RDWR);
  try {
    if (lockFile(fd)) {
      letIn(fd, account);
      return fd;
    }
  } catch (error) {
    closeSync(fd);
    throw resourceFailure(
      'E_ACCESSDENIED',
      `${AT}: the account of the machine cannot be let into "${state}": use a file system with locks and access control lists (ext4, xfs, btrfs, tmpfs)`,
      error,
    );
  }
  closeSync(fd);
  throw resourceFailure(
    'ERROR_SHARING_VIOLATION',
    `${AT}: another machine uses the TPM "${state}"; end it, or use a copy of both files`,
  );
}

/** A file that ends with the machine. */
function openOwn(
  folder: WatchedFolder,
  account: VmAccount | undefined,
  content: Uint8Array = Buffer.alloc(0),
): number {
  const fd = openSync(folder.file('tpm-state'), 'wx+', 0o600);
  writeFileSync(fd, content);
  if (account !== undefined) fchownSync(fd, account.uid, account.gid);
  return fd;
}

/** Who was granted a guest state has the TPM beside it as well, which is revoked with it. */
function letIn(fd: number, account: VmAccount | undefined): void {
  if (account === undefined) return;
  const { READ, WRITE } = AclPermission;
  const entry = { kind: 'user', id: account.uid } as const;
  allow(`/proc/self/fd/${fd}`, 'access', fstatSync(fd).mode, entry, READ | WRITE);
}

/** Makes an empty file that is not there, whose the guest state is. */
function makeOwned(state: string, guestState: string): void {
  const { uid, gid } = statSync(guestState);
  const fd = openSync(state, 'wx', 0o600);
  try {
    fchownSync(fd, uid, gid);
  } catch (error) {
    rmSync(state, { force: true });
    throw resourceFailure(
      'E_ACCESSDENIED',
      `${AT} is "${guestState}" of uid ${uid}, and the service cannot make "${state}" for the same owner: use a guest state of the service's own`,
      error,
    );
  } finally {
    closeSync(fd);
  }
}

/** One of somebody else than the guest state's may be one that its owner's service must not touch. */
function openOwned(state: string, guestState: string, flags: number): number {
  const { uid } = statSync(guestState);
  const fd = openSync(state, flags | constants.O_NOFOLLOW);
  const status = fstatSync(fd);
  if (status.isFile() && status.uid === uid) return fd;
  closeSync(fd);
  throw resourceFailure(
    'E_ACCESSDENIED',
    `${AT} is "${guestState}", and "${state}" beside it is not of the same owner (uid ${status.uid}, not ${uid}), or no file`,
  );
}

function readOwned(state: string, guestState: string): Buffer {
  const fd = openOwned(state, guestState, constants.O_RDONLY);
  try {
    return readFileSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** A machine that has run with a TPM must not find a new one in its place. */
function requireFresh(guestState: string, state: string): void {
  if (isBlank(guestState)) return;
  throw resourceFailure(
    'ERROR_FILE_NOT_FOUND',
    `${AT} is "${guestState}", which a machine has used, and "${state}" with its TPM is missing: keep the two together, or make an empty file of that name for a new TPM`,
  );
}

/** QEMU's arguments for the TPM, if there is one. */
export function tpmArguments(
  tpm: PlannedTpm | undefined,
  sides: Pick<SideProcesses, 'socketOf'>,
): string[] {
  if (tpm === undefined) return [];
  const path = sides.socketOf(ID).replaceAll(',', ',,');
  return [
    ...['-chardev', `socket,id=${ID},path=${path},server=off`],
    ...['-tpmdev', `emulator,id=${ID},chardev=${ID}`],
    ...['-device', JSON.stringify({ driver: 'tpm-crb', tpmdev: ID })],
  ];
}
