import { HcsError } from '../../hcs/hcs-error.ts';
import { HRESULT } from '../../hcs/hresult.ts';
import { imageFailure } from './image-file.ts';
import type { MachinePlan } from './machine-plan.ts';
import { diskId } from './resources/scsi.ts';

const NAME = 'HcsCreateComputeSystem';

/** The failure of a creation, with what QEMU said; of a file, where it said so of one. */
export function creationFailure(error: unknown, plan?: MachinePlan): HcsError {
  const known = error instanceof HcsError ? error : diskFailure(error, plan);
  if (known?.function === NAME) return known;
  const reason = error instanceof Error ? error.message : String(error);
  return new HcsError({
    function: NAME,
    hresult: known?.hresult ?? HRESULT.E_FAIL,
    message: known?.reason ?? reason,
    cause: error,
  });
}

/** QEMU repeats the argument that it could not take. */
function diskFailure(error: unknown, plan: MachinePlan | undefined): HcsError | undefined {
  const message = error instanceof Error ? error.message : '';
  const disk = plan?.disks.find((one) => message.includes(`"node-name":"${diskId(one)}"`));
  if (disk === undefined) return undefined;
  const controller = plan?.controllers[disk.controller];
  return imageFailure(
    `$.VirtualMachine.Devices.Scsi["${controller}"].Attachments["${disk.lun}"].Path`,
    disk.path,
    error,
  );
}
