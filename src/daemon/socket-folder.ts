import { chmodSync, chownSync, lstatSync, readdirSync, readlinkSync, statSync } from 'node:fs';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import { makeFolder } from './make-folder.ts';
import { ServiceSocketError } from './service-socket-error.ts';

/** Mode bits: others, or the group, may write; whoever writes to a folder with the last one owns what it may rename. */
export const WRITABLE_BY_OTHERS = 0o022;
export const STICKY = 0o1000;

const GROUP_MAY_ENTER = 0o010;
const OTHERS_MAY_ENTER = 0o001;

/**
 * Makes the folder of a socket where it is missing: for the user of this process alone, or for a group to enter. One that is
 * there has to be safe: nobody else can put a socket in the place of this one.
 * @param group id of the group that is let in
 * @throws ServiceSocketError; the error of the system
 */
export function makeSocketFolder(path: string, group: number | undefined): void {
  const folder = dirname(path);
  const made = makeFolder(folder);
  const { uid, mode } = statSync(folder);
  const user = process.getuid?.() ?? uid;
  if (uid !== user && uid !== 0) {
    throw new ServiceSocketError(
      `Cannot listen on ${path}: its folder is that of user ${uid}; choose another path by --socket`,
    );
  }
  if ((mode & WRITABLE_BY_OTHERS) !== 0 && (mode & STICKY) === 0) {
    throw new ServiceSocketError(
      `Cannot listen on ${path}: others could put a socket of theirs in its place; run chmod go-w ${folder}, or choose another path by --socket`,
    );
  }
  if (group === undefined) return;
  const isOurs = uid === user && (mode & 0o077) === 0 && hasNothingBut(folder, basename(path));
  for (const each of new Set([...made, ...(isOurs ? [folder] : [])]))
    giveToGroup(each, group, 0o750);
  const closed = foldersAbove(path).find((each) => !mayEnter(each, group));
  if (closed === undefined) return;
  throw new ServiceSocketError(
    `Cannot let the group ${group} connect to ${path}: it may not enter ${closed}; run chgrp ${group} ${closed} && chmod g+x ${closed}, or choose another path by --socket`,
  );
}

/** Links that the system follows on one way (path_resolution(7)). */
const MOST_LINKS = 40;

/**
 * Folders on the way to a path, the innermost first. Links are followed, and the folders that they lie in are on the way: who may
 * change one of those says where it leads.
 * @throws the error of the system; Error for a way that never ends
 */
export function foldersAbove(path: string): readonly string[] {
  const folders = new Set<string>();
  const names = resolve(path).split('/');
  let at = '/';
  let links = 0;
  for (let name = names.shift(); name !== undefined; name = names.shift()) {
    if (name === '') continue;
    folders.delete(at);
    folders.add(at);
    const next = join(at, name);
    if (lstatSync(next, { throwIfNoEntry: false })?.isSymbolicLink() !== true) {
      at = next;
      continue;
    }
    if (links++ === MOST_LINKS) throw new Error(`Cannot follow ${path}: it has too many links`);
    const target = readlinkSync(next);
    if (isAbsolute(target)) at = '/';
    names.unshift(...target.split('/'));
  }
  return [...folders].reverse();
}

/**
 * Gives a file or folder of this user to a group. Nobody of another group gets in meanwhile.
 * @throws ServiceSocketError when this user may not do that
 */
export function giveToGroup(path: string, group: number, mode: number): void {
  try {
    chmodSync(path, mode & 0o700);
    chownSync(path, -1, group);
    chmodSync(path, mode);
  } catch (cause) {
    throw new ServiceSocketError(
      `Cannot let the group ${group} use ${path}: ${(cause as Error).message}; run the service as a member of that group, or as root`,
      { cause },
    );
  }
}

function mayEnter(folder: string, group: number): boolean {
  const { gid, mode } = statSync(folder);
  return (mode & (gid === group ? GROUP_MAY_ENTER : OTHERS_MAY_ENTER)) !== 0;
}

/** Whether a folder is one that an earlier daemon of the same socket has made. */
function hasNothingBut(folder: string, name: string): boolean {
  return readdirSync(folder).every((entry) => entry === name || entry.startsWith(`${name}.`));
}
