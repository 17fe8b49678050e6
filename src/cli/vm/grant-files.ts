import { isAbsolute } from 'node:path';
import type { ComputeCore } from '../../hcs/compute-core.ts';
import type { ComputeSystem } from '../../hcs/schema/documents.ts';
import type { CleanUp } from '../clean-up.ts';

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

/** Files that the account of a machine opens. */
export function filesOf({ VirtualMachine: machine }: ComputeSystem): readonly string[] {
  const boot = machine?.Chipset?.LinuxKernelDirect;
  const { Scsi = {} } = machine?.Devices ?? {};
  return [
    boot?.KernelFilePath,
    boot?.InitRdPath,
    machine?.GuestState?.GuestStateFilePath,
    machine?.GuestState?.RuntimeStateFilePath,
    machine?.RestoreState?.SaveStateFilePath,
    ...Object.values(Scsi).flatMap(({ Attachments = {} }) =>
      Object.values(Attachments).map(({ Path }) => Path),
    ),
  ].filter((path) => path !== undefined);
}
