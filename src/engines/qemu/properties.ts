import { readFileSync } from 'node:fs';
import type { Statistics } from '../../hcs/schema/documents.ts';
import type { MachinePlan } from './document.ts';

const PAGE = 4096;
/** Clock ticks per second in /proc (sysconf(_SC_CLK_TCK)) are 100 on Linux, by ABI. */
const TICK_100NS = 100_000;

/** MemoryInformationForVm: sizes in pages of 4 KiB. All of the memory is assigned from the start. */
export function memoryInformation({ memoryMB }: MachinePlan): unknown {
  const pages = (memoryMB * 1024 * 1024) / PAGE;
  return {
    VirtualNodeCount: 1,
    VirtualMachineMemory: { AvailableMemory: pages, AssignedMemory: pages },
  };
}

/** Statistics document of a QEMU process, from /proc (proc(5): stat, status). */
export function statistics(pid: number, startedAt: number, now: number = Date.now()): Statistics {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const user = Number(fields[11]) * TICK_100NS;
  const kernel = Number(fields[12]) * TICK_100NS;
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const kilobytes = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) * 1024;
  return {
    Timestamp: new Date(now).toISOString(),
    ContainerStartTime: new Date(startedAt).toISOString(),
    Uptime100ns: (now - startedAt) * 10_000,
    Processor: {
      TotalRuntime100ns: user + kernel,
      RuntimeUser100ns: user,
      RuntimeKernel100ns: kernel,
    },
    Memory: {
      MemoryUsageCommitBytes: kilobytes('VmRSS'),
      MemoryUsageCommitPeakBytes: kilobytes('VmHWM'),
      MemoryUsagePrivateWorkingSetBytes: kilobytes('RssAnon'),
    },
  };
}
