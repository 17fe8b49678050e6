import { addressOf, checked, libc, nativeBuffer } from './libc.ts';

/** Linux, asm-generic/resource.h. */
const RLIMIT_NOFILE = 7;

/**
 * Descriptors that this process may have at a time (getrlimit(2)): each is below this number, and the lowest that is free.
 * @throws SystemCallError; Error on a system other than Linux
 */
export function descriptorLimit(): number {
  const limits = nativeBuffer(16);
  checked(libc().prlimit(0, RLIMIT_NOFILE, 0, addressOf(limits)), 'prlimit', 'of open files');
  return Number(new BigUint64Array(limits.buffer, limits.byteOffset, 1)[0]);
}
