import { errno, libc } from './libc.ts';
import { SystemCallError } from './system-call-error.ts';

const LOCK_EX = 2;
const LOCK_NB = 4;
const EWOULDBLOCK = 11;

/**
 * Locks an open file (flock(2)), until its last descriptor is closed: processes that inherit one keep the lock.
 * @returns false when somebody else has it
 * @throws SystemCallError
 */
export function lockFile(fd: number): boolean {
  if (libc().flock(fd, LOCK_EX | LOCK_NB) === 0) return true;
  const error = errno();
  if (error === EWOULDBLOCK) return false;
  throw new SystemCallError('lock', error, `descriptor ${fd}`);
}
