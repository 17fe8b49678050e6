import { closeFd } from './descriptors.ts';
import { addressOf, checked, libc, nativeBuffer } from './libc.ts';
import { PollEvent } from './poll-set.ts';

const EPOLL_CLOEXEC = 0x80000;
const EPOLL_CTL_ADD = 1;

/**
 * Makes a descriptor that is readable while one of several is: epoll(7). Belongs to the caller, who may watch it with
 * poll(2), from any thread.
 * @throws SystemCallError
 */
export function createWaitGroup(...fds: readonly number[]): number {
  const group = checked(libc().epoll_create1(EPOLL_CLOEXEC), 'create an epoll descriptor');
  try {
    for (const fd of fds) addToWaitGroup(group, fd);
  } catch (error) {
    closeFd(group);
    throw error;
  }
  return group;
}

/** Adds a descriptor, until every process has closed it.
 * @param events see {@link PollEvent}
 * @throws SystemCallError */
export function addToWaitGroup(group: number, fd: number, events: number = PollEvent.IN): void {
  // struct epoll_event, packed on x86-64: events at 0, data from 4 (from 8 elsewhere), which nobody reads here.
  const event = nativeBuffer(128);
  new DataView(event.buffer).setUint32(0, events, true);
  checked(
    libc().epoll_ctl(group, EPOLL_CTL_ADD, fd, addressOf(event)),
    'watch',
    `descriptor ${fd}`,
  );
}
