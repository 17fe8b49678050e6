import { HcsError } from '../../hcs/hcs-error.ts';
import { HRESULT } from '../../hcs/hresult.ts';
import { NO_KERNEL } from './hardware/kernel-file.ts';
import { imageFailure } from './image-file.ts';
import type { MachinePlan } from './machine-plan.ts';
import { resourceFailure } from './resources/resource-failure.ts';
import { diskId } from './resources/scsi.ts';

const NAME = 'HcsCreateComputeSystem';

/** The failure of a creation, with what QEMU said; of a file, where it said so of one. */
export function creationFailure(error: unknown, plan?: MachinePlan): HcsError {
  const known =
    error instanceof HcsError ? error : (diskFailure(error, plan) ?? startFailure(error, plan));
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

/** What QEMU says of a kernel (hw/i386/x86-common.c, hw/i386/pc_sysfw.c), and of what it reads together with one. */
const OF_KERNEL = /kernel too old|invalid kernel|load kernel|uncompressed kernel|multiboot/;
const OF_INITRD = /initrd is too large|read(?:ing)? initrd/;
/** What QEMU says of a device too many on the bus of the board (hw/pci/pci.c). */
const OF_BUS = /no slot\/function available/;

/** What QEMU says when its memory cannot be locked (util/oslib-posix.c, softmmu/vl.c). */
const LOCKING = /mlockall|locking memory/;

/** What keeps QEMU from being started, or from taking a kernel that looked like one. */
function startFailure(error: unknown, plan: MachinePlan | undefined): HcsError | undefined {
  const { message = '', code } = (error ?? {}) as Partial<NodeJS.ErrnoException>;
  if (code === 'E2BIG') {
    return resourceFailure(
      'E_INVALIDARG',
      '$.VirtualMachine describes a machine whose command line is longer than Linux lets one be: leave disks, shares or ports out, and add them to the running machine',
      error,
    );
  }
  if (plan?.hosting.isPinned === true && LOCKING.test(message)) {
    return resourceFailure(
      'E_ACCESSDENIED',
      `$.VirtualMachine.ComputeTopology.Memory.PinBackingPages is true, and QEMU may not lock all of its memory (${message}): raise the limit (ulimit -l, systemd: LimitMEMLOCK=infinity), or leave it out`,
      error,
    );
  }
  if (OF_BUS.test(message)) {
    return resourceFailure(
      'ERROR_NOT_ENOUGH_QUOTA',
      `$.VirtualMachine.Devices has more controllers and shares than the board of a machine has slots for (${message}): leave some out, or attach more disks to one controller`,
      error,
    );
  }
  const at = '$.VirtualMachine.Chipset.LinuxKernelDirect';
  if (plan?.initrd !== undefined && OF_INITRD.test(message)) {
    return resourceFailure(
      'ERROR_INVALID_DATA',
      `${at}.InitRdPath is "${plan.initrd}", which QEMU does not load (${message}): use a smaller one, or more memory`,
      error,
    );
  }
  if (plan?.kernel === undefined || !OF_KERNEL.test(message)) return undefined;
  return resourceFailure(
    'ERROR_INVALID_DATA',
    `${at}.KernelFilePath is "${plan.kernel}", ${NO_KERNEL} (${message})`,
    error,
  );
}
