import { closeSync, constants, openSync } from 'node:fs';
import { addressOf, checked, libc, nativeBuffer } from './libc.ts';

/** Linux, include/uapi/linux/if_tun.h. */
const TUNSETIFF = 0x4004_54ca;
const IFF_TAP = 0x0002;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;
/** With its NUL (if.h: IFNAMSIZ). */
const NAME_SIZE = 16;

/**
 * Opens a tap interface that exists, as QEMU does: frames with a virtio header, one queue.
 * @returns the descriptor
 * @throws SystemCallError, RangeError for a name that no interface has
 */
export function openTap(name: string): number {
  const bytes = Buffer.from(name);
  if (bytes.length === 0 || bytes.length >= NAME_SIZE || bytes.includes(0)) {
    throw new RangeError(`Cannot open tap interface "${name}": names have 1 to 15 bytes`);
  }
  const fd = openSync('/dev/net/tun', constants.O_RDWR);
  try {
    // struct ifreq: name at 0, flags (u16) at 16.
    const request = nativeBuffer(40);
    request.set(bytes);
    new DataView(request.buffer).setUint16(16, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, true);
    checked(libc().ioctl(fd, TUNSETIFF, addressOf(request)), 'open tap interface', name);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}
