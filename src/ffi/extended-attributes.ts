import { addressOf, checked, errno, libc, nativeBuffer } from './libc.ts';
import { SystemCallError } from './system-call-error.ts';

/** Linux: the largest value of an attribute (XATTR_SIZE_MAX). */
const LARGEST_VALUE = 64 * 1024;
const ENODATA = 61;

/**
 * An extended attribute of a file; symbolic links are followed.
 * @returns undefined for a file that has no such attribute
 * @throws SystemCallError
 */
export function readBytes(path: string, name: string): Buffer | undefined {
  const value = nativeBuffer(LARGEST_VALUE);
  const length = libc().getxattr(path, name, addressOf(value), value.length);
  if (length >= 0) return Buffer.from(value.subarray(0, length));
  if (errno() === ENODATA) return undefined;
  throw new SystemCallError('getxattr', errno(), path);
}

/** Sets an extended attribute, whether or not there was one. @throws SystemCallError */
export function writeBytes(path: string, name: string, bytes: Uint8Array): void {
  const value = nativeBuffer(bytes.length);
  value.set(bytes);
  checked(libc().setxattr(path, name, addressOf(value), value.length, 0), 'setxattr', path);
}
