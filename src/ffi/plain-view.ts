import { addressOf } from './libc.ts';
import { view } from './memory.ts';

/** A view must not outlive what it shows: each keeps its memory. */
const shown = new WeakMap<ArrayBuffer, SharedArrayBuffer>();

/**
 * Shared memory as an ArrayBuffer that is not shared, in place: Node copies such memory by memmove, and shared memory, on
 * Node 20, in 1.4 times the time. Atomics work on both, waiting on the shared one only. The view keeps the memory alive.
 * On a worker only where native objects may be made: its end at the wrong moment is the end of the process.
 * @throws RangeError when it is longer than a view may be; what the engine throws where it allows no such views
 */
export function plainView(shared: SharedArrayBuffer): ArrayBuffer {
  const plain = view(addressOf(new Uint8Array(shared)), shared.byteLength);
  shown.set(plain, shared);
  return plain;
}
