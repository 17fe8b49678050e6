import { checked, errno, libc } from './libc.ts';

/** lseek(2), Linux. */
const SEEK_DATA = 3;
const ENXIO = 6;

/**
 * Where the next bytes of a file are that were written, at `from` or after it: before them are zeros that take no room on the
 * disk. Undefined when there are none. `from` itself where the system does not tell. Moves the descriptor's position.
 * @throws SystemCallError
 */
export function nextData(fd: number, from: number): number | undefined {
  if (process.platform !== 'linux') return from;
  const found = libc().lseek(fd, from, SEEK_DATA);
  if (found < 0 && errno() === ENXIO) return undefined;
  return checked(found, 'seek in', 'a file');
}
