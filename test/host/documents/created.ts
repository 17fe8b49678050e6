import type { ComputeSystem, VirtualMachine } from '../../../src/hcs/schema/documents.ts';
import {
  EMULATOR,
  ENDPOINT,
  type Example,
  type Fixtures,
  INSTANCE,
  NOT_SIMULATED,
  refused,
} from './example.ts';

/** A document that a system is created from. */
export interface CreatedExample extends Example {
  document(fixtures: Fixtures): ComputeSystem;
}

const VM = '$.VirtualMachine';
const DESCRIPTOR = 'D:P(A;;FA;;;SY)(A;;FA;;;BA)';

/** 2.2: boots a kernel. */
export function directBoot({ at }: Fixtures, devices: VirtualMachine['Devices']): ComputeSystem {
  return {
    Owner: 'demo',
    SchemaVersion: { Major: 2, Minor: 3 },
    ShouldTerminateOnLastHandleClosed: true,
    VirtualMachine: {
      StopOnReset: true,
      Chipset: {
        UseUtc: true,
        LinuxKernelDirect: {
          KernelFilePath: at('vmlinux'),
          InitRdPath: at('initrd.img'),
          KernelCmdLine: 'console=ttyS0 panic=-1',
        },
      },
      ComputeTopology: {
        Memory: {
          SizeInMB: 256,
          AllowOvercommit: true,
          EnableDeferredCommit: true,
          HighMmioGapInMB: 2048,
        },
        Processor: { Count: 2 },
      },
      Devices: { ComPorts: { '0': { NamedPipe: at('com1') } }, ...devices },
    },
  };
}

/** 2.3: a machine that is saved and restored. @param disk its image, which says by its name what format it has */
export function savedMachine(
  { at }: Fixtures,
  disk: string,
  services: NonNullable<VirtualMachine['Services']> = { Shutdown: {} },
): ComputeSystem {
  return {
    Owner: 'demo',
    SchemaVersion: { Major: 2, Minor: 5 },
    VirtualMachine: {
      Chipset: {
        Uefi: {
          BootThis: { DeviceType: 'ScsiDrive', DevicePath: 'disks', DiskNumber: 0 },
          Console: 'ComPort1',
        },
      },
      ComputeTopology: {
        Memory: { SizeInMB: 128, AllowOvercommit: true },
        Processor: { Count: 2 },
      },
      Devices: {
        ComPorts: { '0': { NamedPipe: at('com1') } },
        Scsi: {
          disks: {
            Attachments: {
              '0': { Type: 'VirtualDisk', Path: at(disk) },
              '1': { Type: 'Iso', Path: at('seed.iso'), ReadOnly: true },
            },
          },
        },
        NetworkAdapters: { [ENDPOINT]: { EndpointId: ENDPOINT, MacAddress: '00-15-5D-00-00-01' } },
      },
      Services: services,
      GuestState: {
        GuestStateFilePath: at('vm.vmgs'),
        RuntimeStateFilePath: at('vm.vmrs'),
      },
    },
  };
}

/** 2.4: a machine with a device of another process. */
export const WITH_DEVICE: ComputeSystem = {
  Owner: 'demo',
  SchemaVersion: { Major: 2, Minor: 1 },
  ShouldTerminateOnLastHandleClosed: true,
  VirtualMachine: {
    Chipset: { Uefi: {} },
    ComputeTopology: { Memory: { SizeInMB: 128 }, Processor: { Count: 1 } },
    Devices: {
      FlexibleIov: {
        [INSTANCE]: { EmulatorId: EMULATOR, HostingModel: 'External', Configuration: ['port=1'] },
      },
    },
  },
};

/** Documents that systems are created from, in the order of the reference. */
export const CREATED: readonly CreatedExample[] = [
  {
    name: '2.1 empty UEFI VM',
    linux: 'runs',
    simulated: 'runs',
    document: () => ({
      Owner: 'demo',
      SchemaVersion: { Major: 2, Minor: 1 },
      ShouldTerminateOnLastHandleClosed: true,
      VirtualMachine: {
        StopOnReset: true,
        Chipset: { Uefi: {} },
        ComputeTopology: {
          Memory: { SizeInMB: 256, AllowOvercommit: true },
          Processor: { Count: 1 },
        },
      },
    }),
  },
  {
    name: '2.2 direct boot, with a security descriptor for its sockets',
    linux: refused(
      'E_NOTIMPL',
      `${VM}.Devices.HvSocket.HvSocketConfig.DefaultBindSecurityDescriptor`,
      'the sockets are those of the user whose process has the machine, and of nobody else',
    ),
    simulated: refused('E_NOTIMPL', `${VM}.Chipset.UseUtc`, NOT_SIMULATED),
    document: (fixtures) =>
      directBoot(fixtures, {
        HvSocket: { HvSocketConfig: { DefaultBindSecurityDescriptor: DESCRIPTOR } },
      }),
  },
  {
    name: '2.2 direct boot, with sockets of the user alone',
    linux: 'runs',
    simulated: refused('E_NOTIMPL', `${VM}.Chipset.UseUtc`, NOT_SIMULATED),
    document: (fixtures) => directBoot(fixtures, { HvSocket: {} }),
  },
  {
    name: '2.2 direct boot of a file of Windows',
    linux: refused(
      'E_INVALIDARG',
      `${VM}.Chipset.LinuxKernelDirect.KernelFilePath`,
      'is "C:\\vm\\vmlinux": use an absolute path',
    ),
    simulated: refused('E_NOTIMPL', `${VM}.Chipset.UseUtc`, NOT_SIMULATED),
    document: ({ section }) => directBoot({ at: (name) => `C:\\vm\\${name}`, section }, {}),
  },
  {
    name: '2.2 a kernel that the firmware starts, as on ARM64',
    linux: 'runs',
    simulated: refused('E_NOTIMPL', `${VM}.Chipset.Uefi.BootThis`, NOT_SIMULATED),
    document: ({ at }) => ({
      Owner: 'demo',
      SchemaVersion: { Major: 2, Minor: 3 },
      VirtualMachine: {
        Chipset: {
          Uefi: {
            BootThis: {
              DeviceType: 'VmbFs',
              VmbFsRootPath: at('.'),
              DevicePath: '\\vmlinux',
              OptionalData: 'initrd=\\initrd.img console=ttyS0',
            },
          },
        },
        ComputeTopology: { Memory: { SizeInMB: 128 }, Processor: { Count: 1 } },
      },
    }),
  },
  {
    name: '2.3 UEFI VM with SCSI disks, with a heartbeat that no agent sends',
    linux: refused(
      'E_NOTIMPL',
      `${VM}.Services.Heartbeat`,
      'add VirtualMachine.GuestConnection, or leave it out',
    ),
    simulated: refused('E_NOTIMPL', `${VM}.Chipset.Uefi.BootThis`, NOT_SIMULATED),
    document: (fixtures) => savedMachine(fixtures, 'root.vhdx', { Shutdown: {}, Heartbeat: {} }),
  },
  {
    name: '2.3 UEFI VM with SCSI disks',
    linux: 'runs',
    simulated: refused('E_NOTIMPL', `${VM}.Chipset.Uefi.BootThis`, NOT_SIMULATED),
    document: (fixtures) => savedMachine(fixtures, 'root.vhdx'),
  },
  {
    name: '2.3 a network that nobody has made known',
    linux: refused(
      'ERROR_NOT_FOUND',
      `${VM}.Devices.NetworkAdapters["${INSTANCE}"].EndpointId`,
      "say what it is by the engine's option networkEndpoints",
    ),
    simulated: refused('E_NOTIMPL', `${VM}.Devices.NetworkAdapters`, NOT_SIMULATED),
    document: () => ({
      VirtualMachine: {
        Chipset: { Uefi: {} },
        Devices: {
          NetworkAdapters: {
            [INSTANCE]: { EndpointId: INSTANCE, MacAddress: '00-15-5D-00-00-01' },
          },
        },
      },
    }),
  },
  {
    name: '2.5 process-isolated Windows container',
    linux: refused('E_NOTIMPL', '$.Container', 'this host has no engine for it'),
    simulated: refused('E_NOTIMPL', '$.Container', 'this host has no engine for it'),
    document: () => ({
      Owner: 'demo',
      SchemaVersion: { Major: 2, Minor: 1 },
      ShouldTerminateOnLastHandleClosed: true,
      Container: {
        GuestOs: { HostName: 'web1' },
        Storage: {
          Layers: [
            { Id: '5d1f3c9a-4a0e-5b7e-9c55-0a1b2c3d4e5f', Path: 'C:\\layers\\app' },
            { Id: '9be1c7d2-11aa-52c3-8f10-7a6b5c4d3e2f', Path: 'C:\\layers\\base' },
          ],
          Path: '\\\\?\\Volume{3f8b7c1e-0000-0000-0000-100000000000}\\',
        },
        Memory: { SizeInMB: 1024 },
        Processor: { Count: 2 },
        MappedDirectories: [{ HostPath: 'C:\\data', ContainerPath: 'C:\\data', ReadOnly: true }],
        Networking: { Namespace: 'c1b0f2a4-77f1-4a56-9b6f-2f0a1d3c5e70' },
      },
    }),
  },
  {
    name: '2.6 container hosted in a utility VM',
    linux: refused('E_NOTIMPL', '$.HostedSystem', 'this host has no engine for it'),
    simulated: refused('E_NOTIMPL', '$.HostedSystem', 'this host has no engine for it'),
    document: () => ({
      Owner: 'demo',
      SchemaVersion: { Major: 2, Minor: 1 },
      HostingSystemId: 'utility-vm-1',
      HostedSystem: {
        SchemaVersion: { Major: 2, Minor: 1 },
        Container: { GuestOs: { HostName: 'web1' }, Storage: { Path: 'C:\\c\\1' } },
      },
    }),
  },
];
