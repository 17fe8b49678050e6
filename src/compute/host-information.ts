import type { LogicalProcessor, ProcessorCapabilitiesInfo } from '../hcs/schema/documents.ts';

/** Memory of one NUMA node of the host. */
export interface HostMemoryNode {
  readonly NodeNumber: number;
  /** In pages of 4 KiB, as all memory in property documents. */
  readonly TotalMemory: number;
  /** Pages that nobody uses now. */
  readonly AvailableMemory: number;
}

/** What service properties tell of the host that machines run on. Asked each time: hosts change. */
export interface HostInformation {
  /** The processors that are online, by rising index. */
  logicalProcessors(): readonly LogicalProcessor[];
  memoryNodes(): readonly HostMemoryNode[];
  processorCapabilities(): ProcessorCapabilitiesInfo;
  /** Property codes of CPU groups ({@link CpuGroupPropertyCode}) that the host sees to. */
  readonly cpuGroupProperties: readonly number[];
}

/** What can be set of a CPU group (hcsshim). */
export const CpuGroupPropertyCode = {
  /** Most that the group may use of its processors. */
  CAPACITY: 0x0001_0000,
  SCHEDULING_PRIORITY: 0x0002_0000,
  /** Processors that stay idle for the group. */
  IDLE_RESERVE: 0x0003_0000,
} as const;
