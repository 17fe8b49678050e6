import type { Connection } from './connection.ts';
import { Region, type RegionDoorbells, type VfioUserDevice } from './device.ts';
import { readRegion, writeRegion } from './region-access.ts';
import { type ServerState, StateWord } from './server-state.ts';
import { Errno, getUint64, HEADER_SIZE, Limit, PayloadSize } from './wire.ts';

/** The accesses: messages whose way to the device allocates nothing. */
export class RegionCommands {
  readonly #device: VfioUserDevice;
  readonly #state: ServerState;
  readonly #connection: Connection;
  readonly #sizes = new Float64Array(Region.COUNT);
  readonly #readable = new Uint8Array(Region.COUNT);
  readonly #writable = new Uint8Array(Region.COUNT);
  readonly #doorbells: RegionDoorbells | undefined;

  constructor(device: VfioUserDevice, state: ServerState, connection: Connection) {
    this.#device = device;
    this.#state = state;
    this.#connection = connection;
    this.#doorbells = device.doorbells;
    for (const [index, region] of device.regions.entries()) {
      this.#sizes[index] = region.size;
      this.#readable[index] = region.readable === false ? 0 : 1;
      this.#writable[index] = region.writable === false ? 0 : 1;
    }
  }

  /** REGION_READ. @param at, length the payload; @returns bytes of the reply's payload, or the negative errno */
  read(at: number, length: number): number {
    const view = this.#state.receiveView;
    if (length < PayloadSize.REGION_ACCESS) return -Errno.EINVAL;
    const offset = getUint64(view, at);
    const region = view.getUint32(at + 8, true);
    const count = view.getUint32(at + 12, true);
    if (region >= Region.COUNT || count > Limit.MAX_DATA_XFER_SIZE) return -Errno.EINVAL;
    if (offset + count > this.#sizes[region]! || this.#readable[region] === 0) return -Errno.EINVAL;
    const out = this.#connection.outView;
    readRegion(this.#device, region, offset, count, out, HEADER_SIZE + PayloadSize.REGION_ACCESS);
    this.#connection.echo(at, PayloadSize.REGION_ACCESS);
    return PayloadSize.REGION_ACCESS + count;
  }

  /** REGION_WRITE. */
  write(at: number, length: number): number {
    const view = this.#state.receiveView;
    if (length < PayloadSize.REGION_ACCESS) return -Errno.EINVAL;
    const count = view.getUint32(at + 12, true);
    if (count > length - PayloadSize.REGION_ACCESS || count > Limit.MAX_DATA_XFER_SIZE) {
      return -Errno.EINVAL;
    }
    const error = this.#write(at, count);
    if (error !== 0) return -error;
    this.#connection.echo(at, PayloadSize.REGION_ACCESS);
    return PayloadSize.REGION_ACCESS;
  }

  /** REGION_WRITE_MULTI: entries before one that is wrong are written. */
  writeMulti(at: number, length: number): number {
    const view = this.#state.receiveView;
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
      // A device may end its own connection.
      if (this.#state.words[StateWord.SOCKET] === 0) return 0;
    }
    this.#connection.echo(at, PayloadSize.WRITE_MULTI);
    return PayloadSize.WRITE_MULTI;
  }

  /** One write: offset, region and count at `at`, data 16 bytes further. @returns 0 or an errno */
  #write(at: number, count: number): number {
    const view = this.#state.receiveView;
    const offset = getUint64(view, at);
    const region = view.getUint32(at + 8, true);
    if (region >= Region.COUNT || offset + count > this.#sizes[region]!) return Errno.EINVAL;
    if (this.#writable[region] === 0) return Errno.EINVAL;
    const doorbells = this.#doorbells;
    if (doorbells !== undefined && doorbells.doorbellCount > 0) {
      if (ring(doorbells, region, offset, count, view, at + PayloadSize.REGION_ACCESS)) return 0;
    }
    writeRegion(this.#device, region, offset, count, view, at + PayloadSize.REGION_ACCESS);
    return 0;
  }
}

/** Offers a write as the guest made it. @returns whether a doorbell took it */
function ring(
  doorbells: RegionDoorbells,
  region: number,
  offset: number,
  count: number,
  view: DataView,
  at: number,
): boolean {
  switch (count) {
    case 1:
      return doorbells.ring(region, offset, 1, view.getUint8(at), 0);
    case 2:
      return doorbells.ring(region, offset, 2, view.getUint16(at, true), 0);
    case 4:
      return doorbells.ring(region, offset, 4, view.getUint32(at, true), 0);
    case 8: {
      const low = view.getUint32(at, true);
      return doorbells.ring(region, offset, 8, low, view.getUint32(at + 4, true));
    }
    default:
      return false;
  }
}
