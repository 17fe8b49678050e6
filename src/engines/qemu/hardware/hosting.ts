import { raiseMemoryLockLimit } from '../../../ffi/memory-lock-limit.ts';
import type { VirtualMachine_Memory } from '../../../hcs/schema/documents.ts';
import { resourceFailure } from '../resources/resource-failure.ts';
import type { PlannedPlace } from './numa.ts';

/** How this machine runs the guest, of which the guest sees nothing. */
export interface PlannedHosting {
  /** Name of QEMU's process, as ps shows it. Undefined: QEMU's own. */
  readonly processName: string | undefined;
  /** Whether all of the guest's memory is in the machine's from the start, and stays there. */
  readonly isPinned: boolean;
  /** Where on this machine the memory of the guest's nodes lies. */
  readonly places: readonly (PlannedPlace | undefined)[];
}

/** Linux keeps 15 bytes of a process's name (prctl(2), PR_SET_NAME). */
const LONGEST_SUFFIX = 10;
const MIB = 1024 * 1024;

/** Reads what Memory of a document says of the process. @throws HcsError E_INVALIDARG */
export function planHosting(
  at: string,
  memory: VirtualMachine_Memory = {},
  places: PlannedHosting['places'] = [],
): PlannedHosting {
  const { HostingProcessNameSuffix: suffix = '', PinBackingPages: isPinned = false } = memory;
  if (!/^[\w.-]*$/.test(suffix) || suffix.length > LONGEST_SUFFIX) {
    throw resourceFailure(
      'E_INVALIDARG',
      `${at}.HostingProcessNameSuffix is "${suffix}": use up to ${LONGEST_SUFFIX} letters, digits, ".", "_" and "-"`,
    );
  }
  return { processName: suffix === '' ? undefined : `qemu-${suffix}`, isPinned, places };
}

/** What is said of it in QEMU's -name: `,NAME=VALUE`, or nothing. */
export function nameProperties({ processName }: PlannedHosting): string {
  return processName === undefined ? '' : `,process=${processName}`;
}

/** QEMU's arguments for it. */
export function hostingArguments({ isPinned }: PlannedHosting): string[] {
  return isPinned ? ['-overcommit', 'mem-lock=on'] : [];
}

/**
 * Lets QEMU lock all of the guest's memory, which an account without privileges cannot.
 * @returns what ends that for programs that are started later
 * @throws HcsError E_ACCESSDENIED where this service may not either
 */
export function letLockMemory({ isPinned }: PlannedHosting, memoryMB: number): () => void {
  if (!isPinned) return () => {};
  const { limit, restore } = raiseMemoryLockLimit();
  if (limit > memoryMB * MIB) return restore;
  restore();
  throw resourceFailure(
    'E_ACCESSDENIED',
    `$.VirtualMachine.ComputeTopology.Memory.PinBackingPages is true, and the service may let the account of the machine lock ${Math.floor(limit / MIB)} MiB of memory, less than its ${memoryMB} MiB: start it with "ulimit -l unlimited" (systemd: LimitMEMLOCK=infinity)`,
  );
}
