import {
  chmodSync,
  closeSync,
  constants,
  lchownSync,
  openSync,
  readdirSync,
  readFileSync,
} from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
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

/** Makes a machine's folder, and what is in it before QEMU starts, the machine's own. */
export function giveFolderTo({ uid, gid }: VmAccount, folder: string): void {
  for (const name of readdirSync(folder)) lchownSync(join(folder, name), uid, gid);
  chmodSync(folder, 0o700);
  lchownSync(folder, uid, gid);
}
