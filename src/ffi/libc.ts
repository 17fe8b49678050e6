import { koffi } from './native-config.ts';
import { SystemCallError } from './system-call-error.ts';

/**
 * The C library's functions that this package calls, with addresses as plain numbers: user-space addresses fit a
 * double, and a number costs koffi nothing. Buffers whose address native code keeps must stay referenced, and must be
 * longer than 64 bytes: shorter ones live on the JavaScript heap, which moves them.
 */
export interface LibC {
  socket(domain: number, type: number, protocol: number): number;
  socketpair(domain: number, type: number, protocol: number, pair: number): number;
  bind(fd: number, address: number, length: number): number;
  listen(fd: number, backlog: number): number;
  accept4(fd: number, address: number, length: number, flags: number): number;
  connect(fd: number, address: number, length: number): number;
  sendmsg(fd: number, message: number, flags: number): number;
  recvmsg(fd: number, message: number, flags: number): number;
  send(fd: number, data: number, length: number, flags: number): number;
  shutdown(fd: number, how: number): number;
  setsockopt(fd: number, level: number, name: number, value: number, length: number): number;
  getsockopt(fd: number, level: number, name: number, value: number, length: number): number;
  poll(fds: number, count: number, timeoutMs: number): number;
  eventfd(initial: number, flags: number): number;
  epoll_create1(flags: number): number;
  epoll_ctl(epoll: number, operation: number, fd: number, event: number): number;
  read(fd: number, data: number, length: number): number;
  write(fd: number, data: number, length: number): number;
  close(fd: number): number;
  gettid(): number;
  sched_setaffinity(thread: number, length: number, mask: number): number;
  fcntl(fd: number, command: number, argument: number): number;
  fchmod(fd: number, mode: number): number;
  flock(fd: number, operation: number): number;
  prlimit(pid: number, resource: number, limit: number, old: number): number;
  ioctl(fd: number, request: number, argument: number): number;
  memfd_create(name: string, flags: number): number;
  ftruncate(fd: number, length: number): number;
  lseek(fd: number, offset: number, whence: number): number;
  getxattr(path: string, name: string, value: number, size: number): number;
  setxattr(path: string, name: string, value: number, size: number, flags: number): number;
  /** A failed call returns 2^64 - 1, which koffi hands over as a bigint: anything but a number is a failure. */
  mmap(
    address: number,
    length: number,
    protection: number,
    flags: number,
    fd: number,
    offset: number,
  ): number | bigint;
  munmap(address: number, length: number): number;
  /** Ends the process, whatever its other threads do. */
  _exit(code: number): void;
}

const declarations: Record<keyof LibC, readonly [result: string, parameters: readonly string[]]> = {
  socket: ['int', ['int', 'int', 'int']],
  socketpair: ['int', ['int', 'int', 'int', 'uintptr_t']],
  bind: ['int', ['int', 'uintptr_t', 'uint32_t']],
  listen: ['int', ['int', 'int']],
  accept4: ['int', ['int', 'uintptr_t', 'uintptr_t', 'int']],
  connect: ['int', ['int', 'uintptr_t', 'uint32_t']],
  sendmsg: ['int64_t', ['int', 'uintptr_t', 'int']],
  recvmsg: ['int64_t', ['int', 'uintptr_t', 'int']],
  send: ['int64_t', ['int', 'uintptr_t', 'size_t', 'int']],
  shutdown: ['int', ['int', 'int']],
  setsockopt: ['int', ['int', 'int', 'int', 'uintptr_t', 'uint32_t']],
  getsockopt: ['int', ['int', 'int', 'int', 'uintptr_t', 'uintptr_t']],
  poll: ['int', ['uintptr_t', 'unsigned long', 'int']],
  eventfd: ['int', ['unsigned int', 'int']],
  epoll_create1: ['int', ['int']],
  epoll_ctl: ['int', ['int', 'int', 'int', 'uintptr_t']],
  read: ['int64_t', ['int', 'uintptr_t', 'size_t']],
  write: ['int64_t', ['int', 'uintptr_t', 'size_t']],
  close: ['int', ['int']],
  gettid: ['int', []],
  sched_setaffinity: ['int', ['int', 'size_t', 'uintptr_t']],
  fcntl: ['int', ['int', 'int', 'int']],
  fchmod: ['int', ['int', 'uint32_t']],
  flock: ['int', ['int', 'int']],
  prlimit: ['int', ['int', 'int', 'uintptr_t', 'uintptr_t']],
  ioctl: ['int', ['int', 'unsigned long', 'uintptr_t']],
  memfd_create: ['int', ['str', 'unsigned int']],
  ftruncate: ['int', ['int', 'int64_t']],
  lseek: ['int64_t', ['int', 'int64_t', 'int']],
  getxattr: ['int64_t', ['str', 'str', 'uintptr_t', 'size_t']],
  setxattr: ['int', ['str', 'str', 'uintptr_t', 'size_t', 'int']],
  mmap: ['uintptr_t', ['uintptr_t', 'size_t', 'int', 'int', 'int', 'int64_t']],
  munmap: ['int', ['uintptr_t', 'size_t']],
  _exit: ['void', ['int']],
};

let loaded: LibC | undefined;

/**
 * The C library, loaded and declared completely at the first call, so that no later call creates JavaScript objects in
 * native code (which a worker's termination would not survive).
 * @throws Error on a system other than Linux
 */
export function libc(): LibC {
  if (loaded !== undefined) return loaded;
  if (process.platform !== 'linux') {
    throw new Error(`Cannot use Linux system calls on ${process.platform}`);
  }
  const library = loadLibrary();
  const functions: Record<string, unknown> = {};
  for (const [name, [result, parameters]] of Object.entries(declarations)) {
    functions[name] = library.func(name, result, [...parameters]);
  }
  loaded = functions as unknown as LibC;
  return loaded;
}

function loadLibrary(): ReturnType<typeof koffi.load> {
  try {
    return koffi.load('libc.so.6');
  } catch {
    return koffi.load(`libc.musl-${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}.so.1`);
  }
}

/** errno of the last call of this thread; only right after it. */
export function errno(): number {
  return koffi.errno();
}

/** @returns `result`, when it is not negative
 * @throws SystemCallError with errno and the call's name */
export function checked(result: number, call: string, subject?: string): number {
  if (result < 0) throw new SystemCallError(call, koffi.errno(), subject);
  return result;
}

/**
 * Address of a typed array's first byte; valid, and unchanged by garbage collection, while the array's buffer is
 * referenced and longer than 64 bytes.
 */
export function addressOf(array: NodeJS.TypedArray): number {
  return Number(koffi.address(array));
}

/** Memory whose address may be handed to native code: never on the JavaScript heap, 8-byte aligned. */
export function nativeBuffer(length: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new ArrayBuffer(Math.max(length, 128)), 0, length);
}
