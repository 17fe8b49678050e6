import { randomUUID } from 'node:crypto';
import {
  chownSync,
  constants,
  fstatSync,
  linkSync,
  mkdirSync,
  openSync,
  rmdirSync,
  rmSync,
  unlinkSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { closeFd } from '../../ffi/descriptors.ts';
import { type HandedFiles, O_PATH } from './handed-files.ts';
import type { PlannedConsole } from './machine-plan.ts';
import { giveSocketTo } from './own-file.ts';
import { FOLDER_ELSEWHERE, type WatchedFolder } from './watched-folder.ts';

/** A socket that QEMU makes where it may, and that the service puts where the document has it. */
export interface OwnMonitorSocket {
  /** The path for QEMU. */
  readonly name: string;
  /** Puts the socket, which QEMU has made, in its place, as the service's own. */
  place(): void;
  /** Removes what is left of a start that failed. */
  discard(): void;
}

const NAME = 'vnc';
const { O_DIRECTORY, O_NOFOLLOW } = constants;

/**
 * QEMU serves VNC on no socket that it is given. Where it has an account of its own it makes the socket in a folder beside
 * the place of the document, which is its own until then.
 * @param machine the machine's folder, which knows what has to be removed when this process ends meanwhile
 * @returns undefined where there is no socket, or QEMU makes it itself
 */
export function ownMonitorSocket(
  { monitor }: PlannedConsole,
  listening: ReadonlySet<string>,
  files: HandedFiles,
  machine: Pick<WatchedFolder, 'watchFile' | 'leaveFile'>,
): OwnMonitorSocket | undefined {
  const { account } = files;
  const socket = monitor?.socket;
  if (socket === undefined || account === undefined || listening.has(socket)) return undefined;
  const own = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  const name = `${FOLDER_ELSEWHERE}${randomUUID()}`;
  const folder = join(dirname(socket), name);
  const around = openSync(dirname(socket), O_PATH | O_DIRECTORY);
  machine.watchFile(folder);
  let inside = -1;
  let isOver = false;
  const close = (): void => {
    if (isOver) return;
    isOver = true;
    for (const fd of [around, inside]) closeFd(fd);
    machine.leaveFile(folder);
  };
  try {
    mkdirSync(`${placeOf(around)}/${name}`, { mode: 0o700 });
    // Whoever may write around it may have put another one there.
    inside = openSync(`${placeOf(around)}/${name}`, O_PATH | O_DIRECTORY | O_NOFOLLOW);
    const { uid, mode } = fstatSync(inside);
    if (uid !== own.uid || (mode & 0o777) !== 0o700) {
      throw new Error(`Cannot use ${folder}: something else was put in its place`);
    }
    chownSync(placeOf(inside), account.uid, account.gid);
  } catch (error) {
    close();
    throw error;
  }
  return {
    name: `${files.name(placeOf(inside))}/${NAME}`,
    place() {
      const made = `${placeOf(inside)}/${NAME}`;
      // From now on QEMU changes nothing there.
      chownSync(placeOf(inside), own.uid, own.gid);
      giveSocketTo(own, made);
      // Not renamed: what came to be in its place meanwhile is somebody's.
      linkSync(made, `${placeOf(around)}/${basename(socket)}`);
      unlinkSync(made);
      rmdirSync(`${placeOf(around)}/${name}`);
      close();
    },
    discard() {
      if (!isOver) rmSync(folder, { recursive: true, force: true });
      close();
    },
  };
}

/** What a descriptor is of, also where something else is at its path by now. */
function placeOf(fd: number): string {
  return `/proc/self/fd/${fd}`;
}
