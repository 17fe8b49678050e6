import type { VfioUserDevice } from './device.ts';
import type { WindowTable } from './window-ledger.ts';
import { DmaFlag, Errno, getUint64, PayloadSize } from './wire.ts';

/**
 * DMA_MAP.
 * @param at, length the payload
 * @param fds descriptors that came along; one that is taken over is set to -1
 * @returns 0 or the negative errno
 */
export function mapCommand(
  table: WindowTable,
  device: VfioUserDevice,
  view: DataView,
  at: number,
  length: number,
  fds: Int32Array,
): number {
  if (length < PayloadSize.DMA_MAP || view.getUint32(at, true) < PayloadSize.DMA_MAP) {
    return -Errno.EINVAL;
  }
  if (fds.length > 1) return -Errno.EINVAL;
  const flags = view.getUint32(at + 4, true);
  const offset = getUint64(view, at + 8);
  const gpa = getUint64(view, at + 16);
  const size = getUint64(view, at + 24);
  const fd = fds[0] ?? -1;
  if (fd >= 0) fds[0] = -1;
  const error = table.map(gpa, size, flags, fd, offset);
  if (error === 0) device.dmaMapped?.(gpa, size);
  return -error;
}

/**
 * DMA_UNMAP: one window, or all of them.
 * @param at, length the payload
 * @returns 0 or the negative errno
 */
export function unmapCommand(
  table: WindowTable,
  device: VfioUserDevice,
  view: DataView,
  at: number,
  length: number,
): number {
  if (length < PayloadSize.DMA_UNMAP || view.getUint32(at, true) < PayloadSize.DMA_UNMAP) {
    return -Errno.EINVAL;
  }
  const flags = view.getUint32(at + 4, true);
  const gpa = getUint64(view, at + 8);
  const size = getUint64(view, at + 16);
  if (flags === DmaFlag.UNMAP_ALL) {
    if (gpa !== 0 || size !== 0) return -Errno.EINVAL;
    const windows = device.dmaUnmapped === undefined ? [] : table.windows();
    table.unmapAll();
    for (const window of windows) device.dmaUnmapped?.(window.gpa, window.length);
    return 0;
  }
  if (flags !== 0) return -Errno.EINVAL;
  const error = table.unmap(gpa, size);
  if (error === 0) device.dmaUnmapped?.(gpa, size);
  return -error;
}
