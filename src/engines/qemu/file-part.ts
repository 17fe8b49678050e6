import { closeSync, openSync, readSync } from 'node:fs';

/**
 * Bytes of a file, for what is looked at before a machine is started.
 * @returns fewer than `length` where the file ends before
 * @throws Error of the system
 */
export function filePart(path: string, position: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  if (position > Number.MAX_SAFE_INTEGER) return bytes.subarray(0, 0); // No file has as many.
  const file = openSync(path, 'r');
  try {
    return bytes.subarray(0, readSync(file, bytes, 0, length, position));
  } finally {
    closeSync(file);
  }
}
