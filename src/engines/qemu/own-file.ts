import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  fstatSync,
  lchownSync,
  openSync,
  readdirSync,
  readFileSync,
  type Stats,
} from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { O_PATH } from './handed-files.ts';
import type { VmAccount } from './vm-account.ts';

/** What QEMU has put in its folder may be a link to something that only the service can read. */
const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
const flag = O_RDONLY | O_NOFOLLOW | O_NONBLOCK;

/** Reads a file of a machine's own folder. @throws Error with `code`, `ELOOP` for a symbolic link */
export function readOwnFile(path: string): Promise<Buffer> {
  return readFile(path, { flag });
}

/** As {@link readOwnFile}, at once. */
export function readOwnFileNow(path: string): Buffer {
  const fd = openSync(path, flag);
  try {
    return readFileSync(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * Makes a machine's folder, and what is in it before QEMU starts, the machine's own. Programs of the machine may run by then:
 * a link that one of them has made stays whose it is, and so does what it is a link to.
 */
export function giveFolderTo(account: VmAccount, folder: string): void {
  for (const name of readdirSync(folder)) {
    pinned(join(folder, name), (place, status) => {
      if (status.uid === account.uid || !isAlone(status)) return;
      chownSync(place, account.uid, account.gid);
    });
  }
  chmodSync(folder, 0o700);
  lchownSync(folder, account.uid, account.gid);
}

/**
 * Makes a socket somebody's that was made where others may make files as well.
 * @throws Error when something else is there
 */
export function giveSocketTo({ uid, gid }: VmAccount, socket: string): void {
  pinned(socket, (place, status) => {
    if (!status.isSocket() || !isAlone(status)) {
      throw new Error(`Cannot use ${socket}: something else was put in the place of the socket`);
    }
    chownSync(place, uid, gid);
  });
}

/** Not a symbolic link, and not a file that another name elsewhere is for. */
function isAlone(status: Stats): boolean {
  return !status.isSymbolicLink() && (status.isDirectory() || status.nlink === 1);
}

/** Looks at what is at a path, and does something to that, whatever comes to be there meanwhile. */
function pinned(path: string, work: (place: string, status: Stats) => void): void {
  const fd = openSync(path, O_PATH | O_NOFOLLOW);
  try {
    work(`/proc/self/fd/${fd}`, fstatSync(fd));
  } finally {
    closeSync(fd);
  }
}
