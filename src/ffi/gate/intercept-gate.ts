import { availableParallelism } from 'node:os';
import type { WindowsSystem } from '../windows-system.ts';
import {
  DOORBELLS,
  GATE_BYTES,
  Opcode,
  PHASE_BITS,
  PHASE_MASK,
  Phase,
  SLOTS,
} from './gate-layout.ts';
import {
  DOORBELL_WORDS,
  doorbellWord,
  type GateHandle,
  putAddress,
  SLOT_WORDS,
  slotWord,
  viewGate,
  word,
} from './gate-memory.ts';
import { gateProgram } from './gate-program.ts';
import { allocate } from './native-memory.ts';

/** Longest spin for an answer, in polls of 10 to 50 ns. */
const SPIN_LIMIT = 8000;
const SLICE_MS = 100;
/** Slices in a closed gate after which a begun answer counts as abandoned. */
const PATIENCE = 10;

/**
 * The owner's side of a gate: what native threads enter when they call a device, in place of callbacks into
 * JavaScript. They leave a request and wait; a {@link GateServer} on the device's thread answers. The owner, on another
 * thread, can close the gate: then every request fails at once, those that wait and those that come, for ever.
 *
 * | call | in a closed gate |
 * | --- | --- |
 * | accesses | S_OK, all ones for reads: a slot that is empty |
 * | Teardown, Stop | return, see {@link InterceptGate.missed} |
 * | everything else | E_FAIL |
 *
 * The memory and the event are never given back: a late call finds both.
 */
export class InterceptGate {
  /** Address of HDV_PCI_DEVICE_INTERFACE: one per process, the `deviceInterface` of HdvCreateDeviceInstance. */
  readonly tableAddress: number;
  /** For the consumer: send it to the thread that makes a {@link GateServer} of it. */
  readonly handle: GateHandle;
  /** WAITORTIMERCALLBACK of {@link InterceptGate.doorbellContext}. */
  readonly doorbellCallback: number;
  readonly #system: WindowsSystem;
  readonly #words: Int32Array<ArrayBuffer>;
  #doorbells = 0;

  private constructor(system: WindowsSystem, wakeEvent: number) {
    const program = gateProgram(system);
    const address = allocate(system, GATE_BYTES);
    this.#system = system;
    this.tableAddress = program.table;
    this.doorbellCallback = program.entry.gate_ring;
    this.handle = { address, wakeEvent };
    const words = viewGate(address);
    this.#words = words;
    words[word.spinLimit] = availableParallelism() > 1 ? SPIN_LIMIT : 0;
    words[word.sliceMs] = SLICE_MS;
    words[word.patience] = PATIENCE;
    words[word.spinDistance] = 16;
    words[word.spinDistance + 1] = 16;
    words[word.freeSlots] = -1;
    words[word.freeSlots + 1] = -1;
    putAddress(words, word.wakeEvent, wakeEvent);
    putAddress(words, word.setEvent, system.addressOf('SetEvent'));
    putAddress(words, word.waitOnAddress, system.addressOf('WaitOnAddress'));
    putAddress(words, word.wakeByAddressSingle, system.addressOf('WakeByAddressSingle'));
  }

  /**
   * Makes an open gate.
   * @param wakeEvent an event that stays open as long as the process lives; default: a new auto-reset event
   * @throws Error when there is no memory
   */
  static create(system: WindowsSystem, wakeEvent?: number): InterceptGate {
    return new InterceptGate(system, wakeEvent ?? createEvent(system));
  }

  /** The `deviceContext` of the device table. */
  get contextAddress(): number {
    return this.handle.address;
  }

  get closed(): boolean {
    return Atomics.load(this.#words, word.closed) !== 0;
  }

  /**
   * Fails every request, now and from now on. From any state; the consumer may be alive, stuck or dead. Its answers to
   * what has failed have no effect.
   */
  close(): void {
    const words = this.#words;
    Atomics.store(words, word.closed, 1);
    for (let slot = 0; slot < SLOTS; slot++) this.#fail(slot, false);
    Atomics.add(words, word.releases, 1);
    this.#system.WakeByAddressAll(this.handle.address + word.releases * 4);
  }

  /**
   * Lets requests in again, for a new consumer, which may be waiting already. The thread of the former one must be over.
   * Requests that it had taken fail.
   */
  reopen(): void {
    const words = this.#words;
    Atomics.store(words, word.closed, 1);
    for (let slot = 0; slot < SLOTS; slot++) this.#fail(slot, true);
    for (let i = 0; i < DOORBELLS / 32; i++) Atomics.store(words, word.rung + i, 0);
    Atomics.store(words, word.missed, 0);
    Atomics.store(words, word.closed, 0);
  }

  /** Which of Stop and Teardown came and found no device since the gate was opened: bits of {@link Missed}. */
  get missed(): number {
    return Atomics.load(this.#words, word.missed);
  }

  /**
   * A number that changes when the consumer takes a request or answers one; undefined while there is no request.
   */
  get progress(): number | undefined {
    for (let slot = 0; slot < SLOTS; slot++) {
      const phase = Atomics.load(this.#words, slotWord.state + slot * SLOT_WORDS) & PHASE_MASK;
      if (phase === Phase.POSTED || phase === Phase.TAKEN) {
        return Atomics.load(this.#words, word.progress) >>> 0;
      }
    }
    return undefined;
  }

  /** What the consumer is at work on, to be said after "did not return from". */
  get serving(): string | undefined {
    for (let slot = 0; slot < SLOTS; slot++) {
      const at = slot * SLOT_WORDS;
      const phase = Atomics.load(this.#words, slotWord.state + at) & PHASE_MASK;
      if (phase === Phase.TAKEN) return this.#describe(at);
    }
    return undefined;
  }

  /**
   * Sets one doorbell aside: the context for RegisterWaitForSingleObject, with {@link InterceptGate.doorbellCallback}.
   * The consumer gets its index, counted from 0.
   * @throws RangeError when all are in use
   */
  addDoorbell(): { readonly index: number; readonly context: number } {
    if (this.#doorbells === DOORBELLS) {
      throw new RangeError(`Cannot add a doorbell: a device has at most ${DOORBELLS}`);
    }
    const index = this.#doorbells++;
    const at = index * DOORBELL_WORDS;
    this.#words[doorbellWord.index + at] = index;
    putAddress(this.#words, doorbellWord.gate + at, this.handle.address);
    return { index, context: this.handle.address + (doorbellWord.gate + at) * 4 };
  }

  #fail(slot: number, begun: boolean): void {
    const words = this.#words;
    const state = slotWord.state + slot * SLOT_WORDS;
    const answered = slotWord.answered + slot * SLOT_WORDS;
    for (;;) {
      const before = Atomics.load(words, answered);
      const now = Atomics.load(words, state);
      const phase = now & PHASE_MASK;
      if (before >>> PHASE_BITS === now >>> PHASE_BITS) {
        // Answered, perhaps by a thread that was ended before it could wake who waits.
        if (phase === Phase.ANSWERING) this.#wake(slot);
        return;
      }
      if (phase !== Phase.POSTED && phase !== Phase.TAKEN && !(begun && phase === Phase.ANSWERING))
        return;
      const failed = (now & ~PHASE_MASK) | Phase.FAILED;
      if (Atomics.compareExchange(words, state, now, failed) !== now) continue;
      Atomics.compareExchange(words, answered, before, failed);
      this.#wake(slot);
      return;
    }
  }

  #wake(slot: number): void {
    const at = slot * SLOT_WORDS;
    if (Atomics.load(this.#words, slotWord.waiting + at) === 0) return;
    this.#system.WakeByAddressSingle(this.handle.address + (slotWord.answered + at) * 4);
  }

  #describe(at: number): string {
    const words = this.#words;
    const count = words[slotWord.length + at]! >>> 0;
    const offset =
      (words[slotWord.offset + at]! >>> 0) + (words[slotWord.offset + 1 + at]! >>> 0) * 2 ** 32;
    const where = `0x${offset.toString(16)} of`;
    const bar = `BAR ${words[slotWord.bar + at]}`;
    const bytes = count === 1 ? '1 byte' : `${count} bytes`;
    switch (words[slotWord.opcode + at]) {
      case Opcode.INITIALIZE:
        return 'Initialize';
      case Opcode.TEARDOWN:
        return 'Teardown';
      case Opcode.SET_CONFIGURATION:
      case Opcode.CONFIGURATION_TEXT:
        return 'SetConfiguration';
      case Opcode.GET_DETAILS:
        return 'GetDetails';
      case Opcode.START:
        return 'Start';
      case Opcode.STOP:
        return 'Stop';
      case Opcode.READ_CONFIG_SPACE:
        return `a read of ${bytes} at ${where} config space`;
      case Opcode.WRITE_CONFIG_SPACE:
        return `a write of ${bytes} at ${where} config space`;
      case Opcode.READ_INTERCEPTED_MEMORY:
        return `a read of ${bytes} at ${where} ${bar}`;
      default:
        return `a write of ${bytes} at ${where} ${bar}`;
    }
  }
}

function createEvent(system: WindowsSystem): number {
  const event = Number(system.CreateEventW(null, 0, 0, null));
  if (event === 0) throw new Error('Cannot create an event for a gate');
  return event;
}
