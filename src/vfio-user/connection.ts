import { addressOf } from '../ffi/libc.ts';
import { PollEvent, PollSet } from '../ffi/poll-set.ts';
import { MAX_FDS, SocketMessage } from '../ffi/socket-message.ts';
import { SystemCallError } from '../ffi/system-call-error.ts';
import { setReceiveTimeout } from '../ffi/unix-socket.ts';
import type { DisconnectReason } from './device.ts';
import { RECEIVE_SIZE, type ServerState, StateWord } from './server-state.ts';
import { HEADER_SIZE, HeaderFlag, Limit, putHeader } from './wire.ts';

const EAGAIN = 11;
const EINTR = 4;

/** How long a peer may leave a reply unread before the connection is given up, in milliseconds. */
const SEND_TIMEOUT = 5000;

/** What is asked for as the longest wait of a receive: Linux makes up to two of its ticks of it. */
const RECEIVE_TIMEOUT = 1;

/** What {@link Connection.receive} saw. */
export const Received = { NOTHING: 0, BYTES: 1, END: 2, FAILED: 3 } as const;

/**
 * The byte stream under a server: cuts it into messages, gives each message the descriptors that came with it, sends
 * replies whole. What was received lies in the {@link ServerState}, so that another thread can go on.
 *
 * A receive may return several messages; its descriptors came with the last bytes, so they belong to the message that
 * holds those. Each is kept with the position of the last byte until the message that reaches it is served.
 */
export class Connection {
  readonly fd: number;
  /** Messages are composed here: header at 0, payload at 16. */
  readonly out: Buffer;
  readonly outView: DataView;
  /** errno of a receive or send that failed. */
  errno = 0;
  /** Descriptors were lost, as this process may open no more; concerns the message at the end of what was received. */
  lostFdsAt = -1;
  readonly #state: ServerState;
  readonly #outAddress: number;
  #hasTimeout = false;
  readonly #message = new SocketMessage();
  readonly #writable = new PollSet(1);

  constructor(fd: number, state: ServerState) {
    this.fd = fd;
    this.#state = state;
    const memory = new ArrayBuffer(Limit.MESSAGE);
    this.out = Buffer.from(memory);
    this.outView = new DataView(memory);
    this.#outAddress = addressOf(this.out);
  }

  /** Receives once. @param wait for the first byte: two ticks of the system at most, which are 2 to 20 ms */
  receive(wait = false): number {
    if (wait && !this.#hasTimeout) {
      this.#hasTimeout = true;
      setReceiveTimeout(this.fd, RECEIVE_TIMEOUT);
    }
    const { words } = this.#state;
    if (words[StateWord.RECEIVE_END]! > RECEIVE_SIZE - (64 << 10)) this.#compact();
    const end = words[StateWord.RECEIVE_END]!;
    const message = this.#message;
    const to = this.#state.receiveAddress + end;
    const received = message.receive(this.fd, to, RECEIVE_SIZE - end, wait);
    if (received < 0) {
      if (received === -EAGAIN || received === -EINTR) return Received.NOTHING;
      this.errno = -received;
      return Received.FAILED;
    }
    if (received === 0) return Received.END;
    words[StateWord.RECEIVE_END] = end + received;
    if (message.fdCount > 0) this.#keepFds(end + received);
    if (message.truncated) this.lostFdsAt = end + received;
    return Received.BYTES;
  }

  /**
   * @returns where the next complete message starts, or -1 when more has to be received first. A header with an
   * impossible size counts as complete: {@link Connection.sizeAt} tells.
   */
  next(): number {
    const { words, receiveView } = this.#state;
    const start = words[StateWord.RECEIVE_START]!;
    const available = words[StateWord.RECEIVE_END]! - start;
    if (available < HEADER_SIZE) return -1;
    const size = receiveView.getUint32(start + 4, true);
    return size > available && size <= Limit.MESSAGE ? -1 : start;
  }

  /** Bytes of the message that starts at `start`; a header that claims fewer than its own size is alone. */
  sizeAt(start: number): number {
    return Math.max(this.#state.receiveView.getUint32(start + 4, true), HEADER_SIZE);
  }

  /** Takes a message out of the stream. */
  consume(end: number): void {
    const { words } = this.#state;
    if (words[StateWord.PENDING_FDS]! > 0) this.#forgetFds(end);
    if (end === words[StateWord.RECEIVE_END]) {
      words[StateWord.RECEIVE_START] = 0;
      words[StateWord.RECEIVE_END] = 0;
      this.lostFdsAt = -1;
      if (words[StateWord.PENDING_FDS]! > 0) this.#shiftMarks(end);
    } else {
      words[StateWord.RECEIVE_START] = end;
    }
  }

  /**
   * Descriptors of the message that ends at `end`; they are the caller's. They are listed until
   * {@link Connection.consume}, for whoever has to serve the message anew.
   */
  takeFds(end: number): Int32Array {
    const { pending } = this.#state;
    const taken = this.#fdsUpTo(end);
    if (taken === 0) return NO_FDS;
    return Int32Array.from({ length: taken }, (_, i) => pending[2 * i]!);
  }

  /** Copies the start of a request's payload, in whole words, to where the reply's is composed. */
  echo(at: number, length: number): void {
    const { receiveView } = this.#state;
    for (let i = 0; i < length; i += 4) {
      this.outView.setUint32(HEADER_SIZE + i, receiveView.getUint32(at + i, true), true);
    }
  }

  /** Sends a reply whose payload was composed in `out`.
   * @returns false when the connection is beyond use: {@link Connection.errno} */
  reply(id: number, command: number, payloadLength: number, fds?: readonly number[]): boolean {
    const size = HEADER_SIZE + payloadLength;
    putHeader(this.outView, id, command, size, HeaderFlag.REPLY);
    return this.#send(size, fds);
  }

  /** Sends an error reply: a header alone. */
  replyError(id: number, command: number, error: number): boolean {
    const flags = HeaderFlag.REPLY | HeaderFlag.ERROR;
    putHeader(this.outView, id, command, HEADER_SIZE, flags, error);
    return this.#send(HEADER_SIZE);
  }

  /** Sends a command of the server's own, composed in `out`. */
  command(id: number, command: number, payloadLength: number): boolean {
    const size = HEADER_SIZE + payloadLength;
    putHeader(this.outView, id, command, size, HeaderFlag.COMMAND);
    return this.#send(size);
  }

  /** Why the connection ends, after a call that failed. */
  reason(call: string): DisconnectReason {
    if (this.errno === ECONNRESET || this.errno === EPIPE) return { type: 'closed' };
    return { type: 'system', error: new SystemCallError(call, this.errno) };
  }

  #send(size: number, fds?: readonly number[]): boolean {
    let sent = this.#message.send(this.fd, this.#outAddress, size, fds);
    if (sent === size) return true;
    let done = 0;
    const deadline = performance.now() + SEND_TIMEOUT;
    this.#writable.watch(0, this.fd, PollEvent.OUT);
    for (;;) {
      if (sent > 0) done += sent;
      else if (sent !== -EAGAIN && sent !== -EINTR) return this.#fail(-sent);
      if (done === size) return true;
      const left = deadline - performance.now();
      if (left <= 0) return this.#fail(ETIMEDOUT);
      this.#writable.wait(left);
      const rest = done === 0 ? fds : undefined;
      sent = this.#message.send(this.fd, this.#outAddress + done, size - done, rest);
    }
  }

  #fail(errno: number): false {
    this.errno = errno;
    return false;
  }

  #keepFds(mark: number): void {
    const { words, pending } = this.#state;
    let count = words[StateWord.PENDING_FDS]!;
    for (let i = 0; i < this.#message.fdCount; i++) {
      const fd = this.#state.own(this.#message.fds[i]!);
      if (count === 2 * MAX_FDS) {
        this.#state.close(fd);
        continue;
      }
      pending[2 * count] = fd;
      pending[2 * count + 1] = mark;
      count++;
    }
    words[StateWord.PENDING_FDS] = count;
  }

  #fdsUpTo(end: number): number {
    const { words, pending } = this.#state;
    const count = words[StateWord.PENDING_FDS]!;
    let taken = 0;
    while (taken < count && pending[2 * taken + 1]! <= end) taken++;
    return taken;
  }

  #forgetFds(end: number): void {
    const { words, pending } = this.#state;
    const count = words[StateWord.PENDING_FDS]!;
    const taken = this.#fdsUpTo(end);
    pending.copyWithin(0, 2 * taken, 2 * count);
    words[StateWord.PENDING_FDS] = count - taken;
  }

  #compact(): void {
    const { words, receive } = this.#state;
    const start = words[StateWord.RECEIVE_START]!;
    if (start === 0) return;
    receive.copyWithin(0, start, words[StateWord.RECEIVE_END]!);
    words[StateWord.RECEIVE_START] = 0;
    words[StateWord.RECEIVE_END] = words[StateWord.RECEIVE_END]! - start;
    this.#shiftMarks(start);
  }

  #shiftMarks(by: number): void {
    const { words, pending } = this.#state;
    for (let i = 0; i < words[StateWord.PENDING_FDS]!; i++) pending[2 * i + 1]! -= by;
    if (this.lostFdsAt >= 0) this.lostFdsAt -= by;
  }
}

const EPIPE = 32;
const ECONNRESET = 104;
const ETIMEDOUT = 110;
const NO_FDS = new Int32Array(0);
