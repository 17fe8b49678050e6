// Longer than a file should be: the types of all documents, written by test/hcs/write-document-types.ts from
// schema-types.ts. Edit that table, not this file.

/** Attachment document. */
export interface Attachment {
  readonly Type?: AttachmentType;
  readonly Path?: string;
  readonly CachingMode?: CachingMode;
  readonly ReadOnly?: boolean;
  readonly SupportCompressedVolumes?: boolean;
  readonly AlwaysAllowSparseFiles?: boolean;
  readonly SupportEncryptedFiles?: boolean;
  /** Not in the published reference. */
  readonly IgnoreFlushes?: boolean;
  /** Not in the published reference. */
  readonly NoWriteHardening?: boolean;
  /** Not in the published reference. */
  readonly DisableExpansionOptimization?: boolean;
  /** Not in the published reference. */
  readonly IgnoreRelativeLocator?: boolean;
  /** Not in the published reference. */
  readonly CaptureIoAttributionContext?: boolean;
  /** Not in the published reference. */
  readonly ExtensibleVirtualDiskType?: string;
}

/** AttributionRecord document. */
export interface AttributionRecord {
  readonly WorkerExit?: WorkerExit;
  readonly GuestCrash?: GuestCrash;
  readonly TripleFault?: TripleFault;
  readonly InjectNonMaskableInterrupt?: InjectNonMaskableInterrupt;
  readonly OperationFailure?: OperationFailure;
  readonly SystemExit?: SystemExit;
  readonly VirtualDeviceFailure?: VirtualDeviceFailure;
}

/** BasicInformation document. */
export interface BasicInformation {
  readonly SupportedSchemaVersions?: readonly Version[];
}

/** Battery: has no fields. */
export type Battery = { readonly [key: string]: never };

/** BlackoutExitedEventDetails document. */
export interface BlackoutExitedEventDetails {
  /** Not in the published reference. */
  readonly BlackoutDurationMilliseconds?: number;
  /** Not in the published reference. */
  readonly BlackoutStopTimestamp?: string;
}

/** Chipset document. */
export interface Chipset {
  readonly Uefi?: Uefi;
  readonly IsNumLockDisabled?: boolean;
  readonly BaseBoardSerialNumber?: string;
  readonly ChassisSerialNumber?: string;
  readonly ChassisAssetTag?: string;
  readonly EnableHibernation?: boolean;
  readonly UseUtc?: boolean;
  readonly LinuxKernelDirect?: LinuxKernelDirect;
  /** Not in the published reference. */
  readonly FirmwareFile?: FirmwareFile;
}

/** CimMount document. */
export interface CimMount {
  readonly ImagePath?: string;
  readonly FileSystemName?: string;
  readonly VolumeGuid?: string;
  readonly MountFlags?: number;
}

/** CloseHandle document. */
export interface CloseHandle {
  readonly Handle?: StdHandle;
}

/** ComPort document. */
export interface ComPort {
  readonly NamedPipe?: string;
  readonly OptimizeForDebugger?: boolean;
}

/** CombinedLayers document. */
export interface CombinedLayers {
  readonly Layers?: readonly Layer[];
  readonly ScratchPath?: string;
  readonly ContainerRootPath?: string;
}

/** CompatibilityInfo document. */
export interface CompatibilityInfo {
  /** Not in the published reference. */
  readonly Data?: string;
}

/** ComputeSystem document. */
export interface ComputeSystem {
  readonly Owner?: string;
  readonly SchemaVersion?: Version;
  readonly HostingSystemId?: string;
  readonly HostedSystem?: unknown;
  readonly Container?: Container;
  readonly VirtualMachine?: VirtualMachine;
  readonly ShouldTerminateOnLastHandleClosed?: boolean;
}

/** ComputeSystemProperties document. */
export interface ComputeSystemProperties {
  readonly Id?: string;
  readonly Name?: string;
  readonly SystemType?: SystemType;
  readonly State?: State;
  readonly Owner?: string;
  readonly RuntimeId?: string;
  readonly RuntimeOsType?: OsType;
  readonly HostingSystemId?: string;
  readonly IsDummy?: boolean;
  readonly ObRoot?: string;
  readonly RuntimeTemplateId?: string;
}

/** ConsoleImage document. */
export interface ConsoleImage {
  readonly Image?: string;
}

/** ConsoleImageQuery document. */
export interface ConsoleImageQuery {
  readonly Width?: number;
  readonly Height?: number;
  readonly Flags?: number;
}

/** ConsoleSize document. */
export interface ConsoleSize {
  readonly Height?: number;
  readonly Width?: number;
}

/** Container document. */
export interface Container {
  readonly GuestOs?: GuestOs;
  readonly Storage?: Storage;
  readonly MappedDirectories?: readonly MappedDirectory[];
  readonly MappedPipes?: readonly MappedPipe[];
  readonly Memory?: Container_Memory;
  readonly Processor?: Container_Processor;
  readonly Networking?: Networking;
  readonly HvSocket?: Container_HvSocket;
  readonly ContainerCredentialGuard?: ContainerCredentialGuardState;
  readonly RegistryChanges?: RegistryChanges;
  readonly AssignedDevices?: readonly Device[];
  readonly AdditionalDeviceNamespace?: ContainersDef_Device;
  /** Not in the published reference. */
  readonly IsolationType?: ContainerIsolationType;
}

/** ContainerCredentialGuardAddInstanceRequest document. */
export interface ContainerCredentialGuardAddInstanceRequest {
  readonly Id?: string;
  readonly CredentialSpec?: string;
  readonly Transport?: ContainerCredentialGuardTransport;
}

/** ContainerCredentialGuardHvSocketServiceConfig document. */
export interface ContainerCredentialGuardHvSocketServiceConfig {
  readonly ServiceId?: string;
  readonly ServiceConfig?: HvSocketServiceConfig;
}

/** ContainerCredentialGuardInstance document. */
export interface ContainerCredentialGuardInstance {
  readonly Id?: string;
  readonly CredentialGuard?: ContainerCredentialGuardState;
  readonly HvSocketConfig?: ContainerCredentialGuardHvSocketServiceConfig;
}

/** ContainerCredentialGuardOperationRequest document. */
export interface ContainerCredentialGuardOperationRequest {
  readonly Operation?: ContainerCredentialGuardModifyOperation;
  readonly OperationDetails?: unknown;
}

/** ContainerCredentialGuardRemoveInstanceRequest document. */
export interface ContainerCredentialGuardRemoveInstanceRequest {
  readonly Id?: string;
}

/** ContainerCredentialGuardState document. */
export interface ContainerCredentialGuardState {
  readonly Cookie?: string;
  readonly RpcEndpoint?: string;
  readonly Transport?: ContainerCredentialGuardTransport;
  readonly CredentialSpec?: string;
}

/** ContainerCredentialGuardSystemInfo document. */
export interface ContainerCredentialGuardSystemInfo {
  readonly Instances?: readonly ContainerCredentialGuardInstance[];
}

/** Container_HvSocket document. */
export interface Container_HvSocket {
  readonly Config?: HvSocketSystemConfig;
  readonly EnablePowerShellDirect?: boolean;
}

/** Container_Memory document. */
export interface Container_Memory {
  readonly SizeInMB?: number;
}

/** Container_Processor document. */
export interface Container_Processor {
  readonly Count?: number;
  readonly Weight?: number;
  readonly Maximum?: number;
}

/** ContainersDef_BatchedBinding document. */
export interface ContainersDef_BatchedBinding {
  readonly filepath?: string;
  readonly bindingroots?: readonly string[];
}

/** ContainersDef_Container document. */
export interface ContainersDef_Container {
  readonly namespace?: Namespace;
}

/** ContainersDef_Device document. */
export interface ContainersDef_Device {
  readonly device_extension?: readonly DeviceExtension[];
}

/** CpuGroup document. */
export interface CpuGroup {
  readonly Id?: string;
}

/** CpuGroupAffinity document. */
export interface CpuGroupAffinity {
  readonly LogicalProcessorCount?: number;
  readonly LogicalProcessors?: readonly number[];
}

/** CpuGroupConfig document. */
export interface CpuGroupConfig {
  readonly GroupId?: string;
  readonly Affinity?: CpuGroupAffinity;
  readonly GroupProperties?: readonly CpuGroupProperty[];
  readonly HypervisorGroupId?: number;
}

/** CpuGroupConfigurations document. */
export interface CpuGroupConfigurations {
  readonly CpuGroups?: readonly CpuGroupConfig[];
}

/** CpuGroupProperty document. */
export interface CpuGroupProperty {
  readonly PropertyCode?: number;
  readonly PropertyValue?: number;
}

/** CrashOptions document. */
export interface CrashOptions {
  readonly Type?: CrashType;
}

/** CrashReport document. */
export interface CrashReport {
  readonly SystemId?: string;
  readonly ActivityId?: string;
  readonly WindowsCrashInfo?: WindowsCrashReport;
  readonly CrashParameters?: readonly number[];
  readonly CrashLog?: string;
  readonly Status?: number;
  readonly PreOSId?: number;
  readonly CrashStackUnavailable?: boolean;
  /** Not in the published reference. */
  readonly GuestCrashSaveInfo?: GuestErrorSaveReport;
}

/** CreateGroupOperation document. */
export interface CreateGroupOperation {
  readonly GroupId?: string;
  readonly LogicalProcessorCount?: number;
  readonly LogicalProcessors?: readonly number[];
}

/** DebugOptions document. */
export interface DebugOptions {
  /** Not in the published reference. */
  readonly BugcheckSavedStateFileName?: string;
  /** Not in the published reference. */
  readonly BugcheckNoCrashdumpSavedStateFileName?: string;
  /** Not in the published reference. */
  readonly TripleFaultSavedStateFileName?: string;
  /** Not in the published reference. */
  readonly FirmwareDumpFileName?: string;
  /** Not in the published reference. */
  readonly ShutdownOrResetSavedStateFileName?: string;
}

/** DeleteGroupOperation document. */
export interface DeleteGroupOperation {
  readonly GroupId?: string;
}

/** Device document. */
export interface Device {
  readonly Type?: DeviceType;
  readonly InterfaceClassGuid?: string;
  readonly LocationPath?: string;
}

/** DeviceCategory document. */
export interface DeviceCategory {
  readonly name?: string;
  readonly interface_class?: readonly InterfaceClass[];
}

/** DeviceExtension document. */
export interface DeviceExtension {
  readonly device_category?: DeviceCategory;
  readonly namespace?: Namespace;
}

/** DeviceInstance document. */
export interface DeviceInstance {
  readonly id?: string;
  readonly location_path?: string;
  readonly port_name?: string;
  readonly interface_class?: readonly InterfaceClass[];
}

/** DeviceNamespace document. */
export interface DeviceNamespace {
  readonly requires_driverstore?: boolean;
  readonly device_category?: readonly DeviceCategory[];
  readonly device_instance?: readonly DeviceInstance[];
}

/** Devices document. */
export interface Devices {
  readonly ComPorts?: { readonly [key: string]: ComPort };
  readonly VirtioSerial?: VirtioSerial;
  readonly Scsi?: { readonly [key: string]: Scsi };
  readonly VirtualPMem?: VirtualPMemController;
  readonly NetworkAdapters?: { readonly [key: string]: NetworkAdapter };
  readonly VideoMonitor?: VideoMonitor;
  readonly Keyboard?: Keyboard;
  readonly Mouse?: Mouse;
  readonly HvSocket?: VirtualMachine_HvSocket;
  readonly EnhancedModeVideo?: EnhancedModeVideo;
  readonly GuestCrashReporting?: GuestCrashReporting;
  readonly VirtualSmb?: VirtualSmb;
  readonly Plan9?: Plan9;
  readonly Battery?: Battery;
  readonly FlexibleIov?: { readonly [key: string]: FlexibleIoDevice };
  readonly SharedMemory?: SharedMemoryConfiguration;
  readonly VirtualPci?: { readonly [key: string]: VirtualPciDevice };
}

/** EnhancedModeVideo document. */
export interface EnhancedModeVideo {
  readonly ConnectionOptions?: RdpConnectionOptions;
}

/** ErrorEvent document. */
export interface ErrorEvent {
  readonly Message?: string;
  readonly StackTrace?: string;
  readonly Provider?: string;
  readonly EventId?: number;
  readonly Flags?: number;
  readonly Source?: string;
  readonly Data?: readonly EventData[];
}

/** EventData document. */
export interface EventData {
  readonly Type?: EventDataType;
  readonly Value?: string;
}

/** ExportLayerOptions document. */
export interface ExportLayerOptions {
  readonly IsWritableLayer?: boolean;
}

/** FilesystemLayer document. */
export interface FilesystemLayer {
  readonly identifier?: string;
  readonly path?: string;
}

/** FilesystemNamespace document. */
export interface FilesystemNamespace {
  readonly path?: string;
  readonly isolation?: FilesystemIsolationMode;
  readonly nesting?: FilesystemNestingMode;
  readonly layer?: readonly FilesystemLayer[];
  readonly bindings?: readonly ContainersDef_BatchedBinding[];
}

/** FirmwareFile document. */
export interface FirmwareFile {
  /** Not in the published reference. */
  readonly Parameters?: string;
}

/** FlexibleIoDevice document. */
export interface FlexibleIoDevice {
  readonly EmulatorId?: string;
  readonly HostingModel?: FlexibleIoDeviceHostingModel;
  readonly Configuration?: readonly string[];
}

/** GpuConfiguration document. */
export interface GpuConfiguration {
  readonly AssignmentMode?: GpuAssignmentMode;
  readonly AssignmentRequest?: { readonly [key: string]: number };
  readonly AllowVendorExtension?: boolean;
  /** Not in the published reference. */
  readonly DisableGdiAcceleration?: boolean;
  /** Not in the published reference. */
  readonly DisablePresentation?: boolean;
}

/** GuestConnection document. */
export interface GuestConnection {
  readonly UseVsock?: boolean;
  readonly UseConnectedSuspend?: boolean;
  readonly UseHostTimeZone?: boolean;
}

/** GuestConnectionInfo document. */
export interface GuestConnectionInfo {
  readonly SupportedSchemaVersions?: readonly Version[];
  readonly ProtocolVersion?: number;
  readonly GuestDefinedCapabilities?: unknown;
}

/** GuestCrash document. */
export interface GuestCrash {
  readonly CrashParameters?: readonly number[];
}

/** GuestCrashReporting document. */
export interface GuestCrashReporting {
  readonly WindowsCrashSettings?: WindowsCrashReporting;
}

/** GuestErrorSaveReport document. */
export interface GuestErrorSaveReport {
  /** Not in the published reference. */
  readonly SaveStateFile?: string;
  /** Not in the published reference. */
  readonly Status?: number;
}

/** GuestModifySettingRequest document. */
export interface GuestModifySettingRequest {
  readonly ResourceType?: ModifyResourceType;
  readonly RequestType?: ModifyRequestType;
  readonly Settings?: unknown;
}

/** GuestOs document. */
export interface GuestOs {
  readonly HostName?: string;
}

/** GuestState document. */
export interface GuestState {
  readonly GuestStateFilePath?: string;
  readonly RuntimeStateFilePath?: string;
  readonly ForceTransientState?: boolean;
  /** Not in the published reference. */
  readonly GuestStateFileType?: string;
}

/** Heartbeat: has no fields. */
export type Heartbeat = { readonly [key: string]: never };

/** HostFiles document. */
export interface HostFiles {
  readonly base_image_path?: string;
  readonly sandbox_path?: string;
  readonly file?: readonly string[];
}

/** HostProcessorModificationRequest document. */
export interface HostProcessorModificationRequest {
  readonly Operation?: ModifyServiceOperation;
  readonly OperationDetails?: unknown;
}

/** HostedSystem document. */
export interface HostedSystem {
  readonly SchemaVersion?: Version;
  readonly Container?: Container;
}

/** HvSocketAddress document. */
export interface HvSocketAddress {
  readonly LocalAddress?: string;
  readonly ParentAddress?: string;
}

/** HvSocketServiceConfig document. */
export interface HvSocketServiceConfig {
  readonly BindSecurityDescriptor?: string;
  readonly ConnectSecurityDescriptor?: string;
  readonly AllowWildcardBinds?: boolean;
  /** Not in the published reference. */
  readonly Disabled?: boolean;
}

/** HvSocketSystemConfig document. */
export interface HvSocketSystemConfig {
  readonly DefaultBindSecurityDescriptor?: string;
  readonly DefaultConnectSecurityDescriptor?: string;
  readonly ServiceTable?: { readonly [key: string]: HvSocketServiceConfig };
}

/** IdleProcessorsRequest document. */
export interface IdleProcessorsRequest {
  readonly IdleProcessorCount?: number;
}

/** InjectNonMaskableInterrupt: has no fields. */
export type InjectNonMaskableInterrupt = { readonly [key: string]: never };

/** IntegrationComponentStatus document. */
export interface IntegrationComponentStatus {
  readonly IsEnabled?: boolean;
  readonly State?: IntegrationComponentOperationalState;
  readonly Reason?: IntegrationComponentOperatingStateReason;
}

/** InterfaceClass document. */
export interface InterfaceClass {
  readonly type?: InterfaceClassType;
  readonly identifier?: string;
  readonly recurse?: boolean;
}

/** IovSettings document. */
export interface IovSettings {
  readonly OffloadWeight?: number;
  readonly QueuePairsRequested?: number;
  readonly InterruptModeration?: InterruptModerationMode;
}

/** IsolationSettings document. */
export interface IsolationSettings {
  /** Not in the published reference. */
  readonly IsolationType?: string;
  /** Not in the published reference. */
  readonly DebugHost?: string;
  /** Not in the published reference. */
  readonly DebugPort?: number;
  /** Not in the published reference. */
  readonly LaunchData?: string;
  /** Not in the published reference. */
  readonly HclEnabled?: boolean;
}

/** JobCpu document. */
export interface JobCpu {
  readonly rate?: number;
  readonly weight?: number;
}

/** JobMemory document. */
export interface JobMemory {
  readonly limit?: number;
}

/** JobNamespace document. */
export interface JobNamespace {
  readonly cpu?: JobCpu;
  readonly memory?: JobMemory;
  readonly systemroot?: JobSystemRoot;
  readonly terminationpolicy?: JobTerminationPolicy;
  readonly threadimpersonation?: boolean;
}

/** JobSystemRoot document. */
export interface JobSystemRoot {
  readonly path?: string;
}

/** Keyboard: has no fields. */
export type Keyboard = { readonly [key: string]: never };

/** KvpExchange document. */
export interface KvpExchange {
  readonly EnableHostOSInfoKvpItems?: StateOverride;
  readonly EntriesToBeAdded?: { readonly [key: string]: string };
  readonly EntriesToBeRemoved?: readonly string[];
}

/** KvpQuery document. */
export interface KvpQuery {
  readonly Source?: KvpSource;
  readonly Keys?: readonly string[];
}

/** Layer document. */
export interface Layer {
  readonly Id?: string;
  readonly Path?: string;
  readonly PathType?: PathType;
  readonly Cache?: CacheMode;
}

/** LayerData document. */
export interface LayerData {
  readonly SchemaVersion?: Version;
  readonly Layers?: readonly Layer[];
  /** Not in the published reference. */
  readonly FilterType?: FileSystemFilterType;
}

/** LinuxKernelDirect document. */
export interface LinuxKernelDirect {
  readonly KernelFilePath?: string;
  readonly InitRdPath?: string;
  readonly KernelCmdLine?: string;
}

/** LogicalProcessor document. */
export interface LogicalProcessor {
  readonly LpIndex?: number;
  readonly NodeNumber?: number;
  readonly PackageId?: number;
  readonly CoreId?: number;
  readonly RootVpIndex?: number;
  readonly Subnodes?: readonly Subnode[];
}

/** MappedDirectory document. */
export interface MappedDirectory {
  readonly HostPath?: string;
  readonly HostPathType?: PathType;
  readonly ContainerPath?: string;
  readonly ReadOnly?: boolean;
  readonly SupportCloudFiles?: boolean;
}

/** MappedPipe document. */
export interface MappedPipe {
  readonly ContainerPipeName?: string;
  readonly HostPath?: string;
  readonly HostPathType?: MappedPipePathType;
}

/** MappedVirtualDisk document. */
export interface MappedVirtualDisk {
  readonly ContainerPath?: string;
  readonly Lun?: number;
}

/** MemoryInformationForVm document. */
export interface MemoryInformationForVm {
  readonly VirtualNodeCount?: number;
  readonly VirtualMachineMemory?: VmMemory;
  readonly VirtualNodes?: readonly VirtualNodeInfo[];
}

/** MemoryMigrationTransferThrottleParams document. */
export interface MemoryMigrationTransferThrottleParams {
  /** Not in the published reference. */
  readonly SkipThrottling?: boolean;
  /** Not in the published reference. */
  readonly ThrottlingScale?: number;
  /** Not in the published reference. */
  readonly MinimumThrottlePercentage?: number;
  /** Not in the published reference. */
  readonly TargetNumberOfBrownoutTransferPasses?: number;
  /** Not in the published reference. */
  readonly StartingBrownoutPassNumberForThrottling?: number;
  /** Not in the published reference. */
  readonly MaximumNumberOfBrownoutTransferPasses?: number;
  /** Not in the published reference. */
  readonly TargetBlackoutTransferTime?: number;
  /** Not in the published reference. */
  readonly BlackoutTimeThresholdForCancellingMigration?: number;
}

/** MemoryStats document. */
export interface MemoryStats {
  readonly MemoryUsageCommitBytes?: number;
  readonly MemoryUsageCommitPeakBytes?: number;
  readonly MemoryUsagePrivateWorkingSetBytes?: number;
}

/** MigrationCancelOptions document. */
export interface MigrationCancelOptions {
  /** Not in the published reference. */
  readonly Origin?: MigrationOrigin;
}

/** MigrationCompressionSettings document. */
export interface MigrationCompressionSettings {
  /** Not in the published reference. */
  readonly ThrottleWorkerCount?: number;
}

/** MigrationFinalizedOptions document. */
export interface MigrationFinalizedOptions {
  /** Not in the published reference. */
  readonly Origin?: MigrationOrigin;
  /** Not in the published reference. */
  readonly FinalizedOperation?: MigrationFinalOperation;
}

/** MigrationInitializeOptions document. */
export interface MigrationInitializeOptions {
  /** Not in the published reference. */
  readonly Origin?: MigrationOrigin;
  /** Not in the published reference. */
  readonly MemoryTransport?: MigrationMemoryTransport;
  /** Not in the published reference. */
  readonly MemoryTransferThrottleParams?: MemoryMigrationTransferThrottleParams;
  /** Not in the published reference. */
  readonly CompressionSettings?: MigrationCompressionSettings;
  /** Not in the published reference. */
  readonly ChecksumVerification?: boolean;
  /** Not in the published reference. */
  readonly PerfTracingEnabled?: boolean;
  /** Not in the published reference. */
  readonly CancelIfBlackoutThresholdExceeds?: boolean;
  /** Not in the published reference. */
  readonly PrepareMemoryTransferMode?: boolean;
  /** Not in the published reference. */
  readonly CompatibilityData?: CompatibilityInfo;
}

/** MigrationNetworkSettings document. */
export interface MigrationNetworkSettings {
  /** Not in the published reference. */
  readonly SessionId?: number;
}

/** MigrationStartOptions document. */
export interface MigrationStartOptions {
  /** Not in the published reference. */
  readonly NetworkSettings?: MigrationNetworkSettings;
}

/** MigrationTransferOptions document. */
export interface MigrationTransferOptions {
  /** Not in the published reference. */
  readonly Origin?: MigrationOrigin;
}

/** ModificationRequest document. */
export interface ModificationRequest {
  readonly PropertyType?: ModifyPropertyType;
  readonly Settings?: unknown;
}

/** ModifySettingRequest document. */
export interface ModifySettingRequest {
  readonly ResourcePath?: string;
  readonly RequestType?: ModifyRequestType;
  readonly Settings?: unknown;
  readonly GuestRequest?: unknown;
}

/** MountManagerMountPoint document. */
export interface MountManagerMountPoint {
  readonly name?: string;
  readonly path?: string;
}

/** MountManagerNamespace document. */
export interface MountManagerNamespace {
  readonly mount_point?: readonly MountManagerMountPoint[];
}

/** Mouse: has no fields. */
export type Mouse = { readonly [key: string]: never };

/** NamedPipeNamespace document. */
export interface NamedPipeNamespace {
  readonly symlink?: readonly NamedPipeSymlink[];
}

/** NamedPipeSymlink document. */
export interface NamedPipeSymlink {
  readonly name?: string;
  readonly path?: string;
}

/** Namespace document. */
export interface Namespace {
  readonly job?: JobNamespace;
  readonly filesystem?: FilesystemNamespace;
  readonly mountmgr?: MountManagerNamespace;
  readonly namedpipe?: NamedPipeNamespace;
  readonly ob?: ObjectNamespace;
  readonly registry?: RegistryNamespace;
  readonly network?: NetworkNamespace;
  readonly device?: DeviceNamespace;
  readonly hostfiles?: HostFiles;
}

/** NetworkAdapter document. */
export interface NetworkAdapter {
  readonly EndpointId?: string;
  readonly MacAddress?: string;
  readonly InstanceId?: string;
  readonly DisableInterruptBatching?: boolean;
  readonly IovSettings?: IovSettings;
  readonly ConnectionState?: StateOverride;
  /** Not in the published reference. */
  readonly IsConnected?: boolean;
  /** Not in the published reference. */
  readonly SwitchId?: string;
  /** Not in the published reference. */
  readonly PortId?: string;
}

/** NetworkNamespace document. */
export interface NetworkNamespace {
  readonly compartment?: string;
}

/** Networking document. */
export interface Networking {
  readonly AllowUnqualifiedDnsQuery?: boolean;
  readonly DnsSearchList?: string;
  readonly NetworkSharedContainerName?: string;
  readonly Namespace?: string;
  readonly NetworkAdapters?: readonly string[];
}

/** Numa document. */
export interface Numa {
  /** Not in the published reference. */
  readonly VirtualNodeCount?: number;
  /** Not in the published reference. */
  readonly PreferredPhysicalNodes?: readonly number[];
  /** Not in the published reference. */
  readonly Settings?: readonly NumaSetting[];
  /** Not in the published reference. */
  readonly MaxSizePerNode?: number;
}

/** NumaProcessors document. */
export interface NumaProcessors {
  /** Not in the published reference. */
  readonly count_per_node?: NumaRange;
  /** Not in the published reference. */
  readonly node_per_socket?: number;
}

/** NumaRange document. */
export interface NumaRange {
  /** Not in the published reference. */
  readonly max?: number;
}

/** NumaSetting document. */
export interface NumaSetting {
  /** Not in the published reference. */
  readonly VirtualNodeNumber?: number;
  /** Not in the published reference. */
  readonly PhysicalNodeNumber?: number;
  /** Not in the published reference. */
  readonly VirtualSocketNumber?: number;
  /** Not in the published reference. */
  readonly CountOfProcessors?: number;
  /** Not in the published reference. */
  readonly CountOfMemoryBlocks?: number;
  /** Not in the published reference. */
  readonly MemoryBackingType?: MemoryBackingType;
}

/** ObjectDirectory document. */
export interface ObjectDirectory {
  readonly name?: string;
  readonly clonesd?: string;
  readonly shadow?: ObjectDirectoryShadow;
  readonly symlink?: readonly ObjectSymlink[];
  readonly objdir?: readonly ObjectDirectory[];
}

/** ObjectNamespace document. */
export interface ObjectNamespace {
  readonly shadow?: ObjectDirectoryShadow;
  readonly symlink?: readonly ObjectSymlink[];
  readonly objdir?: readonly ObjectDirectory[];
}

/** ObjectSymlink document. */
export interface ObjectSymlink {
  readonly name?: string;
  readonly path?: string;
  readonly scope?: ObjectSymlinkScope;
  readonly pathtoclone?: string;
  readonly access_mask?: number;
}

/** OperationFailure document. */
export interface OperationFailure {
  readonly Detail?: OperationFailureDetail;
}

/** OperationFailureInfo document. */
export interface OperationFailureInfo {
  readonly Result?: number;
}

/** OperationInfo document. */
export interface OperationInfo {
  readonly Operation?: OperationType;
  readonly StartTimestamp?: string;
  readonly EndTimestamp?: string;
  readonly FailureInfo?: OperationFailureInfo;
}

/** OperationNotificationInfo: has no fields. */
export type OperationNotificationInfo = { readonly [key: string]: never };

/** OperationProgress: has no fields. */
export type OperationProgress = { readonly [key: string]: never };

/** OperationSystemMigrationNotificationInfo document. */
export interface OperationSystemMigrationNotificationInfo {
  /** Not in the published reference. */
  readonly Origin?: MigrationOrigin;
  /** Not in the published reference. */
  readonly Event?: MigrationEvent;
  /** Not in the published reference. */
  readonly Result?: MigrationResult;
  /** Not in the published reference. */
  readonly AdditionalDetails?: unknown;
}

/** OsLayerOptions document. */
export interface OsLayerOptions {
  readonly Type?: OsLayerType;
  readonly DisableCiCacheOptimization?: boolean;
  readonly SkipUpdateBcdForBoot?: boolean;
}

/** PauseNotification document. */
export interface PauseNotification {
  readonly Reason?: PauseReason;
}

/** PauseOptions document. */
export interface PauseOptions {
  readonly SuspensionLevel?: PauseSuspensionLevel;
  readonly HostedNotification?: PauseNotification;
}

/** Plan9 document. */
export interface Plan9 {
  readonly Shares?: readonly Plan9Share[];
}

/** Plan9Share document. */
export interface Plan9Share {
  readonly Name?: string;
  readonly AccessName?: string;
  readonly Path?: string;
  readonly Port?: number;
  readonly AllowedFiles?: readonly string[];
  /** Not in the published reference. */
  readonly Flags?: number;
}

/** ProcessDetails document. */
export interface ProcessDetails {
  readonly ProcessId?: number;
  readonly ImageName?: string;
  readonly CreateTimestamp?: string;
  readonly UserTime100ns?: number;
  readonly KernelTime100ns?: number;
  readonly MemoryCommitBytes?: number;
  readonly MemoryWorkingSetPrivateBytes?: number;
  readonly MemoryWorkingSetSharedBytes?: number;
}

/** ProcessModifyRequest document. */
export interface ProcessModifyRequest {
  readonly Operation?: ModifyOperation;
  readonly ConsoleSize?: ConsoleSize;
  readonly CloseHandle?: CloseHandle;
}

/** ProcessParameters document. */
export interface ProcessParameters {
  readonly ApplicationName?: string;
  readonly CommandLine?: string;
  readonly CommandArgs?: readonly string[];
  readonly User?: string;
  readonly WorkingDirectory?: string;
  readonly Environment?: { readonly [key: string]: string };
  readonly RestrictedToken?: boolean;
  readonly EmulateConsole?: boolean;
  readonly CreateStdInPipe?: boolean;
  readonly CreateStdOutPipe?: boolean;
  readonly CreateStdErrPipe?: boolean;
  readonly ConsoleSize?: readonly [number, number];
  readonly UseExistingLogin?: boolean;
  readonly UseLegacyConsole?: boolean;
}

/** ProcessStatus document. */
export interface ProcessStatus {
  readonly ProcessId?: number;
  readonly Exited?: boolean;
  readonly ExitCode?: number;
  readonly LastWaitResult?: number;
}

/** ProcessorCapabilitiesInfo document. */
export interface ProcessorCapabilitiesInfo {
  readonly ProcessorFeatures?: readonly ProcessorFeature[];
  readonly XsaveProcessorFeatures?: readonly XsaveProcessorFeature[];
  readonly CacheLineFlushSize?: number;
  readonly ImplementedPhysicalAddressBits?: number;
  readonly NonArchitecturalCoreSharing?: NonArchitecturalCoreSharing;
}

/** ProcessorFeatureSet document. */
export interface ProcessorFeatureSet {
  readonly ProcessorFeatures?: readonly ProcessorFeature[];
  readonly XsaveProcessorFeatures?: readonly XsaveProcessorFeature[];
  readonly ProcessorFeatureSetMode?: ProcessorFeatureSetMode;
}

/** ProcessorLimits document. */
export interface ProcessorLimits {
  readonly Limit?: number;
  readonly Weight?: number;
  readonly Reservation?: number;
  readonly MaximumFrequencyMHz?: number;
}

/** ProcessorStats document. */
export interface ProcessorStats {
  readonly TotalRuntime100ns?: number;
  readonly RuntimeUser100ns?: number;
  readonly RuntimeKernel100ns?: number;
}

/** ProcessorTopology document. */
export interface ProcessorTopology {
  readonly LogicalProcessorCount?: number;
  readonly LogicalProcessors?: readonly LogicalProcessor[];
}

/** Properties document. */
export interface Properties {
  readonly Id?: string;
  readonly SystemType?: SystemType;
  readonly RuntimeOsType?: OsType;
  readonly Name?: string;
  readonly Owner?: string;
  readonly RuntimeId?: string;
  readonly RuntimeTemplateId?: string;
  readonly State?: State;
  readonly Stopped?: boolean;
  readonly ExitType?: NotificationType;
  readonly Memory?: MemoryInformationForVm;
  readonly Statistics?: Statistics;
  readonly ProcessList?: readonly ProcessDetails[];
  readonly TerminateOnLastHandleClosed?: boolean;
  readonly HostingSystemId?: string;
  readonly SharedMemoryRegionInfo?: readonly SharedMemoryRegionInfo[];
  readonly GuestConnectionInfo?: GuestConnectionInfo;
  readonly PropertyResponses?: { readonly [key: string]: PropertyResponse };
  /** Not in the published reference. */
  readonly SystemGUID?: string;
}

/** PropertyResponse document. */
export interface PropertyResponse {
  readonly Error?: ResultError;
  readonly Response?: unknown;
}

/** QoSCapabilities document. */
export interface QoSCapabilities {
  readonly ProcessorQoSSupported?: boolean;
}

/** RdpConnectionOptions document. */
export interface RdpConnectionOptions {
  readonly AccessSids?: readonly string[];
  readonly NamedPipe?: string;
}

/** RegistryChanges document. */
export interface RegistryChanges {
  readonly AddValues?: readonly RegistryValue[];
  readonly DeleteKeys?: readonly RegistryKey[];
}

/** RegistryDeleteKey document. */
export interface RegistryDeleteKey {
  readonly name?: string;
}

/** RegistryFlushState document. */
export interface RegistryFlushState {
  readonly Enabled?: boolean;
}

/** RegistryHiveStack document. */
export interface RegistryHiveStack {
  readonly hive?: string;
  readonly layer?: readonly RegistryLayer[];
  readonly mkkey?: readonly RegistryMakeKey[];
  readonly delkey?: readonly RegistryDeleteKey[];
}

/** RegistryKey document. */
export interface RegistryKey {
  readonly Hive?: RegistryHive;
  readonly Name?: string;
  readonly Volatile?: boolean;
}

/** RegistryLayer document. */
export interface RegistryLayer {
  readonly hosthive?: string;
  readonly filepath?: string;
  readonly identifier?: string;
  readonly readonly?: boolean;
  readonly immutable?: boolean;
  readonly inherittrustclass?: boolean;
  readonly trustedhive?: boolean;
  readonly writethrough?: boolean;
  readonly fileaccesstoken?: number;
}

/** RegistryMakeKey document. */
export interface RegistryMakeKey {
  readonly name?: string;
  readonly clonesd?: string;
  readonly mkkey?: readonly RegistryMakeKey[];
  readonly mkvalue?: readonly RegistryMakeValue[];
  readonly volatile?: boolean;
}

/** RegistryMakeValue document. */
export interface RegistryMakeValue {
  readonly name?: string;
  readonly data_multistring?: string;
  readonly data_dword?: number;
  readonly data_string?: string;
  readonly data_binary?: string;
}

/** RegistryNamespace document. */
export interface RegistryNamespace {
  readonly symlink?: readonly RegistrySymlink[];
  readonly redirectionnode?: readonly RegistryRedirectionNode[];
  readonly hivestack?: readonly RegistryHiveStack[];
}

/** RegistryRedirectionNode document. */
export interface RegistryRedirectionNode {
  readonly containerpath?: string;
  readonly hostpath?: string;
  readonly hivestack?: string;
  readonly access_mask?: number;
  readonly trustedhive?: boolean;
  readonly exitnode?: boolean;
}

/** RegistrySymlink document. */
export interface RegistrySymlink {
  readonly key?: string;
  readonly target?: string;
}

/** RegistryValue document. */
export interface RegistryValue {
  readonly Key?: RegistryKey;
  readonly Name?: string;
  readonly Type?: RegistryValueType;
  readonly StringValue?: string;
  readonly BinaryValue?: string;
  readonly DWordValue?: number;
  readonly QWordValue?: number;
  readonly CustomType?: number;
}

/** RestoreState document. */
export interface RestoreState {
  readonly SaveStateFilePath?: string;
  readonly TemplateSystemId?: string;
}

/** ResultError document. */
export interface ResultError {
  readonly Error?: number;
  readonly ErrorMessage?: string;
  readonly ErrorEvents?: readonly ErrorEvent[];
  readonly Attribution?: readonly AttributionRecord[];
}

/** SaveOptions document. */
export interface SaveOptions {
  readonly SaveType?: SaveType;
  readonly SaveStateFilePath?: string;
}

/** Scsi document. */
export interface Scsi {
  readonly Attachments?: { readonly [key: string]: Attachment };
  readonly DisableInterruptBatching?: boolean;
}

/** SecuritySettings document. */
export interface SecuritySettings {
  /** Not in the published reference. */
  readonly EnableTpm?: boolean;
  /** Not in the published reference. */
  readonly Isolation?: IsolationSettings;
}

/** ServiceProperties document. */
export interface ServiceProperties {
  readonly Properties?: readonly unknown[];
  readonly PropertyResponses?: { readonly [key: string]: PropertyResponse };
}

/** Service_PropertyQuery document. */
export interface Service_PropertyQuery {
  readonly PropertyTypes?: readonly GetPropertyType[];
  readonly PropertyQueries?: { readonly [key: string]: unknown };
}

/** Services document. */
export interface Services {
  readonly Heartbeat?: Heartbeat;
  readonly Shutdown?: Shutdown;
  readonly Timesync?: Timesync;
  readonly KvpExchange?: KvpExchange;
}

/** SetPropertyOperation document. */
export interface SetPropertyOperation {
  readonly GroupId?: string;
  readonly PropertyCode?: number;
  readonly PropertyValue?: number;
}

/** SharedMemoryConfiguration document. */
export interface SharedMemoryConfiguration {
  readonly Regions?: readonly SharedMemoryRegion[];
}

/** SharedMemoryRegion document. */
export interface SharedMemoryRegion {
  readonly SectionName?: string;
  readonly StartOffset?: number;
  readonly Length?: number;
  readonly AllowGuestWrite?: boolean;
  readonly HiddenFromGuest?: boolean;
}

/** SharedMemoryRegionInfo document. */
export interface SharedMemoryRegionInfo {
  readonly SectionName?: string;
  readonly GuestPhysicalAddress?: number;
}

/** Shutdown: has no fields. */
export type Shutdown = { readonly [key: string]: never };

/** ShutdownOptions document. */
export interface ShutdownOptions {
  readonly Mechanism?: ShutdownMechanism;
  readonly Type?: ShutdownType;
  readonly Force?: boolean;
  readonly Reason?: string;
}

/** SignalProcessOptions document. */
export interface SignalProcessOptions {
  readonly Signal?: ProcessSignal;
}

/** StartOptions document. */
export interface StartOptions {
  /** Not in the published reference. */
  readonly DestinationMigrationOptions?: MigrationStartOptions;
}

/** Statistics document. */
export interface Statistics {
  readonly Timestamp?: string;
  readonly ContainerStartTime?: string;
  readonly Uptime100ns?: number;
  readonly Processor?: ProcessorStats;
  readonly Memory?: MemoryStats;
  readonly Storage?: StorageStats;
}

/** Storage document. */
export interface Storage {
  readonly Layers?: readonly Layer[];
  readonly Path?: string;
  readonly QoS?: StorageQoS;
  /** Not in the published reference. */
  readonly PrivilegedContainerRootPath?: string;
}

/** StorageQoS document. */
export interface StorageQoS {
  readonly IopsMaximum?: number;
  readonly BandwidthMaximum?: number;
}

/** StorageStats document. */
export interface StorageStats {
  readonly ReadCountNormalized?: number;
  readonly ReadSizeBytes?: number;
  readonly WriteCountNormalized?: number;
  readonly WriteSizeBytes?: number;
}

/** Subnode document. */
export interface Subnode {
  readonly Type?: SubnodeType;
  readonly Id?: number;
}

/** SystemExit document. */
export interface SystemExit {
  readonly Detail?: SystemExitDetail;
  readonly Initiator?: ExitInitiator;
}

/** SystemExitStatus document. */
export interface SystemExitStatus {
  readonly Status?: number;
  readonly ExitType?: NotificationType;
  readonly Attribution?: readonly AttributionRecord[];
  /** Not in the published reference. */
  readonly Detail?: string;
}

/** SystemProcessorModificationRequest document. */
export interface SystemProcessorModificationRequest {
  readonly GroupId?: string;
}

/** SystemQuery document. */
export interface SystemQuery {
  readonly Ids?: readonly string[];
  readonly Names?: readonly string[];
  readonly Types?: readonly SystemType[];
  readonly Owners?: readonly string[];
}

/** SystemTime document. */
export interface SystemTime {
  readonly Year?: number;
  readonly Month?: number;
  readonly DayOfWeek?: number;
  readonly Day?: number;
  readonly Hour?: number;
  readonly Minute?: number;
  readonly Second?: number;
  readonly Milliseconds?: number;
}

/** System_PropertyQuery document. */
export interface System_PropertyQuery {
  readonly PropertyTypes?: readonly System_PropertyType[];
  readonly Queries?: { readonly [key: string]: unknown };
}

/** TimeZoneInformation document. */
export interface TimeZoneInformation {
  readonly Bias?: number;
  readonly StandardName?: string;
  readonly StandardDate?: SystemTime;
  readonly StandardBias?: number;
  readonly DaylightName?: string;
  readonly DaylightDate?: SystemTime;
  readonly DaylightBias?: number;
}

/** Timesync: has no fields. */
export type Timesync = { readonly [key: string]: never };

/** Topology document. */
export interface Topology {
  readonly Memory?: VirtualMachine_Memory;
  readonly Processor?: VirtualMachine_Processor;
  /** Not in the published reference. */
  readonly Numa?: Numa;
}

/** TripleFault document. */
export interface TripleFault {
  readonly ErrorType?: number;
}

/** Uefi document. */
export interface Uefi {
  readonly EnableDebugger?: boolean;
  readonly SecureBootTemplateId?: string;
  readonly ApplySecureBootTemplate?: ApplySecureBootTemplateType;
  readonly BootThis?: UefiBootEntry;
  readonly Console?: SerialConsole;
  readonly StopOnBootFailure?: boolean;
}

/** UefiBootEntry document. */
export interface UefiBootEntry {
  readonly DeviceType?: UefiBootDevice;
  readonly DevicePath?: string;
  readonly DiskNumber?: number;
  readonly OptionalData?: string;
  readonly VmbFsRootPath?: string;
}

/** Version document. */
export interface Version {
  readonly Major?: number;
  readonly Minor?: number;
}

/** VideoMonitor document. */
export interface VideoMonitor {
  readonly HorizontalResolution?: number;
  readonly VerticalResolution?: number;
  readonly ConnectionOptions?: RdpConnectionOptions;
}

/** VirtioSerial document. */
export interface VirtioSerial {
  readonly Ports?: { readonly [key: string]: VirtioSerialPort };
}

/** VirtioSerialPort document. */
export interface VirtioSerialPort {
  readonly NamedPipe?: string;
  readonly Name?: string;
  /** Not in the published reference. */
  readonly ConsoleSupport?: boolean;
}

/** VirtualDeviceFailure document. */
export interface VirtualDeviceFailure {
  readonly Detail?: VirtualDeviceFailureDetail;
  readonly Name?: string;
  readonly DeviceId?: string;
  readonly InstanceId?: string;
}

/** VirtualMachine document. */
export interface VirtualMachine {
  readonly Version?: Version;
  readonly StopOnReset?: boolean;
  readonly Chipset?: Chipset;
  readonly ComputeTopology?: Topology;
  readonly Devices?: Devices;
  readonly Services?: Services;
  readonly GuestState?: GuestState;
  readonly RestoreState?: RestoreState;
  readonly RegistryChanges?: RegistryChanges;
  readonly StorageQoS?: StorageQoS;
  readonly GuestConnection?: GuestConnection;
  /** Not in the published reference. */
  readonly DebugOptions?: DebugOptions;
  /** Not in the published reference. */
  readonly SecuritySettings?: SecuritySettings;
  /** Not in the published reference. */
  readonly ResourcePartitionId?: string;
  /** Not in the published reference. */
  readonly MigrationOptions?: MigrationInitializeOptions;
}

/** VirtualMachine_HvSocket document. */
export interface VirtualMachine_HvSocket {
  readonly HvSocketConfig?: HvSocketSystemConfig;
}

/** VirtualMachine_Memory document. */
export interface VirtualMachine_Memory {
  readonly SizeInMB?: number;
  readonly AllowOvercommit?: boolean;
  readonly BackingPageSize?: MemoryBackingPageSize;
  readonly FaultClusterSizeShift?: number;
  readonly DirectMapFaultClusterSizeShift?: number;
  readonly PinBackingPages?: boolean;
  readonly ForbidSmallBackingPages?: boolean;
  readonly EnableHotHint?: boolean;
  readonly EnableColdHint?: boolean;
  readonly EnableColdDiscardHint?: boolean;
  readonly EnableDeferredCommit?: boolean;
  readonly LowMmioGapInMB?: number;
  readonly HighMmioBaseInMB?: number;
  readonly HighMmioGapInMB?: number;
  /** Not in the published reference. */
  readonly Backing?: MemoryBackingType;
  /** Not in the published reference. */
  readonly SlitType?: VirtualSlitType;
  /** Not in the published reference. */
  readonly HostingProcessNameSuffix?: string;
}

/** VirtualMachine_Processor document. */
export interface VirtualMachine_Processor {
  readonly Count?: number;
  readonly Limit?: number;
  readonly Weight?: number;
  readonly Reservation?: number;
  readonly MaximumFrequencyMHz?: number;
  readonly ExposeVirtualizationExtensions?: boolean;
  readonly EnablePerfmonPmu?: boolean;
  readonly EnablePerfmonArchPmu?: boolean;
  readonly EnablePerfmonPebs?: boolean;
  readonly EnablePerfmonLbr?: boolean;
  readonly EnablePerfmonIpt?: boolean;
  readonly EnablePageShattering?: boolean;
  readonly DisableSpeculationControls?: boolean;
  readonly ProcessorFeatureSet?: ProcessorFeatureSet;
  readonly CpuGroup?: CpuGroup;
  /** Not in the published reference. */
  readonly NumaProcessorsSettings?: NumaProcessors;
}

/** VirtualNodeInfo document. */
export interface VirtualNodeInfo {
  readonly VirtualNodeIndex?: number;
  readonly PhysicalNodeNumber?: number;
  readonly VirtualProcessorCount?: number;
  readonly MemoryUsageInPages?: number;
}

/** VirtualPMemController document. */
export interface VirtualPMemController {
  readonly Devices?: { readonly [key: string]: VirtualPMemDevice };
  readonly MaximumCount?: number;
  readonly MaximumSizeBytes?: number;
  readonly Backing?: VirtualPMemBackingType;
}

/** VirtualPMemDevice document. */
export interface VirtualPMemDevice {
  readonly HostPath?: string;
  readonly ReadOnly?: boolean;
  readonly ImageFormat?: VirtualPMemImageFormat;
  readonly SizeBytes?: number;
  readonly Mappings?: { readonly [key: string]: VirtualPMemMapping };
}

/** VirtualPMemMapping document. */
export interface VirtualPMemMapping {
  readonly HostPath?: string;
  readonly ImageFormat?: VirtualPMemImageFormat;
}

/** VirtualPciDevice document. */
export interface VirtualPciDevice {
  readonly Functions?: readonly VirtualPciFunction[];
  /** Not in the published reference. */
  readonly PropagateNumaAffinity?: boolean;
}

/** VirtualPciFunction document. */
export interface VirtualPciFunction {
  readonly DeviceInstancePath?: string;
  readonly VirtualFunction?: number;
  readonly AllowDirectTranslatedP2P?: boolean;
}

/** VirtualSmb document. */
export interface VirtualSmb {
  readonly Shares?: readonly VirtualSmbShare[];
  readonly DirectFileMappingInMB?: number;
}

/** VirtualSmbShare document. */
export interface VirtualSmbShare {
  readonly Name?: string;
  readonly Path?: string;
  readonly AllowedFiles?: readonly string[];
  readonly Options?: VirtualSmbShareOptions;
}

/** VirtualSmbShareOptions document. */
export interface VirtualSmbShareOptions {
  readonly ReadOnly?: boolean;
  readonly ShareRead?: boolean;
  readonly CacheIo?: boolean;
  readonly NoOplocks?: boolean;
  readonly TakeBackupPrivilege?: boolean;
  readonly UseShareRootIdentity?: boolean;
  readonly NoDirectmap?: boolean;
  readonly NoLocks?: boolean;
  readonly NoDirnotify?: boolean;
  readonly VmSharedMemory?: boolean;
  readonly RestrictFileAccess?: boolean;
  readonly ForceLevelIIOplocks?: boolean;
  readonly ReparseBaseLayer?: boolean;
  readonly PseudoOplocks?: boolean;
  readonly NonCacheIo?: boolean;
  readonly PseudoDirnotify?: boolean;
  readonly SingleFileMapping?: boolean;
  readonly SupportCloudFiles?: boolean;
  readonly FilterEncryptionAttributes?: boolean;
}

/** VmMemory document. */
export interface VmMemory {
  readonly AvailableMemory?: number;
  readonly AvailableMemoryBuffer?: number;
  readonly ReservedMemory?: number;
  readonly AssignedMemory?: number;
  readonly SlpActive?: boolean;
  readonly BalancingEnabled?: boolean;
  readonly DmOperationInProgress?: boolean;
}

/** VmProcessorRequirements document. */
export interface VmProcessorRequirements {
  readonly ProcessorFeatures?: readonly ProcessorFeature[];
  readonly XsaveProcessorFeatures?: readonly XsaveProcessorFeature[];
  readonly CacheLineFlushSize?: number;
  readonly ImplementedPhysicalAddressBits?: number;
  readonly NonArchitecturalCoreSharing?: NonArchitecturalCoreSharing;
}

/** WindowsCrashReport document. */
export interface WindowsCrashReport {
  readonly DumpFile?: string;
  readonly OsMajorVersion?: number;
  readonly OsMinorVersion?: number;
  readonly OsBuildNumber?: number;
  readonly OsServicePackMajorVersion?: number;
  readonly OsServicePackMinorVersion?: number;
  readonly OsSuiteMask?: number;
  readonly OsProductType?: number;
  readonly Status?: number;
  readonly FinalPhase?: WindowsCrashPhase;
}

/** WindowsCrashReporting document. */
export interface WindowsCrashReporting {
  readonly DumpFileName?: string;
  readonly MaxDumpSize?: number;
  /** Not in the published reference. */
  readonly DumpType?: string;
}

/** WorkerExit document. */
export interface WorkerExit {
  readonly ExitCode?: number;
  readonly Type?: WorkerExitType;
  readonly Detail?: WorkerExitDetail;
  readonly Initiator?: ExitInitiator;
}

/** Values of ApplySecureBootTemplateType. */
export type ApplySecureBootTemplateType = 'Skip' | 'Apply';

/** Values of AttachmentType. */
export type AttachmentType = 'VirtualDisk' | 'Iso' | 'PassThru';

/** Values of CacheMode. */
export type CacheMode =
  | 'Unspecified'
  | 'Disabled'
  | 'Enabled'
  | 'Private'
  | 'PrivateAllowSharing'
  | '';

/** Values of CachingMode. */
export type CachingMode = 'Uncached' | 'Cached' | 'ReadOnlyCached';

/** Values of ContainerCredentialGuardModifyOperation. */
export type ContainerCredentialGuardModifyOperation = 'AddInstance' | 'RemoveInstance';

/** Values of ContainerCredentialGuardTransport. */
export type ContainerCredentialGuardTransport = 'LRPC' | 'HvSocket';

/** Values of ContainerIsolationType. */
export type ContainerIsolationType = 'HostProcess';

/** Values of CrashType. */
export type CrashType = 'CrashGuest';

/** Values of DeviceType. */
export type DeviceType = 'ClassGuid' | 'DeviceInstance' | 'GpuMirror';

/** Values of EnlightenmentModifications. */
export type EnlightenmentModifications = 'Unreported' | 'FavorAutoEoi' | 'RsvdZ1';

/** Values of EventDataType. */
export type EventDataType =
  | 'Empty'
  | 'String'
  | 'AnsiString'
  | 'SByte'
  | 'Byte'
  | 'Int16'
  | 'UInt16'
  | 'Int32'
  | 'UInt32'
  | 'Int64'
  | 'UInt64'
  | 'Single'
  | 'Double'
  | 'Boolean'
  | 'Binary'
  | 'Guid';

/** Values of ExitInitiator. */
export type ExitInitiator = 'None' | 'GuestOS' | 'Client' | 'Internal' | 'Unknown';

/** Values of FileSystemFilterType. */
export type FileSystemFilterType = 'UnionFS' | 'WCIFS';

/** Values of FilesystemIsolationMode. */
export type FilesystemIsolationMode = 'hard' | 'soft';

/** Values of FilesystemNestingMode. */
export type FilesystemNestingMode = 'inner' | 'outer';

/** Values of FlexibleIoDeviceHostingModel. */
export type FlexibleIoDeviceHostingModel = 'Internal' | 'External' | 'ExternalRestricted';

/** Values of GetPropertyType. */
export type GetPropertyType =
  | 'Basic'
  | 'CpuGroup'
  | 'ProcessorTopology'
  | 'ContainerCredentialGuard'
  | 'QoSCapabilities'
  | 'Memory'
  | 'CacheAllocation'
  | 'CacheMonitoring'
  | 'MemoryBwAllocation';

/** Values of GpuAssignmentMode. */
export type GpuAssignmentMode = 'Disabled' | 'Default' | 'List' | 'Mirror';

/** Values of IntegrationComponentOperatingStateReason. */
export type IntegrationComponentOperatingStateReason =
  | 'Unknown'
  | 'AppsInCriticalState'
  | 'CommunicationTimedOut'
  | 'FailedCommunication'
  | 'HealthyApps'
  | 'ProtocolMismatch';

/** Values of IntegrationComponentOperationalState. */
export type IntegrationComponentOperationalState =
  | 'Unknown'
  | 'Degraded'
  | 'Dormant'
  | 'Error'
  | 'LostCommunication'
  | 'NonRecoverableError'
  | 'NoContact'
  | 'Ok';

/** Values of InterfaceClassType. */
export type InterfaceClassType = 'Inherit' | 'DeviceInstance' | 'ClassGuid';

/** Values of InterruptModerationMode. */
export type InterruptModerationMode = 'Default' | 'Adaptive' | 'Off' | 'Low' | 'Medium' | 'High';

/** Values of JobTerminationPolicy. */
export type JobTerminationPolicy = 'PermanentQuiescent' | 'KillOnHandleClose';

/** Values of KvpSource. */
export type KvpSource = 'KvpSetByHost' | 'KvpSetByGuest' | 'GuestOSInfo';

/** Values of MappedPipePathType. */
export type MappedPipePathType = 'AbsolutePath' | 'VirtualSmbPipeName';

/** Values of MemoryBackingPageSize. */
export type MemoryBackingPageSize = 'Small' | 'Large';

/** Values of MemoryBackingType. */
export type MemoryBackingType = 'Physical' | 'Virtual' | 'Hybrid';

/** Values of MigrationEvent. */
export type MigrationEvent =
  | 'Unknown'
  | 'MigrationDone'
  | 'BlackoutStarted'
  | 'OfflineDone'
  | 'BlackoutExited'
  | 'SetupDone'
  | 'TransferInProgress'
  | 'MigrationRecoveryDone'
  | 'MigrationFailed';

/** Values of MigrationFinalOperation. */
export type MigrationFinalOperation = 'Resume' | 'Stop';

/** Values of MigrationMemoryTransport. */
export type MigrationMemoryTransport = 'TCP';

/** Values of MigrationOrigin. */
export type MigrationOrigin = 'Source' | 'Destination';

/** Values of MigrationResult. */
export type MigrationResult =
  | 'Invalid'
  | 'Success'
  | 'MigrationCancelled'
  | 'GuestInitiatedCancellation'
  | 'SourceMigrationFailed'
  | 'DestinationMigrationFailed'
  | 'MigrationRecoveryFailed';

/** Values of ModifyOperation. */
export type ModifyOperation = 'ConsoleSize' | 'CloseHandle';

/** Values of ModifyPropertyType. */
export type ModifyPropertyType = 'CpuGroup' | 'ContainerCredentialGuard';

/** Values of ModifyRequestType. */
export type ModifyRequestType = 'Add' | 'Remove' | 'Update';

/** Values of ModifyResourceType. */
export type ModifyResourceType =
  | 'Memory'
  | 'MappedDirectory'
  | 'MappedPipe'
  | 'MappedVirtualDisk'
  | 'CombinedLayers'
  | 'NetworkNamespace'
  | 'CimMount';

/** Values of ModifyServiceOperation. */
export type ModifyServiceOperation = 'CreateGroup' | 'DeleteGroup' | 'SetProperty';

/** Values of NonArchitecturalCoreSharing. */
export type NonArchitecturalCoreSharing = 'Unreported' | 'Off' | 'On';

/** Values of NotificationType. */
export type NotificationType =
  | 'None'
  | 'GracefulExit'
  | 'ForcedExit'
  | 'UnexpectedExit'
  | 'Unknown';

/** Values of ObjectDirectoryShadow. */
export type ObjectDirectoryShadow = 'false' | 'true' | 'ifexists';

/** Values of ObjectSymlinkScope. */
export type ObjectSymlinkScope = 'Local' | 'Global' | 'GlobalDropSilo';

/** Values of OperationFailureDetail. */
export type OperationFailureDetail =
  | 'Invalid'
  | 'CreateInternalError'
  | 'ConstructStateError'
  | 'RuntimeOsTypeMismatch'
  | 'Construct'
  | 'Start'
  | 'Pause'
  | 'Resume'
  | 'Shutdown'
  | 'Terminate'
  | 'Save'
  | 'GetProperties'
  | 'Modify'
  | 'Crash'
  | 'GuestCrash'
  | 'LifecycleNotify'
  | 'ExecuteProcess'
  | 'GetProcessInfo'
  | 'WaitForProcess'
  | 'SignalProcess'
  | 'ModifyProcess'
  | 'PrepareForHosting'
  | 'RegisterHostedSystem'
  | 'UnregisterHostedSystem'
  | 'PrepareForClone'
  | 'GetCloneTemplate';

/** Values of OperationType. */
export type OperationType =
  | 'None'
  | 'Construct'
  | 'Start'
  | 'Pause'
  | 'Resume'
  | 'Shutdown'
  | 'Terminate'
  | 'Save'
  | 'GetProperties'
  | 'Modify'
  | 'Crash'
  | 'ExecuteProcess'
  | 'GetProcessInfo'
  | 'SignalProcess'
  | 'ModifyProcess'
  | 'CancelOperation';

/** Values of OsLayerType. */
export type OsLayerType = 'Container' | 'Vm';

/** Values of OsType. */
export type OsType = 'Unknown' | 'Windows' | 'Linux' | '';

/** Values of PathType. */
export type PathType = 'AbsolutePath' | 'VirtualSmbShareName';

/** Values of PauseReason. */
export type PauseReason = 'None' | 'Save' | 'Template';

/** Values of PauseSuspensionLevel. */
export type PauseSuspensionLevel = 'Suspend' | 'MemoryLow' | 'MemoryMedium' | 'MemoryHigh';

/** Values of ProcessSignal. */
export type ProcessSignal = 'CtrlC' | 'CtrlBreak' | 'CtrlClose' | 'CtrlLogOff' | 'CtrlShutdown';

/** Values of ProcessorFeature. */
export type ProcessorFeature =
  | 'Sse3'
  | 'LahfSahf'
  | 'Ssse3'
  | 'Sse4_1'
  | 'Sse4_2'
  | 'Sse4A'
  | 'Xop'
  | 'Popcnt'
  | 'Cmpxchg16B'
  | 'Altmovcr8'
  | 'Lzcnt'
  | 'Misalignsse'
  | 'MmxExt'
  | 'Amd3Dnow'
  | 'ExtAmd3Dnow'
  | 'Page1Gb'
  | 'AmdAes'
  | 'Pclmulqdq'
  | 'Pcid'
  | 'Fma4'
  | 'F16C'
  | 'Rdrand'
  | 'Rdwrfsgs'
  | 'Smep'
  | 'EnhancedFastString'
  | 'Bmi1'
  | 'Bmi2'
  | 'Movbe'
  | 'Npiep1'
  | 'DepX87FpuSave'
  | 'Rdseed'
  | 'Adx'
  | 'IntelPrefetch'
  | 'Smap'
  | 'Hle'
  | 'Rtm'
  | 'Rdtscp'
  | 'Clflushopt'
  | 'Clwb'
  | 'Sha'
  | 'X87PointersSaved'
  | 'Invpcid'
  | 'Ibrs'
  | 'Stibp'
  | 'Ibpb'
  | 'UnrestrictedGuest'
  | 'Mdd'
  | 'FastShortRepMov'
  | 'L1DCacheFlush'
  | 'RdclNo'
  | 'IbrsAll'
  | 'SkipL1Df'
  | 'SsbNo'
  | 'RsbaNo'
  | 'VirtSpecCtrl'
  | 'Rdpid'
  | 'Umip'
  | 'MbsNo'
  | 'MbClear'
  | 'TaaNo'
  | 'TsxCtrl'
  | 'AcountMcount'
  | 'TscInvariant'
  | 'Clzero'
  | 'Rdpru'
  | 'La57'
  | 'Mbec'
  | 'NestedVirt'
  | 'Psfd'
  | 'CetSs'
  | 'CetIbt'
  | 'VmxExceptionInject'
  | 'UmwaitTpause'
  | 'Movdiri'
  | 'Movdir64b'
  | 'Cldemote'
  | 'Serialize'
  | 'TscDeadlineTmr'
  | 'TscAdjust'
  | 'FZLRepMovsb'
  | 'FSRepStosb'
  | 'FSRepCmpsb'
  | 'SentinelAmd'
  | 'Asid16'
  | 'TGran16'
  | 'TGran64'
  | 'Haf'
  | 'Hdbs'
  | 'Pan'
  | 'AtS1E1'
  | 'Uao'
  | 'El0Aarch32'
  | 'Fp'
  | 'FpHp'
  | 'AdvSimd'
  | 'AdvSimdHp'
  | 'GicV3V4'
  | 'PmuV3'
  | 'PmuV3ArmV81'
  | 'PmuV3ArmV84'
  | 'ArmAes'
  | 'PolyMul'
  | 'Sha1'
  | 'Sha256'
  | 'Sha512'
  | 'Crc32'
  | 'Atomic'
  | 'Rdm'
  | 'Sha3'
  | 'Sm3'
  | 'Sm4'
  | 'Dp'
  | 'Fhm'
  | 'DcCvap'
  | 'DcCvadp'
  | 'ApaBase'
  | 'ApaEp'
  | 'ApaEp2'
  | 'ApaEp2Fp'
  | 'ApaEp2Fpc'
  | 'Jscvt'
  | 'Fcma'
  | 'RcpcV83'
  | 'RcpcV84'
  | 'Gpa'
  | 'L1ipPipt'
  | 'DzPermitted'
  | 'SentinelArm';

/** Values of ProcessorFeatureSetMode. */
export type ProcessorFeatureSetMode = 'Strict' | 'Permissive';

/** Values of RegistryHive. */
export type RegistryHive = 'System' | 'Software' | 'Security' | 'Sam';

/** Values of RegistryValueType. */
export type RegistryValueType =
  | 'None'
  | 'String'
  | 'ExpandedString'
  | 'MultiString'
  | 'Binary'
  | 'DWord'
  | 'QWord'
  | 'CustomType';

/** Values of SaveType. */
export type SaveType = 'ToFile' | 'AsTemplate';

/** Values of SerialConsole. */
export type SerialConsole = 'Default' | 'Disabled' | 'ComPort1' | 'ComPort2';

/** Values of ShutdownMechanism. */
export type ShutdownMechanism = 'GuestConnection' | 'IntegrationService';

/** Values of ShutdownType. */
export type ShutdownType = 'Shutdown' | 'Hibernate' | 'Reboot';

/** Values of State. */
export type State = 'Created' | 'Running' | 'Paused' | 'Stopped' | 'SavedAsTemplate' | 'Unknown';

/** Values of StateOverride. */
export type StateOverride = 'Default' | 'Disabled' | 'Enabled';

/** Values of StdHandle. */
export type StdHandle = 'StdIn' | 'StdOut' | 'StdErr' | 'All';

/** Values of SubnodeType. */
export type SubnodeType = 'Any' | 'Socket' | 'Cluster' | 'L3';

/** Values of SystemExitDetail. */
export type SystemExitDetail =
  | 'Invalid'
  | 'HcsApiFatalError'
  | 'ServiceStop'
  | 'Shutdown'
  | 'Terminate'
  | 'UnexpectedExit';

/** Values of SystemType. */
export type SystemType = 'Container' | 'VirtualMachine';

/** Values of System_PropertyType. */
export type System_PropertyType =
  | 'Memory'
  | 'Statistics'
  | 'ProcessList'
  | 'TerminateOnLastHandleClosed'
  | 'SharedMemoryRegion'
  | 'GuestConnection'
  | 'GuestMemory'
  | 'ContainerCredentialGuard'
  | 'ICHeartbeatStatus'
  | 'ProcessorTopology'
  | 'CpuGroup'
  | 'SystemGUID'
  | 'Basic';

/** Values of UefiBootDevice. */
export type UefiBootDevice = 'ScsiDrive' | 'VmbFs' | 'Network' | 'File';

/** Values of VirtualDeviceFailureDetail. */
export type VirtualDeviceFailureDetail =
  | 'None'
  | 'Create'
  | 'Initialize'
  | 'StartReservingResources'
  | 'FinishReservingResources'
  | 'FreeReservedResources'
  | 'SaveReservedResources'
  | 'PowerOnCold'
  | 'PowerOnRestore'
  | 'PowerOff'
  | 'Save'
  | 'Resume'
  | 'Pause'
  | 'EnableOptimizations'
  | 'StartDisableOptimizations'
  | 'FinishDisableOptimizations'
  | 'Reset'
  | 'PostReset'
  | 'Teardown'
  | 'SaveCompatibilityInfo'
  | 'MetricRestore'
  | 'MetricEnumerate'
  | 'MetricEnumerateForSave'
  | 'MetricReset'
  | 'MetricEnable'
  | 'MetricDisable';

/** Values of VirtualPMemBackingType. */
export type VirtualPMemBackingType = 'Virtual' | 'Physical';

/** Values of VirtualPMemImageFormat. */
export type VirtualPMemImageFormat = 'Vhdx' | 'Vhd1';

/** Values of VirtualSlitType. */
export type VirtualSlitType = 'None' | 'Firmware' | 'Measured' | 'FirmwareFallbackMeasured';

/** Values of WindowsCrashPhase. */
export type WindowsCrashPhase =
  | 'Inactive'
  | 'CrashValues'
  | 'Starting'
  | 'Started'
  | 'Writing'
  | 'Complete';

/** Values of WorkerExitDetail. */
export type WorkerExitDetail =
  | 'Invalid'
  | 'PowerOff'
  | 'PowerOffCritical'
  | 'Reset'
  | 'GuestCrash'
  | 'GuestFirmwareCrash'
  | 'TripleFault'
  | 'DeviceFatalApicRequest'
  | 'DeviceFatalMsrRequest'
  | 'DeviceFatalException'
  | 'DeviceFatalError'
  | 'DeviceMachineCheck'
  | 'EmulatorError'
  | 'VidTerminate'
  | 'ProcessUnexpectedExit'
  | 'InitializationFailure'
  | 'InitializationStartTimeout'
  | 'ColdStartFailure'
  | 'ResetStartFailure'
  | 'FastRestoreStartFailure'
  | 'RestoreStartFailure'
  | 'FastSavePreservePartition'
  | 'FastSavePreservePartitionHandleTransfer'
  | 'FastSave'
  | 'CloneTemplate'
  | 'Save'
  | 'Migrate'
  | 'MigrateFailure'
  | 'CannotReferenceVm'
  | 'MgotUnregister'
  | 'FastSavePreservePartitionHandleTransferStorage'
  | 'FastSavePreservePartitionHandleTransferNetworking'
  | 'FastSavePreservePartitionHandleTransferStorageAndNetworking'
  | 'FastSavePreservePartitionHsr'
  | 'FastSavePreservePartitionWithHandleTransfer'
  | 'FastSaveWithHandleTransfer';

/** Values of WorkerExitType. */
export type WorkerExitType =
  | 'None'
  | 'InitializationFailed'
  | 'Stopped'
  | 'Saved'
  | 'StoppedOnReset'
  | 'UnexpectedStop'
  | 'ResetFailed'
  | 'UnrecoverableError';

/** Values of XsaveProcessorFeature. */
export type XsaveProcessorFeature =
  | 'Xsave'
  | 'Xsave_Opt'
  | 'Avx'
  | 'Avx2'
  | 'Fma'
  | 'Mpx'
  | 'Avx512'
  | 'Avx512Dq'
  | 'Avx512Cd'
  | 'Avx512Bw'
  | 'Avx512Vl'
  | 'Xsave_Comp'
  | 'Xsave_Supervisor'
  | 'Xcr1'
  | 'Avx512_Bitalg'
  | 'AVX512_Ifma'
  | 'Avx512_Vbmi'
  | 'Avx512_Vbmi2'
  | 'Avx512_Vnni'
  | 'Gfni'
  | 'Vaes'
  | 'Avx512_Vpopcntdq'
  | 'Vpclmulqdq'
  | 'Avx512_Bf16'
  | 'Avx512_Vp2Intersect'
  | 'Avx512Fp16'
  | 'Xfd'
  | 'AmxTile'
  | 'AmxBf16'
  | 'AmxInt8'
  | 'AvxVnni'
  | 'SentinelAmdXsave';
