import { addressOf, errno, libc } from './libc.ts';

const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_NOSIGNAL = 0x4000;
const MSG_DONTWAIT = 0x40;
const MSG_CTRUNC = 0x8;
const MSG_CMSG_CLOEXEC = 0x4000_0000;

/** Most descriptors that the kernel passes with one message (SCM_MAX_FD). */
export const MAX_FDS = 253;

const CONTROL = 128;
const CONTROL_SIZE = 16 + Math.ceil((4 * MAX_FDS) / 8) * 8;

/**
 * One prebuilt message header for recvmsg(2) and sendmsg(2), descriptors included. Per call only addresses and lengths
 * change; nothing is allocated.
 *
 * | offset | size | field |
 * | --- | --- | --- |
 * | 0 | 56 | msghdr: name 0, name length 8, iovec 16, count 24, control 32, control length 40, flags 48 |
 * | 64 | 16 | iovec: base 64, length 72 |
 * | 128 | 1032 | control: cmsghdr (length 128, level 136, type 140), descriptors from 144 |
 */
export class SocketMessage {
  readonly #bytes = new Uint8Array(new ArrayBuffer(CONTROL + CONTROL_SIZE));
  readonly #view = new DataView(this.#bytes.buffer);
  readonly #address = addressOf(this.#bytes);
  /** Descriptors that came with the last receive; the receiver owns them. */
  readonly fds = new Int32Array(MAX_FDS);
  fdCount = 0;
  /** Whether descriptors were lost in the last receive because this process may open no more. */
  truncated = false;

  constructor() {
    this.#putPointer(16, this.#address + 64);
    this.#view.setUint32(24, 1, true);
    this.#putPointer(32, this.#address + CONTROL);
  }

  /**
   * Receives into memory at `address`, with the descriptors that came along. Does not wait unless told to.
   * @returns bytes received, 0 at the end of the stream, or the negative errno
   */
  receive(fd: number, address: number, length: number, wait = false): number {
    const view = this.#view;
    this.#putPointer(64, address);
    this.#putPointer(72, length);
    view.setUint32(40, CONTROL_SIZE, true);
    this.fdCount = 0;
    this.truncated = false;
    const flags = wait ? MSG_CMSG_CLOEXEC : MSG_CMSG_CLOEXEC | MSG_DONTWAIT;
    const received = libc().recvmsg(fd, this.#address, flags);
    if (received < 0) return -errno();
    const controlLength = view.getUint32(40, true);
    if (controlLength !== 0) this.#collect(controlLength);
    return received;
  }

  /**
   * Sends memory at `address`, with the descriptors if any. Never raises SIGPIPE.
   * @returns bytes sent, or the negative errno
   */
  send(fd: number, address: number, length: number, fds?: ArrayLike<number>, wait = false): number {
    const flags = wait ? MSG_NOSIGNAL : MSG_NOSIGNAL | MSG_DONTWAIT;
    if (fds === undefined || fds.length === 0) {
      const sent = libc().send(fd, address, length, flags);
      return sent < 0 ? -errno() : sent;
    }
    const view = this.#view;
    this.#putPointer(64, address);
    this.#putPointer(72, length);
    const dataLength = 16 + 4 * fds.length;
    view.setUint32(40, 16 + Math.ceil((4 * fds.length) / 8) * 8, true);
    view.setUint32(CONTROL, dataLength, true);
    view.setUint32(CONTROL + 4, 0, true);
    view.setInt32(CONTROL + 8, SOL_SOCKET, true);
    view.setInt32(CONTROL + 12, SCM_RIGHTS, true);
    for (let i = 0; i < fds.length; i++) view.setInt32(CONTROL + 16 + 4 * i, fds[i]!, true);
    const sent = libc().sendmsg(fd, this.#address, flags);
    return sent < 0 ? -errno() : sent;
  }

  #collect(controlLength: number): void {
    const view = this.#view;
    let at = CONTROL;
    const end = CONTROL + controlLength;
    while (at + 16 <= end) {
      const length = view.getUint32(at, true);
      if (length < 16) break;
      if (
        view.getInt32(at + 8, true) === SOL_SOCKET &&
        view.getInt32(at + 12, true) === SCM_RIGHTS
      ) {
        for (let fd = at + 16; fd + 4 <= at + length && this.fdCount < MAX_FDS; fd += 4) {
          this.fds[this.fdCount++] = view.getInt32(fd, true);
        }
      }
      at += Math.ceil(length / 8) * 8;
    }
    this.truncated = (view.getInt32(48, true) & MSG_CTRUNC) !== 0;
  }

  #putPointer(at: number, value: number): void {
    this.#view.setUint32(at, value >>> 0, true);
    this.#view.setUint32(at + 4, Math.floor(value / 2 ** 32), true);
  }
}
