import { addressOf, checked, libc, nativeBuffer } from './libc.ts';

/** Linux, asm-generic/resource.h. */
const RLIMIT_MEMLOCK = 8;

/**
 * Lets programs that are started from now on lock all of their memory, whoever they are. Root only.
 * @returns a function that ends it
 * @throws SystemCallError
 */
export function liftMemoryLockLimit(): () => void {
  const before = nativeBuffer(16);
  const unlimited = nativeBuffer(16).fill(0xff);
  const set = (limit: Uint8Array, old: Uint8Array | undefined): void => {
    const result = libc().prlimit(0, RLIMIT_MEMLOCK, addressOf(limit), old ? addressOf(old) : 0);
    checked(result, 'limit', 'locked memory');
  };
  set(unlimited, before);
  return () => set(before, undefined);
}
