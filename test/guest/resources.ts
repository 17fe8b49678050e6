import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { dirname } from 'node:path';
import { expect } from 'vitest';

/** What this process holds, and what it has made, that a device can leave behind. */
export interface HeldResources {
  readonly fds: number;
  /** Mappings of guest memory: QEMU makes it as a file without a name. */
  readonly guestMappings: number;
  /** Files beside the sockets on which this process listens. */
  readonly socketFiles: number;
  readonly threads: number;
}

/**
 * Waits until the process holds no more than it did before, of anything. What goes a moment after its device may have been
 * there before as well, so there may be less.
 */
export async function expectNoMore(before: HeldResources): Promise<void> {
  const more = (): unknown =>
    Object.entries(heldResources()).filter(
      ([what, count]) => count > before[what as keyof HeldResources],
    );
  await expect.poll(more).toEqual([]);
}

/** Counts what the process holds now. */
export function heldResources(): HeldResources {
  const maps = readFileSync('/proc/self/maps', 'utf8').split('\n');
  const fds = readdirSync('/proc/self/fd');
  const folders = new Set(socketPaths(fds).map((path) => dirname(path)));
  return {
    fds: fds.length,
    guestMappings: maps.filter((line) => line.includes('memfd:')).length,
    socketFiles: [...folders].flatMap((folder) => readdirSync(folder)).length,
    threads: readdirSync('/proc/self/task').length,
  };
}

/** Paths of the unix sockets of this process for device connections. */
function socketPaths(fds: readonly string[]): string[] {
  const inodes = new Set(fds.map(linkOf).map((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1]));
  // Num RefCount Protocol Flags Type St Inode Path
  const sockets = readFileSync('/proc/net/unix', 'utf8')
    .split('\n')
    .map((line) => line.split(/\s+/));
  return sockets
    .filter(([, , , , , , inode, path]) => inodes.has(inode) && path?.includes('/hdv-') === true)
    .map((fields) => fields[7] as string);
}

function linkOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return ''; // The one that listed the folder.
  }
}
