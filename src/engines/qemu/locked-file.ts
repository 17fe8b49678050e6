import { closeSync, constants, openSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { lockFile } from '../../ffi/file-lock.ts';

const INTERVAL_MS = 5;
/** Whoever holds a lock for longer has it for something else. */
const LIMIT_MS = 2_000;

/**
 * Does something to a file or folder that no other process of this package does to it at the same time. A lock that
 * another program holds (flock(2)) is waited for during 2 s, and then passed by.
 */
export async function withFileLock<T>(path: string, work: () => T): Promise<T> {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const end = performance.now() + LIMIT_MS;
    while (!lockFile(fd) && performance.now() < end) await delay(INTERVAL_MS);
    return work();
  } finally {
    closeSync(fd); // Unlocks.
  }
}
