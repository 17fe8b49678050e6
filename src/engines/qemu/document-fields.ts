// Longer than most files: a line for each field of the document.
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

const FILE_SYSTEM = {
  noEffect: 'file systems keep files as they like, compressed or encrypted: QEMU does not see it',
};
const OWN_IMAGES = { noEffect: 'QEMU keeps and grows images by rules of its own' };
const NO_BATCHES = { noEffect: 'QEMU holds no interrupt back' };
const EMULATED_COUNTERS = {
  refused: 'an emulated processor has no counters and no trace of its events',
};
const NO_VIRTUAL_FUNCTIONS = {
  refused: 'adapters are virtio devices, which have no functions of a network card behind them',
};
const NO_SWITCH = {
  refused: 'there is no Host Network Service with switches; use EndpointId',
};
const NO_PASSTHROUGH = {
  refused: 'devices of this machine are not assigned to machines; attach a device by FlexibleIov',
};
const NO_KEY_VALUE_PAIRS = {
  refused: 'there is no VMBus, over which guests exchange key-value pairs with Hyper-V',
};
const NO_MIGRATION = {
  refused: 'machines do not move between hosts while they run; save one, and restore it there',
};

/** Fields of an Attachment of a SCSI controller. */
export const ATTACHMENT_FIELDS: FieldTable = {
  Type: 'honoured',
  Path: 'honoured',
  CachingMode: 'honoured',
  ReadOnly: 'honoured',
  IgnoreFlushes: 'honoured',
  AlwaysAllowSparseFiles: { noEffect: 'QEMU does not see whether a file has holes' },
  SupportCompressedVolumes: FILE_SYSTEM,
  SupportEncryptedFiles: FILE_SYSTEM,
  NoWriteHardening: OWN_IMAGES,
  DisableExpansionOptimization: OWN_IMAGES,
  IgnoreRelativeLocator: { noEffect: 'a VHD or VHDX with a parent is not opened at all' },
  CaptureIoAttributionContext: { noEffect: 'nobody here asks on whose behalf a disk is used' },
  ExtensibleVirtualDiskType: { refused: 'it names a driver of Windows for virtual disks' },
};

/** Fields of a NetworkAdapter. */
export const ADAPTER_FIELDS: FieldTable = {
  EndpointId: 'honoured',
  MacAddress: 'honoured',
  InstanceId: { noEffect: 'there is no VMBus, on which the guest would see it' },
  DisableInterruptBatching: NO_BATCHES,
  IovSettings: NO_VIRTUAL_FUNCTIONS,
  ConnectionState: 'honoured',
  IsConnected: 'honoured',
  SwitchId: NO_SWITCH,
  PortId: NO_SWITCH,
};

/** Fields of a ComPort. */
export const COM_PORT_FIELDS: FieldTable = {
  NamedPipe: 'honoured',
  OptimizeForDebugger: { noEffect: 'bytes are passed on when the guest writes them anyway' },
};

/** Fields of a VirtualPMemDevice. */
export const PERSISTENT_MEMORY_FIELDS: FieldTable = {
  HostPath: 'honoured',
  ReadOnly: 'honoured',
  ImageFormat: { noEffect: 'Vhd1 is a fixed VHD or a raw image; Vhdx cannot be mapped' },
  SizeBytes: 'honoured',
  Mappings: { refused: 'a device is one image from its beginning; write a device for each image' },
};

const OWN_SOCKETS = {
  refused: 'the sockets are those of the user whose process has the machine, and of nobody else',
};

/** What the engine makes of the fields of an HvSocketServiceConfig. */
export const HV_SOCKET_SERVICE_FIELDS: FieldTable = {
  BindSecurityDescriptor: OWN_SOCKETS,
  ConnectSecurityDescriptor: OWN_SOCKETS,
  AllowWildcardBinds: { noEffect: 'who listens to a service listens to one machine' },
  Disabled: 'honoured',
};

/** What the engine makes of the fields of a VirtualMachine. */
export const QEMU_FIELDS: FieldTable = {
  Version: { noEffect: 'a machine is of the newest type of its QEMU' },
  StopOnReset: 'honoured',
  Chipset: {
    Uefi: {
      '': 'honoured',
      EnableDebugger: { refused: 'the firmware (OVMF) has no debugger in it' },
      SecureBootTemplateId: 'honoured',
      ApplySecureBootTemplate: 'honoured',
      BootThis: {
        DeviceType: 'honoured',
        DevicePath: 'honoured',
        DiskNumber: 'honoured',
        OptionalData: 'honoured',
        VmbFsRootPath: 'honoured',
      },
      Console: {
        noEffect: 'the firmware (OVMF) has its console on both COM ports and the monitor',
      },
      StopOnBootFailure: {
        refused: 'the firmware (OVMF) goes on to its menu or shell, and tells QEMU nothing of it',
      },
    },
    IsNumLockDisabled: { noEffect: 'the firmware of these machines leaves Num Lock off' },
    BaseBoardSerialNumber: 'honoured',
    ChassisSerialNumber: 'honoured',
    ChassisAssetTag: 'honoured',
    EnableHibernation: 'honoured',
    UseUtc: 'honoured',
    LinuxKernelDirect: {
      KernelFilePath: 'honoured',
      InitRdPath: 'honoured',
      KernelCmdLine: 'honoured',
    },
    FirmwareFile: { refused: "its parameters are those of Microsoft's own firmware files" },
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
      DirectMapFaultClusterSizeShift: HOST_MEMORY,
      Backing: HOST_MEMORY,
      BackingPageSize: {
        noEffect: 'QEMU asks for transparent huge pages, and gets what Linux has',
      },
      ForbidSmallBackingPages: {
        refused: 'devices outside QEMU map memory in small pages; Linux gives huge ones as it can',
      },
      SlitType: 'honoured',
      PinBackingPages: 'honoured',
      LowMmioGapInMB: 'honoured',
      HighMmioBaseInMB: {
        refused: 'the firmware places the window above the memory; HighMmioGapInMB says its size',
      },
      HighMmioGapInMB: 'honoured',
      HostingProcessNameSuffix: 'honoured',
    },
    Processor: {
      Count: 'honoured',
      Limit: 'honoured',
      Weight: 'honoured',
      Reservation: { refused: 'Linux reserves no processor time; use Weight' },
      MaximumFrequencyMHz: { refused: 'frequencies are those of all processes' },
      CpuGroup: { Id: 'honoured' },
      ExposeVirtualizationExtensions: 'honoured',
      EnablePerfmonPmu: EMULATED_COUNTERS,
      EnablePerfmonArchPmu: EMULATED_COUNTERS,
      EnablePerfmonPebs: EMULATED_COUNTERS,
      EnablePerfmonLbr: EMULATED_COUNTERS,
      EnablePerfmonIpt: EMULATED_COUNTERS,
      EnablePageShattering: {
        noEffect: 'it guards a host against a flaw of its processors, which is the affair of KVM',
      },
      DisableSpeculationControls: 'honoured',
      ProcessorFeatureSet: {
        ProcessorFeatures: 'honoured',
        XsaveProcessorFeatures: 'honoured',
        ProcessorFeatureSetMode: 'honoured',
      },
      NumaProcessorsSettings: { count_per_node: { max: 'honoured' }, node_per_socket: 'honoured' },
    },
    Numa: {
      VirtualNodeCount: 'honoured',
      PreferredPhysicalNodes: 'honoured',
      Settings: {
        VirtualNodeNumber: 'honoured',
        PhysicalNodeNumber: 'honoured',
        VirtualSocketNumber: 'honoured',
        CountOfProcessors: 'honoured',
        CountOfMemoryBlocks: 'honoured',
        MemoryBackingType: HOST_MEMORY,
      },
      MaxSizePerNode: 'honoured',
    },
  },
  Devices: {
    ComPorts: COM_PORT_FIELDS,
    VirtioSerial: {
      Ports: { Name: 'honoured', NamedPipe: 'honoured', ConsoleSupport: 'honoured' },
    },
    Scsi: {
      Attachments: ATTACHMENT_FIELDS,
      DisableInterruptBatching: NO_BATCHES,
    },
    VirtualPMem: {
      Devices: PERSISTENT_MEMORY_FIELDS,
      MaximumCount: 'honoured',
      MaximumSizeBytes: 'honoured',
      Backing: { noEffect: 'persistent memory is its file, mapped' },
    },
    NetworkAdapters: ADAPTER_FIELDS,
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
      WindowsCrashSettings: {
        DumpFileName: 'honoured',
        MaxDumpSize: 'honoured',
        DumpType: { refused: "a dump is all of the guest's memory, and nothing less" },
      },
    },
    Battery: { refused: 'QEMU emulates no battery' },
    VirtualPci: NO_PASSTHROUGH,
    VirtualSmb: {
      Shares: SMB_SHARE_FIELDS,
      DirectFileMappingInMB: NOT_MAPPED,
    },
    Plan9: { Shares: PLAN9_SHARE_FIELDS },
    HvSocket: {
      '': 'honoured',
      HvSocketConfig: {
        DefaultBindSecurityDescriptor: OWN_SOCKETS,
        DefaultConnectSecurityDescriptor: OWN_SOCKETS,
        ServiceTable: HV_SOCKET_SERVICE_FIELDS,
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
  GuestConnection: {
    '': 'honoured',
    UseVsock: { noEffect: 'the connection is always one over vsock' },
    UseConnectedSuspend: {
      refused: 'a guest lets go of its sockets to be saved; its agent connects again',
    },
    UseHostTimeZone: { refused: 'an agent is not told the time zone' },
  },
  Services: {
    Heartbeat: 'honoured',
    Shutdown: 'honoured',
    Timesync: {
      refused: 'there is no VMBus, over which Hyper-V sets clocks; run NTP in the guest',
    },
    KvpExchange: NO_KEY_VALUE_PAIRS,
  },
  GuestState: {
    GuestStateFilePath: 'honoured',
    RuntimeStateFilePath: {
      noEffect: 'what a machine is while it runs is in its process; saving it names a file',
    },
    ForceTransientState: 'honoured',
    GuestStateFileType: {
      refused: 'the file has the variables of the firmware, whatever kind of file it is',
    },
  },
  RestoreState: { SaveStateFilePath: 'honoured', TemplateSystemId: 'honoured' },
  StorageQoS: { IopsMaximum: 'honoured', BandwidthMaximum: 'honoured' },
  RegistryChanges: {
    refused: 'the linux host does not write into the files of Windows guests; change them there',
  },
  DebugOptions: {
    BugcheckSavedStateFileName: 'honoured',
    BugcheckNoCrashdumpSavedStateFileName: 'honoured',
    TripleFaultSavedStateFileName: {
      refused:
        'QEMU tells of a triple fault as of any reset; use ShutdownOrResetSavedStateFileName',
    },
    FirmwareDumpFileName: { refused: 'the firmware (OVMF) writes no dump of itself' },
    ShutdownOrResetSavedStateFileName: 'honoured',
  },
  SecuritySettings: {
    EnableTpm: 'honoured',
    Isolation: {
      refused:
        'memory is kept from the host by processors with SEV-SNP or TDX, which this host does not drive',
    },
  },
  ResourcePartitionId: { refused: 'Linux has no resource partitions; use CpuGroup' },
  MigrationOptions: NO_MIGRATION,
};
