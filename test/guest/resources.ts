import { readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';

/** What this process holds, and what it has started, that a device can leave behind. */
export interface HeldResources {
  readonly fds: number;
  /** Mappings of guest memory: QEMU makes it as a file without a name. */
  readonly guestMappings: number;
  readonly sockets: number;
  readonly threads: number;
}

/** Counts what the process holds now. */
export function heldResources(): HeldResources {
  const maps = readFileSync('/proc/self/maps', 'utf8').split('\n');
  const folders = readdirSync(tmpdir()).filter((name) => name.startsWith('hdv-'));
  return {
    fds: readdirSync('/proc/self/fd').length,
    guestMappings: maps.filter((line) => line.includes('memfd:')).length,
    sockets: folders.flatMap((name) => readdirSync(`${tmpdir()}/${name}`)).length,
    threads: readdirSync('/proc/self/task').length,
  };
}
