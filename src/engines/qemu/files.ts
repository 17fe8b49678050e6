import { closeSync, constants, existsSync, fstatSync, openSync } from 'node:fs';
import { open, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { FileUser, VmFiles } from '../../compute/vm-files.ts';
import {
  type AclEntry,
  AclPermission,
  allow,
  disallow,
  permissionOf,
} from '../../ffi/posix-acl.ts';
import { HcsError } from '../../hcs/hcs-error.ts';
import { HRESULT, type HresultName } from '../../hcs/hresult.ts';
import type { VmProcessorRequirements } from '../../hcs/schema/documents.ts';
import { findFirmware } from '../../provision/find-firmware.ts';
import { SavedStateError } from '../saved-state-head.ts';
import { O_PATH } from './handed-files.ts';
import { withFileLock } from './locked-file.ts';
import { tpmStateOf } from './resources/tpm.ts';
import { emptySavedState, readSavedState } from './saved-state.ts';
import { VM_GROUP, vmAccounts } from './vm-account.ts';

const { READ, WRITE, SEARCH } = AclPermission;

/**
 * Files of machines that QEMU runs. A guest state is a copy of the firmware's variables, a runtime state the head of a
 * saved machine with nothing after it.
 *
 * Access is an entry in the file's access control list: for the accounts of a machine ({@link vmAccounts}) to read and
 * write, for the group of all machines to read. A folder is granted with everything in it, and with what comes into it
 * later. As on Windows a grant counts whatever folders are above the file: machines get it from the service.
 */
export class QemuFiles implements VmFiles {
  async createGuestState(path: string): Promise<void> {
    const { variables } = findFirmware();
    await make(path, await readFile(variables.path));
  }

  async createRuntimeState(path: string): Promise<void> {
    await make(path, emptySavedState());
  }

  async processorRequirements(path: string): Promise<VmProcessorRequirements> {
    try {
      const { accelerator, processor } = await readSavedState(path);
      if (accelerator === 'tcg') return { ProcessorFeatures: [], XsaveProcessorFeatures: [] };
      if (processor !== undefined) return processor;
    } catch (error) {
      if (!(error instanceof SavedStateError)) throw error;
      throw failure('ERROR_INVALID_DATA', error.message);
    }
    throw failure(
      'ERROR_NOT_SUPPORTED',
      `"${path}" does not say what processor its machine had: it was saved by an older version of this host`,
    );
  }

  async grant(user: FileUser, path: string): Promise<void> {
    const write = user.kind === 'vm' ? WRITE : 0;
    await forEach(path, user, (entry, inner, { mode, isFolder }) => {
      const permission = READ | write | (isFolder ? SEARCH : 0);
      allow(inner, 'access', mode, entry, permission);
      if (isFolder) allow(inner, 'default', mode, entry, READ | write | SEARCH);
    });
  }

  async isGranted(user: FileUser, path: string): Promise<boolean> {
    return entriesOf(user).every((entry) => permissionOf(path, 'access', entry) !== undefined);
  }

  async revoke(user: FileUser, path: string): Promise<void> {
    const tpm = tpmStateOf(path); // Machines are let into it with the guest state.
    for (const one of existsSync(tpm) ? [path, tpm] : [path]) {
      await forEach(one, user, (entry, inner, { isFolder }) => {
        disallow(inner, 'access', entry);
        if (isFolder) disallow(inner, 'default', entry);
      });
    }
  }
}

/** Whether a file was granted to the group of all machines. What is not there, or cannot be looked at, was not. */
export function everyMachineMayRead(path: string): boolean {
  if (process.platform !== 'linux') return false;
  try {
    const granted = permissionOf(path, 'access', { kind: 'group', id: VM_GROUP });
    return granted !== undefined && (granted & READ) !== 0;
  } catch {
    return false;
  }
}

/** A machine has one of two accounts, which is not known before it is created. */
function entriesOf(user: FileUser): readonly AclEntry[] {
  if (user.kind === 'group') return [{ kind: 'group', id: VM_GROUP }];
  return vmAccounts(user.runtimeId).map(({ uid }) => ({ kind: 'user', id: uid }));
}

/** Makes a file that must not be there, and removes it when it cannot be filled. */
async function make(path: string, content: Uint8Array): Promise<void> {
  await (await open(path, 'wx', 0o600)).close();
  try {
    const file = await open(path, 'r+');
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  }
}

type Change = (
  entry: AclEntry,
  path: string,
  about: { readonly mode: number; readonly isFolder: boolean },
) => void;

/**
 * Something for a path, and for everything in it where it is a folder. Symbolic links in it are left alone, also one that a
 * machine, whose the folder may be, puts in the place of a file meanwhile: files are found by descriptors.
 */
async function forEach(path: string, user: FileUser, change: Change): Promise<void> {
  await pinned(path, 0, (fd) => visit(fd, path, user, change));
}

async function visit(fd: number, path: string, user: FileUser, change: Change): Promise<void> {
  const place = `/proc/self/fd/${fd}`;
  const status = fstatSync(fd);
  const { mode } = status;
  const isFolder = status.isDirectory();
  await withFileLock(place, () =>
    rights(path, () => {
      for (const entry of entriesOf(user)) change(entry, place, { mode, isFolder });
    }),
  );
  if (!isFolder) return;
  for (const entry of await readdir(place, { withFileTypes: true })) {
    if (!entry.isFile() && !entry.isDirectory()) continue;
    await pinned(join(place, entry.name), constants.O_NOFOLLOW, (inner) =>
      fstatSync(inner).isSymbolicLink()
        ? Promise.resolve()
        : visit(inner, join(path, entry.name), user, change),
    );
  }
}

/** Names what is at a path for as long as `work` takes, whatever comes to be there. */
async function pinned(
  path: string,
  flags: number,
  work: (fd: number) => Promise<void>,
): Promise<void> {
  const fd = openSync(path, O_PATH | flags);
  try {
    await work(fd);
  } finally {
    closeSync(fd);
  }
}

/** Does something to an access control list, and says why where that cannot be. */
function rights(path: string, change: () => void): void {
  try {
    change();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOSPC' || code === 'E2BIG') {
      throw failure(
        'ERROR_DISK_FULL',
        `"${path}" has no room for another entry in its access control list, or its disk is full: revoke what systems were granted that are no more (setfacl -b takes back all), or make room`,
      );
    }
    if (code === 'EOPNOTSUPP' || code === 'ENOTSUP') {
      throw failure(
        'ERROR_NOT_SUPPORTED',
        `"${path}" is on a file system without access control lists: move it to one that has them (ext4, xfs, btrfs, tmpfs)`,
      );
    }
    if (code !== 'EINVAL') throw error;
    throw failure(
      'ERROR_NOT_SUPPORTED',
      `"${path}" cannot be granted: the accounts of machines (uid ${VM_GROUP} and above) do not exist in this user namespace; run the service outside it`,
    );
  }
}

function failure(code: HresultName, message: string): HcsError {
  return new HcsError({ function: 'HcsGrantVmAccess', hresult: HRESULT[code], message });
}
