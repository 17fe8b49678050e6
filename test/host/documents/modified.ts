// Longer than most: a row for each resource path of the reference, and each request that it takes.
import type { ModifySettingRequest } from '../../../src/hcs/schema/documents.ts';
import {
  EMULATOR,
  ENDPOINT,
  type Example,
  type Fixtures,
  GROUP,
  INSTANCE,
  type Refused,
  refused,
  SERVICE,
} from './example.ts';

/** A request that changes a running machine. */
export interface ModifiedExample extends Example {
  request(fixtures: Fixtures): ModifySettingRequest;
  /** How a Linux guest sees that it was done: a command, and what it prints in the end. */
  readonly seen?: readonly [command: string, prints: RegExp];
}

type Request = NonNullable<ModifySettingRequest['RequestType']>;

const VM = 'VirtualMachine';
const NO_GROUP = '00000000-0000-0000-0000-000000000000';

/** Why a host does not change a resource. */
const fixed = (reason: string): Refused =>
  refused(
    'ERROR_NOT_SUPPORTED',
    '$.ResourcePath',
    `which cannot be changed on this host: ${reason}`,
  );
const NOT_SIMULATED = fixed('its machines are processors, memory and FlexibleIov devices');

type Outcomes = Pick<Example, 'linux' | 'simulated'>;
const RUNS: Outcomes = { linux: 'runs', simulated: 'runs' };
/** What the simulated machine has nothing of. */
const ON_LINUX: Outcomes = { linux: 'runs', simulated: NOT_SIMULATED };
const nowhere = (reason: string): Outcomes => ({ linux: fixed(reason), simulated: NOT_SIMULATED });
const everywhere = (outcome: Refused): Outcomes => ({ linux: outcome, simulated: outcome });
const NO_UPDATE = everywhere(
  refused('ERROR_NOT_SUPPORTED', '$.RequestType', 'is Update, which VirtualMachine/'),
);
const NOT_OF_A_VM = everywhere(
  refused(
    'E_INVALIDARG',
    '$.ResourcePath',
    'and the system is a VirtualMachine: use a path that begins with VirtualMachine/',
  ),
);

/** One request. */
function row(
  name: string,
  path: string | ((fixtures: Fixtures) => string),
  RequestType: Request | undefined,
  settings: unknown,
  outcomes: Outcomes,
  seen?: ModifiedExample['seen'],
): ModifiedExample {
  return {
    name: `${name}${RequestType === undefined ? '' : `: ${RequestType}`}`,
    ...outcomes,
    ...(seen === undefined ? {} : { seen }),
    request(fixtures) {
      const Settings = typeof settings === 'function' ? settings(fixtures) : settings;
      return {
        ResourcePath: typeof path === 'string' ? path : path(fixtures),
        ...(RequestType === undefined ? {} : { RequestType }),
        ...(Settings === undefined ? {} : { Settings }),
      };
    },
  };
}

const processor = `${VM}/ComputeTopology/Processor`;
const attachment = (lun: number): string => `${VM}/Devices/Scsi/disks/Attachments/${lun}`;
const adapter = `${VM}/Devices/NetworkAdapters/${ENDPOINT}`;
const device = `${VM}/Devices/FlexibleIov/${INSTANCE}`;
const service = `${VM}/Devices/HvSocket/HvSocketConfig/ServiceTable/${SERVICE}`;
const regions = `${VM}/Devices/SharedMemory/Regions`;
const memory = `${VM}/ComputeTopology/Memory/SizeInMB`;
const pipe = ({ at }: Fixtures): string => `${VM}/Devices/MappedPipes/${at('mapped')}`;
const count = (what: string): string => `ls ${what} | wc -l`;

/**
 * Requests that change a running machine, in an order in which each finds what it changes. The machine has the controller
 * "disks", and two processors.
 */
export const MODIFIED: readonly ModifiedExample[] = [
  row(
    '4 and 5, 11 SCSI attachment',
    attachment(2),
    'Add',
    ({ at }: Fixtures) => ({ Type: 'VirtualDisk', Path: at('data.img') }),
    ON_LINUX,
    [count('-d /sys/bus/scsi/devices/*:0:0:2'), /^1$/],
  ),
  row(
    '5, 11 SCSI attachment',
    attachment(2),
    'Update',
    ({ at }: Fixtures) => ({ Type: 'VirtualDisk', Path: at('data.img') }),
    ON_LINUX,
  ),
  row('5, 11 SCSI attachment', attachment(2), 'Remove', undefined, ON_LINUX, [
    count('-d /sys/bus/scsi/devices/*:0:0:2'),
    /^0$/,
  ]),
  row(
    '4 and 5, 7 FlexibleIov device',
    device,
    'Add',
    { EmulatorId: EMULATOR, HostingModel: 'External', Configuration: [] },
    RUNS,
    ['cat /sys/bus/pci/devices/*/device', /0xc0f9/],
  ),
  row(
    '5, 7 FlexibleIov device',
    device,
    'Update',
    { EmulatorId: EMULATOR, HostingModel: 'External' },
    NO_UPDATE,
  ),
  row('5, 7 FlexibleIov device', device, 'Remove', undefined, RUNS),
  row('4 and 5, 5 memory', memory, 'Update', 512, ON_LINUX, [
    "awk '/MemTotal/ { print ($2 > 400000) }' /proc/meminfo",
    /^1$/,
  ]),
  row('5, 5 memory, without a RequestType', memory, undefined, 384, ON_LINUX),
  row('5, 1 CPU group', `${processor}/CpuGroup`, 'Update', { Id: GROUP }, RUNS),
  row('5, 1 CPU group, none', `${processor}/CpuGroup`, 'Update', { Id: NO_GROUP }, RUNS),
  row(
    '5 CPU group, in the older form',
    `${processor}/CpuGroup/${GROUP}`,
    'Update',
    {},
    everywhere(refused('E_INVALIDARG', '$.ResourcePath', 'does not exist')),
  ),
  row(
    '5, 2 idled processors',
    `${processor}/IdledProcessors`,
    'Update',
    { IdleProcessorCount: 1 },
    nowhere('Linux keeps no processors idle for a machine; use Processor/Limits'),
  ),
  row(
    '5, 3 frequency cap',
    `${processor}/CpuFrequencyPowerCap`,
    'Update',
    1000,
    nowhere('frequencies of processors are those of all processes; use Processor/Limits'),
  ),
  row(
    '5, 4 processor limits with a reservation',
    `${processor}/Limits`,
    'Update',
    { Limit: 50_000, Weight: 100, Reservation: 1000 },
    {
      linux: refused(
        'E_NOTIMPL',
        '$.Settings.Reservation',
        'Linux reserves no processor time; use Weight',
      ),
      simulated: NOT_SIMULATED,
    },
  ),
  row(
    '5, 4 processor limits with a frequency',
    `${processor}/Limits`,
    'Update',
    { MaximumFrequencyMHz: 1000 },
    {
      linux: refused(
        'E_NOTIMPL',
        '$.Settings.MaximumFrequencyMHz',
        'frequencies are those of all processes',
      ),
      simulated: NOT_SIMULATED,
    },
  ),
  row(
    '5, 6 graphics processor',
    `${VM}/ComputeTopology/Gpu`,
    'Update',
    { AssignmentMode: 'Mirror' },
    nowhere('there is no graphics processor that machines share'),
  ),
  row('5, 8 mapped pipe', pipe, 'Add', undefined, ON_LINUX, [
    'cat /sys/class/virtio-ports/*/name',
    /mapped/,
  ]),
  row(
    '5, 8 mapped pipe with settings',
    pipe,
    'Add',
    {},
    everywhere(refused('E_INVALIDARG', '$.Settings', 'must not be there')),
  ),
  row('5, 8 mapped pipe', pipe, 'Remove', undefined, ON_LINUX),
  row(
    '5, 9 network adapter',
    adapter,
    'Add',
    { EndpointId: ENDPOINT, MacAddress: '00-15-5D-00-00-02' },
    ON_LINUX,
    ['cat /sys/class/net/*/address', /00:15:5d:00:00:02/],
  ),
  row('5, 9 network adapter', adapter, 'Update', { ConnectionState: 'Disabled' }, ON_LINUX),
  row('5, 9 network adapter', adapter, 'Remove', { EndpointId: ENDPOINT }, ON_LINUX),
  row(
    '5, 10 Plan9 share',
    `${VM}/Devices/Plan9/Shares`,
    'Add',
    ({ at }: Fixtures) => ({ Name: 'plan9', AccessName: 'plan9', Path: at('share'), Port: 564 }),
    ON_LINUX,
  ),
  row(
    '5, 10 Plan9 share',
    `${VM}/Devices/Plan9/Shares`,
    'Remove',
    { Name: 'plan9', AccessName: 'plan9', Port: 564 },
    ON_LINUX,
  ),
  row(
    '5, 12 COM port',
    `${VM}/Devices/ComPorts/0`,
    'Update',
    ({ at }: Fixtures) => ({ NamedPipe: at('com1-moved') }),
    ON_LINUX,
  ),
  row('5, 12 COM port', `${VM}/Devices/ComPorts/0`, 'Remove', undefined, ON_LINUX),
  row(
    '5, 12 COM port',
    `${VM}/Devices/ComPorts/0`,
    'Add',
    ({ at }: Fixtures) => ({ NamedPipe: at('com1-again') }),
    ON_LINUX,
  ),
  row(
    '5, 12 COM port that no machine has',
    `${VM}/Devices/ComPorts/2`,
    'Add',
    ({ at }: Fixtures) => ({ NamedPipe: at('com3') }),
    {
      linux: refused('ERROR_NOT_FOUND', '$.ResourcePath', 'a machine has COM ports 0 and 1'),
      simulated: NOT_SIMULATED,
    },
  ),
  row(
    '5, 13 shared memory',
    regions,
    'Add',
    ({ section }: Fixtures) => ({ SectionName: `Global\\${section}`, AllowGuestWrite: true }),
    ON_LINUX,
    ['cat /sys/bus/pci/devices/*/device', /0x1110/],
  ),
  row(
    '5, 13 shared memory',
    regions,
    'Remove',
    ({ section }: Fixtures) => ({ SectionName: `Global\\${section}` }),
    ON_LINUX,
  ),
  row(
    '5, 14 persistent memory',
    `${VM}/Devices/VirtualPMem/Devices/2`,
    'Add',
    ({ at }: Fixtures) => ({ HostPath: at('memory.img'), ReadOnly: true, ImageFormat: 'Vhd1' }),
    ON_LINUX,
    ['ls /dev/pmem0', /pmem0/],
  ),
  row('5, 14 persistent memory', `${VM}/Devices/VirtualPMem/Devices/2`, 'Remove', undefined, {
    linux: refused('ERROR_NOT_SUPPORTED', undefined, 'persistent memory 2 cannot be removed'),
    simulated: NOT_SIMULATED,
  }),
  row(
    '5, 15 mapping of persistent memory',
    `${VM}/Devices/VirtualPMem/Devices/2/Mappings/4096`,
    'Add',
    { HostPath: 'C:\\vm\\part.vhd' },
    nowhere('persistent memory is one image each; add a device for every image'),
  ),
  row(
    '5, 16 SMB share',
    `${VM}/Devices/VirtualSmb/Shares`,
    'Add',
    ({ at }: Fixtures) => ({
      Name: 'smb',
      Path: at('share'),
      // 12: those of a share that Windows boots from.
      Options: {
        ReadOnly: true,
        ShareRead: true,
        CacheIo: true,
        PseudoOplocks: true,
        TakeBackupPrivilege: true,
      },
    }),
    ON_LINUX,
  ),
  row(
    '5, 16 SMB share of some files',
    `${VM}/Devices/VirtualSmb/Shares`,
    'Update',
    { Name: 'smb', AllowedFiles: ['a'] },
    {
      linux: refused(
        'E_NOTIMPL',
        '$.Settings.AllowedFiles',
        'a share is a folder with all that is in it',
      ),
      simulated: NOT_SIMULATED,
    },
  ),
  row('5, 16 SMB share', `${VM}/Devices/VirtualSmb/Shares`, 'Remove', { Name: 'smb' }, ON_LINUX),
  row(
    '5, 17 device of the host',
    `${VM}/Devices/VirtualPci/${INSTANCE}`,
    'Add',
    {},
    nowhere('devices of the host are not assigned to machines; use a FlexibleIov device'),
  ),
  row('5, 18 service of sockets', service, 'Update', {}, ON_LINUX),
  row('5, 18 service of sockets, disabled', service, 'Update', { Disabled: true }, ON_LINUX),
  row('5, 18 service of sockets, again', service, 'Update', {}, ON_LINUX),
  row('5, 18 service of sockets', service, 'Remove', undefined, ON_LINUX),
  row(
    '5, 19 licensing',
    `${VM}/Devices/Licensing`,
    'Update',
    {},
    nowhere('there is no licence to hand on'),
  ),
  row(
    '5, 20 folder of a container',
    'Container/MappedDirectories',
    'Add',
    { HostPath: 'C:\\data', ContainerPath: 'C:\\data' },
    NOT_OF_A_VM,
  ),
  row(
    '5, 21 pipe of a container',
    'Container/MappedPipes',
    'Add',
    { ContainerPipeName: 'a', HostPath: '\\\\.\\pipe\\a' },
    NOT_OF_A_VM,
  ),
  row('5, 22 memory of a container', 'Container/Memory/SizeInMB', 'Update', 512, NOT_OF_A_VM),
  row(
    '5, 23 processors of a container',
    'Container/Processor',
    'Update',
    { Maximum: 5000 },
    NOT_OF_A_VM,
  ),
  row('5, 24 device of a container', 'Container/Devices/Generic', 'Add', {}, NOT_OF_A_VM),
  row(
    '5, 25 registry of a container',
    'Container/RegistryFlushState',
    'Update',
    { Enabled: true },
    NOT_OF_A_VM,
  ),
  ...guestRequests(),
];

/** 5.1: what is for an agent in the guest, which knows what its Settings are. */
function guestRequests(): readonly ModifiedExample[] {
  const outcome = refused(
    'ERROR_NOT_SUPPORTED',
    '$.GuestRequest',
    'the system has no connection to an agent in the guest',
  );
  return [
    ...['MappedDirectory', 'MappedPipe', 'MappedVirtualDisk', 'CombinedLayers', 'CimMount'],
    ...['Memory', 'NetworkNamespace', 'Network', 'SCSIDevice', 'VPMemDevice', 'VPCIDevice'],
    ...['ContainerConstraints', 'HvSocket', 'SecurityPolicy'],
  ].map((ResourceType) => ({
    name: `5.1 guest request for ${ResourceType}`,
    linux: outcome,
    simulated: outcome,
    request: () => ({
      ResourcePath: '',
      RequestType: 'Add',
      GuestRequest: {
        RequestType: ResourceType === 'Network' ? 'PreAdd' : 'Add',
        ResourceType,
        Settings: {},
      },
    }),
  }));
}
