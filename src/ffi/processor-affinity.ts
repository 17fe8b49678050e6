import { addressOf, checked, libc, nativeBuffer } from './libc.ts';

/** Processors that a mask has room for. */
const PROCESSORS = 1024;

/**
 * Lets a thread run on some processors only (sched_setaffinity(2)).
 * @param thread id of a thread of this or another process, 0 for the calling one
 * @param processors their numbers, 0 to 1023; those that the system does not have are passed over
 * @throws SystemCallError EINVAL when none of them is there, ESRCH without such a thread, EPERM for one of another user
 */
export function setProcessorAffinity(thread: number, processors: readonly number[]): void {
  const mask = nativeBuffer(PROCESSORS / 8);
  for (const processor of processors) {
    if (!Number.isInteger(processor) || processor < 0 || processor >= PROCESSORS) {
      throw new RangeError(
        `Cannot run on processor ${processor}: use whole numbers from 0 to ${PROCESSORS - 1}`,
      );
    }
    mask[processor >> 3]! |= 1 << (processor & 7);
  }
  const result = libc().sched_setaffinity(thread, mask.length, addressOf(mask));
  checked(result, 'sched_setaffinity', `of thread ${thread}`);
}
