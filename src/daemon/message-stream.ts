import type { Socket } from 'node:net';
import type {
  DataCallback,
  Disposable,
  Message,
  MessageReader,
  MessageWriter,
} from 'vscode-jsonrpc/node';
import { AbstractMessageReader, AbstractMessageWriter } from 'vscode-jsonrpc/node';
import { DEEPEST_MESSAGE, LONGEST_MESSAGE } from './protocol.ts';

/** Bytes of a header: `Content-Length` with a number, and one more field that others may send. */
const LONGEST_HEADER = 256;

const HEADER_END = Buffer.from('\r\n\r\n', 'latin1');

/** The other end does not keep to the protocol: the connection has to be closed. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
}

/** Method of the notification that stands for the end of a socket, behind all that came before it. */
export const END_OF_STREAM = '$/endOfStream';

/**
 * Reads messages from a socket, within limits of size and depth. What is wrong ends the reading, and is told once. The end
 * comes as a message: what was sent before it is dealt with first.
 *
 * A connection deals with one message in each turn of the event loop, and keeps what comes faster. So that this does not
 * grow for ever, nothing is read while `mostAhead` messages are waiting there: whoever floods waits for its own messages,
 * and everybody else has a turn after each of them.
 */
export class BoundedReader extends AbstractMessageReader implements MessageReader {
  readonly #socket: Socket;
  readonly #mostAhead: number;
  /** Messages that were handed over and may not have been dealt with. */
  #ahead = 0;
  #isHeld = false;
  #isEnded = false;
  #pieces: Buffer[] = [];
  #length = 0;
  /** Bytes of the message that is coming; undefined while its header is. */
  #wanted: number | undefined;
  #isBroken = false;

  /** @param mostAhead messages that may wait to be dealt with; without it, as many as come */
  constructor(socket: Socket, mostAhead: number = Number.POSITIVE_INFINITY) {
    super();
    this.#socket = socket;
    this.#mostAhead = mostAhead;
  }

  listen(callback: DataCallback): Disposable {
    const onData = (data: Buffer): void => {
      if (this.#isBroken) return;
      this.#pieces.push(data);
      this.#length += data.length;
      // Somebody else may have let the socket go on.
      if (this.#isHeld) this.#socket.pause();
      else this.#handOver(callback);
    };
    const onClose = (): void => {
      this.#isEnded = true;
      if (!this.#isHeld) sayEnd(callback);
    };
    this.#socket.on('data', onData);
    this.#socket.on('close', onClose);
    return {
      dispose: () => {
        this.#isBroken = true;
        this.#socket.off('data', onData);
        this.#socket.off('close', onClose);
      },
    };
  }

  /** Counts a message that is handed over, until the turn in which it is dealt with. */
  #count(callback: DataCallback): void {
    this.#ahead++;
    if (this.#ahead === 1) setImmediate(() => this.#turn(callback));
  }

  #turn(callback: DataCallback): void {
    this.#ahead--;
    if (this.#ahead > 0) setImmediate(() => this.#turn(callback));
    if (!this.#isHeld || this.#isBroken || this.#ahead > this.#mostAhead / 2) return;
    this.#isHeld = false;
    this.#handOver(callback);
    if (this.#isHeld) return;
    this.#socket.resume();
    if (this.#isEnded) sayEnd(callback);
  }

  #handOver(callback: DataCallback): void {
    try {
      // Pieces of a long message are put together once, when it is whole.
      if (this.#length === 0 || (this.#wanted !== undefined && this.#length < this.#wanted)) return;
      const [first] = this.#pieces;
      const data = this.#pieces.length === 1 ? first! : Buffer.concat(this.#pieces, this.#length);
      let at = 0;
      while (true) {
        if (this.#ahead >= this.#mostAhead && at < data.length) {
          this.#isHeld = true;
          this.#socket.pause();
          break;
        }
        if (this.#wanted === undefined) {
          const end = data.indexOf(HEADER_END, at);
          if (end < 0 && data.length - at > LONGEST_HEADER) throw tooLong('header', LONGEST_HEADER);
          if (end < 0) break;
          this.#wanted = contentLength(data.toString('latin1', at, end));
          at = end + HEADER_END.length;
        }
        if (data.length - at < this.#wanted) break;
        const end = at + this.#wanted;
        this.#wanted = undefined;
        const message = parse(data, at, end);
        at = end;
        if (this.#mostAhead < Number.POSITIVE_INFINITY) this.#count(callback);
        callback(message);
      }
      this.#pieces = at === data.length ? [] : [data.subarray(at)];
      this.#length = data.length - at;
    } catch (error) {
      this.#isBroken = true;
      this.#pieces = [];
      this.fireError(error instanceof ProtocolError ? error : new ProtocolError(String(error)));
    }
  }
}

function sayEnd(callback: DataCallback): void {
  callback({ jsonrpc: '2.0', method: END_OF_STREAM } as Message);
}

function contentLength(header: string): number {
  const digits = /^content-length: *(\d{1,10})$/im.exec(header.replaceAll('\r\n', '\n'))?.[1];
  if (digits === undefined) throw new ProtocolError('a header without Content-Length');
  const length = Number(digits);
  if (length > LONGEST_MESSAGE) throw tooLong('message', LONGEST_MESSAGE);
  return length;
}

function parse(data: Buffer, from: number, to: number): Message {
  if (to - from > DEEPEST_MESSAGE && depthOf(data, from, to) > DEEPEST_MESSAGE) {
    throw new ProtocolError(`a message that is nested deeper than ${DEEPEST_MESSAGE} levels`);
  }
  let message: unknown;
  try {
    message = JSON.parse(data.toString('utf8', from, to));
  } catch {
    throw new ProtocolError('a message that is no JSON');
  }
  if (typeof message !== 'object' || message === null || Array.isArray(message)) {
    throw new ProtocolError('a message that is no object');
  }
  return message as Message;
}

/** Levels of objects and arrays in JSON text, which need not be valid. */
function depthOf(text: Buffer, from: number, to: number): number {
  let depth = 0;
  let deepest = 0;
  let inString = false;
  for (let i = from; i < to; i++) {
    const byte = text[i];
    if (inString) {
      if (byte === 0x5c) i++;
      else if (byte === 0x22) inString = false;
    } else if (byte === 0x22) {
      inString = true;
    } else if (byte === 0x7b || byte === 0x5b) {
      depth++;
      if (depth > deepest) deepest = depth;
    } else if (byte === 0x7d || byte === 0x5d) {
      depth--;
    }
  }
  return deepest;
}

function tooLong(what: string, limit: number): ProtocolError {
  return new ProtocolError(`a ${what} of more than ${limit} bytes`);
}

/** What a {@link BatchingWriter} tells whoever owns the connection. */
export interface WriterOptions {
  /** Bytes that may wait for the other end when one more message comes. */
  readonly limit: number;
  /** Bytes that wait, from which on each write is told. */
  readonly highWater: number;
  readonly crowded: () => void;
  /** More bytes wait than may: the other end does not read. Called once. */
  readonly overflowed: (waiting: number) => void;
}

/**
 * Writes messages to a socket: those of one turn of the event loop in one piece, in their order. Never waits; what the
 * other end does not read is kept up to a limit.
 */
export class BatchingWriter extends AbstractMessageWriter implements MessageWriter {
  readonly #socket: Socket;
  readonly #options: WriterOptions;
  #batch: string[] = [];
  #batched = 0;
  #isAscii = true;
  #isOver = false;

  constructor(socket: Socket, options: WriterOptions) {
    super();
    this.#socket = socket;
    this.#options = options;
  }

  /** Bytes that wait for the other end, or to be handed to the system. */
  get waiting(): number {
    return this.#batched + this.#socket.writableLength;
  }

  async write(message: Message): Promise<void> {
    if (this.#isOver) return;
    if (this.waiting > this.#options.limit) {
      this.#isOver = true;
      this.#options.overflowed(this.waiting);
      return;
    }
    const body = JSON.stringify(message);
    const length = Buffer.byteLength(body);
    if (this.#batch.length === 0) setImmediate(() => this.flush());
    this.#batch.push(`Content-Length: ${length}\r\n\r\n${body}`);
    this.#batched += length;
    this.#isAscii &&= length === body.length;
    if (this.waiting > this.#options.highWater) this.#options.crowded();
  }

  /** Hands over what was written so far. */
  flush(): void {
    const text = this.#batch.join('');
    // The same bytes for text without other letters, and less to do.
    const encoding = this.#isAscii ? 'latin1' : 'utf8';
    this.#batch = [];
    this.#batched = 0;
    this.#isAscii = true;
    if (text !== '' && this.#socket.writable) this.#socket.write(text, encoding);
  }

  end(): void {
    this.flush();
  }
}
