/** The server's side. Past 300 lines: the path of an access, from the socket to the device and back, stands in one file. */

import { PollEvent, PollSet } from '../ffi/poll-set.ts';
import { Connection, Received } from './connection.ts';
import {
  type DisconnectReason,
  type DmaMemory,
  Region,
  type VfioUserDevice,
  type VfioUserPort,
} from './device.ts';
import {
  deviceFeature,
  deviceInfo,
  irqInfo,
  migrationData,
  regionFile,
  regionFlags,
  regionInfo,
  regionIoFds,
} from './device-info.ts';
import { DmaTable } from './dma-table.ts';
import { InBandDma } from './in-band-dma.ts';
import { IrqTable } from './irq-table.ts';
import { readProposal, writeAgreement } from './negotiation.ts';
import { readRegion, writeRegion } from './region-access.ts';
import { Phase, ServerState, StateWord } from './server-state.ts';
import { Command, DmaFlag, Errno, getUint64, HeaderFlag, Limit, PayloadSize } from './wire.ts';

/** What ended a {@link VfioUserServer.wait}: bits. */
export const Wake = {
  /** Messages were served, or the connection ended. */
  MESSAGE: 1,
  /** The control eventfd was signalled; its count is the caller's to take. */
  CONTROL: 2,
} as const;

/** What a server is made of. */
export interface VfioUserServerOptions {
  /** The connected socket. The server owns it from here on. Default, with a state that was taken over: that state's. */
  readonly fd?: number;
  /** Makes the device; called once, by the constructor. */
  readonly device: (port: VfioUserPort) => VfioUserDevice;
  /** Where everything but the device is kept. Give one whose buffer another thread has, to be able to take over. */
  readonly state?: ServerState;
  /**
   * Stand in for a device that died: memory messages are answered without mapping anything, and descriptors stay open
   * when the connection ends, as the thread that served may still know them. Their closing is the caller's.
   */
  readonly standIn?: boolean;
}

/** How {@link VfioUserServer.serve} waits. */
export interface ServeOptions {
  /** An eventfd by which other threads wake this one; `awake` takes its count. Default: none. */
  readonly controlFd?: number;
  /** Milliseconds that the loop may wait; negative: no limit. Asked before each wait. Default: no limit. */
  readonly nextTimeout?: () => number;
  /** Called after each wait, with {@link Wake} bits. Runs timers, takes commands; may close the server. */
  readonly awake?: (wake: number) => void;
}

/** How long messages are served before the event loop gets a turn, in milliseconds. */
const TURN = 4;

/** Where the payload of a reply is composed. */
const OUT = 16;

/**
 * One vfio-user connection, seen from the device. Everything runs on the thread that calls {@link processReadable},
 * {@link wait} or {@link serve}: one message after the other, in order of arrival, and the device's methods within.
 *
 * While a device waits for guest memory that can only be reached by messages, accesses that arrive in between are
 * served, as the client may be unable to answer before it has its own: with unshared guest memory, an access can come
 * in the middle of a timer's `memory.read` or `memory.write`.
 */
export class VfioUserServer implements VfioUserPort {
  readonly memory: DmaMemory;
  readonly state: ServerState;
  readonly #device: VfioUserDevice;
  readonly #connection: Connection;
  readonly #dma: DmaTable;
  readonly #irqs: IrqTable;
  readonly #inBand: InBandDma;
  readonly #standIn: boolean;
  readonly #poll = new PollSet(2);
  readonly #sizes = new Float64Array(Region.COUNT);
  readonly #writable = new Uint8Array(Region.COUNT);
  readonly #readable = new Uint8Array(Region.COUNT);
  #progress = 0;
  #closed = false;
  #ending: DisconnectReason | undefined;

  /** @throws RangeError when the device does not have nine regions and five interrupt indexes in range */
  constructor(options: VfioUserServerOptions) {
    const { state = ServerState.create(), standIn = false } = options;
    const fd = options.fd ?? state.socket;
    if (fd < 0) throw new RangeError('Cannot serve without a connected socket');
    this.state = state;
    this.#standIn = standIn;
    this.#connection = new Connection(fd, state);
    this.#inBand = new InBandDma(this.#connection, state, {
      mayWait: () => !this.#closed && this.#ending === undefined && !this.state.isOpen,
      serve: (start) => this.#serve(start),
      end: (reason) => {
        this.#ending ??= reason;
      },
    });
    this.#dma = new DmaTable(state, this.#inBand);
    this.memory = this.#dma;
    this.#device = options.device(this);
    checkShape(this.#device);
    this.#irqs = new IrqTable(state, this.#device);
    for (const [index, region] of this.#device.regions.entries()) {
      this.#sizes[index] = region.size;
      this.#readable[index] = region.readable === false ? 0 : 1;
      this.#writable[index] = region.writable === false ? 0 : 1;
    }
    state.words[StateWord.SOCKET] = state.own(fd) + 1;
    this.#publishShape();
    this.#progress = state.progress;
    if ((this.#progress & Phase.MASK) !== Phase.IDLE) {
      throw new RangeError(
        'Cannot serve a connection that another server has not been relieved of',
      );
    }
  }

  /** Whether the connection has ended; the device has then been told. */
  get closed(): boolean {
    return this.#closed;
  }

  signal(irq: number, vector: number): void {
    if (!this.#closed) this.#irqs.signal(irq, vector);
  }

  setInterruptLine(asserted: boolean): void {
    if (!this.#closed) this.#irqs.setLine(asserted);
  }

  /**
   * Serves what has arrived and returns, without waiting.
   * @returns false once the connection has ended
   * @throws what a device's method threw, after its message was answered with EIO
   */
  processReadable(): boolean {
    this.#drain();
    while (this.#receive()) this.#drain();
    return !this.#closed;
  }

  /**
   * Blocks this thread until messages arrive, the control eventfd is signalled or the time is over, and serves what
   * arrived.
   * @param timeoutMs negative: no limit
   * @param controlFd an eventfd by which another thread wakes this one; -1: none
   * @returns {@link Wake} bits; 0: the time is over
   */
  wait(timeoutMs: number, controlFd = -1): number {
    if (this.#closed) return Wake.MESSAGE;
    if (this.#ending !== undefined) {
      this.#finish(this.#ending);
      return Wake.MESSAGE;
    }
    if (this.#connection.next() >= 0) {
      this.#drain();
      return Wake.MESSAGE;
    }
    this.#poll.watch(0, this.#connection.fd, PollEvent.IN);
    this.#poll.watch(1, controlFd, PollEvent.IN);
    if (this.#poll.wait(timeoutMs) === 0) return 0;
    let wake = 0;
    if (this.#poll.events(1) !== 0) wake |= Wake.CONTROL;
    if (this.#poll.events(0) !== 0) {
      if (this.#receive()) this.#drain();
      wake |= Wake.MESSAGE;
    }
    return wake;
  }

  /**
   * Serves until the connection ends, blocking this thread while there is nothing to do. The event loop gets a turn
   * after each wait without messages, after each control signal, and every few milliseconds.
   * @throws what a device's method threw, after its message was answered with EIO; may be called again
   */
  async serve({
    controlFd = -1,
    nextTimeout = () => -1,
    awake = () => undefined,
  }: ServeOptions = {}): Promise<void> {
    let turn = performance.now();
    while (!this.#closed) {
      const wake = this.wait(nextTimeout(), controlFd);
      awake(wake);
      if (wake === Wake.MESSAGE && performance.now() - turn < TURN) continue;
      await new Promise((resolve) => setImmediate(resolve));
      turn = performance.now();
    }
  }

  /** Ends the connection from this side: the device is told, every descriptor and mapping is given back. */
  close(): void {
    this.#finish({ type: 'local' });
  }

  /** Receives once. @returns whether there is anything new to serve */
  #receive(): boolean {
    if (this.#closed) return false;
    if (this.#ending !== undefined) return this.#finish(this.#ending);
    switch (this.#connection.receive()) {
      case Received.BYTES:
        return true;
      case Received.END:
        return this.#finish({ type: 'closed' });
      case Received.FAILED:
        return this.#finish(this.#connection.reason('receive'));
      default:
        return false;
    }
  }

  #drain(): void {
    while (!this.#closed && this.#ending === undefined) {
      const start = this.#connection.next();
      if (start < 0) return;
      this.#serve(start);
    }
  }

  /** Serves the message at `start` of the receive buffer and takes it out of the stream. */
  #serve(start: number): void {
    const size = this.#connection.sizeAt(start);
    const flags = this.state.receiveView.getUint32(start + 8, true);
    if ((flags & HeaderFlag.TYPE) === HeaderFlag.REPLY && this.#inBand.discard(start)) return;
    if (!this.#begin(start, size, flags)) return;
    let thrown: unknown;
    let outcome: number;
    try {
      outcome = this.#dispatch(start, size, flags);
    } catch (error) {
      thrown = error ?? new Error('A device threw nothing');
      outcome = -Errno.EIO;
    }
    if (this.#closed) return;
    this.#end(start, size, flags, outcome);
    if (thrown !== undefined) throw thrown;
  }

  /** Publishes the message, then marks it open. @returns false when another thread has taken the connection over */
  #begin(start: number, size: number, flags: number): boolean {
    const { words } = this.state;
    const view = this.state.receiveView;
    words[StateWord.MESSAGE] = view.getUint32(start, true);
    words[StateWord.MESSAGE_SIZE] = size;
    words[StateWord.MESSAGE_FLAGS] = flags;
    words[StateWord.MESSAGE_START] = start;
    if (size >= 32) {
      words[StateWord.OFFSET_LOW] = view.getUint32(start + 16, true);
      words[StateWord.OFFSET_HIGH] = view.getUint32(start + 20, true);
      words[StateWord.REGION] = view.getUint32(start + 24, true);
      words[StateWord.COUNT] = view.getUint32(start + 28, true);
    }
    return this.#step(Phase.OPEN);
  }

  /** Answers, and takes the message out of the stream. */
  #end(start: number, size: number, flags: number, outcome: number): void {
    if (!this.#step(Phase.ANSWERED)) return;
    let sent = true;
    if ((flags & HeaderFlag.NO_REPLY) === 0) {
      const view = this.state.receiveView;
      const id = view.getUint16(start, true);
      const command = view.getUint16(start + 2, true);
      if (outcome < 0) sent = this.#connection.replyError(id, command, -outcome);
      else if (command === Command.DEVICE_GET_REGION_INFO) {
        const file = regionFile(this.#device, outcome, this.#connection.outView);
        sent = this.#connection.reply(id, command, outcome, file < 0 ? undefined : [file]);
      } else sent = this.#connection.reply(id, command, outcome);
    }
    this.#connection.consume(start + size);
    this.#step(Phase.IDLE);
    if (!sent) this.#ending ??= this.#connection.reason('send');
    if (this.#ending !== undefined && !this.#inBand.waiting) this.#finish(this.#ending);
  }

  /** Moves to the next phase, unless another thread has taken the connection over. */
  #step(phase: number): boolean {
    const old = this.#progress;
    const next = phase === Phase.IDLE ? ((old | Phase.MASK) + 1) & 0x3fff_ffff : old + 1;
    if (Atomics.compareExchange(this.state.words, StateWord.PROGRESS, old, next) === old) {
      this.#progress = next;
      return true;
    }
    this.#relieve();
    return false;
  }

  /** @returns bytes of the reply's payload, or the negative errno */
  #dispatch(start: number, size: number, flags: number): number {
    const view = this.state.receiveView;
    const command = view.getUint16(start + 2, true);
    const at = start + 16;
    const length = size - 16;
    const end = start + size;
    const usesFds = command === Command.DMA_MAP || command === Command.DEVICE_SET_IRQS;
    const fds =
      this.state.words[StateWord.PENDING_FDS] === 0 ? undefined : this.#connection.takeFds(end);
    try {
      const error = this.#checkHeader(start, end, flags, command);
      if (error !== 0) return -error;
      if (fds !== undefined && fds.length > 0) {
        if (!usesFds || fds.length > Limit.MAX_MSG_FDS) return -Errno.EINVAL;
      }
      switch (command) {
        case Command.REGION_READ:
          return this.#regionRead(at, length);
        case Command.REGION_WRITE:
          return this.#regionWrite(at, length);
        case Command.REGION_WRITE_MULTI:
          return this.#writeMulti(at, length);
        case Command.VERSION:
          return this.#version(at, length);
        case Command.DMA_MAP:
          return this.#dmaMap(at, length, fds ?? NO_FDS);
        case Command.DMA_UNMAP:
          return this.#dmaUnmap(at, length);
        case Command.DEVICE_GET_INFO:
          return deviceInfo(view, at, length, this.#connection.outView);
        case Command.DEVICE_GET_REGION_INFO:
          return regionInfo(this.#device, view, at, length, this.#connection.outView);
        case Command.DEVICE_GET_REGION_IO_FDS:
          return regionIoFds(view, at, length, this.#connection.outView);
        case Command.DEVICE_GET_IRQ_INFO:
          return irqInfo(this.#device, view, at, length, this.#connection.outView);
        case Command.DEVICE_SET_IRQS:
          return -this.#irqs.set(view, at, length, fds ?? NO_FDS);
        case Command.DEVICE_RESET:
          this.#irqs.forgetLatched();
          this.#device.reset();
          return 0;
        case Command.DEVICE_FEATURE:
          return deviceFeature(view, at, length);
        case Command.MIG_DATA_READ:
        case Command.MIG_DATA_WRITE:
          return migrationData(view, at, length);
        default:
          return -Errno.EINVAL;
      }
    } finally {
      // Whoever took the connection over meanwhile closes them.
      if (fds !== undefined && this.state.progress === this.#progress) {
        for (const fd of fds) this.state.close(fd);
      }
    }
  }

  /** @returns 0, or the errno of a message that is wrong whatever its payload is */
  #checkHeader(start: number, end: number, flags: number, command: number): number {
    const stated = this.state.receiveView.getUint32(start + 4, true);
    if (stated > Limit.MESSAGE) {
      this.#protocolError(`a message of ${stated} bytes`);
      return Errno.EINVAL;
    }
    if (end - start !== stated || (flags & HeaderFlag.TYPE) !== HeaderFlag.COMMAND) {
      return Errno.EINVAL;
    }
    if ((flags & HeaderFlag.ERROR) !== 0) return Errno.EINVAL;
    const lostAt = this.#connection.lostFdsAt;
    if (lostAt >= 0 && lostAt <= end) {
      this.#connection.lostFdsAt = -1;
      return Errno.EMFILE;
    }
    if (this.state.words[StateWord.NEGOTIATED] === 0 && command !== Command.VERSION) {
      this.#protocolError(`command ${command} before VERSION`);
      return Errno.EINVAL;
    }
    return 0;
  }

  #regionRead(at: number, length: number): number {
    const view = this.state.receiveView;
    if (length < PayloadSize.REGION_ACCESS) return -Errno.EINVAL;
    const offset = getUint64(view, at);
    const region = view.getUint32(at + 8, true);
    const count = view.getUint32(at + 12, true);
    if (region >= Region.COUNT || count > Limit.MAX_DATA_XFER_SIZE) return -Errno.EINVAL;
    if (offset + count > this.#sizes[region]! || this.#readable[region] === 0) return -Errno.EINVAL;
    const out = this.#connection.outView;
    readRegion(this.#device, region, offset, count, out, OUT + PayloadSize.REGION_ACCESS);
    this.#echo(at, PayloadSize.REGION_ACCESS);
    return PayloadSize.REGION_ACCESS + count;
  }

  #regionWrite(at: number, length: number): number {
    const view = this.state.receiveView;
    if (length < PayloadSize.REGION_ACCESS) return -Errno.EINVAL;
    const count = view.getUint32(at + 12, true);
    if (count > length - PayloadSize.REGION_ACCESS || count > Limit.MAX_DATA_XFER_SIZE) {
      return -Errno.EINVAL;
    }
    const error = this.#write(at, count);
    if (error !== 0) return -error;
    this.#echo(at, PayloadSize.REGION_ACCESS);
    return PayloadSize.REGION_ACCESS;
  }

  #writeMulti(at: number, length: number): number {
    const view = this.state.receiveView;
    if (length < PayloadSize.WRITE_MULTI) return -Errno.EINVAL;
    const entries = getUint64(view, at);
    if (entries * PayloadSize.WRITE_MULTI_ENTRY > length - PayloadSize.WRITE_MULTI) {
      return -Errno.EINVAL;
    }
    for (let i = 0; i < entries; i++) {
      const entry = at + PayloadSize.WRITE_MULTI + i * PayloadSize.WRITE_MULTI_ENTRY;
      const count = view.getUint32(entry + 12, true);
      if (count > 8) return -Errno.EINVAL;
      const error = this.#write(entry, count);
      if (error !== 0) return -error;
      if (this.#closed) return 0;
    }
    this.#echo(at, PayloadSize.WRITE_MULTI);
    return PayloadSize.WRITE_MULTI;
  }

  /** One write: offset, region and count at `at`, data 16 bytes further. @returns 0 or an errno */
  #write(at: number, count: number): number {
    const view = this.state.receiveView;
    const offset = getUint64(view, at);
    const region = view.getUint32(at + 8, true);
    if (region >= Region.COUNT || offset + count > this.#sizes[region]!) return Errno.EINVAL;
    if (this.#writable[region] === 0) return Errno.EINVAL;
    writeRegion(this.#device, region, offset, count, view, at + PayloadSize.REGION_ACCESS);
    return 0;
  }

  /** Copies words of the request to where the reply is composed. */
  #echo(at: number, length: number): void {
    const view = this.state.receiveView;
    const out = this.#connection.outView;
    for (let i = 0; i < length; i += 4) out.setUint32(OUT + i, view.getUint32(at + i, true), true);
  }

  #version(at: number, length: number): number {
    const { words, receive } = this.state;
    if (words[StateWord.NEGOTIATED] !== 0) return -Errno.EINVAL;
    const agreement =
      length < PayloadSize.VERSION ? undefined : readProposal(receive.subarray(at, at + length));
    if (agreement === undefined) {
      this.#protocolError('a VERSION that cannot be accepted');
      return -Errno.EINVAL;
    }
    words[StateWord.NEGOTIATED] = 1;
    words[StateWord.MAX_MSG_FDS] = agreement.maxMsgFds;
    words[StateWord.CLIENT_MAX_DATA] = agreement.clientMaxDataXferSize;
    const payload = writeAgreement(agreement);
    this.#connection.out.set(payload, OUT);
    return payload.length;
  }

  #dmaMap(at: number, length: number, fds: Int32Array): number {
    const view = this.state.receiveView;
    if (length < PayloadSize.DMA_MAP || view.getUint32(at, true) < PayloadSize.DMA_MAP) {
      return -Errno.EINVAL;
    }
    if (fds.length > 1) return -Errno.EINVAL;
    if (this.#standIn) return 0;
    const gpa = getUint64(view, at + 16);
    const size = getUint64(view, at + 24);
    const fd = fds[0] ?? -1;
    if (fd >= 0) fds[0] = -1;
    const error = this.#dma.map(
      gpa,
      size,
      view.getUint32(at + 4, true),
      fd,
      getUint64(view, at + 8),
    );
    if (error !== 0) return -error;
    this.#device.dmaMapped?.(gpa, size);
    return 0;
  }

  #dmaUnmap(at: number, length: number): number {
    const view = this.state.receiveView;
    if (length < PayloadSize.DMA_UNMAP || view.getUint32(at, true) < PayloadSize.DMA_UNMAP) {
      return -Errno.EINVAL;
    }
    const flags = view.getUint32(at + 4, true);
    const gpa = getUint64(view, at + 8);
    const size = getUint64(view, at + 16);
    const all = flags === DmaFlag.UNMAP_ALL;
    if (all ? gpa !== 0 || size !== 0 : flags !== 0) return -Errno.EINVAL;
    if (all) {
      const windows = this.#device.dmaUnmapped === undefined ? [] : this.#dma.windows();
      this.#dma.unmapAll();
      for (const window of windows) this.#device.dmaUnmapped?.(window.gpa, window.length);
    } else if (!this.#standIn) {
      const error = this.#dma.unmap(gpa, size);
      if (error !== 0) return -error;
      this.#device.dmaUnmapped?.(gpa, size);
    }
    this.#echo(at, PayloadSize.DMA_UNMAP);
    return PayloadSize.DMA_UNMAP;
  }

  /** The stream cannot be used any more: the message at hand is answered, then the connection ends. */
  #protocolError(detail: string): void {
    this.#ending ??= { type: 'protocol', detail };
  }

  #finish(reason: DisconnectReason): false {
    if (this.#closed) return false;
    this.#closed = true;
    try {
      this.#device.disconnected(reason);
    } finally {
      this.#dma.release();
      if (!this.#standIn) this.state.closeFds();
    }
    return false;
  }

  /** Another thread has the connection: nothing of it is touched again, not even to give it back. */
  #relieve(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#device.disconnected({ type: 'local' });
  }

  /** Lets whoever takes over know the device's shape. */
  #publishShape(): void {
    const { words } = this.state;
    for (const [index, region] of this.#device.regions.entries()) {
      const at = StateWord.REGIONS + 3 * index;
      words[at] = (region.size % 2 ** 32) | 0;
      words[at + 1] = Math.floor(region.size / 2 ** 32);
      words[at + 2] = regionFlags(region);
    }
    for (const [irq, count] of this.#device.irqCounts.entries()) {
      words[StateWord.IRQ_COUNTS + irq] = count;
    }
  }
}

const NO_FDS = new Int32Array(0);

function checkShape(device: VfioUserDevice): void {
  if (device.regions.length !== Region.COUNT) {
    throw new RangeError(
      `Cannot serve a device with ${device.regions.length} regions: it has ${Region.COUNT}`,
    );
  }
  ServerState.check(device);
}
