import { addressOf, checked, libc, nativeBuffer } from './libc.ts';
import { SystemCallError } from './system-call-error.ts';

/** Linux, asm-generic/resource.h. */
const RLIMIT_MEMLOCK = 8;
/** RLIM_INFINITY. */
const UNLIMITED = 0xffff_ffff_ffff_ffffn;

/** A limit that was raised. */
export interface RaisedLimit {
  /** Bytes; Infinity where there is none. */
  readonly limit: number;
  /** Sets the limits that there were before. */
  restore(): void;
}

/**
 * Lets programs that are started from now on lock as much of their memory as this process may let them, whoever they are:
 * all of it with CAP_SYS_RESOURCE, else as much as the hard limit (setrlimit(2)).
 * @throws SystemCallError
 */
export function raiseMemoryLockLimit(): RaisedLimit {
  const before = nativeBuffer(16);
  checked(libc().prlimit(0, RLIMIT_MEMLOCK, 0, addressOf(before)), 'prlimit', 'of locked memory');
  const [soft = 0n, hard = 0n] = new BigUint64Array(before.buffer, before.byteOffset, 2);
  const set = (newSoft: bigint, newHard: bigint): void => {
    const limits = nativeBuffer(16);
    new BigUint64Array(limits.buffer, limits.byteOffset, 2).set([newSoft, newHard]);
    checked(libc().prlimit(0, RLIMIT_MEMLOCK, addressOf(limits), 0), 'prlimit', 'of locked memory');
  };
  let limit = UNLIMITED;
  try {
    set(limit, limit);
  } catch (error) {
    if (!(error instanceof SystemCallError && error.code === 'EPERM')) throw error;
    limit = hard;
    set(hard, hard);
  }
  return {
    limit: limit === UNLIMITED ? Number.POSITIVE_INFINITY : Number(limit),
    restore: () => set(soft, hard),
  };
}
