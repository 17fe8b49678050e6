import type { FieldTable } from '../../compute/document-fields.ts';

/** Why a field is refused that is not in {@link SIMULATED_FIELDS}. */
export const SIMULATED_OTHERWISE =
  'guest programs run on processors, memory and PCI alone; leave it out, or use the host linux';

const PROCESS_MEMORY = {
  noEffect: 'RAM is memory of this process, which it gets when it is touched',
};

/** What the engine makes of the fields of a VirtualMachine. */
export const SIMULATED_FIELDS: FieldTable = {
  Version: { noEffect: 'there is one version of the simulated machine' },
  StopOnReset: 'honoured',
  Chipset: {
    '': { noEffect: 'there is no firmware: guest programs begin at once' },
    Uefi: { '': { noEffect: 'there is no firmware: guest programs begin at once' } },
  },
  ComputeTopology: {
    Memory: {
      SizeInMB: 'honoured',
      AllowOvercommit: PROCESS_MEMORY,
      EnableDeferredCommit: PROCESS_MEMORY,
      EnableHotHint: PROCESS_MEMORY,
      EnableColdHint: PROCESS_MEMORY,
      EnableColdDiscardHint: PROCESS_MEMORY,
      FaultClusterSizeShift: PROCESS_MEMORY,
      Backing: PROCESS_MEMORY,
    },
    Processor: {
      Count: { noEffect: 'whoever runs a guest program says on how many processors' },
      CpuGroup: { Id: { noEffect: 'virtual processors are threads of this process' } },
    },
  },
  Devices: {
    FlexibleIov: { EmulatorId: 'honoured', HostingModel: 'honoured', Configuration: 'honoured' },
  },
  Services: { Shutdown: 'honoured' },
  RestoreState: { SaveStateFilePath: 'honoured', TemplateSystemId: 'honoured' },
};
