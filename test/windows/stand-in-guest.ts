import type { GuestAccess, GuestAllocation, GuestFunctionInfo } from 'hdvkit/testing';
import { guidBytes } from '../../src/ffi/guid.ts';
import { openStandInDevices, type StandInDevices } from './stand-in-abi.ts';
import { newCell, StandInFunction } from './stand-in-function.ts';
import { StandInMessages } from './stand-in-messages.ts';

const BARS = 6;
const WORDS_PER_FUNCTION = 1 + 2 * BARS;
const MOST_FUNCTIONS = 64;

/** What {@link StandInGuest.hammer} does: add up. */
export const Hammer = { READS: 1, WRITES: 2, CONFIG: 4 } as const;

/** What came of it. */
export interface HammerResult {
  readonly accesses: number;
  /** Callbacks that returned a failing HRESULT. */
  readonly failed: number;
  /** Reads of nothing but ones. */
  readonly ones: number;
  /** Reads that gave other bytes than the same thread had written there. */
  readonly wrong: number;
  /** Threads that ended early as there was no device any more. */
  readonly gone: number;
  readonly slowestNs: number;
}

/** {@link GuestAccess} to the small guest that the stand-in of vmdevicehost plays. One per machine at a time. */
export class StandInGuest implements GuestAccess {
  readonly devices: StandInDevices;
  readonly systemId: string;
  readonly #messages: StandInMessages;
  readonly #opened = new Set<StandInFunction>();

  /** @param path of the stand-in library */
  constructor(path: string, systemId: string) {
    this.devices = openStandInDevices(path);
    this.systemId = systemId;
    this.#messages = new StandInMessages(this.devices, systemId);
  }

  async functions(): Promise<readonly GuestFunctionInfo[]> {
    return (await this.#enumerate()).map(({ info }) => info);
  }

  async open(match: {
    readonly vendorId: number;
    readonly deviceId: number;
  }): Promise<StandInFunction> {
    const fn = (await this.#enumerate()).find(
      ({ info }) => info.vendorId === match.vendorId && info.deviceId === match.deviceId,
    );
    if (fn === undefined) {
      const ids = [match.vendorId, match.deviceId].map((id) => id.toString(16).padStart(4, '0'));
      throw new RangeError(`Cannot open ${ids.join(':')}: there is no such function on the bus`);
    }
    await fn.enable();
    this.#opened.add(fn);
    return fn;
  }

  /** @param high above 4 GiB */
  async allocate(bytes: number, { high = false } = {}): Promise<GuestAllocation> {
    const allocate = this.devices.function('StandInGuestAllocate');
    const gpa = Number(await allocate.async(this.systemId, bytes, high ? 1 : 0));
    if (gpa === 0) throw new RangeError(`Cannot allocate ${bytes} bytes: the machine has no more`);
    return {
      gpa,
      length: bytes,
      read: (offset, length) => this.readMemory(gpa + offset, length),
      write: (offset, from) => this.writeMemory(gpa + offset, from),
    };
  }

  /** @throws RangeError when a byte is not memory */
  async readMemory(gpa: number, length: number): Promise<Buffer> {
    const buffer = Buffer.alloc(Math.max(length, 128));
    await this.#memory(gpa, length, false, buffer);
    return buffer.subarray(0, length);
  }

  /** @throws RangeError when a byte is not memory */
  async writeMemory(gpa: number, bytes: Uint8Array): Promise<void> {
    const buffer = Buffer.alloc(Math.max(bytes.length, 128));
    buffer.set(bytes);
    await this.#memory(gpa, bytes.length, true, buffer);
  }

  /**
   * Random accesses of every width by native threads at once, each in its part of `[offset, offset + length)` of a BAR.
   * {@link HammerResult.wrong} means something where these bytes are memory that starts as zeros.
   */
  async hammer(
    fn: Pick<StandInFunction, 'slot'>,
    bar: number,
    options: {
      readonly offset?: number;
      readonly length: number;
      readonly threads: number;
      readonly accesses: number;
      readonly seed: number;
      readonly what?: number;
    },
  ): Promise<HammerResult> {
    const { offset = 0, length, threads, accesses, seed } = options;
    const { what = Hammer.READS | Hammer.WRITES | Hammer.CONFIG } = options;
    const numbers = newCell();
    const hammer = this.devices.function('StandInGuestHammer');
    const result = await hammer.async(
      this.systemId,
      fn.slot,
      bar,
      offset,
      length,
      threads,
      accesses,
      seed,
      what,
      numbers,
    );
    if (result !== 0) throw new RangeError(`Cannot hammer: 0x${result.toString(16)}`);
    const [done, failed, ones, wrong, gone, slowestNs] = Array.from(numbers, Number);
    return { accesses: done, failed, ones, wrong, gone, slowestNs } as HammerResult;
  }

  /**
   * One access, again and again, by native threads at once.
   * @returns nanoseconds that each access took, thread by thread, and those from the first to the last
   */
  async measure(
    fn: Pick<StandInFunction, 'slot'>,
    bar: number,
    options: {
      readonly offset?: number;
      readonly width?: 1 | 2 | 4 | 8;
      readonly write?: boolean;
      readonly threads: number;
      readonly accesses: number;
      readonly pauseMs?: number;
    },
  ): Promise<{ readonly nanoseconds: Uint32Array; readonly elapsedNs: number }> {
    const { offset = 0, width = 4, write = false, threads, accesses, pauseMs = 0 } = options;
    const nanoseconds = new Uint32Array(Math.max(threads * accesses, 32));
    const elapsed = newCell();
    const measure = this.devices.function('StandInGuestMeasure');
    const result = await measure.async(
      this.systemId,
      fn.slot,
      bar,
      offset,
      width,
      write ? 1 : 0,
      threads,
      accesses,
      pauseMs,
      nanoseconds,
      elapsed,
    );
    if (result !== 0) throw new Error(`Cannot measure: 0x${result.toString(16)}`);
    return {
      nanoseconds: nanoseconds.subarray(0, threads * accesses),
      elapsedNs: Number(elapsed[0]),
    };
  }

  /** Numbers of the functions, without a look into their config space. */
  async slots(): Promise<{ readonly slot: number }[]> {
    const words = new BigUint64Array(MOST_FUNCTIONS * WORDS_PER_FUNCTION);
    const list = this.devices.function('StandInGuestFunctions');
    const count = await list.async(this.systemId, words, MOST_FUNCTIONS);
    return Array.from({ length: count }, (_, i) => ({
      slot: Number(words[i * WORDS_PER_FUNCTION]),
    }));
  }

  /**
   * Calls the whole table of a device that was torn down, by native threads at once.
   * @returns the HRESULTs, in the order of the table; 0 for the two that have none
   */
  async lateCalls(instanceId: string, threads: number): Promise<number[]> {
    const results = new Uint32Array(32);
    const call = this.devices.function('StandInLateCalls');
    const result = await call.async(guidBytes(instanceId), threads, results);
    if (result !== 0) throw new Error(`Cannot call ${instanceId}: 0x${result.toString(16)}`);
    return Array.from(results.subarray(0, 10));
  }

  /** Native threads that are in a callback of any device now. */
  threadsInside(): number {
    return this.devices.function('StandInThreadsInside')();
  }

  async sleep(ms: number): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, ms));
  }

  async close(): Promise<void> {
    for (const fn of this.#opened) await fn.disableInterrupts();
    this.#opened.clear();
  }

  async #enumerate(): Promise<StandInFunction[]> {
    const words = new BigUint64Array(MOST_FUNCTIONS * WORDS_PER_FUNCTION);
    const list = this.devices.function('StandInGuestFunctions');
    const count = await list.async(this.systemId, words, MOST_FUNCTIONS);
    const functions: StandInFunction[] = [];
    for (let i = 0; i < count; i++) {
      const [slot = 0, ...places] = Array.from(
        words.subarray(i * WORDS_PER_FUNCTION, (i + 1) * WORDS_PER_FUNCTION),
        Number,
      );
      functions.push(await this.#describe(slot, places));
    }
    return functions;
  }

  async #describe(slot: number, places: readonly number[]): Promise<StandInFunction> {
    const bars = Array.from({ length: BARS }, (_, bar) => ({
      slot: bar,
      gpa: places[2 * bar] ?? 0,
      size: places[2 * bar + 1] ?? 0,
    })).filter(({ size }) => size > 0);
    const info = { address: addressOf(slot), vendorId: 0, deviceId: 0, classCode: 0, bars };
    const fn = new StandInFunction(this.devices, this.#messages, this.systemId, slot, info);
    info.vendorId = await fn.readConfig(0x00, 2);
    info.deviceId = await fn.readConfig(0x02, 2);
    info.classCode = (await fn.readConfig(0x08, 4)) >>> 8;
    return fn;
  }

  async #memory(gpa: number, length: number, isWrite: boolean, buffer: Buffer): Promise<void> {
    const access = this.devices.function('StandInGuestMemory');
    const result = await access.async(this.systemId, gpa, length, isWrite ? 1 : 0, buffer);
    if (result !== 0) {
      throw new RangeError(`Cannot reach ${length} bytes at 0x${gpa.toString(16)}: not memory`);
    }
  }
}

/** Behind VMBus every function has a PCI domain of its own. */
function addressOf(slot: number): string {
  return `${slot.toString(16).padStart(4, '0')}:00:00.0`;
}
