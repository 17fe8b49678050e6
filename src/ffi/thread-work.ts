import { readFileSync } from 'node:fs';
import { libc, nativeBuffer } from './libc.ts';
import { windowsSystem } from './windows-system.ts';

/** What a thread of this process is doing, as the kernel sees it. */
export interface ThreadWork {
  /** Runs, or would if it had a processor; false: waits in the kernel. Undefined on Windows, which does not say. */
  readonly runnable: boolean | undefined;
  /** Processor time so far, in milliseconds; counted in steps of 10, of 16 on Windows. */
  readonly cpuMs: number;
}

/** USER_HZ, which is 100 wherever Linux runs Node. */
const MS_PER_TICK = 10;

/** The system's id of this thread. */
export function currentThreadId(): number {
  return process.platform === 'win32' ? windowsSystem().GetCurrentThreadId() : libc().gettid();
}

/** @returns undefined when there is no such thread */
export function threadWork(threadId: number): ThreadWork | undefined {
  return process.platform === 'win32' ? windowsThreadWork(threadId) : linuxThreadWork(threadId);
}

function linuxThreadWork(threadId: number): ThreadWork | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/self/task/${threadId}/stat`, 'latin1');
  } catch {
    return undefined;
  }
  // proc(5): the name in parentheses may hold anything; then state is field 3, utime and stime fields 14 and 15.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return {
    runnable: fields[0] === 'R',
    cpuMs: (Number(fields[11]) + Number(fields[12])) * MS_PER_TICK,
  };
}

const THREAD_QUERY_LIMITED_INFORMATION = 0x0800;

/** The four FILETIMEs of GetThreadTimes: creation, exit, kernel, user; in units of 100 ns. */
const times = nativeBuffer(128);
const timesView = new DataView(times.buffer);
const creation = times.subarray(0, 8);
const exit = times.subarray(8, 16);
const kernel = times.subarray(16, 24);
const user = times.subarray(24, 32);

function windowsThreadWork(threadId: number): ThreadWork | undefined {
  const { CloseHandle, GetThreadTimes, OpenThread } = windowsSystem();
  const thread = OpenThread(THREAD_QUERY_LIMITED_INFORMATION, 0, threadId);
  if (Number(thread) === 0) return undefined;
  const known = GetThreadTimes(thread, creation, exit, kernel, user);
  CloseHandle(thread);
  if (known === 0) return undefined;
  const total = timesView.getBigUint64(16, true) + timesView.getBigUint64(24, true);
  return { runnable: undefined, cpuMs: Number(total) / 10_000 };
}
