/** The client's side. Longer than 300 lines because nothing but its calls uses its framing. */

import { closeFd } from '../ffi/descriptors.ts';
import { addressOf } from '../ffi/libc.ts';
import { PollEvent, PollSet } from '../ffi/poll-set.ts';
import { SocketMessage } from '../ffi/socket-message.ts';
import { SystemCallError } from '../ffi/system-call-error.ts';
import { connectUnix } from '../ffi/unix-socket.ts';
import { encodeDmaMap, encodeDmaUnmap, encodeRegionAccess, encodeSetIrqs } from './payload.ts';
import { VfioUserError } from './vfio-user-error.ts';
import {
  Command,
  commandName,
  DmaFlag,
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
  /** Milliseconds to wait for a reply. Default 5000. */
  readonly timeoutMs?: number;
  readonly memory?: ClientMemory;
}

const EAGAIN = 11;
const EINTR = 4;

/** A plain client that waits for each reply: for tests and benchmarks. Not a VMM. */
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
  #end = 0;
  #nextId = 1;
  #fds: number[] = [];
  /** Replies to requests that are still out: one was made while another's reply was awaited. */
  #unclaimed: Message[] = [];

  /** @param fd a connected socket; the client owns it */
  constructor(fd: number, options: VfioUserClientOptions = {}) {
    this.fd = fd;
    this.#options = options;
    this.#poll.watch(0, fd, PollEvent.IN);
  }

  /** @throws VfioUserError when nobody listens on `path` */
  static connect(path: string, options: VfioUserClientOptions = {}): VfioUserClient {
    try {
      return new VfioUserClient(connectUnix(path), options);
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      throw new VfioUserError(`Cannot connect to ${path}: ${error.code}`, error.code, {
        cause: error,
      });
    }
  }

  close(): void {
    for (const fd of this.#fds.splice(0)) closeFd(fd);
    closeFd(this.fd);
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
    const id = this.#nextId;
    this.#nextId = (id + 1) & 0xffff;
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
    for (;;) {
      const kept = this.#unclaimed.findIndex((one) => one.id === id && one.command === command);
      if (kept >= 0) return this.#unclaimed.splice(kept, 1)[0]!;
      if (!this.#takeMessage()) {
        throw new VfioUserError(
          `Cannot get a reply to ${commandName(command)}: the server is gone`,
          'EPIPE',
        );
      }
    }
  }

  /** Waits for the next reply; serves the server's own commands meanwhile. @returns undefined when the stream ended */
  receive(): Message | undefined {
    while (this.#unclaimed.length === 0) if (!this.#takeMessage()) return undefined;
    return this.#unclaimed.shift();
  }

  /** Keeps a reply, or serves a command of the server's. @returns false when the stream ended */
  #takeMessage(): boolean {
    const message = this.#receiveMessage();
    if (message === undefined) return false;
    if ((message.flags & HeaderFlag.TYPE) === HeaderFlag.REPLY) this.#unclaimed.push(message);
    else this.#serve(message);
    return true;
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

  /** Reads a register of up to 4 bytes. */
  read(region: number, offset: number, width: 1 | 2 | 4): number {
    return this.readRegion(region, offset, width).readUIntLE(0, width);
  }

  /** Writes a register of up to 4 bytes, and waits for the acknowledgement unless posted. */
  write(region: number, offset: number, width: 1 | 2 | 4, value: number, posted = false): void {
    const data = Buffer.alloc(width);
    data.writeUIntLE(value, 0, width);
    this.writeRegion(region, offset, data, posted);
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

  reset(): void {
    succeeded(this.request(Command.DEVICE_RESET));
  }

  #send(size: number, fds: readonly number[]): void {
    let sent = this.#message.send(
      this.fd,
      this.#outAddress,
      size,
      fds,
      this.#options.pump === undefined,
    );
    for (let done = 0; ; ) {
      if (sent === -EAGAIN || sent === -EINTR) this.#options.pump?.();
      else if (sent < 0) {
        const error = new SystemCallError('send', -sent);
        throw new VfioUserError(`Cannot send: ${error.code}`, error.code, { cause: error });
      } else done += sent;
      if (done === size) break;
      const rest = done === 0 ? fds : [];
      sent = this.#message.send(this.fd, this.#outAddress + done, size - done, rest);
    }
    this.#options.pump?.();
  }

  #serve({ id, command, payload }: Message): void {
    const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
    const { memory } = this.#options;
    const isRead = command === Command.DMA_READ;
    if (memory === undefined || !(isRead || command === Command.DMA_WRITE)) {
      throw new VfioUserError(`Cannot serve ${commandName(command)}`, 'EPROTO');
    }
    const gpa = getUint64(view, 0);
    const count = getUint64(view, 8);
    const out = this.#out.subarray(HEADER_SIZE + PayloadSize.DMA_ACCESS);
    const error = isRead
      ? memory.read(gpa, out.subarray(0, count))
      : memory.write(gpa, payload.subarray(PayloadSize.DMA_ACCESS, PayloadSize.DMA_ACCESS + count));
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

  #receiveMessage(): Message | undefined {
    const deadline = performance.now() + (this.#options.timeoutMs ?? 5000);
    for (;;) {
      if (this.#end >= HEADER_SIZE) {
        const size = this.#inView.getUint32(4, true);
        if (size <= this.#end) return this.#take(size);
      }
      const left = deadline - performance.now();
      if (left <= 0) throw new VfioUserError('Cannot get a reply: none came in time', 'ETIMEDOUT');
      const received = this.#message.receive(
        this.fd,
        this.#inAddress + this.#end,
        this.#in.length - this.#end,
      );
      if (received === 0 || received === -ECONNRESET) return undefined;
      if (received === -EAGAIN || received === -EINTR) this.#poll.wait(left);
      else if (received < 0) throw new SystemCallError('receive', -received);
      else this.#end += received;
      for (let i = 0; i < this.#message.fdCount; i++) this.#fds.push(this.#message.fds[i]!);
    }
  }

  #take(size: number): Message {
    const message: Message = {
      id: this.#inView.getUint16(0, true),
      command: this.#inView.getUint16(2, true),
      flags: this.#inView.getUint32(8, true),
      error: this.#inView.getUint32(12, true),
      payload: Buffer.from(this.#in.subarray(HEADER_SIZE, Math.max(size, HEADER_SIZE))),
      fds: this.#fds.splice(0),
    };
    this.#in.copyWithin(0, size, this.#end);
    this.#end -= Math.max(size, HEADER_SIZE);
    return message;
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

function succeeded(reply: Message): Message {
  if ((reply.flags & HeaderFlag.ERROR) === 0) return reply;
  for (const fd of reply.fds) closeFd(fd);
  const error = new SystemCallError(commandName(reply.command), reply.error);
  throw new VfioUserError(`Cannot ${commandName(reply.command)}: ${error.code}`, error.code);
}
