/** The server's side. Longer than 300 lines because the stations of a message, from socket to reply, belong together. */

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
import { mapCommand, unmapCommand } from './dma-commands.ts';
import { DmaTable } from './dma-table.ts';
import { InBandDma } from './in-band-dma.ts';
import { IrqTable } from './irq-table.ts';
import { readProposal, writeAgreement } from './negotiation.ts';
import { RegionCommands } from './region-commands.ts';

import { Phase, ServerState, StateWord } from './server-state.ts';
import { KeptWindows, type WindowTable } from './window-ledger.ts';
import { Command, Errno, HEADER_SIZE, HeaderFlag, Limit, PayloadSize } from './wire.ts';

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
   * Stand in for a device that died: windows of memory are kept without mapping anything, and descriptors stay open
   * when the connection ends, as the thread that served may still know them. Their closing is the caller's.
   */
  readonly standIn?: boolean;
  /**
   * Go on with a connection that was taken over (`state.takeOver()`): its windows are mapped on this thread, and the
   * device hears which vectors have an eventfd. No thread may use what the former servers had any more.
   */
  readonly inherits?: boolean;
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

/**
 * Messages that one {@link VfioUserServer.wait} serves at most; each write of a REGION_WRITE_MULTI counts as one, and
 * such a message is served as a whole. So a timer waits for no more than this and one such message.
 */
export const SERVED_PER_WAIT = 64;

/** Longest that {@link VfioUserServer.waitForMessages} blocks, in milliseconds: two ticks of the slowest Linux. */
export const LONGEST_MESSAGE_WAIT = 20;

/** Messages after which {@link VfioUserServer.processReadable} lets a flood wait for the event loop's next turn. */
const SERVED_PER_CALL = 1024;

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
  readonly #windows: WindowTable;
  /** Absent while the device is being made, which may raise interrupts meanwhile. */
  readonly #irqs: IrqTable | undefined;
  readonly #regions: RegionCommands;
  readonly #inBand: InBandDma;
  readonly #standIn: boolean;
  readonly #poll = new PollSet(2);
  #progress = 0;
  #onlyReads = false;
  #closed = false;
  #ending: DisconnectReason | undefined;

  /** @throws RangeError when the device does not have nine regions and five interrupt indexes in range */
  constructor(options: VfioUserServerOptions) {
    const { state = ServerState.create(), standIn = false, inherits = false } = options;
    const fd = options.fd ?? state.socket;
    if (fd < 0) throw new RangeError('Cannot serve without a connected socket');
    this.state = state;
    this.#standIn = standIn;
    this.#connection = new Connection(fd, state);
    const inBand = {
      mayWait: () => !this.#closed && this.#ending === undefined && !this.state.isOpen,
      serve: (start: number) => this.#serve(start),
      end: (reason: DisconnectReason) => {
        this.#ending ??= reason;
      },
    };
    this.#inBand = new InBandDma(this.#connection, state, inBand, inherits || standIn);
    this.#dma = new DmaTable(state, this.#inBand);
    this.#windows = standIn ? new KeptWindows(state.windows, state) : this.#dma;
    this.memory = this.#dma;
    if (inherits) this.#dma.adopt();
    this.#device = options.device(this);
    checkShape(this.#device);
    const irqs = new IrqTable(state, this.#device);
    this.#irqs = irqs;
    this.#regions = new RegionCommands(this.#device, state, this.#connection);
    state.words[StateWord.SOCKET] = state.own(fd) + 1;
    this.#publishShape();
    this.#progress = state.progress;
    if ((this.#progress & Phase.MASK) !== Phase.IDLE) {
      throw new RangeError(
        'Cannot serve a connection that another server has not been relieved of',
      );
    }
    if (inherits) {
      state.closeStrays();
      irqs.announce();
    }
  }

  /** Whether the connection has ended; the device has then been told. */
  get closed(): boolean {
    return this.#closed;
  }

  signal(irq: number, vector: number): void {
    if (this.#closed) return;
    if (this.#irqs === undefined) this.state.latch(irq, vector);
    else this.#irqs.signal(irq, vector);
  }

  setInterruptLine(asserted: boolean): void {
    if (this.#closed) return;
    if (this.#irqs === undefined) this.state.words[StateWord.LINE] = asserted ? 1 : 0;
    else this.#irqs.setLine(asserted);
  }

  /**
   * Serves what has arrived and returns, without waiting. Of messages that never end it serves about a thousand at a
   * time: the socket stays readable, and nothing of what was received is left behind.
   * @returns false once the connection has ended
   * @throws what a device's method threw, after its message was answered with EIO
   */
  processReadable(): boolean {
    let served = this.#drain(Number.POSITIVE_INFINITY);
    while (served < SERVED_PER_CALL && this.#receive()) {
      served += this.#drain(Number.POSITIVE_INFINITY);
    }
    return !this.#closed;
  }

  /**
   * Blocks this thread until messages arrive, the control eventfd is signalled or the time is over, and serves what
   * arrived, up to {@link SERVED_PER_WAIT}; the rest is for the next call, which does not block then.
   * @param timeoutMs negative: no limit
   * @param controlFd an eventfd by which another thread wakes this one; -1: none
   * @returns {@link Wake} bits; 0: the time is over
   */
  wait(timeoutMs: number, controlFd = -1): number {
    this.#onlyReads = false;
    if (this.#isOver()) return Wake.MESSAGE;
    const isBehind = this.#connection.next() >= 0;
    this.#poll.watch(0, this.#connection.fd, PollEvent.IN);
    this.#poll.watch(1, controlFd, PollEvent.IN);
    const ready = this.#poll.wait(isBehind ? 0 : timeoutMs);
    const wake = ready > 0 && this.#poll.events(1) !== 0 ? Wake.CONTROL : 0;
    if (isBehind) {
      this.#drain(SERVED_PER_WAIT);
      return wake | Wake.MESSAGE;
    }
    if (ready === 0 || this.#poll.events(0) === 0) return wake;
    if (this.#receive()) this.#drain(SERVED_PER_WAIT);
    return wake | Wake.MESSAGE;
  }

  /**
   * Like {@link wait}, but for messages alone, and for two ticks of the system at most ({@link LONGEST_MESSAGE_WAIT}):
   * the system call that looks whether there is anything is spared. Nothing else wakes it.
   * @returns {@link Wake} bits; 0: the time is over
   */
  waitForMessages(): number {
    this.#onlyReads = false;
    if (this.#isOver()) return Wake.MESSAGE;
    if (this.#connection.next() < 0 && !this.#receive(true)) {
      return this.#closed ? Wake.MESSAGE : 0;
    }
    this.#drain(SERVED_PER_WAIT);
    return Wake.MESSAGE;
  }

  /** Whether the last wait served messages, and every one was a REGION_READ. */
  get servedOnlyReads(): boolean {
    return this.#onlyReads;
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

  /**
   * Leaves the connection as it is to another server, which inherits it; between messages. The device is told nothing,
   * and has no memory and no interrupt any more.
   */
  relinquish(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#dma.abandon();
  }

  /** Whether there is nothing to wait for, as the connection has ended or is to end now. */
  #isOver(): boolean {
    if (this.#ending !== undefined) this.#finish(this.#ending);
    return this.#closed;
  }

  /** Receives once. @returns whether there is anything new to serve */
  #receive(wait = false): boolean {
    if (this.#closed) return false;
    if (this.#ending !== undefined) return this.#finish(this.#ending);
    switch (this.#connection.receive(wait)) {
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

  /** Serves what has been received, until there were `limit` messages. @returns how many there were */
  #drain(limit: number): number {
    let served = 0;
    this.#onlyReads = true;
    while (served < limit && !this.#closed && this.#ending === undefined) {
      const start = this.#connection.next();
      if (start < 0) break;
      if (this.#commandAt(start) !== Command.REGION_READ) this.#onlyReads = false;
      served += this.#weightOf(start);
      this.#serve(start);
    }
    return served;
  }

  /** What a message counts as: the writes that it holds, or 1. */
  #weightOf(start: number): number {
    if (this.#commandAt(start) !== Command.REGION_WRITE_MULTI) return 1;
    const size = this.#connection.sizeAt(start) - HEADER_SIZE - PayloadSize.WRITE_MULTI;
    return Math.max(1, Math.floor(size / PayloadSize.WRITE_MULTI_ENTRY));
  }

  #commandAt(start: number): number {
    return this.state.receiveView.getUint16(start + 2, true);
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
          return this.#regions.read(at, length);
        case Command.REGION_WRITE:
          return this.#regions.write(at, length);
        case Command.REGION_WRITE_MULTI:
          return this.#regions.writeMulti(at, length);
        case Command.VERSION:
          return this.#version(at, length);
        case Command.DMA_MAP:
          return mapCommand(this.#windows, this.#device, view, at, length, fds ?? NO_FDS);
        case Command.DMA_UNMAP:
          return this.#unmap(at, length);
        case Command.DEVICE_GET_INFO:
          return deviceInfo(view, at, length, this.#connection.outView);
        case Command.DEVICE_GET_REGION_INFO:
          return regionInfo(this.#device, view, at, length, this.#connection.outView);
        case Command.DEVICE_GET_REGION_IO_FDS:
          return regionIoFds(view, at, length, this.#connection.outView);
        case Command.DEVICE_GET_IRQ_INFO:
          return irqInfo(this.#device, view, at, length, this.#connection.outView);
        case Command.DEVICE_SET_IRQS:
          return -this.#irqs!.set(view, at, length, fds ?? NO_FDS);
        case Command.DEVICE_RESET:
          this.state.forgetLatched();
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
    this.#connection.out.set(payload, HEADER_SIZE);
    return payload.length;
  }

  #unmap(at: number, length: number): number {
    const view = this.state.receiveView;
    const error = unmapCommand(this.#windows, this.#device, view, at, length);
    if (error !== 0) return error;
    this.#connection.echo(at, PayloadSize.DMA_UNMAP);
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
      if (!this.#standIn) {
        this.#dma.release();
        this.state.closeFds();
      }
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
