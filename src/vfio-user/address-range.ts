import { MAX_VIEW, mapFileOver, mapZerosOver, reserve, unmap, view } from '../ffi/memory.ts';
import type { ServerState } from './server-state.ts';

/** Huge pages want this alignment. */
const ALIGNMENT = 2 << 20;

/** Where stretches of addresses are entered, so that another thread can give them back, and how they are viewed. */
export type MappingLedger = Pick<ServerState, 'enterMapping' | 'leaveMapping' | 'protect'>;

interface Reservation {
  readonly address: number;
  readonly length: number;
  readonly ledger: MappingLedger | undefined;
  /** Views that JavaScript can still reach. */
  views: number;
  released: boolean;
}

/** Gives addresses back once no Buffer can reach them: a stale one must find zeros, never a hole. */
const unreachable = new FinalizationRegistry<Reservation>((reservation) => {
  reservation.views--;
  giveBack(reservation);
});

function giveBack(reservation: Reservation): void {
  if (!reservation.released || reservation.views > 0) return;
  reservation.ledger?.leaveMapping(reservation.address);
  unmap(reservation.address, reservation.length);
}

/**
 * A stretch of addresses of which any part can show a file or zeros, at any time, under the eyes of whoever views it.
 * Viewed in pieces of at most {@link MAX_VIEW} bytes; seams are at multiples of that.
 */
export class AddressRange {
  readonly length: number;
  readonly #address: number;
  readonly #reservation: Reservation;
  #views: Buffer[];

  /**
   * @param length bytes, a multiple of the page size
   * @param ledger default: none
   * @throws SystemCallError when there is no room
   */
  constructor(length: number, ledger?: MappingLedger) {
    this.length = length;
    const total = length >= ALIGNMENT ? length + ALIGNMENT : length;
    const address = reserve(total);
    this.#address = length >= ALIGNMENT ? Math.ceil(address / ALIGNMENT) * ALIGNMENT : address;
    this.#reservation = { address, length: total, ledger, views: 0, released: false };
    ledger?.enterMapping(address, total);
    this.#views = [];
    try {
      mapZerosOver(this.#address, length);
      for (let at = 0; at < length; at += MAX_VIEW) {
        const piece = Math.min(MAX_VIEW, length - at);
        const show = (): ArrayBuffer => view(this.#address + at, piece);
        const memory = ledger === undefined ? show() : ledger.protect(show);
        this.#reservation.views++;
        unreachable.register(memory, this.#reservation);
        this.#views.push(Buffer.from(memory));
      }
    } catch (error) {
      this.release();
      throw error;
    }
  }

  /** Where it starts. */
  get address(): number {
    return this.#address;
  }

  /** One Buffer per {@link MAX_VIEW} bytes; none after release. */
  get views(): readonly Buffer[] {
    return this.#views;
  }

  /** Shows `length` bytes of a file from `offset` on at `at`; all three are multiples of the page size.
   * @throws SystemCallError */
  showFile(at: number, length: number, fd: number, offset: number, copyOnWrite = false): void {
    mapFileOver(this.#address + at, length, fd, offset, { copyOnWrite });
  }

  /** Shows zeros at `at`.
   * @throws SystemCallError */
  showZeros(at: number, length: number): void {
    mapZerosOver(this.#address + at, length);
  }

  /** Ends the use: stale Buffers read zeros, and the addresses are given back when the last of them is collected. */
  release(): void {
    if (this.#reservation.released) return;
    this.#views = [];
    this.#reservation.released = true;
    if (this.#reservation.views > 0) mapZerosOver(this.#address, this.length);
    giveBack(this.#reservation);
  }
}
