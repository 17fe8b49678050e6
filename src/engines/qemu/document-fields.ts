import type { FieldTable } from '../../compute/document-fields.ts';

/** Why a field is refused that is not in {@link QEMU_FIELDS}. */
export const QEMU_OTHERWISE = 'the linux host does not do this yet; leave it out';

const HOST_MEMORY = {
  noEffect: 'Linux gives memory when it is touched, and takes it as it sees fit',
};

/** What the engine makes of the fields of a VirtualMachine. */
export const QEMU_FIELDS: FieldTable = {
  Version: { noEffect: 'a machine is of the newest type of its QEMU' },
  StopOnReset: 'honoured',
  Chipset: {
    Uefi: { '': 'honoured' },
    UseUtc: { noEffect: "the machine's clock is always UTC" },
    LinuxKernelDirect: {
      KernelFilePath: 'honoured',
      InitRdPath: 'honoured',
      KernelCmdLine: 'honoured',
    },
  },
  ComputeTopology: {
    Memory: {
      SizeInMB: 'honoured',
      AllowOvercommit: HOST_MEMORY,
      EnableDeferredCommit: HOST_MEMORY,
      EnableHotHint: HOST_MEMORY,
      EnableColdHint: HOST_MEMORY,
      EnableColdDiscardHint: HOST_MEMORY,
      FaultClusterSizeShift: HOST_MEMORY,
      Backing: HOST_MEMORY,
    },
    Processor: {
      Count: 'honoured',
      Limit: 'honoured',
      Weight: 'honoured',
      Reservation: { refused: 'Linux reserves no processor time; use Weight' },
      MaximumFrequencyMHz: { refused: 'frequencies are those of all processes' },
      CpuGroup: { Id: 'honoured' },
    },
  },
  Devices: {
    ComPorts: { NamedPipe: 'honoured' },
    VirtioSerial: { Ports: { Name: 'honoured', NamedPipe: 'honoured' } },
    Scsi: {
      Attachments: {
        Type: 'honoured',
        Path: 'honoured',
        CachingMode: 'honoured',
        ReadOnly: 'honoured',
        AlwaysAllowSparseFiles: { noEffect: 'QEMU does not see whether a file has holes' },
      },
    },
    VirtualPMem: {
      Devices: {
        HostPath: 'honoured',
        ReadOnly: 'honoured',
        ImageFormat: { noEffect: 'Vhd1 is a fixed VHD or a raw image; Vhdx cannot be mapped' },
        SizeBytes: 'honoured',
      },
      MaximumCount: 'honoured',
      MaximumSizeBytes: 'honoured',
      Backing: { noEffect: 'persistent memory is its file, mapped' },
    },
    NetworkAdapters: {
      EndpointId: 'honoured',
      MacAddress: 'honoured',
      ConnectionState: 'honoured',
      IsConnected: 'honoured',
    },
    VideoMonitor: {
      HorizontalResolution: 'honoured',
      VerticalResolution: 'honoured',
      ConnectionOptions: {
        AccessSids: { refused: 'the rights of the folder of the socket say who may connect' },
        NamedPipe: 'honoured',
      },
    },
    EnhancedModeVideo: {
      refused: 'it needs a remote desktop in the guest; use VideoMonitor, which is served over VNC',
    },
    Keyboard: 'honoured',
    Mouse: 'honoured',
    GuestCrashReporting: {
      WindowsCrashSettings: { DumpFileName: 'honoured', MaxDumpSize: 'honoured' },
    },
    Plan9: {
      Shares: {
        Name: 'honoured',
        AccessName: 'honoured',
        Path: 'honoured',
        Port: { noEffect: 'the guest mounts shares by name, over virtio' },
        AllowedFiles: { refused: 'a share is a folder with all that is in it' },
        Flags: 'honoured',
      },
    },
    FlexibleIov: { EmulatorId: 'honoured', HostingModel: 'honoured', Configuration: 'honoured' },
    SharedMemory: {
      Regions: {
        SectionName: 'honoured',
        StartOffset: 'honoured',
        Length: 'honoured',
        AllowGuestWrite: 'honoured',
        HiddenFromGuest: { refused: 'the region is a device that the guest sees' },
      },
    },
  },
  Services: { Shutdown: 'honoured' },
  GuestState: { GuestStateFilePath: 'honoured', ForceTransientState: 'honoured' },
  RestoreState: { SaveStateFilePath: 'honoured', TemplateSystemId: 'honoured' },
  StorageQoS: { IopsMaximum: 'honoured', BandwidthMaximum: 'honoured' },
  DebugOptions: { BugcheckSavedStateFileName: 'honoured' },
};
