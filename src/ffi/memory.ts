import { constants } from 'node:buffer';
import { errno, libc } from './libc.ts';
import { koffi } from './native-config.ts';
import { SystemCallError } from './system-call-error.ts';

/** mmap(2) flags, Linux. */
export const Protection = { NONE: 0, READ: 1, WRITE: 2 } as const;
const MAP_SHARED = 0x01;
const MAP_PRIVATE = 0x02;
const MAP_FIXED = 0x10;
const MAP_ANONYMOUS = 0x20;
const MAP_NORESERVE = 0x4000;
const READ_WRITE = Protection.READ | Protection.WRITE;

/** Bytes of a memory page. */
export const PAGE_SIZE = 4096;

/** Largest stretch of memory that one view may cover. A longer one aborts the process (Node 20). */
export const MAX_VIEW = Math.min(constants.MAX_LENGTH, 2 ** 32);

/**
 * Reserves address space that holds no memory and cannot be touched until something is mapped into it.
 * @returns the address
 * @throws SystemCallError
 */
export function reserve(length: number): number {
  return map(0, length, Protection.NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

/**
 * Maps part of a file over addresses that the caller reserved; `copyOnWrite` keeps writes from the file.
 * @throws SystemCallError
 */
export function mapFileOver(
  address: number,
  length: number,
  fd: number,
  offset: number,
  { copyOnWrite = false }: { readonly copyOnWrite?: boolean } = {},
): void {
  const sharing = copyOnWrite ? MAP_PRIVATE | MAP_NORESERVE : MAP_SHARED;
  map(address, length, READ_WRITE, sharing | MAP_FIXED, fd, offset);
}

/**
 * Puts private zero pages over addresses that the caller reserved: whoever still views them reads zeros, and writes to
 * memory that nobody shares.
 * @throws SystemCallError
 */
export function mapZerosOver(address: number, length: number): void {
  const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
  map(address, length, READ_WRITE, flags, -1, 0);
}

/** Gives addresses back. Nothing may view them any more: touching them ends the process. */
export function unmap(address: number, length: number): void {
  libc().munmap(address, length);
}

/**
 * Foreign memory as an ArrayBuffer, in place. It cannot be revoked: map over the addresses instead of unmapping them.
 * Expensive, as V8 books the length: about 1 ms per GiB.
 * @throws RangeError when longer than {@link MAX_VIEW}
 */
export function view(address: number, length: number): ArrayBuffer {
  if (!(length > 0 && length <= MAX_VIEW)) {
    throw new RangeError(`Cannot view ${length} bytes: views have 1 to ${MAX_VIEW}`);
  }
  return koffi.view(BigInt(address), length);
}

function map(
  address: number,
  length: number,
  protection: number,
  flags: number,
  fd: number,
  offset: number,
): number {
  const result = libc().mmap(address, length, protection, flags, fd, offset);
  if (typeof result !== 'number') throw new SystemCallError('mmap', errno(), `${length} bytes`);
  return result;
}
