import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { SystemJournal } from '../../compute/system-journal.ts';

const PART = 'machineFolder';
/** What an engine takes: names in it have to fit into the path of a socket. */
const LONGEST = 80;

/**
 * The folder of the machines that a journal knows of: nobody else's are in it, so what its records do not speak of can be
 * ended. A fresh state never takes the folder of another one, whose machines it does not know.
 * @param state folder of the state, absolute
 * @throws Error when its path is too long; HcsError when it cannot be kept
 */
export function machineFolder(
  journal: Pick<SystemJournal, 'setting' | 'keepSetting'>,
  state: string,
): string {
  const known = journal.setting(PART);
  if (typeof known === 'string') return known;
  let folder = join(state, 'machines');
  for (let i = 2; existsSync(folder); i++) folder = join(state, `machines${i}`);
  if (Buffer.byteLength(folder) > LONGEST || folder.includes(',')) {
    throw new Error(
      `Cannot keep machines in ${folder}: sockets need a path of at most ${LONGEST} bytes without commas; choose another folder by --state or HDVKIT_STATE`,
    );
  }
  journal.keepSetting('hcsd', PART, folder);
  return folder;
}
