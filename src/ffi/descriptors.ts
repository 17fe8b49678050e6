import { fstatSync, readlinkSync } from 'node:fs';
import { addressOf, checked, errno, libc, nativeBuffer } from './libc.ts';

const EFD_CLOEXEC = 0x80000;
const EFD_NONBLOCK = 0x800;
const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
const F_ADD_SEALS = 1033;
const F_SEAL_SHRINK = 2;
const F_GETFL = 3;
const F_SETFL = 4;
const O_ACCMODE = 3;
const O_NONBLOCK = 0x800;
const F_DUPFD_CLOEXEC = 1030;
const EINTR = 4;

/** Closes a descriptor; one that is not open is no error. */
export function closeFd(fd: number): void {
  if (fd >= 0) libc().close(fd);
}

/** A second descriptor for the same open file.
 * @throws SystemCallError */
export function duplicateFd(fd: number): number {
  return checked(libc().fcntl(fd, F_DUPFD_CLOEXEC, 0), 'duplicate', `descriptor ${fd}`);
}

/** Makes reads and writes of a descriptor return EAGAIN where they would wait.
 * @throws SystemCallError */
export function setNonBlocking(fd: number): void {
  const flags = checked(libc().fcntl(fd, F_GETFL, 0), 'get flags of', `descriptor ${fd}`);
  checked(libc().fcntl(fd, F_SETFL, flags | O_NONBLOCK), 'set flags of', `descriptor ${fd}`);
}

/** Whether a descriptor was opened for writing. */
export function isWritable(fd: number): boolean {
  const flags = libc().fcntl(fd, F_GETFL, 0);
  return flags >= 0 && (flags & O_ACCMODE) !== 0;
}

/** A counter that any thread or process can wait for, in poll(2). Does not block.
 * @throws SystemCallError */
export function createEventFd(): number {
  return checked(libc().eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), 'create an eventfd');
}

const one = nativeBuffer(128);
one[process.arch === 's390x' ? 7 : 0] = 1;
let oneAddress = 0;
const counter = nativeBuffer(128);
const counterView = new DataView(counter.buffer);
let counterAddress = 0;

/** Whether a descriptor is an eventfd, so that a write of 8 bytes can do no harm. */
export function isEventFd(fd: number): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`).endsWith('[eventfd]');
  } catch {
    return false;
  }
}

/** Adds 1 to an eventfd. @returns 0, or the errno */
export function signalEventFd(fd: number): number {
  if (oneAddress === 0) oneAddress = addressOf(one);
  const functions = libc();
  for (;;) {
    if (functions.write(fd, oneAddress, 8) >= 0) return 0;
    const error = errno();
    if (error !== EINTR) return error;
  }
}

/** Takes an eventfd's count. @returns 0 when nobody signalled */
export function takeEventFd(fd: number): number {
  if (counterAddress === 0) counterAddress = addressOf(counter);
  if (libc().read(fd, counterAddress, 8) !== 8) return 0;
  return counterView.getUint32(0, true) + counterView.getUint32(4, true) * 2 ** 32;
}

/** Memory in a file without a name, zeroed, that can be passed to other processes.
 * @throws SystemCallError */
export function createMemoryFile(name: string, length: number): number {
  const flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  const fd = checked(libc().memfd_create(name, flags), 'create a memory file');
  try {
    checked(libc().ftruncate(fd, length), 'size', `a memory file to ${length} bytes`);
  } catch (error) {
    closeFd(fd);
    throw error;
  }
  return fd;
}

/** Keeps a memory file from shrinking under its mappings, where its creator allows that. */
export function sealAgainstShrinking(fd: number): boolean {
  return libc().fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) === 0;
}

/** What identifies the file behind a descriptor. */
export interface FileIdentity {
  readonly device: number;
  readonly inode: bigint;
  /** Bytes. */
  readonly size: number;
  readonly isRegular: boolean;
}

/** fstat(2). @throws Error with `code`, as node:fs has it */
export function identifyFile(fd: number): FileIdentity {
  const stat = fstatSync(fd, { bigint: true });
  return {
    device: Number(stat.dev),
    inode: stat.ino,
    size: Number(stat.size),
    isRegular: stat.isFile(),
  };
}
