import { randomUUID } from 'node:crypto';
import { lchownSync, mkdirSync, renameSync, rmdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { HandedFiles } from './handed-files.ts';
import type { PlannedConsole } from './machine-plan.ts';
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
  const folder = join(dirname(socket), `${FOLDER_ELSEWHERE}${randomUUID()}`);
  machine.watchFile(folder);
  mkdirSync(folder, { mode: 0o700 });
  lchownSync(folder, account.uid, account.gid);
  const discard = (): void => {
    rmSync(folder, { recursive: true, force: true });
    machine.leaveFile(folder);
  };
  return {
    name: `${files.name(folder)}/${NAME}`,
    place() {
      const made = join(folder, NAME);
      lchownSync(made, 0, 0);
      renameSync(made, socket);
      rmdirSync(folder);
      machine.leaveFile(folder);
    },
    discard,
  };
}
