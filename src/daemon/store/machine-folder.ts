import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { StateStore } from './state-store.ts';

const KIND = 'machines';
/** What an engine takes: names in it have to fit into the path of a socket. */
const LONGEST = 80;

/**
 * The folder of the machines that a store knows of: nobody else's are in it, so what its records do not speak of can be
 * ended. A fresh store never takes the folder of another one, whose machines it does not know.
 * @param state folder of the store, absolute
 * @throws Error when its path is too long
 */
export function machineFolder(store: StateStore, state: string): string {
  const known = store.resources.all().find(({ kind }) => kind === KIND);
  if (known !== undefined) return known.name;
  let folder = join(state, 'machines');
  for (let i = 2; existsSync(folder); i++) folder = join(state, `machines${i}`);
  if (Buffer.byteLength(folder) > LONGEST || folder.includes(',')) {
    throw new Error(
      `Cannot keep machines in ${folder}: sockets need a path of at most ${LONGEST} bytes without commas; choose another folder by --state or HDVKIT_STATE`,
    );
  }
  store.resources.add({ kind: KIND, name: folder, system: { space: '', id: '' } });
  return folder;
}
