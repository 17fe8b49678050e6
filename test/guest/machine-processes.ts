import { readdirSync, readFileSync } from 'node:fs';

/** Ids of the processes that run the machine of a system. */
export function processesOf(systemId: string): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        return readFileSync(`/proc/${name}/cmdline`, 'utf8').includes(`guest=${systemId},`);
      } catch {
        return false; // It has ended.
      }
    })
    .map(Number);
}
