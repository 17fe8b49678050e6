import { descriptorLimit } from './descriptor-limit.ts';
import { closeFd, createMemoryFile } from './descriptors.ts';
import { addressOf } from './libc.ts';
import { mapFileOver, PAGE_SIZE } from './memory.ts';

/**
 * Puts a file under shared memory that nobody has used yet, so that other processes can map the same bytes. Every thread
 * of this process goes on with the memory as it is; what is collected unmaps the file.
 * @param memory made with `maxByteLength`: that is mapped for itself, where any other is a part of the heap
 * @param most descriptors that may be in use for that: the process needs others for more than memory
 * @returns the descriptor, which is the caller's
 * @throws RangeError when the memory does not begin with a page, or too many descriptors are in use; SystemCallError;
 * Error on a system other than Linux
 */
export function shareByFile(
  memory: SharedArrayBuffer,
  name: string,
  most = descriptorLimit(),
): number {
  const address = addressOf(new Uint8Array(memory));
  if (!memory.growable || address % PAGE_SIZE !== 0) {
    throw new RangeError(
      `Cannot put a file under memory at ${address}: it is not mapped for itself`,
    );
  }
  const fd = createMemoryFile(name, memory.byteLength);
  try {
    // The lowest number that is free: so many are in use.
    if (fd >= most) throw new RangeError(`Cannot put a file under memory: ${fd} files are open`);
    mapFileOver(address, memory.byteLength, fd, 0);
    return fd;
  } catch (error) {
    closeFd(fd);
    throw error;
  }
}
