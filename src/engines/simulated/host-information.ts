import { CpuGroupPropertyCode, type HostInformation } from '../../compute/host-information.ts';

const CORES = 4;
const NODES = 2;
const THREADS = 2;
const NODE_PAGES = 1024 * 1024;

/**
 * The host that simulated machines run on: the same everywhere, so that what depends on it is the same, too. Two NUMA
 * nodes of 4 GiB, each with a package of two cores with two threads. Its machines use no processor but for the guest
 * programs, so every limit of a CPU group holds.
 */
export const simulatedHostInformation: HostInformation = {
  cpuGroupProperties: Object.values(CpuGroupPropertyCode),
  logicalProcessors: () =>
    Array.from({ length: CORES * THREADS }, (_, index) => {
      const core = Math.floor(index / THREADS);
      const node = Math.floor(core / (CORES / NODES));
      return {
        LpIndex: index,
        NodeNumber: node,
        PackageId: node,
        CoreId: core,
        RootVpIndex: index,
      };
    }),
  memoryNodes: () =>
    Array.from({ length: NODES }, (_, node) => ({
      NodeNumber: node,
      TotalMemory: NODE_PAGES,
      AvailableMemory: NODE_PAGES,
    })),
  processorCapabilities: () => ({
    ProcessorFeatures: [],
    XsaveProcessorFeatures: [],
    CacheLineFlushSize: 64,
    ImplementedPhysicalAddressBits: 40,
  }),
};
