import { lstatSync, readFileSync, type Stats, unlinkSync } from 'node:fs';
import { dirname } from 'node:path';
import { closeFd } from '../ffi/descriptors.ts';
import { SystemCallError } from '../ffi/system-call-error.ts';
import { acceptUnix, connectUnix, listenUnix, MAX_SOCKET_PATH } from '../ffi/unix-socket.ts';
import { VfioUserError } from './vfio-user-error.ts';

/** A Unix socket on which clients (VMMs) find a device. Only this user may connect. */
export class VfioUserListener {
  readonly path: string;
  /** The listening descriptor, non-blocking. */
  readonly fd: number;
  readonly #device: number;
  readonly #inode: number;
  #closed = false;

  private constructor(path: string, fd: number) {
    this.path = path;
    this.fd = fd;
    const stat = lstatSync(path);
    this.#device = stat.dev;
    this.#inode = stat.ino;
  }

  /**
   * Creates the socket. One that a server of this user left behind when it died is replaced; anything else in its
   * place stays untouched.
   * @throws VfioUserError naming what is in the way and what to do
   */
  static listen(path: string): VfioUserListener {
    const bytes = Buffer.byteLength(path);
    if (bytes > MAX_SOCKET_PATH || bytes === 0 || path.includes('\0')) {
      throw new VfioUserError(
        `Cannot listen on ${path}: a socket path has 1 to ${MAX_SOCKET_PATH} bytes, this one has ${bytes}; choose a shorter one`,
        'ENAMETOOLONG',
      );
    }
    try {
      return new VfioUserListener(path, listenUnix(path));
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      if (error.code !== 'EADDRINUSE') throw explain(path, error);
    }
    removeLeftover(path);
    try {
      return new VfioUserListener(path, listenUnix(path));
    } catch (error) {
      throw error instanceof SystemCallError ? explain(path, error) : error;
    }
  }

  /** Accepts a client. @returns its descriptor, or -1 while there is none; never waits */
  accept(): number {
    return this.#closed ? -1 : acceptUnix(this.fd);
  }

  /** Stops listening and removes the socket file, unless it was replaced by another. Safe to call twice. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const stat = statOf(this.path);
    if (stat?.dev === this.#device && stat.ino === this.#inode) removeFile(this.path);
    closeFd(this.fd);
  }
}

function removeLeftover(path: string): void {
  const refuse = (reason: string, code: string, cause?: unknown): never => {
    throw new VfioUserError(`Cannot listen on ${path}: ${reason}`, code, { cause });
  };
  const stat = statOf(path);
  if (stat === undefined) return;
  if (!stat.isSocket())
    refuse('a file of another kind is in its place; choose another path', 'EEXIST');
  if (process.getuid?.() !== stat.uid) {
    refuse(
      `the socket there is not ours, it belongs to user ${stat.uid}; choose another path`,
      'EPERM',
    );
  }
  if (isListedAsListening(path)) {
    refuse('a server is listening there; stop it or choose another path', 'EADDRINUSE');
  }
  try {
    closeFd(connectUnix(path, 0));
  } catch (error) {
    if (error instanceof SystemCallError && error.code === 'ECONNREFUSED') {
      removeFile(path);
      return;
    }
    refuse(
      'the socket there cannot be told to be abandoned; choose another path',
      'EADDRINUSE',
      error,
    );
  }
  refuse('a server is listening there; stop it or choose another path', 'EADDRINUSE');
}

/** Asked first, as a connection made to find out would disturb the server. Sees this network namespace only. */
function isListedAsListening(path: string): boolean {
  let table: string;
  try {
    table = readFileSync('/proc/net/unix', 'utf8');
  } catch {
    return false;
  }
  // Num RefCount Protocol Flags Type St Inode Path; flag 0x10000: accepts connections.
  return table.split('\n').some((line) => {
    const fields = line.trim().split(/\s+/);
    const name = fields.slice(7).join(' ');
    return name === path && (Number.parseInt(fields[3] ?? '', 16) & 0x1_0000) !== 0;
  });
}

function explain(path: string, error: SystemCallError): VfioUserError {
  const reasons: Record<string, string> = {
    ENOENT: `the folder ${dirname(path)} does not exist; create it first`,
    ENOTDIR: `${dirname(path)} is not a folder`,
    EACCES: `this user may not create files in ${dirname(path)}`,
    EROFS: `${dirname(path)} is on a read-only file system`,
    EADDRINUSE: 'another server took the path just now; choose another path',
  };
  const reason = reasons[error.code] ?? error.message;
  return new VfioUserError(`Cannot listen on ${path}: ${reason}`, error.code, { cause: error });
}

function statOf(path: string): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false });
}

function removeFile(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Somebody was faster.
  }
}
