import { PollEvent, PollSet } from '../ffi/poll-set.ts';
import { type Connection, Received } from './connection.ts';
import type { DisconnectReason } from './device.ts';
import type { InBandMemory } from './dma-table.ts';
import { type ServerState, StateWord } from './server-state.ts';
import { Command, HEADER_SIZE, HeaderFlag, Limit, PayloadSize, putUint64 } from './wire.ts';

/** How long the client may take to answer, in milliseconds. */
const REPLY_TIMEOUT = 5000;

/** Where payload and data of a message are composed. */
const OUT = 16;
const DATA = OUT + PayloadSize.DMA_ACCESS;

/** What in-band transfers need of their server. */
export interface InBandServer {
  /** False while a message is being served: the client waits for that answer and may hold what its own would need. */
  mayWait(): boolean;
  /** Serves one message that arrived while a reply was awaited. */
  serve(start: number): void;
  /** The connection ended meanwhile; the device is told later, not in the middle of a transfer. */
  end(reason: DisconnectReason): void;
}

/** Guest memory by DMA_READ and DMA_WRITE messages, for windows that came without a descriptor. */
export class InBandDma implements InBandMemory {
  readonly #connection: Connection;
  readonly #state: ServerState;
  readonly #server: InBandServer;
  readonly #poll = new PollSet(1);
  /** Ids of requests that were given up; their replies may still come and answer nothing. */
  readonly #abandoned = new Set<number>();
  /** Whether a reply is being waited for. */
  waiting = false;

  /** @param inherits the connection was another thread's, which may have waited for a reply */
  constructor(connection: Connection, state: ServerState, server: InBandServer, inherits: boolean) {
    this.#connection = connection;
    this.#state = state;
    this.#server = server;
    if (inherits) this.#abandoned.add(state.words[StateWord.LAST_ID]!);
  }

  read(gpa: number, into: Uint8Array): boolean {
    const piece = Math.min(this.#state.words[StateWord.CLIENT_MAX_DATA]!, Limit.DMA_READ);
    for (let done = 0; done < into.length; done += piece) {
      const count = Math.min(piece, into.length - done);
      const start = this.#transfer(Command.DMA_READ, gpa + done, count, undefined);
      if (start < 0) return false;
      const size = this.#connection.sizeAt(start);
      const complete = size >= HEADER_SIZE + PayloadSize.DMA_ACCESS + count;
      if (complete) this.#state.receive.copy(into, done, start + DATA, start + DATA + count);
      this.#connection.consume(start + size);
      if (!complete) return false;
    }
    return true;
  }

  write(gpa: number, from: Uint8Array): boolean {
    const piece = Math.min(this.#state.words[StateWord.CLIENT_MAX_DATA]!, Limit.DMA_READ);
    for (let done = 0; done < from.length; done += piece) {
      const data = from.subarray(done, Math.min(done + piece, from.length));
      const start = this.#transfer(Command.DMA_WRITE, gpa + done, data.length, data);
      if (start < 0) return false;
      this.#connection.consume(start + this.#connection.sizeAt(start));
    }
    return true;
  }

  /** @returns whether a reply at `start` answers a request that was given up; it is then taken out of the stream */
  discard(start: number): boolean {
    const view = this.#state.receiveView;
    if ((view.getUint32(start + 8, true) & HeaderFlag.TYPE) !== HeaderFlag.REPLY) return false;
    if (!this.#abandoned.delete(view.getUint16(start, true))) return false;
    this.#connection.consume(start + this.#connection.sizeAt(start));
    return true;
  }

  /** @returns where the successful reply starts, for the caller to consume; -1 when there is none */
  #transfer(command: number, gpa: number, count: number, data: Uint8Array | undefined): number {
    if (count === 0 || this.waiting || !this.#server.mayWait()) return -1;
    const { words } = this.#state;
    const id = (words[StateWord.LAST_ID]! + 1) & 0xffff;
    words[StateWord.LAST_ID] = id;
    this.#abandoned.delete(id);
    putUint64(this.#connection.outView, OUT, gpa);
    putUint64(this.#connection.outView, OUT + 8, count);
    if (data !== undefined) this.#connection.out.set(data, DATA);
    const length = PayloadSize.DMA_ACCESS + (data?.length ?? 0);
    if (!this.#connection.command(id, command, length)) return this.#lost('send');
    this.waiting = true;
    try {
      const start = this.#awaitReply(id, command);
      if (start < 0) return -1;
      const flags = this.#state.receiveView.getUint32(start + 8, true);
      if ((flags & HeaderFlag.ERROR) === 0) return start;
      this.#connection.consume(start + this.#connection.sizeAt(start));
      return -1;
    } finally {
      this.waiting = false;
    }
  }

  #awaitReply(id: number, command: number): number {
    const view = this.#state.receiveView;
    const deadline = performance.now() + REPLY_TIMEOUT;
    this.#poll.watch(0, this.#connection.fd, PollEvent.IN);
    for (;;) {
      for (let start = this.#connection.next(); start >= 0; start = this.#connection.next()) {
        const isReply = (view.getUint32(start + 8, true) & HeaderFlag.TYPE) === HeaderFlag.REPLY;
        const isOurs =
          view.getUint16(start, true) === id && view.getUint16(start + 2, true) === command;
        if (isReply && isOurs) return start;
        this.#server.serve(start);
        if (!this.#server.mayWait()) return -1;
      }
      const left = deadline - performance.now();
      if (left <= 0) {
        this.#abandoned.add(id);
        return -1;
      }
      if (this.#poll.wait(left) === 0) continue;
      const received = this.#connection.receive();
      if (received === Received.FAILED) return this.#lost('receive');
      if (received === Received.END) {
        this.#server.end({ type: 'closed' });
        return -1;
      }
    }
  }

  #lost(call: string): -1 {
    this.#server.end(this.#connection.reason(call));
    return -1;
  }
}
