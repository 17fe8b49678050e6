import type { Socket } from 'node:net';
import type { CancellationToken, MessageConnection } from 'vscode-jsonrpc/node';
import { CancellationSenderStrategy, createMessageConnection } from 'vscode-jsonrpc/node';
import { CallToken } from './call-token.ts';
import { BatchingWriter, BoundedReader, END_OF_STREAM } from './message-stream.ts';

/** Bytes that wait for the other end, from which on nothing more is read of it. */
const HIGH_WATER = 1024 * 1024;

/** Bytes that may wait for the other end when one more message comes. */
const DEFAULT_WAITING_LIMIT = 4 * 1024 * 1024;

/** One end of a connection, and what it does with what the other end asks. */
export interface ChannelOptions {
  /** Answers a request. What is thrown must be a ResponseError. */
  readonly request: (method: string, params: unknown, token: CancellationToken) => unknown;
  readonly notice: (method: string, params: unknown) => void;
  /** The connection is over; called once, also after {@link Channel.close}. @param reason for people */
  readonly closed: (reason: string) => void;
  /** Bytes that may wait for the other end when one more message comes; 4 MiB. */
  readonly waitingLimit?: number | undefined;
  /** Messages of the other end that may wait to be dealt with; without it, as many as come. */
  readonly mostAhead?: number | undefined;
}

/**
 * JSON-RPC over a socket. An end that does not keep to the protocol, or does not read, loses the connection; while what
 * was written to it waits, nothing more is read of it.
 */
export class Channel {
  readonly #socket: Socket;
  readonly #options: ChannelOptions;
  readonly #writer: BatchingWriter;
  readonly #connection: MessageConnection;
  #reason: string | undefined;
  #isOver = false;

  constructor(socket: Socket, options: ChannelOptions) {
    this.#socket = socket;
    this.#options = options;
    const { waitingLimit = DEFAULT_WAITING_LIMIT } = options;
    this.#writer = new BatchingWriter(socket, {
      limit: waitingLimit,
      highWater: HIGH_WATER,
      crowded: () => socket.pause(),
      overflowed: (waiting) =>
        this.close(`it does not read: ${waiting} bytes wait for it, and ${waitingLimit} may`),
    });
    const reader = new BoundedReader(socket, options.mostAhead);
    this.#connection = createMessageConnection(reader, this.#writer, undefined, {
      cancellationStrategy: {
        receiver: { createCancellationTokenSource: () => new CallToken() },
        sender: CancellationSenderStrategy.Message,
      },
    });
    reader.onError(({ message }) => this.close(`it sent ${message}`));
    this.#connection.onRequest((method: string, params: unknown, token: CancellationToken) =>
      options.request(method, params, token),
    );
    this.#connection.onNotification((method: string, params: unknown) => {
      if (method === END_OF_STREAM) this.#over('the other end is gone');
      else options.notice(method, params);
    });
    socket.on('error', ({ message }) => {
      this.#reason ??= message;
    });
    socket.on('drain', () => socket.resume());
    this.#connection.listen();
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** @throws ResponseError, or whatever says that the connection is over */
  async request(method: string, params: object, token?: CancellationToken): Promise<unknown> {
    return await (token === undefined
      ? this.#connection.sendRequest(method, params)
      : this.#connection.sendRequest(method, params, token));
  }

  /** Sends a notification; does nothing once the connection is over. */
  notify(method: string, params: object): void {
    if (this.#isOver) return;
    void this.#connection.sendNotification(method, params);
  }

  /** Lets the connection keep the process alive, or not. */
  keepAlive(isNeeded: boolean): void {
    if (isNeeded) this.#socket.ref();
    else this.#socket.unref();
  }

  /** Ends the connection after what was written so far, as far as the other end reads it. Safe to call twice. */
  close(reason: string): void {
    if (this.#isOver) return;
    this.#writer.flush();
    this.#socket.end();
    // What the system has taken over still reaches an end that reads.
    setImmediate(() => this.#socket.destroy());
    this.#over(reason);
  }

  #over(reason: string): void {
    this.#reason ??= reason;
    if (this.#isOver) return;
    this.#isOver = true;
    this.#options.closed(this.#reason);
    this.#connection.dispose();
  }
}
