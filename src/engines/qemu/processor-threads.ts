import { readFileSync } from 'node:fs';
import { indexes } from './linux-host-information.ts';
import type { QmpClient } from './qmp.ts';

/** Clock ticks per second in /proc (sysconf(_SC_CLK_TCK)) are 100 on Linux, by ABI. */
const TICK_100NS = 100_000;

/** Time that a thread or process has run, in units of 100 ns. */
export interface ProcessorTime {
  readonly user: number;
  readonly kernel: number;
}

/** Threads of the virtual processors, in the order of their numbers. */
export async function processorThreads(qmp: QmpClient): Promise<readonly number[]> {
  const processors = (await qmp.execute('query-cpus-fast')) as readonly {
    readonly 'cpu-index': number;
    readonly 'thread-id': number;
  }[];
  return [...processors]
    .sort((one, other) => one['cpu-index'] - other['cpu-index'])
    .map((processor) => processor['thread-id']);
}

/** Processors that a thread may run on (proc(5)). */
export function allowedProcessors(pid: number, thread: number): readonly number[] {
  const status = readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8');
  return indexes(/^Cpus_allowed_list:\s+(\S*)/m.exec(status)?.[1] ?? '');
}

/** Reads a file `stat` of /proc (proc(5)). */
export function processorTime(path: string): ProcessorTime {
  const stat = readFileSync(path, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { user: Number(fields[11]) * TICK_100NS, kernel: Number(fields[12]) * TICK_100NS };
}
