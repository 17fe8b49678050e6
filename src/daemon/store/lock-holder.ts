import { readFileSync, statSync } from 'node:fs';

/**
 * Which process holds a lock on a file, other than this one (proc(5), /proc/locks).
 * @returns its id; undefined where none does, or the system does not say
 */
export function lockHolder(path: string): number | undefined {
  try {
    const inode = String(statSync(path).ino);
    for (const line of readFileSync('/proc/locks', 'utf8').split('\n')) {
      const [, kind, , , pid = '', place = ''] = line.trim().split(/\s+/);
      if (kind !== 'POSIX' || place.split(':')[2] !== inode) continue;
      if (Number(pid) > 0 && Number(pid) !== process.pid) return Number(pid);
    }
  } catch {
    // Only a kindness to whoever reads the message.
  }
  return undefined;
}
