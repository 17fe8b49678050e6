import { AclPermission, rightsOn } from '../../ffi/posix-acl.ts';
import { isReachable } from './handed-files.ts';
import { requireWholeImages, withBacking } from './image-file.ts';
import {
  type MachinePlan,
  type PlannedDisk,
  type PlannedShare,
  SHARED_MEMORY_FOLDER,
} from './machine-plan.ts';
import { resourceFailure } from './resources/resource-failure.ts';
import type { VmAccount } from './vm-account.ts';

const { READ, WRITE, SEARCH } = AclPermission;

/** Who has to have access. */
export interface AccessUser {
  /** The system's id, for the message. */
  readonly id: string;
  /** Undefined: the machine runs as the service, which sees for itself. */
  readonly account: VmAccount | undefined;
}

/**
 * Looks whether a machine may open a file of its document: because it was granted, or because everybody may, folders
 * above it included.
 * @param at where the document names it
 * @throws HcsError E_ACCESSDENIED naming the file and the remedy
 */
export function requireAccess(
  { id, account }: AccessUser,
  at: string,
  path: string,
  writes: boolean,
  isFolder = false,
): void {
  if (account === undefined) return;
  const needed = READ | (writes ? WRITE : 0) | (isFolder ? SEARCH : 0);
  const { permission, isNamed } = rightsOn(path, account);
  if ((permission & needed) === needed && (isNamed || isReachable(path, account))) return;
  throw resourceFailure(
    'E_ACCESSDENIED',
    `${at} is "${path}": system "${id}" may not ${writes ? 'read and write' : 'read'} it; grant it by HcsGrantVmAccess`,
  );
}

/**
 * Looks for all files that a machine begins with.
 * @throws HcsError E_ACCESSDENIED, ERROR_INVALID_DATA for an image that was cut off
 */
export function requireAccessToAll(user: AccessUser, plan: MachinePlan): void {
  const vm = '$.VirtualMachine';
  const require = (
    at: string,
    path: string | undefined,
    writes = false,
    isFolder = false,
  ): void => {
    if (path !== undefined) requireAccess(user, `${vm}.${at}`, path, writes, isFolder);
  };
  require('Chipset.LinuxKernelDirect.KernelFilePath', plan.kernel);
  require('Chipset.LinuxKernelDirect.InitRdPath', plan.initrd);
  require('GuestState.GuestStateFilePath', plan.guestState, !plan.isTransient);
  require('RestoreState.SaveStateFilePath', plan.savedState);
  for (const disk of plan.disks) {
    const name = plan.controllers[disk.controller];
    requireDiskAccess(user, `${vm}.Devices.Scsi["${name}"].Attachments["${disk.lun}"].Path`, disk);
  }
  for (const { number, path, readOnly } of plan.persistentMemory) {
    require(`Devices.VirtualPMem.Devices["${number}"].HostPath`, path, !readOnly);
  }
  for (const [index, { name, guestWrites }] of plan.sharedMemory.entries()) {
    const at = `Devices.SharedMemory.Regions[${index}].SectionName`;
    require(at, `${SHARED_MEMORY_FOLDER}/${name}`, guestWrites);
  }
  for (const share of plan.shares) {
    requireShareAccess(user, `${vm}.Devices.${share.kind}.Shares "${share.tag}"`, share);
  }
}

/** Looks for a shared folder, whoever serves it. @throws HcsError E_ACCESSDENIED */
export function requireShareAccess(
  user: AccessUser,
  at: string,
  { path, readOnly }: PlannedShare,
): void {
  requireAccess(user, at, path, !readOnly, true);
}

/**
 * Looks for a disk and the images that it stands on, and then whether they have their ends: whose machine may not read them is
 * told nothing of what is in them.
 * @throws HcsError E_ACCESSDENIED, ERROR_INVALID_DATA for an image that was cut off
 */
export function requireDiskAccess(
  user: AccessUser,
  at: string,
  { path, readOnly, format }: PlannedDisk,
): void {
  requireAccess(user, at, path, !readOnly);
  const images = format === 'qcow2' ? withBacking(at, path) : [path];
  for (const below of images.slice(1)) {
    requireAccess(user, `${at} (the image below it)`, below, false);
  }
  requireWholeImages(at, images, format);
}
