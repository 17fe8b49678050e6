import { lstatSync, rmSync } from 'node:fs';
import { basename } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { OwnedResource, OwnedResources } from '../../compute/owned-resources.ts';
import { removeControlGroup } from './processor-cgroup.ts';
import { isListening } from './unix-sockets.ts';
import { FOLDER_ELSEWHERE } from './watched-folder.ts';

/** Milliseconds that the kernel may take to close the sockets of a process that was killed. */
const CLOSE_LIMIT_MS = 2000;
const POLL_MS = 5;

/** Removes what is owned of machines whose processes have ended, but for what `stays`. */
export async function removeOwned(
  owned: OwnedResources,
  stays: (resource: OwnedResource) => boolean = () => false,
): Promise<void> {
  for (const resource of owned.all) {
    if (stays(resource)) continue;
    if (await isRemoved(resource)) owned.remove(resource);
  }
}

async function isRemoved({ kind, name }: OwnedResource): Promise<boolean> {
  if (kind === 'controlGroup') return await removeControlGroup(name);
  const found = lstatSync(name, { throwIfNoEntry: false });
  if (found?.isSocket() === true) {
    const limit = performance.now() + CLOSE_LIMIT_MS;
    // One that is listened on by then is somebody else's.
    while (isListening(name)) {
      if (performance.now() > limit) return true;
      await delay(POLL_MS);
    }
  }
  const recursive = basename(name).startsWith(FOLDER_ELSEWHERE);
  if (recursive || found?.isDirectory() !== true) rmSync(name, { recursive, force: true });
  return true;
}
