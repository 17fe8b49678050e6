import type { VfioUserDevice } from './device.ts';

/**
 * Reads `count` bytes of a region into `into` at `at`. 1, 2 and 4 bytes are one access, as the guest made it; anything
 * else is cut into naturally aligned accesses of at most 4 bytes, ascending.
 */
export function readRegion(
  device: VfioUserDevice,
  region: number,
  offset: number,
  count: number,
  into: DataView,
  at: number,
): void {
  if (count === 4) into.setUint32(at, device.readRegion(region, offset, 4), true);
  else if (count === 2) into.setUint16(at, device.readRegion(region, offset, 2), true);
  else if (count === 1) into.setUint8(at, device.readRegion(region, offset, 1));
  else {
    for (let done = 0; done < count; ) {
      const width = pieceWidth(offset + done, count - done);
      const value = device.readRegion(region, offset + done, width);
      if (width === 4) into.setUint32(at + done, value, true);
      else if (width === 2) into.setUint16(at + done, value, true);
      else into.setUint8(at + done, value);
      done += width;
    }
  }
}

/** Writes `count` bytes from `from` at `at` to a region; cut as {@link readRegion} does. */
export function writeRegion(
  device: VfioUserDevice,
  region: number,
  offset: number,
  count: number,
  from: DataView,
  at: number,
): void {
  if (count === 4) device.writeRegion(region, offset, 4, from.getUint32(at, true));
  else if (count === 2) device.writeRegion(region, offset, 2, from.getUint16(at, true));
  else if (count === 1) device.writeRegion(region, offset, 1, from.getUint8(at));
  else {
    for (let done = 0; done < count; ) {
      const width = pieceWidth(offset + done, count - done);
      if (width === 4) {
        device.writeRegion(region, offset + done, 4, from.getUint32(at + done, true));
      } else if (width === 2) {
        device.writeRegion(region, offset + done, 2, from.getUint16(at + done, true));
      } else device.writeRegion(region, offset + done, 1, from.getUint8(at + done));
      done += width;
    }
  }
}

function pieceWidth(offset: number, left: number): 1 | 2 | 4 {
  const low = offset % 4;
  if (low === 0 && left >= 4) return 4;
  return low % 2 === 0 && left >= 2 ? 2 : 1;
}
