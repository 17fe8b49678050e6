import { isAbsolute, join } from 'node:path';
import { everyMachineMayRead } from '../../engines/qemu/files.ts';
import { backingChain } from '../../engines/qemu/qcow2-backing.ts';
import type { ComputeCore } from '../../hcs/compute-core.ts';
import type {
  ComputeSystem,
  SharedMemoryConfiguration,
  UefiBootEntry,
} from '../../hcs/schema/documents.ts';
import type { HostName } from '../../hosts/host.ts';
import type { CleanUp } from '../clean-up.ts';

/** Whether machines of a host open only what was granted to them: under Windows, and where root runs them on Linux. */
export function needsGrants(host: HostName): boolean {
  return host === 'windows' || (host === 'linux' && process.getuid?.() === 0);
}

/** Lets a machine open the files of its document, as long as this command runs. */
export async function grantFiles(
  core: ComputeCore,
  id: string,
  document: ComputeSystem,
  cleanUp: CleanUp,
): Promise<void> {
  for (const path of new Set(filesOf(document).filter(isAbsolute))) {
    await core.HcsGrantVmAccess(id, path);
    cleanUp.add(() => core.HcsRevokeVmAccess(id, path));
  }
}

/**
 * Files and folders that the account of a machine opens, and has to be granted for that. What it boots from is left out
 * where all machines may read it: an access control list has room for some 250 machines on ext4.
 */
export function filesOf({ VirtualMachine: machine }: ComputeSystem): readonly string[] {
  const boot = machine?.Chipset?.LinuxKernelDirect;
  const { Scsi = {}, VirtualPMem, SharedMemory, Plan9, VirtualSmb } = machine?.Devices ?? {};
  return [
    ...[
      boot?.KernelFilePath,
      boot?.InitRdPath,
      ...(process.platform === 'linux' ? bootFilesOf(machine?.Chipset?.Uefi?.BootThis) : []),
    ].filter((path) => path === undefined || !everyMachineMayRead(path)),
    machine?.GuestState?.GuestStateFilePath,
    machine?.GuestState?.RuntimeStateFilePath,
    machine?.RestoreState?.SaveStateFilePath,
    ...Object.values(Scsi).flatMap(({ Attachments = {} }) =>
      Object.values(Attachments).flatMap(({ Path }) => withImagesBelow(Path)),
    ),
    ...Object.values(VirtualPMem?.Devices ?? {}).map(({ HostPath }) => HostPath),
    ...(process.platform === 'linux' ? sectionsOf(SharedMemory) : []),
    ...(process.platform === 'linux'
      ? [...(Plan9?.Shares ?? []), ...(VirtualSmb?.Shares ?? [])].map(({ Path }) => Path)
      : []),
  ].filter((path) => path !== undefined);
}

/** A kernel in a folder of this machine, and its initrd. */
function bootFilesOf(entry: UefiBootEntry = {}): readonly string[] {
  const { DeviceType, VmbFsRootPath: root, DevicePath, OptionalData = '' } = entry;
  if (DeviceType !== 'VmbFs' || root === undefined || DevicePath === undefined) return [];
  const initrds = [...OptionalData.matchAll(/(?:^|\s)initrd=(\S+)/g)].map(([, path]) => path!);
  return [DevicePath, ...initrds].map((path) => join(root, path.replaceAll('\\', '/')));
}

/** Under Linux shared memory has a name among files. */
function sectionsOf(memory: SharedMemoryConfiguration = {}): readonly string[] {
  return (memory.Regions ?? []).flatMap(({ SectionName }) =>
    SectionName === undefined ? [] : [`/dev/shm/${SectionName.replace(/^.*\\/, '')}`],
  );
}

/** An image, and what it stands on where it says so; what cannot be read is told when the machine is made. */
function withImagesBelow(path: string | undefined): readonly (string | undefined)[] {
  if (path === undefined || !/\.qcow2$/i.test(path)) return [path];
  try {
    return [path, ...backingChain(path)];
  } catch {
    return [path];
  }
}
