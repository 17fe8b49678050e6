import { type Stats, statSync } from 'node:fs';
import { connectionFailure } from './connection-failure.ts';
import { foldersAbove, STICKY, WRITABLE_BY_OTHERS } from './socket-folder.ts';

/** The remedy where a service is not for this user. */
export const ANOTHER_SERVICE = 'set HDVKIT_SOCKET to that of a service of yours';

/**
 * Refuses a socket that somebody may have put where a service was expected, who would then be told documents with their
 * secrets. The service of this user or of root is trusted, in a folder that nobody else can change. That of another user is,
 * where the way to it belongs to that user and root alone, as below a home or in /run: what lies in a folder such as /tmp
 * anybody may have made, a link to a socket of theirs, too.
 * @throws HcsError HCS_E_ACCESS_DENIED
 */
export function requireTrusted(path: string): void {
  const user = process.getuid?.();
  if (user === undefined) return;
  let owner: number;
  let folders: readonly (readonly [string, Stats])[];
  try {
    owner = statSync(path).uid;
    folders = foldersAbove(path).map((folder) => [folder, statSync(folder)]);
  } catch {
    return; // Nobody is there, or it cannot be reached: whoever connects is told.
  }
  const isOwn = owner === user || owner === 0;
  const [around] = folders;
  const doubtful = (isOwn && around !== undefined ? [around] : folders).find(
    ([, { uid, mode }]) =>
      (uid !== 0 && uid !== user && uid !== owner) ||
      ((mode & WRITABLE_BY_OTHERS) !== 0 && !(isOwn && (mode & STICKY) !== 0)),
  );
  if (doubtful === undefined) return;
  const reason = isOwn
    ? `others than user ${owner} could put another one in its place, as they may change ${doubtful[0]}`
    : `it is that of user ${owner}, and anybody could have put it there, as others may change ${doubtful[0]}`;
  const what = `the socket ${path} is not trusted: ${reason}`;
  throw connectionFailure('HCS_E_ACCESS_DENIED', what, ANOTHER_SERVICE);
}
