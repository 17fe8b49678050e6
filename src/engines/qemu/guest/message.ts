import { nestingDepth } from '../../../hcs/schema/duplicate-keys.ts';

/**
 * Messages of the guest connection. Each is a header and a JSON object in UTF-8; all numbers are little endian.
 *
 * | offset | bytes | |
 * |---|---|---|
 * | 0 | 4 | type: kind, a category (0x00100000), the procedure's number from bit 8 on, 1 |
 * | 4 | 4 | bytes of the message with this header |
 * | 8 | 8 | id: that of a response is the request's |
 */
export const HEADER_LENGTH = 16;
/** Bytes of the longest message that is read. */
export const LONGEST_MESSAGE = 64 * 1024;
/** Objects and arrays in one another. */
const DEEPEST = 32;

/** What a message is, in the four highest bits of its type. */
export const MessageKind = {
  REQUEST: 0x1000_0000,
  RESPONSE: 0x2000_0000,
  NOTIFICATION: 0x3000_0000,
} as const;

const KIND_MASK = 0xf000_0000;

/** Procedures of the protocol that are used here, as they stand in a type. */
export const Procedure = {
  CREATE: 0x0010_0101,
  START: 0x0010_0201,
  SHUTDOWN_GRACEFUL: 0x0010_0301,
  GET_PROPERTIES: 0x0010_0901,
  NEGOTIATE_PROTOCOL: 0x0010_0b01,
} as const;

/** One of {@link Procedure}. */
export type ProcedureCode = (typeof Procedure)[keyof typeof Procedure];

/** A guest that does not keep to the protocol: its connection is cut off. */
export class GuestProtocolError extends Error {
  override readonly name = 'GuestProtocolError';
}

/** A message that has come whole. */
export interface GuestMessage {
  /** One of {@link MessageKind}, or what the guest made of it. */
  readonly kind: number;
  /** The type without its kind. */
  readonly procedure: number;
  readonly id: bigint;
  readonly body: Readonly<Record<string, unknown>>;
}

/** A message as bytes. */
export function encodeMessage(
  kind: number,
  procedure: number,
  id: bigint,
  body: Readonly<Record<string, unknown>>,
): Buffer {
  const text = Buffer.from(JSON.stringify(body));
  const header = Buffer.alloc(HEADER_LENGTH);
  header.writeUInt32LE((kind | procedure) >>> 0, 0);
  header.writeUInt32LE(HEADER_LENGTH + text.length, 4);
  header.writeBigInt64LE(id, 8);
  return Buffer.concat([header, text]);
}

/** Puts messages together of what comes, in memory of one message, in however small pieces it comes. */
export class MessageReader {
  readonly #buffer = Buffer.alloc(LONGEST_MESSAGE);
  readonly #decoder = new TextDecoder('utf-8', { fatal: true });
  #length = 0;

  /**
   * Takes bytes, and calls `take` with each message that they complete.
   * @throws GuestProtocolError for what is no message; nothing more may be read then
   */
  read(bytes: Buffer, take: (message: GuestMessage) => void): void {
    for (let at = 0; at < bytes.length; ) {
      const wanted = this.#wanted();
      const copied = bytes.copy(this.#buffer, this.#length, at, at + wanted - this.#length);
      this.#length += copied;
      at += copied;
      if (this.#length < HEADER_LENGTH || this.#length < this.#wanted()) continue;
      const message = this.#message();
      this.#length = 0;
      take(message);
    }
  }

  /** Bytes up to which the present message has to come: those of its header first. */
  #wanted(): number {
    if (this.#length < HEADER_LENGTH) return HEADER_LENGTH;
    const size = this.#buffer.readUInt32LE(4);
    if (size >= HEADER_LENGTH && size <= LONGEST_MESSAGE) return size;
    throw new GuestProtocolError(
      `it sent a message of ${size} bytes: ${HEADER_LENGTH} to ${LONGEST_MESSAGE} are possible`,
    );
  }

  #message(): GuestMessage {
    const type = this.#buffer.readUInt32LE(0);
    return {
      kind: (type & KIND_MASK) >>> 0,
      procedure: type & ~KIND_MASK,
      id: this.#buffer.readBigInt64LE(8),
      body: this.#body(),
    };
  }

  #body(): Readonly<Record<string, unknown>> {
    let body: unknown;
    try {
      const text = this.#decoder.decode(this.#buffer.subarray(HEADER_LENGTH, this.#length));
      if (nestingDepth(text) > DEEPEST) throw new RangeError('it is nested too deep');
      body = JSON.parse(text);
    } catch (error) {
      const { message } = error as Error;
      throw new GuestProtocolError(`it sent a message that is no JSON: ${message.slice(0, 100)}`);
    }
    if (typeof body === 'object' && body !== null && !Array.isArray(body)) {
      return body as Readonly<Record<string, unknown>>;
    }
    throw new GuestProtocolError('it sent a message that is no JSON object');
  }
}
