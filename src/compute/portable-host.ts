import { cpus, freemem, totalmem } from 'node:os';
import type { HostInformation } from './host-information.ts';

const PAGE = 4096;

/** What Node tells of any host: one node, one package, a core for each processor. */
export const portableHost: HostInformation = {
  cpuGroupProperties: [],
  logicalProcessors: () =>
    cpus().map((_, index) => ({
      LpIndex: index,
      NodeNumber: 0,
      PackageId: 0,
      CoreId: index,
      RootVpIndex: index,
    })),
  memoryNodes: () => [
    {
      NodeNumber: 0,
      TotalMemory: Math.floor(totalmem() / PAGE),
      AvailableMemory: Math.floor(freemem() / PAGE),
    },
  ],
  processorCapabilities: () => ({ ProcessorFeatures: [], XsaveProcessorFeatures: [] }),
};
