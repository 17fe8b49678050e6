import { createMemoryFile, sealAgainstShrinking } from '../../ffi/descriptors.ts';

/** What the system calls the memory of guests: nothing else of QEMU's has the name. */
export const MEMORY_NAME = 'hdvkit-guest';

/**
 * Makes a file in memory for the memory of a guest, which ends with the last process that has it open or mapped.
 * @param sizeMB MiB
 * @returns its descriptor, which is the caller's to close
 * @throws SystemCallError
 */
export function createGuestMemory(sizeMB: number): number {
  const fd = createMemoryFile(MEMORY_NAME, sizeMB * 1024 * 1024);
  sealAgainstShrinking(fd); // What processes have mapped stays there.
  return fd;
}
