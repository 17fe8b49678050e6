import { closeFd, createEventFd, signalEventFd, takeEventFd } from './descriptors.ts';
import { addToWaitGroup, createWaitGroup } from './wait-group.ts';

/**
 * What wakes a thread that waits in the kernel: an eventfd on Linux, a manual-reset event on Windows. The number means
 * the same on every thread of this process. It belongs to whoever created it.
 *
 * A group is what such a thread waits for: it is ready while one of its members is. On Linux that is an epoll
 * descriptor; Windows has no such object, so a group there is the wake itself, and threads wait for several handles.
 */
interface WakeSystem {
  create(): number;
  signal(wake: number): void;
  take(wake: number): boolean;
  close(wake: number): void;
  createGroup(wake: number): number;
  addToGroup(group: number, descriptor: number): void;
  closeGroup(group: number): void;
}

const linux: WakeSystem = {
  create: createEventFd,
  signal: (wake) => void signalEventFd(wake),
  take: (wake) => takeEventFd(wake) > 0,
  close: closeFd,
  createGroup: (wake) => createWaitGroup(wake),
  addToGroup: addToWaitGroup,
  closeGroup: closeFd,
};

const system = linux;

/**
 * Creates a wake that nobody has signalled. Belongs to the caller.
 * @throws SystemCallError
 */
export function createWake(): number {
  return system.create();
}

/** Makes a wake ready until it is taken. From any thread. */
export function signalWake(wake: number): void {
  system.signal(wake);
}

/** Makes a wake unready again. @returns whether anybody had signalled it */
export function takeWake(wake: number): boolean {
  return system.take(wake);
}

/** Gives a wake back; no thread may wait for it. */
export function closeWake(wake: number): void {
  system.close(wake);
}

/**
 * Makes what a thread waits for: ready while `wake` is, or another member.
 * @throws SystemCallError
 */
export function createWakeGroup(wake: number): number {
  return system.createGroup(wake);
}

/**
 * Adds a descriptor to a group, until the descriptor is closed. Nothing where groups have one member.
 * @throws SystemCallError
 */
export function addToWakeGroup(group: number, descriptor: number): void {
  system.addToGroup(group, descriptor);
}

/** Gives a group back, but not its members. Before its wake. */
export function closeWakeGroup(group: number): void {
  system.closeGroup(group);
}
