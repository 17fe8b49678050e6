import { koffi } from '../native-config.ts';
import { DOORBELL, DOORBELLS_OFFSET, GATE, GATE_BYTES, SLOT, SLOTS_OFFSET } from './gate-layout.ts';

/** Says where a gate is: plain data that can be sent to another thread of this process. */
export interface GateHandle {
  /** Address of the gate; also the `deviceContext` of the device table. */
  readonly address: number;
  /** Event that is signalled when a request or doorbell arrives while the consumer sleeps. */
  readonly wakeEvent: number;
}

/** Index of a field of the gate's head, in 32-bit words. */
export const word = Object.fromEntries(
  Object.entries(GATE.offset).map(([name, offset]) => [name, offset / 4]),
) as { readonly [Name in keyof typeof GATE.offset]: number };

/** Index of a field of slot 0, in 32-bit words; each further slot is {@link SLOT_WORDS} on. */
export const slotWord = Object.fromEntries(
  Object.entries(SLOT.offset).map(([name, offset]) => [name, (SLOTS_OFFSET + offset) / 4]),
) as { readonly [Name in keyof typeof SLOT.offset]: number };
export const SLOT_WORDS = SLOT.size / 4;

/** Index of a field of doorbell 0, in 32-bit words. */
export const doorbellWord = Object.fromEntries(
  Object.entries(DOORBELL.offset).map(([name, offset]) => [name, (DOORBELLS_OFFSET + offset) / 4]),
) as { readonly [Name in keyof typeof DOORBELL.offset]: number };
export const DOORBELL_WORDS = DOORBELL.size / 4;

/**
 * This thread's view of a gate's words. The memory is never given back: native threads may come at any time.
 * Not to be called while this thread may be ended.
 */
export function viewGate(address: number): Int32Array<ArrayBuffer> {
  return new Int32Array(koffi.view(BigInt(address), GATE_BYTES));
}

/** Stores a 64-bit number, low word first. */
export function putAddress(words: Int32Array, index: number, value: number): void {
  words[index] = value | 0;
  words[index + 1] = Math.floor(value / 2 ** 32) | 0;
}
