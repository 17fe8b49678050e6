import { readFileSync } from 'node:fs';
import { HcsError } from '../../hcs/hcs-error.ts';
import type {
  ConsoleImageQuery,
  ProcessorTopology,
  Statistics,
  StorageStats,
} from '../../hcs/schema/documents.ts';
import { heartbeatStatus } from './guest/heartbeat.ts';
import type { LiveMachine } from './live-machine.ts';
import { processorThreads, processorTime } from './processor-threads.ts';
import type { QmpClient } from './qmp.ts';
import { consoleImage } from './resources/console.ts';
import { hvSocketProperty } from './resources/hv-socket.ts';
import { assignedMemoryMB, guestMemory } from './resources/memory.ts';
import { sharedMemoryRegions } from './resources/shared-memory.ts';

const PAGES_PER_MIB = 256;

/** What answers each property type. */
const ANSWERS: Readonly<
  Record<string, (machine: LiveMachine, createdAt: number, query: unknown) => Promise<unknown>>
> = {
  Memory: memoryInformation,
  GuestMemory: guestMemory,
  Statistics: statistics,
  ProcessorTopology: ({ qmp }) => processorTopology(qmp),
  SharedMemoryRegion: sharedMemoryRegions,
  ConsoleImage: (machine, _createdAt, query) => consoleImage(machine, query as ConsoleImageQuery),
  HvSocket: hvSocketProperty,
  GuestConnection: async ({ guestConnection }) => guestConnection?.info,
  ICHeartbeatStatus: heartbeatStatus,
};

/**
 * Property documents of a machine, by type; those that nothing answers are absent.
 * @param queries what is asked for more closely, by type: documents of the schema. One that cannot be answered is the
 * HcsError that says why, and leaves the others alone
 * @param createdAt when the machine was made, in milliseconds
 */
export async function machineProperties(
  machine: LiveMachine,
  createdAt: number,
  types: readonly string[],
  queries: Readonly<Record<string, unknown>> = {},
): Promise<Readonly<Record<string, unknown>>> {
  const answers: [string, unknown][] = [];
  for (const type of types) {
    if (!Object.hasOwn(ANSWERS, type)) continue;
    const answer = ANSWERS[type]!(machine, createdAt, queries[type] ?? undefined);
    answers.push([type, await (type in queries ? answer.catch(refusal) : answer)]);
  }
  return Object.fromEntries(answers.filter(([, answer]) => answer !== undefined));
}

function refusal(error: unknown): HcsError {
  if (error instanceof HcsError) return error;
  throw error;
}

/** MemoryInformationForVm: sizes in pages of 4 KiB. */
async function memoryInformation(machine: LiveMachine): Promise<unknown> {
  const pages = (await assignedMemoryMB(machine)) * PAGES_PER_MIB;
  return {
    VirtualNodeCount: Math.max(1, machine.plan.hardware.numa.nodes.length),
    VirtualMachineMemory: { AvailableMemory: pages, AssignedMemory: pages },
  };
}

/**
 * Statistics document: time of the threads of the virtual processors and memory of the process, from /proc (proc(5)), and
 * what the disks have done. Operations are counted as the guest made them.
 */
async function statistics({ qmp, pid }: LiveMachine, createdAt: number): Promise<Statistics> {
  const now = Date.now();
  const times = (await processorThreads(qmp)).map((thread) =>
    processorTime(`/proc/${pid}/task/${thread}/stat`),
  );
  const user = times.reduce((sum, time) => sum + time.user, 0);
  const kernel = times.reduce((sum, time) => sum + time.kernel, 0);
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const kilobytes = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) * 1024;
  return {
    Timestamp: new Date(now).toISOString(),
    ContainerStartTime: new Date(createdAt).toISOString(),
    Uptime100ns: (now - createdAt) * 10_000,
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
    Storage: await storageStatistics(qmp),
  };
}

interface BlockStatistics {
  /** Empty for what is no disk, like the firmware's flash. */
  readonly qdev?: string;
  readonly stats: Readonly<
    Record<'rd_operations' | 'rd_bytes' | 'wr_operations' | 'wr_bytes', number>
  >;
}

async function storageStatistics(qmp: QmpClient): Promise<StorageStats> {
  const all = (await qmp.execute('query-blockstats')) as readonly BlockStatistics[];
  const disks = all.filter(({ qdev = '' }) => qdev !== '');
  const sum = (name: keyof BlockStatistics['stats']): number =>
    disks.reduce((total, { stats }) => total + stats[name], 0);
  return {
    ReadCountNormalized: sum('rd_operations'),
    ReadSizeBytes: sum('rd_bytes'),
    WriteCountNormalized: sum('wr_operations'),
    WriteSizeBytes: sum('wr_bytes'),
  };
}

interface Processor {
  readonly 'cpu-index': number;
  readonly props?: Readonly<
    Partial<Record<'node-id' | 'socket-id' | 'core-id' | 'thread-id', number>>
  >;
}

/** The virtual processors as the guest has them. */
async function processorTopology(qmp: QmpClient): Promise<ProcessorTopology> {
  const processors = (await qmp.execute('query-cpus-fast')) as readonly Processor[];
  return {
    LogicalProcessorCount: processors.length,
    LogicalProcessors: processors.map(({ 'cpu-index': LpIndex, props = {} }) => ({
      LpIndex,
      NodeNumber: props['node-id'] ?? 0,
      PackageId: props['socket-id'] ?? 0,
      CoreId: props['core-id'] ?? 0,
      RootVpIndex: LpIndex,
    })),
  };
}
