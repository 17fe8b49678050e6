import {
  chmodSync,
  closeSync,
  fstatSync,
  lstatSync,
  openSync,
  type Stats,
  unlinkSync,
} from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { lockFile } from '../ffi/file-lock.ts';
import { ServiceSocketError } from './service-socket-error.ts';
import { giveToGroup, makeSocketFolder } from './socket-folder.ts';
import { checkSocketPath } from './socket-path.ts';

/** What a socket is opened with. */
export interface ServiceSocketOptions {
  /** Id of the group whose members may connect. Default: nobody but its user and root. */
  readonly group?: number | undefined;
  /** Told once when clients cannot find it any more, with the reason: another daemon listens in its place, for example. */
  readonly lost?: ((reason: string) => void) | undefined;
}

type Connected = (socket: Socket) => void;

/** Milliseconds between looks whether the socket is still in its folder. */
const LOOK_MS = 2000;

/** First descriptor that a service manager passes (sd_listen_fds(3)). */
const FIRST_PASSED_FD = 3;

/**
 * The socket that a daemon listens on, for its user alone (mode 0600), or for a group, too (0660): in a folder of mode 0700
 * or 0750 where it makes that. A lock beside it decides between daemons that start at once, so a socket without a daemon is
 * known, and replaced. One that somebody removes, as what cleans up after a login may, is made again.
 */
export class ServiceSocket {
  readonly path: string;
  #server: Server;
  #lock: number | undefined;
  #inode: number | undefined;
  #timer: NodeJS.Timeout | undefined;

  private constructor(path: string, server: Server, lock?: number) {
    this.path = path;
    this.#server = server;
    this.#lock = lock;
    this.#inode = lock === undefined ? undefined : lstatSync(path).ino;
  }

  /**
   * @param connected takes each client
   * @throws ServiceSocketError, RangeError for an impossible path
   */
  static async listen(
    path: string,
    connected: Connected,
    options: ServiceSocketOptions = {},
  ): Promise<ServiceSocket> {
    checkSocketPath(path);
    const lock = takeLock(path, options.group);
    try {
      const socket = new ServiceSocket(path, await listenAt(path, connected, options.group), lock);
      socket.#watch(connected, options);
      return socket;
    } catch (error) {
      closeSync(lock);
      throw error;
    }
  }

  /**
   * The socket that a service manager has opened for this process (`LISTEN_PID`, `LISTEN_FDS`), or undefined.
   * @throws ServiceSocketError when there is more than one, or it is no socket
   */
  static async passed(
    connected: Connected,
    environment: NodeJS.ProcessEnv = process.env,
  ): Promise<ServiceSocket | undefined> {
    const { LISTEN_PID, LISTEN_FDS } = environment;
    if (LISTEN_FDS === undefined || Number(LISTEN_PID) !== process.pid) return undefined;
    // What this process starts must not take them for its own.
    delete environment.LISTEN_PID;
    delete environment.LISTEN_FDS;
    delete environment.LISTEN_FDNAMES;
    if (LISTEN_FDS !== '1') {
      throw new ServiceSocketError(
        `Cannot serve ${LISTEN_FDS} sockets (LISTEN_FDS): leave one ListenStream in the socket unit`,
      );
    }
    const server = createServer(connected);
    try {
      await listening(server, { fd: FIRST_PASSED_FD });
    } catch (cause) {
      throw new ServiceSocketError(
        `Cannot listen on descriptor ${FIRST_PASSED_FD}: LISTEN_FDS says that it is a socket`,
        { cause },
      );
    }
    const address = server.address();
    return new ServiceSocket(typeof address === 'string' ? address : '', server);
  }

  /** Takes no more clients, and removes a socket of its own. Those that are there stay. */
  close(): void {
    clearInterval(this.#timer);
    this.#server.close();
    if (this.#lock === undefined) return;
    // Node has removed its own by now; the lock goes last.
    if (statOf(this.path)?.ino === this.#inode) unlinkSync(this.path);
    closeSync(this.#lock);
    this.#lock = undefined;
  }

  #watch(connected: Connected, { group, lost }: ServiceSocketOptions): void {
    let isLooking = false;
    const timer = setInterval(async () => {
      if (isLooking || statOf(this.path)?.ino === this.#inode) return;
      isLooking = true;
      try {
        await this.#listenAgain(connected, group);
      } catch (error) {
        clearInterval(timer);
        if (this.#lock !== undefined) lost?.((error as Error).message);
      }
      isLooking = false;
    }, LOOK_MS);
    this.#timer = timer.unref();
  }

  /** @throws ServiceSocketError as {@link ServiceSocket.listen} */
  async #listenAgain(connected: Connected, group: number | undefined): Promise<void> {
    const held = this.#lock!;
    // One without a name keeps nobody away.
    if (statOf(lockOf(this.path))?.ino !== fstatSync(held).ino) {
      this.#lock = takeLock(this.path, group);
      closeSync(held);
    }
    // Its clients stay. Node removes what is at the path, so it goes before the next one is there.
    this.#server.close();
    const server = await listenAt(this.path, connected, group);
    if (this.#lock === undefined) {
      server.close(); // It was closed meanwhile.
      return;
    }
    this.#inode = lstatSync(this.path).ino;
    this.#server = server;
  }
}

/** Who asks has the lock. @throws ServiceSocketError */
async function listenAt(
  path: string,
  connected: Connected,
  group: number | undefined,
): Promise<Server> {
  const server = createServer(connected);
  try {
    await removeLeftover(path);
    await listening(server, path);
    if (group === undefined) chmodSync(path, 0o600);
    else giveToGroup(path, group, 0o660);
    return server;
  } catch (error) {
    server.close();
    throw error instanceof ServiceSocketError ? error : cannot(path, error);
  }
}

function lockOf(path: string): string {
  return `${path}.lock`;
}

function listening(server: Server, where: string | { readonly fd: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(where, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** @returns the descriptor that holds the lock */
function takeLock(path: string, group: number | undefined): number {
  try {
    makeSocketFolder(path, group);
  } catch (error) {
    throw error instanceof ServiceSocketError ? error : cannot(path, error);
  }
  let lock: number;
  try {
    lock = openSync(lockOf(path), 'a', 0o600);
  } catch (error) {
    throw cannot(path, error);
  }
  // Elsewhere a socket that answers is all there is to go by.
  if (process.platform !== 'linux' || lockFile(lock)) return lock;
  closeSync(lock);
  throw new ServiceSocketError(
    `Cannot listen on ${path}: a service is there already; use it, end it, or choose another path by --socket`,
    { isServed: true },
  );
}

/** Nobody else removes anything meanwhile: the caller has the lock. */
async function removeLeftover(path: string): Promise<void> {
  const stat = statOf(path);
  if (stat === undefined) return;
  if (!stat.isSocket()) {
    throw new ServiceSocketError(
      `Cannot listen on ${path}: a file of another kind is in its place; choose another path by --socket`,
    );
  }
  if (process.getuid?.() !== stat.uid) {
    throw new ServiceSocketError(
      `Cannot listen on ${path}: the socket there is that of user ${stat.uid}; choose another path by --socket`,
    );
  }
  if (await isServed(path)) {
    throw new ServiceSocketError(
      `Cannot listen on ${path}: another program listens there; end it, or choose another path by --socket`,
    );
  }
  unlinkSync(path);
}

/** Whether anybody listens on a socket. */
function isServed(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code !== 'ECONNREFUSED'));
  });
}

function statOf(path: string): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false });
}

function cannot(path: string, cause: unknown): ServiceSocketError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new ServiceSocketError(
    `Cannot listen on ${path}: ${reason}; choose another path by --socket or HDVKIT_SOCKET`,
    { cause },
  );
}
