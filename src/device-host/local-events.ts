import { closeFd, duplicateFd, isEventFd, signalEventFd } from '../ffi/descriptors.ts';
import type { HANDLE } from '../hcs/core/handles.ts';
import type { DoorbellEvent } from '../hdv/hdv-binding.ts';

/** An event in use by a doorbell. Disposal ends the use, not the event. */
export interface OpenEvent extends Disposable {
  /** Runs on the thread that serves the guest's write, between two accesses. Never throws by itself. */
  readonly signal: () => void;
}

/** First handle of an event that is no descriptor: above every descriptor. */
const FIRST = 0x1_0000_0000n;

/**
 * Events for doorbells of devices on this thread. The write of the guest is served on the same thread, so that signalling
 * is a call.
 */
export class LocalEvents {
  readonly #rings = new Map<bigint, { ring: (() => void) | undefined }>();
  #next = FIRST;

  /** Makes an event. `ring` runs on this thread for each signal, until disposal. */
  create(ring: () => void): DoorbellEvent {
    const handle = this.#next++;
    const entry: { ring: (() => void) | undefined } = { ring };
    this.#rings.set(handle, entry);
    return {
      handle,
      [Symbol.dispose]: () => {
        entry.ring = undefined;
        this.#rings.delete(handle);
      },
    };
  }

  /** The event of a handle that {@link LocalEvents.create} gave; undefined when it is none. */
  open(handle: HANDLE): OpenEvent | undefined {
    const entry = this.#rings.get(BigInt(handle));
    if (entry === undefined) return undefined;
    return { signal: () => entry.ring?.(), [Symbol.dispose]: () => undefined };
  }
}

/**
 * The event behind an eventfd; undefined when the handle is none. Its owner may close the descriptor meanwhile.
 * @throws SystemCallError when no descriptor is left
 */
export function openEventFd(handle: HANDLE): OpenEvent | undefined {
  const number = Number(handle);
  if (!(number >= 0 && number < FIRST) || !isEventFd(number)) return undefined;
  const fd = duplicateFd(number);
  return { signal: () => void signalEventFd(fd), [Symbol.dispose]: () => closeFd(fd) };
}
