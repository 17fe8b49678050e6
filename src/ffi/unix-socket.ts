import { closeFd } from './descriptors.ts';
import { addressOf, checked, errno, libc, nativeBuffer } from './libc.ts';
import { SystemCallError } from './system-call-error.ts';

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0x80000;
const SOCK_NONBLOCK = 0x800;
const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
const SO_RCVTIMEO = 20;
const F_GETFL = 3;
const F_SETFL = 4;
const SHUT_RDWR = 2;

/** Longest path of a Unix socket, in bytes of UTF-8 (`sun_path` with its NUL). */
export const MAX_SOCKET_PATH = 107;

/** sockaddr_un: family at 0 (u16), NUL-terminated path at 2. */
function socketAddress(path: string): { readonly bytes: Uint8Array; readonly length: number } {
  const name = Buffer.from(path, 'utf8');
  if (name.length > MAX_SOCKET_PATH || name.length === 0 || name.includes(0)) {
    throw new RangeError(
      `Cannot use socket path ${path}: paths have 1 to ${MAX_SOCKET_PATH} bytes, this one has ${name.length}`,
    );
  }
  const bytes = nativeBuffer(128);
  bytes[0] = AF_UNIX;
  bytes.set(name, 2);
  return { bytes, length: 2 + name.length + 1 };
}

/**
 * Creates a listening socket whose file only this user may connect to (mode 0600), from the moment it appears.
 * @returns the descriptor, non-blocking
 * @throws SystemCallError (`EADDRINUSE` when the path exists), RangeError for an impossible path
 */
export function listenUnix(path: string, backlog = 4): number {
  const { bytes, length } = socketAddress(path);
  const functions = libc();
  const type = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
  const fd = checked(functions.socket(AF_UNIX, type, 0), 'create a socket');
  try {
    // Linux creates the file with the socket's own mode: no umask to change, which other threads would see.
    checked(functions.fchmod(fd, 0o600), 'restrict', 'a socket');
    checked(functions.bind(fd, addressOf(bytes), length), 'bind', path);
    checked(functions.listen(fd, backlog), 'listen on', path);
  } catch (error) {
    closeFd(fd);
    throw error;
  }
  return fd;
}

/** Connects to a listening socket.
 * @param limitMs milliseconds that the listener may take when others wait for it, too; undefined: as long as it takes
 * @returns the descriptor, blocking; non-blocking with a limit
 * @throws SystemCallError (`EAGAIN` at the limit), RangeError for an impossible path */
export function connectUnix(path: string, limitMs?: number): number {
  const { bytes, length } = socketAddress(path);
  const functions = libc();
  const type = SOCK_STREAM | SOCK_CLOEXEC | (limitMs === undefined ? 0 : SOCK_NONBLOCK);
  const fd = checked(functions.socket(AF_UNIX, type, 0), 'create a socket');
  const end = performance.now() + (limitMs ?? 0);
  try {
    for (;;) {
      const result = functions.connect(fd, addressOf(bytes), length);
      if (result >= 0) return fd;
      const error = errno();
      if (error !== EAGAIN || performance.now() > end) {
        throw new SystemCallError('connect to', error, path);
      }
      // Its queue is full, and there is nothing to wait for (unix(7)).
      Atomics.wait(still, 0, 0, RETRY_MS);
    }
  } catch (error) {
    closeFd(fd);
    throw error;
  }
}

const EAGAIN = 11;
const RETRY_MS = 5;
const still = new Int32Array(new SharedArrayBuffer(4));

/** Accepts one connection. @returns the descriptor, or -1 when nobody waits or the attempt failed */
export function acceptUnix(listener: number): number {
  return libc().accept4(listener, 0, 0, SOCK_CLOEXEC);
}

/** Two connected sockets.
 * @throws SystemCallError */
export function socketPair(): readonly [number, number] {
  const pair = nativeBuffer(128);
  const type = SOCK_STREAM | SOCK_CLOEXEC;
  checked(libc().socketpair(AF_UNIX, type, 0, addressOf(pair)), 'create a socket pair');
  const view = new DataView(pair.buffer);
  return [view.getInt32(0, true), view.getInt32(4, true)];
}

/** Ends a connection both ways, which also wakes whoever waits on it in another thread. */
export function shutdownSocket(fd: number): void {
  libc().shutdown(fd, SHUT_RDWR);
}

/**
 * Lets receives wait for so many milliseconds, above 0, also where the socket was made non-blocking. Linux counts in
 * ticks of 1 to 10 ms: it waits for up to two of them when less is asked for.
 */
export function setReceiveTimeout(fd: number, ms: number): void {
  const flags = libc().fcntl(fd, F_GETFL, 0);
  if (flags >= 0 && (flags & SOCK_NONBLOCK) !== 0) {
    libc().fcntl(fd, F_SETFL, flags & ~SOCK_NONBLOCK);
  }
  // struct timeval: seconds at 0, microseconds at 8.
  const value = nativeBuffer(128);
  const view = new DataView(value.buffer);
  view.setUint32(0, Math.floor(ms / 1000), true);
  view.setUint32(8, (ms % 1000) * 1000, true);
  libc().setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, addressOf(value), 16);
}

/** Bytes the kernel buffers for sending on a socket. */
export function setSendBuffer(fd: number, length: number): void {
  const value = nativeBuffer(128);
  new DataView(value.buffer).setInt32(0, length, true);
  libc().setsockopt(fd, SOL_SOCKET, SO_SNDBUF, addressOf(value), 4);
}
