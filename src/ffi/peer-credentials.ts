import { addressOf, checked, errno, libc, nativeBuffer } from './libc.ts';
import { SystemCallError } from './system-call-error.ts';

const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const SO_PEERGROUPS = 59;
const ERANGE = 34;
const ENOTCONN = 107;
/** Linux, NGROUPS_MAX. */
const MOST_GROUPS = 65_536;

/** Who connected to a Unix socket, or made the pair that it is one of. */
export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups. */
  readonly groups: readonly number[];
}

/**
 * What the kernel noted of the process at the other end when the connection was made (unix(7), SO_PEERCRED and, from
 * Linux 4.13 on, SO_PEERGROUPS): both stay what they were, whoever has the process id later.
 * @throws SystemCallError (`ENOTSOCK`, and for sockets of other kinds `ENOPROTOOPT` or `ENODATA`)
 */
export function peerCredentials(fd: number): PeerCredentials {
  const [pid = 0, uid = 0, gid = 0] = read(fd, SO_PEERCRED, 3);
  // The kernel fills in pid 0 and ids -1 where there is no peer that it knows.
  if (pid === 0 || uid === 0xffff_ffff)
    throw new SystemCallError('find the peer', ENOTCONN, `of descriptor ${fd}`);
  return { pid, uid, gid, groups: [...read(fd, SO_PEERGROUPS, 64)] };
}

/** An option that is numbers of 32 bits. */
function read(fd: number, option: number, room: number): Uint32Array {
  const value = nativeBuffer(4 * room);
  const length = nativeBuffer(4);
  new DataView(length.buffer).setUint32(0, value.length, true);
  const result = libc().getsockopt(fd, SOL_SOCKET, option, addressOf(value), addressOf(length));
  if (result < 0 && errno() === ERANGE && room < MOST_GROUPS) return read(fd, option, MOST_GROUPS);
  checked(result, 'getsockopt', `of descriptor ${fd}`);
  return new Uint32Array(value.buffer, 0, new DataView(length.buffer).getUint32(0, true) / 4);
}
