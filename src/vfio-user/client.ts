/** The client's side. Longer than 300 lines because nothing but its calls uses its framing. */

import { closeFd } from '../ffi/descriptors.ts';
import { addressOf } from '../ffi/libc.ts';
import { PollEvent, PollSet } from '../ffi/poll-set.ts';
import { SocketMessage } from '../ffi/socket-message.ts';
import { SystemCallError } from '../ffi/system-call-error.ts';
import { connectUnix } from '../ffi/unix-socket.ts';
import { Irq } from './device.ts';
import { encodeDmaMap, encodeDmaUnmap, encodeRegionAccess, encodeSetIrqs } from './payload.ts';
import { VfioUserError } from './vfio-user-error.ts';
import {
  Command,
  commandName,
  DmaFlag,
  Errno,
  getUint64,
  HEADER_SIZE,
  HeaderFlag,
  IrqSet,
  Limit,
  PayloadSize,
  putHeader,
  putUint64,
} from './wire.ts';

/** A message as it arrived. */
export interface Message {
  readonly id: number;
  readonly command: number;
  readonly flags: number;
  readonly error: number;
  /** The client's own copy. */
  readonly payload: Buffer;
  /** Descriptors that came along; the caller's. */
  readonly fds: readonly number[];
}

/** Answers the server's DMA_READ and DMA_WRITE, as a VMM whose memory is not shared does. */
export interface ClientMemory {
  /** @returns an errno, or 0 */
  read(gpa: number, into: Buffer): number;
  write(gpa: number, from: Buffer): number;
}

/** How a client behaves. */
export interface VfioUserClientOptions {
  /** Called after each send: serves the other end when it is in the same thread. */
  readonly pump?: () => void;
  /** Milliseconds to wait for the connection, for room to send and for a reply, each. Default 5000, as QEMU has it. */
  readonly timeoutMs?: number;
  readonly memory?: ClientMemory;
}

const EAGAIN = 11;
const EINTR = 4;
const DEFAULT_TIMEOUT_MS = 5000;
/** Replies to requests that nobody waits for at the moment, far above what any caller here leaves. */
const MOST_UNCLAIMED = 1024;
/** Descriptors that may come before a message is whole: of that one, and of one behind it. */
const MOST_FDS = 2 * Limit.MAX_MSG_FDS;
const NO_FDS: readonly number[] = [];

/** Where the data of an access begins in its message. */
const DATA = HEADER_SIZE + PayloadSize.REGION_ACCESS;

/**
 * A client that waits for each reply: what a simulated machine reaches a device by, and tests and benchmarks. After an
 * ETIMEDOUT or EPROTO the stream is of no use any more.
 */
export class VfioUserClient {
  readonly fd: number;
  readonly #options: VfioUserClientOptions;
  readonly #out = Buffer.from(new ArrayBuffer(Limit.MESSAGE));
  readonly #outView = new DataView(this.#out.buffer);
  readonly #outAddress = addressOf(this.#out);
  readonly #in = Buffer.from(new ArrayBuffer(Limit.MESSAGE + 65536));
  readonly #inView = new DataView(this.#in.buffer);
  readonly #inAddress = addressOf(this.#in);
  readonly #message = new SocketMessage();
  readonly #poll = new PollSet(1);
  readonly #room = new PollSet(1);
  #end = 0;
  #nextId = 1;
  /** When all of what {@link VfioUserClient.limit} limits gives up. */
  #until = Number.POSITIVE_INFINITY;
  #fds: number[] = [];
  /** Replies to requests that are still out: one was made while another's reply was awaited. */
  #unclaimed: Message[] = [];
  /** Where the data of the last reply is that was waited for by {@link VfioUserClient.#exchange}. */
  #reply: Buffer = this.#in;
  #dataAt = DATA;

  /** @param fd a connected socket; the client owns it */
  constructor(fd: number, options: VfioUserClientOptions = {}) {
    this.fd = fd;
    this.#options = options;
    this.#poll.watch(0, fd, PollEvent.IN);
    this.#room.watch(0, fd, PollEvent.OUT);
  }

  /** @throws VfioUserError when nobody listens on `path` */
  static connect(path: string, options: VfioUserClientOptions = {}): VfioUserClient {
    try {
      return new VfioUserClient(
        connectUnix(path, options.timeoutMs ?? DEFAULT_TIMEOUT_MS),
        options,
      );
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      throw new VfioUserError(`Cannot connect to ${path}: ${error.code}`, error.code, {
        cause: error,
      });
    }
  }

  close(): void {
    this.leave();
    closeFd(this.fd);
  }

  /** As {@link VfioUserClient.close}, of a socket that somebody else closes. */
  leave(): void {
    for (const fd of this.#fds.splice(0)) closeFd(fd);
  }

  /** Sends bytes as they are.
   * @throws VfioUserError when the server is gone */
  sendBytes(bytes: Uint8Array, fds: readonly number[] = []): void {
    this.#out.set(bytes);
    this.#send(bytes.length, fds);
  }

  /** Sends a command. @returns its id */
  send(
    command: number,
    payload: Uint8Array = new Uint8Array(),
    {
      fds = [],
      noReply = false,
    }: { readonly fds?: readonly number[]; readonly noReply?: boolean } = {},
  ): number {
    const id = this.#newId();
    const flags = HeaderFlag.COMMAND | (noReply ? HeaderFlag.NO_REPLY : 0);
    const size = HEADER_SIZE + payload.length;
    putHeader(this.#outView, id, command, size, flags);
    this.#out.set(payload, HEADER_SIZE);
    this.#send(size, fds);
    return id;
  }

  /** Sends a command and waits for its reply; others are kept for {@link receive}.
   * @throws VfioUserError when no reply comes */
  request(command: number, payload?: Uint8Array, fds?: readonly number[]): Message {
    const id = this.send(command, payload, fds === undefined ? {} : { fds });
    const deadline = this.#deadline();
    for (;;) {
      const kept = this.#claim(id, command);
      if (kept !== undefined) return kept;
      if (!this.#takeMessage(deadline)) throw serverGone(command);
    }
  }

  /** Waits for the next reply; serves the server's own commands meanwhile. @returns undefined when the stream ended */
  receive(): Message | undefined {
    while (this.#unclaimed.length === 0) {
      if (!this.#takeMessage(this.#deadline())) return undefined;
    }
    return this.#unclaimed.shift();
  }

  /** Keeps a reply, or serves a command of the server's. @returns false when the stream ended */
  #takeMessage(deadline: number): boolean {
    const length = this.#fill(deadline);
    if (length < 0) return false;
    this.#handle(this.#take(length));
    return true;
  }

  #handle(message: Message): void {
    if ((message.flags & HeaderFlag.TYPE) === HeaderFlag.REPLY) this.#unclaimed.push(message);
    else this.#serve(message);
  }

  /** VERSION, as QEMU has it. @throws VfioUserError with the server's errno as code */
  agree(): void {
    for (const fd of succeeded(this.negotiate()).fds) closeFd(fd);
  }

  /** VERSION. @param json text, without its NUL; undefined: none at all */
  negotiate(json: string | undefined = QEMU_CAPABILITIES, minor = 0): Message {
    const text = json === undefined ? Buffer.alloc(0) : Buffer.from(`${json}\0`);
    const payload = Buffer.alloc(4 + text.length);
    payload.writeUInt16LE(minor, 2);
    text.copy(payload, 4);
    return this.request(Command.VERSION, payload);
  }

  /** @throws VfioUserError with the server's errno as code */
  readRegion(region: number, offset: number, count: number): Buffer {
    const reply = this.request(Command.REGION_READ, encodeRegionAccess({ region, offset, count }));
    return succeeded(reply).payload.subarray(PayloadSize.REGION_ACCESS);
  }

  /** Reads a register of up to 4 bytes. Allocates nothing. @throws VfioUserError with the server's errno as code */
  read(region: number, offset: number, width: 1 | 2 | 4): number {
    this.#putAccess(region, offset, width);
    const length = this.#exchange(Command.REGION_READ, DATA, DATA + width);
    const value = this.#reply.readUIntLE(this.#dataAt, width);
    this.#consume(length);
    return value;
  }

  /**
   * Writes a register of up to 4 bytes, and waits for the acknowledgement unless posted. Allocates nothing.
   * @throws VfioUserError with the server's errno as code
   */
  write(region: number, offset: number, width: 1 | 2 | 4, value: number, posted = false): void {
    this.#putAccess(region, offset, width);
    this.#out.writeUIntLE(value, DATA, width);
    if (posted) {
      const id = this.#newId();
      putHeader(this.#outView, id, Command.REGION_WRITE, DATA + width, HeaderFlag.NO_REPLY);
      this.#send(DATA + width, NO_FDS);
      return;
    }
    this.#consume(this.#exchange(Command.REGION_WRITE, DATA + width, HEADER_SIZE));
  }

  /** DEVICE_GET_REGION_INFO, without the memory behind the region. */
  regionInfo(index: number): { readonly size: number; readonly flags: number } {
    const payload = new Uint32Array(PayloadSize.REGION_INFO / 4);
    payload.set([PayloadSize.REGION_INFO, 0, index]);
    const view = this.#ask(Command.DEVICE_GET_REGION_INFO, payload, PayloadSize.REGION_INFO);
    return { size: getUint64(view, 16), flags: view.getUint32(4, true) };
  }

  /** DEVICE_GET_IRQ_INFO. @returns the number of vectors */
  irqCount(index: number): number {
    const payload = Uint32Array.of(PayloadSize.IRQ_INFO, 0, index, 0);
    return this.#ask(Command.DEVICE_GET_IRQ_INFO, payload, PayloadSize.IRQ_INFO).getUint32(
      12,
      true,
    );
  }

  /** @throws VfioUserError with the server's errno as code */
  writeRegion(region: number, offset: number, data: Uint8Array, posted = false): void {
    const payload = encodeRegionAccess({ region, offset, count: data.length }, data);
    if (posted) this.send(Command.REGION_WRITE, payload, { noReply: true });
    else succeeded(this.request(Command.REGION_WRITE, payload));
  }

  /** Maps guest memory. @param fd its file, which stays the caller's; -1: reachable by messages only */
  mapMemory(
    address: number,
    size: number,
    fd: number,
    { offset = 0, flags = DmaFlag.READ | DmaFlag.WRITE }: { offset?: number; flags?: number } = {},
  ): void {
    const payload = encodeDmaMap({ argsz: PayloadSize.DMA_MAP, flags, offset, address, size });
    succeeded(this.request(Command.DMA_MAP, payload, fd < 0 ? [] : [fd]));
  }

  /** @throws VfioUserError with the server's errno as code */
  unmapMemory(address: number, size: number): void {
    const payload = encodeDmaUnmap({ argsz: PayloadSize.DMA_UNMAP, flags: 0, address, size });
    succeeded(this.request(Command.DMA_UNMAP, payload));
  }

  /** Installs eventfds, which stay the caller's, for vectors from `start` on; none: removes `count` of them. */
  setTriggers(index: number, start: number, fds: readonly number[], count = fds.length): void {
    const flags = IrqSet.DATA_EVENTFD | IrqSet.TRIGGER;
    this.setIrqs(flags, index, start, count, fds);
  }

  /** SET_IRQS. @throws VfioUserError with the server's errno as code */
  setIrqs(
    flags: number,
    index: number,
    start: number,
    count: number,
    fds: readonly number[] = [],
    bools?: Uint8Array,
  ): void {
    const argsz = PayloadSize.SET_IRQS + (bools?.length ?? 0);
    const payload = encodeSetIrqs({ argsz, flags, index, start, count }, bools);
    succeeded(this.request(Command.DEVICE_SET_IRQS, payload, fds));
  }

  /** Lets INTx be signalled again, which masks itself with each signal. */
  unmaskLine(): void {
    this.setIrqs(IrqSet.DATA_NONE | IrqSet.UNMASK, Irq.INTX, 0, 1);
  }

  /** Takes every eventfd of an index away. */
  disableIrqs(index: number): void {
    this.setIrqs(IrqSet.DATA_NONE | IrqSet.TRIGGER, index, 0, 0);
  }

  reset(): void {
    succeeded(this.request(Command.DEVICE_RESET));
  }

  /** Composes what REGION_READ and REGION_WRITE begin with. */
  #putAccess(region: number, offset: number, count: number): void {
    const view = this.#outView;
    putUint64(view, HEADER_SIZE, offset);
    view.setUint32(HEADER_SIZE + 8, region, true);
    view.setUint32(HEADER_SIZE + 12, count, true);
  }

  #newId(): number {
    const id = this.#nextId;
    this.#nextId = (id + 1) & 0xffff;
    return id;
  }

  /** A question about the device. @returns the payload of the answer, of which at least `least` bytes are there */
  #ask(command: number, payload: Uint32Array, least: number): DataView {
    const reply = succeeded(this.request(command, new Uint8Array(payload.buffer)));
    for (const fd of reply.fds) closeFd(fd);
    if (reply.payload.length < least) throw tooShort(command);
    return new DataView(reply.payload.buffer, reply.payload.byteOffset, reply.payload.length);
  }

  /**
   * Sends the command that was composed, and waits for its reply.
   * @param least bytes that the reply must have
   * @returns how much of what has arrived is to be consumed, when the reply's data was read
   */
  #exchange(command: number, size: number, least: number): number {
    const id = this.#newId();
    putHeader(this.#outView, id, command, size, HeaderFlag.COMMAND);
    this.#send(size, NO_FDS);
    const view = this.#inView;
    const deadline = this.#deadline();
    for (;;) {
      const length = this.#fill(deadline);
      if (length < 0) throw serverGone(command);
      const flags = view.getUint32(8, true);
      const isReply = (flags & HeaderFlag.TYPE) === HeaderFlag.REPLY;
      const isOurs = view.getUint16(0, true) === id && view.getUint16(2, true) === command;
      if (isReply && isOurs && (flags & HeaderFlag.ERROR) === 0) {
        if (length < least) throw tooShort(command);
        this.#reply = this.#in;
        this.#dataAt = DATA;
        return length;
      }
      this.#handle(this.#take(length));
      // It may have come while a command of the server's was served, which made a request of its own.
      const kept = this.#claim(id, command);
      if (kept === undefined) continue;
      if (succeeded(kept).payload.length + HEADER_SIZE < least) throw tooShort(command);
      this.#reply = kept.payload;
      this.#dataAt = PayloadSize.REGION_ACCESS;
      return 0;
    }
  }

  /** Takes a reply out of those that were kept. */
  #claim(id: number, command: number): Message | undefined {
    const kept = this.#unclaimed.findIndex((one) => one.id === id && one.command === command);
    return kept < 0 ? undefined : this.#unclaimed.splice(kept, 1)[0];
  }

  #send(size: number, fds: readonly number[]): void {
    let sent = this.#message.send(
      this.fd,
      this.#outAddress,
      size,
      fds,
      this.#options.pump === undefined,
    );
    const deadline = this.#deadline();
    for (let done = 0; ; ) {
      if (sent === -EAGAIN || sent === -EINTR) {
        this.#options.pump?.();
        const left = deadline - performance.now();
        if (left <= 0) {
          throw new VfioUserError('Cannot send: the server takes nothing', 'ETIMEDOUT');
        }
        if (this.#options.pump === undefined) this.#room.wait(left);
      } else if (sent < 0) {
        const error = new SystemCallError('send', -sent);
        throw new VfioUserError(`Cannot send: ${error.code}`, error.code, { cause: error });
      } else done += sent;
      if (done === size) break;
      const rest = done === 0 ? fds : [];
      sent = this.#message.send(this.fd, this.#outAddress + done, size - done, rest);
    }
    this.#options.pump?.();
  }

  #serve({ id, command, payload, fds }: Message): void {
    for (const fd of fds) closeFd(fd);
    const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
    const { memory } = this.#options;
    const isRead = command === Command.DMA_READ;
    if (memory === undefined || !(isRead || command === Command.DMA_WRITE)) {
      throw new VfioUserError(`Cannot serve ${commandName(command)}`, 'EPROTO');
    }
    const gpa = getUint64(view, 0);
    const count = getUint64(view, 8);
    const error = this.#transfer(memory, isRead, gpa, count, payload);
    if (error !== 0) {
      putHeader(
        this.#outView,
        id,
        command,
        HEADER_SIZE,
        HeaderFlag.REPLY | HeaderFlag.ERROR,
        error,
      );
      this.#send(HEADER_SIZE, []);
      return;
    }
    const size = HEADER_SIZE + PayloadSize.DMA_ACCESS + (isRead ? count : 0);
    putHeader(this.#outView, id, command, size, HeaderFlag.REPLY);
    putUint64(this.#outView, HEADER_SIZE, gpa);
    putUint64(this.#outView, HEADER_SIZE + 8, count);
    this.#send(size, []);
  }

  /** DMA_READ into the message that is composed, or DMA_WRITE. @returns an errno, or 0 */
  #transfer(
    memory: ClientMemory,
    isRead: boolean,
    gpa: number,
    count: number,
    payload: Buffer,
  ): number {
    const end = PayloadSize.DMA_ACCESS + count;
    if (count > Limit.MAX_DATA_XFER_SIZE) return Errno.E2BIG;
    if (!isRead) {
      if (payload.length < end) return Errno.EINVAL;
      return memory.write(gpa, payload.subarray(PayloadSize.DMA_ACCESS, end));
    }
    const start = HEADER_SIZE + PayloadSize.DMA_ACCESS;
    return memory.read(gpa, this.#out.subarray(start, start + count));
  }

  /**
   * Has all requests from now on, until {@link unlimit}, take no longer than this together, however many there are. Each of
   * them has its own limit as well.
   */
  limit(totalMs: number): void {
    this.#until = performance.now() + totalMs;
  }

  unlimit(): void {
    this.#until = Number.POSITIVE_INFINITY;
  }

  /** When whoever waits from now on gives up. */
  #deadline(): number {
    const own = performance.now() + (this.#options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    return Math.min(own, this.#until);
  }

  /**
   * Waits until a whole message is there.
   * @returns its length; -1 when the stream ended
   * @throws VfioUserError ETIMEDOUT, also when what comes is not what is waited for
   */
  #fill(deadline: number): number {
    if (this.#unclaimed.length > MOST_UNCLAIMED) {
      throw new VfioUserError('Cannot use the server: it answers what nobody asked', 'EPROTO');
    }
    for (;;) {
      const left = deadline - performance.now();
      if (left <= 0) throw new VfioUserError('Cannot get a reply: none came in time', 'ETIMEDOUT');
      if (this.#end >= HEADER_SIZE) {
        const size = this.#inView.getUint32(4, true);
        if (size <= this.#end) return Math.max(size, HEADER_SIZE);
      }
      const received = this.#message.receive(
        this.fd,
        this.#inAddress + this.#end,
        this.#in.length - this.#end,
      );
      for (let i = 0; i < this.#message.fdCount; i++) this.#fds.push(this.#message.fds[i]!);
      if (this.#fds.length > MOST_FDS) {
        throw new VfioUserError('Cannot use the server: it sends too many descriptors', 'EPROTO');
      }
      if (received === 0 || received === -ECONNRESET) return -1;
      if (received === -EAGAIN || received === -EINTR) this.#poll.wait(left);
      else if (received < 0) throw new SystemCallError('receive', -received);
      else this.#end += received;
    }
  }

  #take(size: number): Message {
    const message: Message = {
      id: this.#inView.getUint16(0, true),
      command: this.#inView.getUint16(2, true),
      flags: this.#inView.getUint32(8, true),
      error: this.#inView.getUint32(12, true),
      payload: Buffer.from(this.#in.subarray(HEADER_SIZE, size)),
      fds: this.#fds.splice(0),
    };
    this.#consume(size);
    return message;
  }

  /** Makes room for the next message, and keeps no descriptor that nobody took. */
  #consume(size: number): void {
    if (this.#fds.length > 0) for (const fd of this.#fds.splice(0)) closeFd(fd);
    if (this.#end > size) this.#in.copyWithin(0, size, this.#end);
    this.#end -= size;
  }
}

const ECONNRESET = 104;

/** What QEMU 11.1 proposes. */
export const QEMU_CAPABILITIES = JSON.stringify({
  capabilities: {
    max_msg_fds: 16,
    max_data_xfer_size: 1048576,
    max_dma_maps: 65535,
    pgsizes: 4096,
    migration: { pgsize: 4096, max_bitmap_size: 268435456 },
    write_multiple: true,
  },
});

function serverGone(command: number): VfioUserError {
  const name = commandName(command);
  return new VfioUserError(`Cannot get a reply to ${name}: the server is gone`, 'EPIPE');
}

function tooShort(command: number): VfioUserError {
  const name = commandName(command);
  return new VfioUserError(`Cannot use the reply to ${name}: it is too short`, 'EPROTO');
}

function succeeded(reply: Message): Message {
  if ((reply.flags & HeaderFlag.ERROR) === 0) return reply;
  for (const fd of reply.fds) closeFd(fd);
  const error = new SystemCallError(commandName(reply.command), reply.error);
  throw new VfioUserError(`Cannot ${commandName(reply.command)}: ${error.code}`, error.code);
}
