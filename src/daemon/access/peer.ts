import { readFileSync, readlinkSync } from 'node:fs';
import type { Socket } from 'node:net';
import { peerCredentials } from '../../ffi/peer-credentials.ts';

/** The process at the other end of a Unix socket, as the kernel noted it when it connected. */
export interface Peer {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups. */
  readonly groups: readonly number[];
  /** What it runs, for the record only: the file, else its name. Undefined: it has ended, or is hidden. */
  readonly program: string | undefined;
}

/**
 * Who connected; to be asked when the connection comes, as it may be closed soon. User and groups are those of the time of `connect`, which nothing that the process does later changes.
 * @param socket a connection of a Unix socket that is open
 * @throws Error when it is no such socket; SystemCallError
 */
export function peerOf(socket: Socket): Peer {
  // Node has no function for it; net.Socket has kept its handle there since its first versions.
  const { fd } = (socket as unknown as { _handle?: { fd?: number } })._handle ?? {};
  if (fd === undefined || fd < 0) {
    throw new Error('Cannot tell who connected: the connection is closed, or no Unix socket');
  }
  const credentials = peerCredentials(fd);
  return { ...credentials, program: programOf(credentials.pid) };
}

function programOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/exe`);
  } catch {
    try {
      return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
    } catch {
      return undefined;
    }
  }
}
