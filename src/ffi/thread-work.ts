import { readFileSync } from 'node:fs';
import { libc } from './libc.ts';

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
  return libc().gettid();
}

/** @returns undefined when there is no such thread */
export function threadWork(threadId: number): ThreadWork | undefined {
  return linuxThreadWork(threadId);
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
