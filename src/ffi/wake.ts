import { closeFd, createEventFd, signalEventFd, takeEventFd } from './descriptors.ts';
import { addToWaitGroup, createWaitGroup } from './wait-group.ts';
import { windowsSystem } from './windows-system.ts';

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

/** WAIT_OBJECT_0: the object is signalled. */
const SIGNALLED = 0;

const windows: WakeSystem = {
  create() {
    const event = windowsSystem().CreateEventW(null, 1, 0, null);
    if (Number(event) === 0) throw new Error('Cannot create an event: the system has no room');
    return Number(event);
  },
  signal: (wake) => void windowsSystem().SetEvent(wake),
  take(wake) {
    const { ResetEvent, WaitForSingleObject } = windowsSystem();
    if (WaitForSingleObject(wake, 0) !== SIGNALLED) return false;
    // Before what it announces is looked at: a signal that comes in between is not lost.
    ResetEvent(wake);
    return true;
  },
  close: (wake) => void windowsSystem().CloseHandle(wake),
  createGroup: (wake) => wake,
  addToGroup: () => undefined,
  closeGroup: () => undefined,
};

const system = process.platform === 'win32' ? windows : linux;

/**
 * Creates a wake that nobody has signalled. Belongs to the caller.
 * @throws Error when the system has no room
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
