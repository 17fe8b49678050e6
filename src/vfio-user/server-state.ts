// Longer than most files: one class owns the layout of the shared memory, and every table in it.
import { closeFd } from '../ffi/descriptors.ts';
import { addressOf } from '../ffi/libc.ts';
import { unmap } from '../ffi/memory.ts';
import { MAX_FDS } from '../ffi/socket-message.ts';
import { Irq, Region, type VfioUserDevice } from './device.ts';
import { WINDOW_LEDGER_SIZE, WindowLedger } from './window-ledger.ts';
import { Limit } from './wire.ts';

/** Words (4 bytes) of the state's first block. */
export const StateWord = {
  /** Bits 0 and 1: {@link Phase}; above: messages begun. Changed by compare-exchange only. */
  PROGRESS: 0,
  /** The message being served: id in bits 0 to 15, command above; then its size and header flags. */
  MESSAGE: 1,
  MESSAGE_SIZE: 2,
  MESSAGE_FLAGS: 3,
  /** Where it starts in the receive buffer. */
  MESSAGE_START: 4,
  /** Of a region access: region, bytes, offset low and high. */
  REGION: 5,
  COUNT: 6,
  OFFSET_LOW: 7,
  OFFSET_HIGH: 8,
  /** Received bytes not yet served: start and end in the receive buffer. */
  RECEIVE_START: 9,
  RECEIVE_END: 10,
  /** The connection's descriptor plus 1; 0: none. */
  SOCKET: 11,
  NEGOTIATED: 12,
  MAX_MSG_FDS: 13,
  CLIENT_MAX_DATA: 14,
  /** Descriptors received and not yet given to a message. */
  PENDING_FDS: 15,
  /** Whether INTx is asserted. */
  LINE: 16,
  /** Id of the last message that the server sent of its own accord. */
  LAST_ID: 17,
  /** Counts take-overs: mappings belong to the thread of one of them. */
  GENERATION: 18,
  /** Vectors of each interrupt index: 5 words. */
  IRQ_COUNTS: 24,
  /** Size low, size high and info flags of each region: 9 times 3 words. */
  REGIONS: 32,
} as const;

/** Where a message stands. */
export const Phase = {
  IDLE: 0,
  /** A device may be working on it; no reply was sent. */
  OPEN: 1,
  /** The right to answer was taken; the reply is sent, or being sent. */
  ANSWERED: 2,
  MASK: 3,
} as const;

const VECTORS = [1, 32, 2048, 1, 1] as const;
const VECTOR_TOTAL = VECTORS.reduce((sum, count) => sum + count, 0);
const FIRST_VECTOR = VECTORS.map((_, irq) => VECTORS.slice(0, irq).reduce((sum, n) => sum + n, 0));

/** Bits of a vector's flags. */
export const VectorFlag = { LATCHED: 1, MASKED: 2 } as const;

/** Flipped in `PROGRESS` by each take-over: half a billion messages away from what the old server expects. */
const TAKEN = 1 << 29;

/** Most descriptors, by number, that the ledger can hold. */
const LEDGER_FDS = 65_536;
/** Most mappings that the ledger can hold. */
const LEDGER_MAPPINGS = 512;
/** Doubles per mapping: address, bytes, generation. */
const MAPPING_ENTRY = 3;

const PENDING = 256;
const TRIGGERS = PENDING + 4 * 4 * MAX_FDS;
const MASK_FDS = TRIGGERS + 4 * VECTOR_TOTAL;
const UNMASK_FDS = MASK_FDS + 4 * VECTOR_TOTAL;
const VECTOR_FLAGS = UNMASK_FDS + 4 * VECTOR_TOTAL;
const OPEN_FDS = align(VECTOR_FLAGS + VECTOR_TOTAL, 64);
const MAPPINGS = OPEN_FDS + LEDGER_FDS / 8;
const WINDOWS = MAPPINGS + 8 * MAPPING_ENTRY * LEDGER_MAPPINGS;
const RECEIVE = align(WINDOWS + WINDOW_LEDGER_SIZE, 4096);

/** Bytes of the receive buffer: the longest message, and room to receive beside it. */
export const RECEIVE_SIZE = Limit.MESSAGE + (64 << 10);

/** Runs a function, perhaps while the thread cannot be ended. */
export type Protect = <T>(run: () => T) => T;

const unprotected: Protect = (run) => run();

function align(value: number, to: number): number {
  return Math.ceil(value / to) * to;
}

/**
 * All that a connection needs besides the device: what arrived, what is being served, which descriptors and mappings
 * are held, which windows of guest memory there are. It lies in shared memory, so that when the serving thread dies, or
 * its device never returns, another thread can answer the open message, go on where it stopped, with a device or
 * without one, and give everything back.
 *
 * | byte | size | what |
 * | --- | --- | --- |
 * | 0 | 256 | words, see {@link StateWord} |
 * | 256 | 4048 | received descriptors: descriptor, end of the bytes it came with, per entry (two receives' worth) |
 * | 4304 | 3 × 8332 | trigger, mask and unmask eventfds of each vector, plus 1; vectors in order INTx, MSI, MSI-X, error, request |
 * | 29300 | 2083 | flags of each vector: 1 latched, 2 masked |
 * | 31424 | 8192 | descriptors held, one bit each, by number |
 * | 39616 | 12288 | mappings held: address, bytes, generation (f64 each); address 0: free |
 * | 51904 | 2,097,120 | windows of guest memory, see {@link WindowLedger} |
 * | 2,150,400 | 1,118,208 | receive buffer |
 *
 * Protocol of `PROGRESS`: the server moves IDLE → OPEN before a message reaches the device, OPEN → ANSWERED when it
 * takes the right to reply, and then to IDLE of the next message. Taking over replaces the value by one that the
 * server cannot expect: its next step fails and it never touches the connection again.
 */
export class ServerState {
  readonly buffer: SharedArrayBuffer;
  readonly words: Int32Array;
  /** Per entry: descriptor, mark. A mark is the end, in the receive buffer, of the bytes that it came with. */
  readonly pending: Int32Array;
  readonly triggers: Int32Array;
  readonly maskFds: Int32Array;
  readonly unmaskFds: Int32Array;
  readonly vectorFlags: Uint8Array;
  readonly receive: Buffer;
  readonly receiveView: DataView;
  /** Address of the receive buffer. */
  readonly receiveAddress: number;
  readonly windows: WindowLedger;
  /** Runs what makes views of memory while this thread cannot be ended; else that may be the end of the process. */
  readonly protect: Protect;
  readonly #openFds: Int32Array;
  readonly #mappings: Float64Array;
  #generation: number;

  private constructor(buffer: SharedArrayBuffer, protect: Protect) {
    this.buffer = buffer;
    this.protect = protect;
    this.words = new Int32Array(buffer, 0, PENDING / 4);
    this.pending = new Int32Array(buffer, PENDING, 4 * MAX_FDS);
    this.triggers = new Int32Array(buffer, TRIGGERS, VECTOR_TOTAL);
    this.maskFds = new Int32Array(buffer, MASK_FDS, VECTOR_TOTAL);
    this.unmaskFds = new Int32Array(buffer, UNMASK_FDS, VECTOR_TOTAL);
    this.vectorFlags = new Uint8Array(buffer, VECTOR_FLAGS, VECTOR_TOTAL);
    this.#openFds = new Int32Array(buffer, OPEN_FDS, LEDGER_FDS / 32);
    this.#mappings = new Float64Array(buffer, MAPPINGS, MAPPING_ENTRY * LEDGER_MAPPINGS);
    this.windows = new WindowLedger(new Float64Array(buffer, WINDOWS, WINDOW_LEDGER_SIZE / 8));
    this.#generation = this.words[StateWord.GENERATION]!;
    this.receive = Buffer.from(buffer, RECEIVE, RECEIVE_SIZE);
    this.receiveView = new DataView(buffer, RECEIVE, RECEIVE_SIZE);
    this.receiveAddress = addressOf(new Uint8Array(buffer, RECEIVE, RECEIVE_SIZE));
  }

  /**
   * State of a connection that is yet to come.
   * @param protect see {@link ServerState.protect}; default: nobody ends this thread
   */
  static create(protect: Protect = unprotected): ServerState {
    return new ServerState(new SharedArrayBuffer(RECEIVE + RECEIVE_SIZE), protect);
  }

  /** The same state on another thread. @param protect as in {@link ServerState.create} */
  static of(buffer: SharedArrayBuffer, protect: Protect = unprotected): ServerState {
    return new ServerState(buffer, protect);
  }

  /** Messages begun, times 4, plus the phase of the current one. Unchanged for long while OPEN: the device hangs. */
  get progress(): number {
    return Atomics.load(this.words, StateWord.PROGRESS);
  }

  /** Whether a device is working on a message right now. */
  get isOpen(): boolean {
    return (this.progress & Phase.MASK) === Phase.OPEN;
  }

  /** The open message, for a report. */
  get message(): {
    readonly command: number;
    readonly region: number;
    readonly offset: number;
    readonly count: number;
  } {
    const { words } = this;
    return {
      command: words[StateWord.MESSAGE]! >>> 16,
      region: words[StateWord.REGION]!,
      offset:
        (words[StateWord.OFFSET_LOW]! >>> 0) + (words[StateWord.OFFSET_HIGH]! >>> 0) * 2 ** 32,
      count: words[StateWord.COUNT]!,
    };
  }

  /** The connection's descriptor, or -1. */
  get socket(): number {
    return this.words[StateWord.SOCKET]! - 1;
  }

  /**
   * Takes the connection from the server that has it, which finds out at its next step and never touches it again.
   * The message that it was working on is the first in the stream again, unless its reply was sent. What was latched
   * or asserted was the old device's, and is forgotten.
   */
  takeOver(): void {
    const { words } = this;
    this.#generation = Atomics.add(words, StateWord.GENERATION, 1) + 1;
    this.#takeProgress();
    words[StateWord.LINE] = 0;
    this.forgetLatched();
  }

  /** Remembers that a vector was signalled which cannot be delivered yet. */
  latch(irq: number, vector: number): void {
    const index = ServerState.vectorIndex(irq, vector);
    if (index >= 0) this.vectorFlags[index]! |= VectorFlag.LATCHED;
  }

  /** Forgets which vectors were signalled while they could not be delivered. */
  forgetLatched(): void {
    const { vectorFlags } = this;
    for (let i = 0; i < vectorFlags.length; i++) vectorFlags[i]! &= ~VectorFlag.LATCHED;
  }

  #takeProgress(): void {
    const { words } = this;
    let old: number;
    let fresh: number;
    do {
      old = this.progress;
      fresh = (old & ~Phase.MASK) ^ TAKEN;
    } while (Atomics.compareExchange(words, StateWord.PROGRESS, old, fresh) !== old);
    if ((old & Phase.MASK) !== Phase.ANSWERED) return;
    const start = words[StateWord.RECEIVE_START]!;
    const size = words[StateWord.MESSAGE_SIZE]!;
    const unread =
      start === words[StateWord.MESSAGE_START] && words[StateWord.RECEIVE_END]! > start;
    if (unread) words[StateWord.RECEIVE_START] = start + size;
  }

  /** Sizes and info flags of the nine regions, and vectors of the five interrupt indexes, as the server published them. */
  get shape(): {
    readonly regions: readonly { readonly size: number; readonly flags: number }[];
    readonly irqCounts: readonly number[];
  } {
    const { words } = this;
    const regions = Array.from({ length: Region.COUNT }, (_, index) => {
      const at = StateWord.REGIONS + 3 * index;
      const size = (words[at]! >>> 0) + words[at + 1]! * 2 ** 32;
      return { size, flags: words[at + 2]! };
    });
    const irqCounts = Array.from(
      words.subarray(StateWord.IRQ_COUNTS, StateWord.IRQ_COUNTS + Irq.COUNT),
    );
    return { regions, irqCounts };
  }

  /** Index of a vector in the tables above, or -1. */
  static vectorIndex(irq: number, vector: number): number {
    const count = VECTORS[irq];
    return count !== undefined && vector >= 0 && vector < count ? FIRST_VECTOR[irq]! + vector : -1;
  }

  /** @throws RangeError when the device has more vectors than the tables hold */
  static check(device: VfioUserDevice): void {
    for (const [irq, most] of VECTORS.entries()) {
      const count = device.irqCounts[irq];
      if (count === undefined || !(count >= 0 && count <= most)) {
        throw new RangeError(
          `Cannot serve ${count} vectors of interrupt index ${irq}: it has 0 to ${most}`,
        );
      }
    }
  }

  /** Enters a descriptor that this connection now owns. */
  own(fd: number): number {
    if (fd < LEDGER_FDS) Atomics.or(this.#openFds, fd >>> 5, 1 << (fd & 31));
    return fd;
  }

  /** Whether this connection owns a descriptor. Of numbers beyond the ledger it does not know, and says yes. */
  owns(fd: number): boolean {
    if (fd < 0) return false;
    return fd >= LEDGER_FDS || (this.#openFds[fd >>> 5]! & (1 << (fd & 31))) !== 0;
  }

  /**
   * Closes a descriptor that this connection owns; another one is no error. The entry goes first: the number may be
   * another's at once.
   */
  close(fd: number): void {
    if (fd < 0) return;
    if (fd < LEDGER_FDS) {
      const bit = 1 << (fd & 31);
      if ((Atomics.and(this.#openFds, fd >>> 5, ~bit) & bit) === 0) return;
    }
    closeFd(fd);
  }

  /** Closes what a thread that died had taken hold of and not yet put anywhere. */
  closeStrays(): void {
    const used = new Set<number>([this.socket]);
    for (const table of [this.triggers, this.maskFds, this.unmaskFds]) {
      for (const entry of table) if (entry > 0) used.add(entry - 1);
    }
    for (let i = 0; i < this.words[StateWord.PENDING_FDS]!; i++) used.add(this.pending[2 * i]!);
    for (const { fd } of this.windows.entries()) used.add(fd);
    for (const fd of this.ownedFds()) if (!used.has(fd)) this.close(fd);
  }

  /** Descriptors that this connection owns, for tests and reports. */
  ownedFds(): number[] {
    const result: number[] = [];
    for (const [word, bits] of this.#openFds.entries()) {
      for (let left = bits; left !== 0; left &= left - 1) {
        result.push(32 * word + 31 - Math.clz32(left & -left));
      }
    }
    return result;
  }

  /** Enters a stretch of reserved addresses. One that finds no room is not given back if this thread dies. */
  enterMapping(address: number, length: number): void {
    const table = this.#mappings;
    for (let i = 0; i < table.length; i += MAPPING_ENTRY) {
      if (table[i] !== 0) continue;
      table[i + 1] = length;
      table[i + 2] = this.#generation;
      table[i] = address;
      return;
    }
  }

  /** Takes a stretch out again. */
  leaveMapping(address: number): void {
    const table = this.#mappings;
    for (let i = 0; i < table.length; i += MAPPING_ENTRY) if (table[i] === address) table[i] = 0;
  }

  /** Stretches of addresses entered and not left, for tests and reports. */
  get mappingCount(): number {
    let count = 0;
    for (let i = 0; i < this.#mappings.length; i += MAPPING_ENTRY) {
      if (this.#mappings[i] !== 0) count++;
    }
    return count;
  }

  /** The take-overs so far; see {@link ServerState.unmapAll}. */
  get generation(): number {
    return Atomics.load(this.words, StateWord.GENERATION);
  }

  /** Closes every descriptor of this connection; nobody serves it any more. */
  closeFds(): void {
    for (const fd of this.ownedFds()) this.close(fd);
    this.words[StateWord.SOCKET] = 0;
    this.words[StateWord.PENDING_FDS] = 0;
    this.triggers.fill(0);
    this.maskFds.fill(0);
    this.unmaskFds.fill(0);
  }

  /**
   * Gives mappings back. Only when each thread that viewed them has exited: touching them ends the process.
   * @param generation the last one whose mappings go; default: all
   */
  unmapAll(generation = Number.POSITIVE_INFINITY): void {
    const table = this.#mappings;
    for (let i = 0; i < table.length; i += MAPPING_ENTRY) {
      const address = table[i]!;
      if (address === 0 || table[i + 2]! > generation) continue;
      const length = table[i + 1]!;
      table[i] = 0;
      unmap(address, length);
    }
  }
}
