import { ProvisionError } from './provision-error.ts';

const REMEDY = 'make it a folder that can be written, or set HDVKIT_CACHE to another one';

/** What keeps a folder from being written, by the system's name for it, and what to do about it. */
const REASONS: Readonly<Record<string, readonly [reason: string, remedy: string]>> = {
  EROFS: ['it is on a read-only file system', REMEDY],
  EACCES: ['access is denied', REMEDY],
  EPERM: ['access is denied', REMEDY],
  EEXIST: ['a file is in its place', REMEDY],
  ENOTDIR: ['a file is in its place', REMEDY],
  ENOSPC: ['the disk is full', 'make room, or set HDVKIT_CACHE to a folder on another disk'],
  EDQUOT: ['the quota is used up', 'make room, or set HDVKIT_CACHE to a folder on another disk'],
};

/** System calls that change files: what else fails, such as starting a program, is another matter. */
const WRITING = new Set(['mkdir', 'open', 'write', 'rename', 'link', 'unlink', 'rm', 'rmdir']);

/**
 * The error to throw for one that came up while the cache was written: what the user can mend in a sentence, anything
 * else as it is.
 */
export function cacheFailure(cache: string, error: unknown): unknown {
  const { code, syscall } = error as NodeJS.ErrnoException;
  // Making a folder with its parents ends in ENOENT on a read-only file system.
  const known = code === 'ENOENT' && syscall === 'mkdir' ? 'EROFS' : code;
  const [reason, remedy] = (WRITING.has(syscall ?? '') ? REASONS[known ?? ''] : undefined) ?? [];
  if (reason === undefined || remedy === undefined) return error;
  return new ProvisionError(`Cannot write the cache ${cache}: ${reason}`, remedy, { cause: error });
}
