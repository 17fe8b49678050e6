import { fchmodSync, fchownSync } from 'node:fs';
import { createMemoryFile, sealAgainstShrinking } from '../../ffi/descriptors.ts';
import type { VmAccount } from './vm-account.ts';

/** What the system calls the memory of guests: nothing else of QEMU's has the name. */
export const MEMORY_NAME = 'hdvkit-guest';

/**
 * Makes a file in memory for the memory of a guest, which ends with the last process that has it open or mapped.
 * @param sizeMB MiB
 * @param account whose it is: QEMU opens it again. By default this process's own
 * @returns its descriptor, which is the caller's to close
 * @throws SystemCallError
 */
export function createGuestMemory(sizeMB: number, account: VmAccount | undefined): number {
  const fd = createMemoryFile(MEMORY_NAME, sizeMB * 1024 * 1024);
  sealAgainstShrinking(fd); // What processes have mapped stays there.
  fchmodSync(fd, 0o600);
  if (account !== undefined) fchownSync(fd, account.uid, account.gid);
  return fd;
}
