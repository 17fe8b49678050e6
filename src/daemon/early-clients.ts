import type { Socket } from 'node:net';
import { noticeFrame } from './notice-frame.ts';

/** Milliseconds between the signs of life that clients get. */
const SIGN_MS = 1_000;

const STARTING = noticeFrame('starting', {});

/**
 * Clients that connected before the daemon can answer, as it takes over what another one has left: they are told that it is
 * starting, so that they tell it from a program that never greets.
 */
export class EarlyClients {
  readonly #sockets = new Set<Socket>();
  readonly #timer = setInterval(() => {
    for (const socket of this.#sockets) socket.write(STARTING);
  }, SIGN_MS).unref();

  add(socket: Socket): void {
    socket.on('error', () => {}); // 'close' follows.
    socket.once('close', () => this.#sockets.delete(socket));
    this.#sockets.add(socket);
  }

  /** Hands over those that are still there, to be served. */
  take(): readonly Socket[] {
    clearInterval(this.#timer);
    return [...this.#sockets];
  }

  /** Turns them away. */
  destroy(): void {
    for (const socket of this.take()) socket.destroy();
  }
}
