import type { Width } from '../device/mmio-region.ts';
import type { PciDeviceCallbacks, PciFunctionExtras } from './device-callbacks.ts';

type ConfigSpaceCallbacks = Pick<PciDeviceCallbacks, 'readConfigSpace' | 'writeConfigSpace'> &
  Partial<Pick<PciFunctionExtras, 'peekConfigSpace'>>;

const MASKS = Uint32Array.of(0, 0xff, 0xffff, 0, 0xffff_ffff);

/** Reads a dword of config space for the host's own use: unseen by observers, where the function can do that. */
export function peekConfig(
  fn: Omit<ConfigSpaceCallbacks, 'writeConfigSpace'>,
  offset: number,
): number {
  const value = fn.peekConfigSpace?.(offset) ?? fn.readConfigSpace(offset);
  return value >>> 0;
}

/** Reads 1, 2 or 4 bytes of config space, which the callbacks serve by dword. May cross dwords. */
export function readConfig(fn: ConfigSpaceCallbacks, offset: number, width: Width): number {
  const shift = (offset & 3) * 8;
  const dword = offset - (offset & 3);
  let value = fn.readConfigSpace(dword) >>> shift;
  if (shift + width * 8 > 32) value |= fn.readConfigSpace(dword + 4) << (32 - shift);
  return (value & MASKS[width]!) >>> 0;
}

/**
 * Writes 1, 2 or 4 bytes of config space: what is left out of a dword is read and written back. No bit of a function
 * of ours is changed by writing back what was read, as none that writes of one clear is ever set.
 */
export function writeConfig(
  fn: ConfigSpaceCallbacks,
  offset: number,
  width: Width,
  value: number,
): void {
  const shift = (offset & 3) * 8;
  const dword = offset - (offset & 3);
  if (shift === 0 && width === 4) {
    fn.writeConfigSpace(dword, value >>> 0);
    return;
  }
  merge(fn, dword, MASKS[width]! << shift, value << shift);
  if (shift + width * 8 > 32) {
    const rest = 32 - shift;
    merge(fn, dword + 4, MASKS[width]! >>> rest, (value & MASKS[width]!) >>> rest);
  }
}

function merge(fn: ConfigSpaceCallbacks, dword: number, mask: number, value: number): void {
  const old = peekConfig(fn, dword);
  fn.writeConfigSpace(dword, ((old & ~mask) | (value & mask)) >>> 0);
}
