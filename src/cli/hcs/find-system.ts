import { ComputeSystem } from '../../hcs/compute-system.ts';
import { isGone } from '../../hcs/is-gone.ts';
import { UsageError } from '../usage-error.ts';
import { ELLIPSIS } from './display-width.ts';
import type { ServiceHost } from './service-host.ts';
import { shownId } from './shown-id.ts';

/** How many ids an error lists. */
const LISTED = 10;

/**
 * Opens the system that the user means: by its id, or by a beginning that no other id has. The caller closes it.
 * @throws UsageError when it is the beginning of several ids, which it lists
 * @throws HcsError HCS_E_SYSTEM_NOT_FOUND when it is that of none
 */
export async function openSystem(
  { core }: Pick<ServiceHost, 'core'>,
  text: string,
  signal?: AbortSignal,
): Promise<ComputeSystem> {
  const options = { core, ...(signal === undefined ? {} : { signal }) };
  if (text === '') {
    throw new UsageError('Cannot find a compute system: its id is empty', 'hcs list shows the ids');
  }
  try {
    return await ComputeSystem.open(text, options);
  } catch (error) {
    if (!isGone(error)) throw error;
    const ids = (await ComputeSystem.enumerate(undefined, options)).flatMap(({ Id }) => Id ?? []);
    const id = idMeant(text, ids);
    if (id === undefined) throw error;
    return await ComputeSystem.open(id, options);
  }
}

/** The id that begins with a text. @throws UsageError when several do */
export function idMeant(text: string, ids: readonly string[]): string | undefined {
  const beginning = text.endsWith(ELLIPSIS) ? text.slice(0, -ELLIPSIS.length) : text;
  if (beginning === '') return undefined;
  const exact = ids.filter((id) => id.startsWith(beginning));
  // GUIDs are the same in capitals.
  const found =
    exact.length > 0
      ? exact
      : ids.filter((id) => id.toLowerCase().startsWith(beginning.toLowerCase()));
  if (found.length < 2) return found[0];
  const shown = found.sort().slice(0, LISTED).map(shownId).join(', ');
  const more = found.length > LISTED ? ` and ${found.length - LISTED} more` : '';
  throw new UsageError(
    `Cannot tell which compute system ${shownId(text)} is: ${found.length} ids begin so: ${shown}${more}`,
    'give more of the id',
  );
}
