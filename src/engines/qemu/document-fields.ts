import type { FieldTable } from '../../compute/document-fields.ts';

/** Why a field is refused that is not in {@link QEMU_FIELDS}. */
export const QEMU_OTHERWISE = 'the linux host does not do this yet; leave it out';

const HOST_MEMORY = {
  noEffect: 'Linux gives memory when it is touched, and takes it as it sees fit',
};

const FILES_OF_LINUX = {
  noEffect: 'a file is opened, locked and cached as Linux does it, over virtiofs',
};
const NOT_MAPPED = { noEffect: 'files are not mapped into the guest' };
const NO_NOTICES = { noEffect: 'a guest is not told of changes by others' };
const WHOLE_FOLDER = { refused: 'a share is a folder with all that is in it' };

/** What the engine makes of the fields of a VirtualSmbShare. */
export const SMB_SHARE_FIELDS: FieldTable = {
  Name: 'honoured',
  Path: 'honoured',
  AllowedFiles: WHOLE_FOLDER,
  Options: {
    ReadOnly: 'honoured',
    ShareRead: FILES_OF_LINUX,
    CacheIo: FILES_OF_LINUX,
    NonCacheIo: FILES_OF_LINUX,
    NoOplocks: FILES_OF_LINUX,
    ForceLevelIIOplocks: FILES_OF_LINUX,
    PseudoOplocks: FILES_OF_LINUX,
    NoLocks: FILES_OF_LINUX,
    TakeBackupPrivilege: { noEffect: 'files are opened with the rights of the service' },
    NoDirectmap: NOT_MAPPED,
    VmSharedMemory: NOT_MAPPED,
    NoDirnotify: NO_NOTICES,
    PseudoDirnotify: NO_NOTICES,
    FilterEncryptionAttributes: { noEffect: 'files have no such attributes' },
    UseShareRootIdentity: { refused: 'files are opened with the rights of the service' },
    RestrictFileAccess: WHOLE_FOLDER,
    SingleFileMapping: WHOLE_FOLDER,
    ReparseBaseLayer: { refused: 'layers of Windows are not read here' },
    SupportCloudFiles: { refused: 'files that are elsewhere are not fetched' },
  },
};

/** What the engine makes of the fields of a Plan9Share. */
export const PLAN9_SHARE_FIELDS: FieldTable = {
  Name: 'honoured',
  AccessName: 'honoured',
  Path: 'honoured',
  Port: { noEffect: 'the guest mounts shares by name, over virtio' },
  AllowedFiles: WHOLE_FOLDER,
  Flags: 'honoured',
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
    VirtualSmb: {
      Shares: SMB_SHARE_FIELDS,
      DirectFileMappingInMB: NOT_MAPPED,
    },
    Plan9: { Shares: PLAN9_SHARE_FIELDS },
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
