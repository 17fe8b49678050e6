import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** Largest id of a group; 2^32 - 1 means none (chown(2)). */
const LARGEST_ID = 2 ** 32 - 2;

/**
 * The id of a group that a person has named, by name or number. A name is looked up as everything on this system does it
 * (getent(1)), else in /etc/group.
 * @throws RangeError for a name that no group has, and for a number that none can have
 */
export function groupIdOf(group: string): number {
  if (/^\d+$/.test(group)) {
    const id = Number(group);
    if (id <= LARGEST_ID) return id;
    throw new RangeError(`Cannot use the group ${group}: ids of groups are 0 to ${LARGEST_ID}`);
  }
  const line = entries(group).find((entry) => entry.startsWith(`${group}:`));
  const id = line?.split(':')[2];
  if (id !== undefined && /^\d+$/.test(id)) return Number(id);
  throw new RangeError(
    `Cannot find the group ${JSON.stringify(group)}: make it by groupadd, or give the number of one`,
  );
}

/** Lines of group(5), the one of that name among them. */
function entries(name: string): readonly string[] {
  const { error, stdout } = spawnSync('getent', ['group', '--', name], { encoding: 'utf8' });
  const text = error === undefined ? stdout : readFileSync('/etc/group', 'utf8');
  return text.split('\n');
}
