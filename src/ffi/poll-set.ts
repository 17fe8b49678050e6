import { addressOf, errno, libc, nativeBuffer } from './libc.ts';
import { SystemCallError } from './system-call-error.ts';

/** poll(2) events, Linux. PEER_CLOSED: the other end of a stream writes no more. */
export const PollEvent = {
  IN: 1,
  OUT: 4,
  ERROR: 8,
  HANG_UP: 0x10,
  INVALID: 0x20,
  PEER_CLOSED: 0x2000,
} as const;

const EINTR = 4;

/**
 * A few descriptors to wait for together. The `pollfd` array is made once.
 *
 * | offset | size | field |
 * | --- | --- | --- |
 * | 8n | 4 | descriptor; negative: ignored |
 * | 8n + 4 | 2 | events asked for |
 * | 8n + 6 | 2 | events that happened |
 */
export class PollSet {
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #view: DataView;
  readonly #address: number;
  readonly #count: number;

  constructor(count: number) {
    this.#count = count;
    this.#bytes = nativeBuffer(count * 8);
    this.#view = new DataView(this.#bytes.buffer);
    this.#address = addressOf(this.#bytes);
    for (let index = 0; index < count; index++) this.watch(index, -1, 0);
  }

  watch(index: number, fd: number, events: number): void {
    this.#view.setInt32(index * 8, fd, true);
    this.#view.setUint32(index * 8 + 4, events, true);
  }

  /**
   * Blocks this thread until one descriptor is ready.
   * @param timeoutMs 0: do not wait; negative: no limit; fractions round up
   * @returns how many descriptors have events
   * @throws SystemCallError
   */
  wait(timeoutMs: number): number {
    const timeout = timeoutMs < 0 ? -1 : Math.min(Math.ceil(timeoutMs), 0x7fff_ffff);
    const ready = libc().poll(this.#address, this.#count, timeout);
    if (ready >= 0) return ready;
    const error = errno();
    if (error === EINTR) return 0;
    throw new SystemCallError('poll', error);
  }

  /** The events of one descriptor in the last wait. */
  events(index: number): number {
    return this.#view.getUint16(index * 8 + 6, true);
  }
}
