/**
 * A unix socket, or on Windows a pipe, through which a program on the host holds the other end of a device: one program
 * at a time.
 */
import { existsSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';

/** Longest path of a unix socket, in bytes (`sockaddr_un`, less its terminator). */
const MAX_PATH = 107;

/** What names of pipes begin with: Node has no Unix sockets on Windows, and pipes in their place. */
const PIPE = '\\\\.\\pipe\\';
const onWindows = process.platform === 'win32';

/** How long a peer that is let go may take to read what was sent to it, in milliseconds. */
const FLUSH_LIMIT = 1000;

/** What the device does with its peer. */
export interface HostSocketEvents {
  readonly connected?: () => void;
  readonly disconnected?: () => void;
  /** @param bytes valid after the call too */
  readonly received: (bytes: Uint8Array) => void;
}

/** Listens on a path from {@link HostSocket.open} until {@link HostSocket.close}. */
export class HostSocket {
  readonly path: string;
  readonly #events: HostSocketEvents;
  #server: Server | undefined;
  #peer: Socket | undefined;

  /** @throws RangeError when the path is too long, or on Windows no pipe's; Error when something has it already */
  constructor(path: string, events: HostSocketEvents) {
    const length = Buffer.byteLength(path);
    if (length === 0 || length > MAX_PATH) {
      throw new RangeError(
        `Cannot listen on '${path}': a socket path has 1 to ${MAX_PATH} bytes, not ${length}`,
      );
    }
    if (existsSync(path)) {
      throw new Error(`Cannot listen on '${path}': it exists; remove it or choose another path`);
    }
    if (onWindows && !path.startsWith(PIPE)) {
      throw new RangeError(`Cannot listen on '${path}': on Windows it is a pipe: ${PIPE}name`);
    }
    this.path = path;
    this.#events = events;
  }

  /** Starts to listen; does nothing when it does already. */
  open(): void {
    if (this.#server !== undefined) return;
    const server = createServer((peer) => this.#accept(peer));
    server.on('error', (error) => {
      process.emitWarning(`Cannot listen on '${this.path}': ${error.message}`);
    });
    server.listen(this.path);
    server.unref();
    this.#server = server;
  }

  /** Ends the connection, both ways, once what was sent has left, and removes the socket. */
  close(): void {
    if (this.#server === undefined) return;
    this.#server.close();
    this.#server = undefined;
    const peer = this.#peer;
    this.#peer = undefined;
    if (peer !== undefined) {
      const late = setTimeout(() => peer.destroy(), FLUSH_LIMIT);
      peer.end(() => peer.destroy());
      peer.on('close', () => clearTimeout(late));
    }
    if (!onWindows) rmSync(this.path, { force: true });
  }

  /** Sends a copy of the bytes; they are lost while no program is connected. */
  send(bytes: Uint8Array | string): void {
    this.#peer?.write(typeof bytes === 'string' ? bytes : Buffer.from(bytes));
  }

  /** Holds back what the peer sends, or lets it come again. */
  hold(isHeld: boolean): void {
    if (isHeld) this.#peer?.pause();
    else this.#peer?.resume();
  }

  #accept(peer: Socket): void {
    peer.on('error', () => peer.destroy());
    if (this.#peer !== undefined) {
      peer.destroy();
      return;
    }
    this.#peer = peer;
    peer.on('data', (bytes) => {
      if (this.#peer === peer) this.#events.received(bytes);
    });
    peer.on('close', () => {
      if (this.#peer !== peer) return;
      this.#peer = undefined;
      this.#events.disconnected?.();
    });
    this.#events.connected?.();
  }
}
