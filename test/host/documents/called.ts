// Longer than most: a row for each options document of the reference, and how it is handed over.
import { INFINITE } from '../../../src/hcs/core/constants.ts';
import type { HCS_OPERATION, HCS_PROCESS, HCS_SYSTEM } from '../../../src/hcs/core/handles.ts';
import type { ObjectType } from '../../../src/hcs/schema/schema-types.ts';
import type { HostBinding } from '../../../src/index.ts';
import { type Example, type Fixtures, GROUP, type Refused, refused } from './example.ts';

/** What a call is made on. */
export interface CalledOn {
  readonly binding: HostBinding;
  /** Of a running machine. */
  readonly system: HCS_SYSTEM;
  readonly fixtures: Fixtures;
}

/** A call with an options document. */
export interface CalledExample extends Example {
  readonly type: ObjectType;
  document(fixtures: Fixtures): unknown;
  call(on: CalledOn, document: string): Promise<unknown>;
}

/** Waits for what a call comes to through its operation. */
async function through(
  { binding }: CalledOn,
  begin: (operation: HCS_OPERATION) => void,
): Promise<unknown> {
  const { computeCore: core } = binding;
  const operation = core.HcsCreateOperation(null, null);
  try {
    begin(operation);
    return await core.HcsWaitForOperationResult(operation, INFINITE);
  } finally {
    core.HcsCloseOperation(operation);
  }
}

type SystemCall =
  | 'HcsStartComputeSystem'
  | 'HcsPauseComputeSystem'
  | 'HcsSaveComputeSystem'
  | 'HcsResumeComputeSystem'
  | 'HcsCrashComputeSystem'
  | 'HcsShutDownComputeSystem'
  | 'HcsTerminateComputeSystem'
  | 'HcsInitializeLiveMigrationOnSource'
  | 'HcsStartLiveMigrationOnSource'
  | 'HcsStartLiveMigrationTransfer'
  | 'HcsFinalizeLiveMigration'
  | 'HcsCancelLiveMigration';

const everywhere = (outcome: Example['linux']): Pick<Example, 'linux' | 'simulated'> => ({
  linux: outcome,
  simulated: outcome,
});

/** A call of a system. A document that is a function is made of the fixtures. */
function ofSystem(
  name: string,
  type: ObjectType,
  document: object | ((fixtures: Fixtures) => object),
  call: SystemCall,
  outcome: Example['linux'],
): CalledExample {
  return {
    name: `8 ${name}`,
    type,
    ...everywhere(outcome),
    document: (fixtures) => (typeof document === 'function' ? document(fixtures) : document),
    call: (on, text) =>
      through(on, (operation) => on.binding.computeCore[call](on.system, operation, text)),
  };
}

const NO_MIGRATION = refused(
  'E_NOTIMPL',
  undefined,
  'this host moves no machines while they run: save one, and restore it elsewhere',
);
const NO_PROCESSES = refused(
  'E_NOTIMPL',
  undefined,
  'this host runs no processes in compute systems',
);
const NO_LAYERS = refused('E_NOTIMPL', undefined, 'this host has no container layers');

const SESSION = { DestinationMigrationOptions: { NetworkSettings: { SessionId: 1 } } };

/**
 * Options of calls of one running machine whose document has Services.Shutdown, in an order in which each finds the state
 * that it is for. The guest listens to nothing.
 */
export const OPTIONS: readonly CalledExample[] = [
  ofSystem(
    'start options, which are for live migration',
    'StartOptions',
    SESSION,
    'HcsStartComputeSystem',
    refused('HCS_E_INVALID_JSON', '$', 'is reserved: pass null'),
  ),
  ofSystem(
    'shut down a guest by hibernation',
    'ShutdownOptions',
    { Type: 'Hibernate' },
    'HcsShutDownComputeSystem',
    refused('ERROR_NOT_SUPPORTED', '$.Type', 'can be asked for Shutdown, Reboot'),
  ),
  ofSystem(
    'shut down by force',
    'ShutdownOptions',
    { Type: 'Shutdown', Force: true, Reason: 'maintenance' },
    'HcsShutDownComputeSystem',
    refused('ERROR_NOT_SUPPORTED', '$.Force', 'terminate the system instead'),
  ),
  ofSystem(
    'shut down by an agent that the document has not',
    'ShutdownOptions',
    { Mechanism: 'GuestConnection' },
    'HcsShutDownComputeSystem',
    refused(
      'HCS_E_SYSTEM_NOT_CONFIGURED_FOR_OPERATION',
      undefined,
      'the document has nothing that asks the guest to shut down',
    ),
  ),
  ...(['MemoryLow', 'MemoryMedium', 'MemoryHigh'] as const).map((SuspensionLevel) =>
    ofSystem(
      `pause at ${SuspensionLevel}`,
      'PauseOptions',
      { SuspensionLevel },
      'HcsPauseComputeSystem',
      refused('ERROR_NOT_SUPPORTED', '$.SuspensionLevel', 'use Suspend'),
    ),
  ),
  ofSystem(
    'pause',
    'PauseOptions',
    { SuspensionLevel: 'Suspend', HostedNotification: { Reason: 'Save' } },
    'HcsPauseComputeSystem',
    'runs',
  ),
  ofSystem(
    'save as a template, with a file',
    'SaveOptions',
    ({ at }: Fixtures) => ({ SaveType: 'AsTemplate', SaveStateFilePath: at('saved.vmrs') }),
    'HcsSaveComputeSystem',
    refused('HCS_E_INVALID_JSON', '$.SaveStateFilePath', 'is for SaveType ToFile only'),
  ),
  ofSystem(
    'save to a file of Windows',
    'SaveOptions',
    { SaveType: 'ToFile', SaveStateFilePath: 'vm\\saved.vmrs' },
    'HcsSaveComputeSystem',
    refused('E_INVALIDARG', '$.SaveStateFilePath', 'use an absolute path'),
  ),
  ofSystem(
    'save',
    'SaveOptions',
    ({ at }: Fixtures) => ({ SaveType: 'ToFile', SaveStateFilePath: at('saved.vmrs') }),
    'HcsSaveComputeSystem',
    'runs',
  ),
  ofSystem('resume', 'StartOptions', {}, 'HcsResumeComputeSystem', 'runs'),
  ofSystem(
    'initialise live migration',
    'MigrationInitializeOptions',
    {},
    'HcsInitializeLiveMigrationOnSource',
    NO_MIGRATION,
  ),
  ofSystem(
    'start live migration',
    'MigrationStartOptions',
    {},
    'HcsStartLiveMigrationOnSource',
    NO_MIGRATION,
  ),
  ofSystem(
    'transfer a machine',
    'MigrationTransferOptions',
    {},
    'HcsStartLiveMigrationTransfer',
    NO_MIGRATION,
  ),
  ofSystem(
    'finalize live migration',
    'MigrationFinalizedOptions',
    {},
    'HcsFinalizeLiveMigration',
    NO_MIGRATION,
  ),
  ofSystem(
    'cancel live migration',
    'MigrationCancelOptions',
    {},
    'HcsCancelLiveMigration',
    NO_MIGRATION,
  ),
  {
    name: '9 process in a system',
    type: 'ProcessParameters',
    ...everywhere(NO_PROCESSES),
    document: () => ({
      CommandLine: 'cmd.exe /c dir',
      WorkingDirectory: 'C:\\',
      Environment: { MODE: 'test' },
      CreateStdOutPipe: true,
      CreateStdErrPipe: true,
    }),
    call: (on, text) =>
      through(on, (operation) =>
        on.binding.computeCore.HcsCreateProcess(on.system, text, operation, null),
      ),
  },
  ...ofProcess(),
  ...ofLayers(),
  // Last: a guest that handles none ends by it.
  ofSystem('crash', 'CrashOptions', { Type: 'CrashGuest' }, 'HcsCrashComputeSystem', 'runs'),
];

/** What is done to a process, of which there is none. */
function ofProcess(): readonly CalledExample[] {
  const process = 1n as HCS_PROCESS;
  const modify = (name: string, document: object): CalledExample => ({
    name: `9 ${name}`,
    type: 'ProcessModifyRequest',
    ...everywhere(NO_PROCESSES),
    document: () => document,
    call: (on, text) =>
      through(on, (operation) => on.binding.computeCore.HcsModifyProcess(process, operation, text)),
  });
  const signal = (document: object): CalledExample => ({
    name: `9 signal ${JSON.stringify(document)}`,
    type: 'SignalProcessOptions',
    ...everywhere(NO_PROCESSES),
    document: () => document,
    call: (on, text) =>
      through(on, (operation) => on.binding.computeCore.HcsSignalProcess(process, operation, text)),
  });
  return [
    signal({ Signal: 'CtrlC' }),
    modify('size of a console', {
      Operation: 'ConsoleSize',
      ConsoleSize: { Height: 40, Width: 120 },
    }),
    modify('end of standard input', {
      Operation: 'CloseHandle',
      CloseHandle: { Handle: 'StdIn' },
    }),
  ];
}

/** Container layers. */
function ofLayers(): readonly CalledExample[] {
  const layers = {
    SchemaVersion: { Major: 2, Minor: 1 },
    Layers: [{ Id: '9be1c7d2-11aa-52c3-8f10-7a6b5c4d3e2f', Path: 'C:\\layers\\base' }],
  };
  return [
    {
      name: '11 layers of a container',
      type: 'LayerData',
      ...everywhere(NO_LAYERS),
      document: () => layers,
      call: ({ binding, fixtures }, text) =>
        binding.computeStorage.HcsInitializeWritableLayer(fixtures.at('layer'), text, null),
    },
    {
      name: '11 base layer',
      type: 'OsLayerOptions',
      ...everywhere(NO_LAYERS),
      document: () => ({ Type: 'Container' }),
      call: ({ binding, fixtures }, text) =>
        binding.computeStorage.HcsSetupBaseOSVolume(fixtures.at('layer'), fixtures.at('.'), text),
    },
    {
      name: '11 export of a layer',
      type: 'ExportLayerOptions',
      ...everywhere(NO_LAYERS),
      document: () => ({ IsWritableLayer: true }),
      call: ({ binding, fixtures }, text) =>
        binding.computeStorage.HcsExportLayer(
          ...([fixtures.at('layer'), fixtures.at('exported')] as const),
          ...([JSON.stringify(layers), text] as const),
        ),
    },
  ];
}

/** Changes of the service, in an order in which each finds what it changes. The group is there afterwards. */
export const SETTINGS: readonly CalledExample[] = [
  cpuGroup(
    'CPU group',
    'CreateGroup',
    { GroupId: GROUP, LogicalProcessorCount: 2, LogicalProcessors: [0, 1] },
    'runs',
  ),
  ...(
    [
      [0x0001_0000, 'capacity'],
      [0x0002_0000, 'scheduling priority'],
      [0x0003_0000, 'idle processors'],
    ] as const
  ).map(([PropertyCode, what]) => ({
    ...cpuGroup(
      `${what} of a CPU group`,
      'SetProperty',
      { GroupId: GROUP, PropertyCode, PropertyValue: 50 },
      refused(
        'ERROR_NOT_SUPPORTED',
        '$.Settings.OperationDetails.PropertyCode',
        'a group here is a set of processors',
      ),
    ),
    simulated: 'runs' as const,
  })),
  ...(['AddInstance', 'RemoveInstance'] as const).map((Operation) => ({
    ...setting(
      `credential guard: ${Operation}`,
      {
        PropertyType: 'ContainerCredentialGuard',
        Settings: { Operation, OperationDetails: { Id: GROUP } },
      },
      refused('ERROR_NOT_SUPPORTED', '$.PropertyType', 'only CpuGroup can be changed'),
    ),
  })),
];

/** What undoes {@link SETTINGS}. */
export const DELETED_GROUP: CalledExample = cpuGroup(
  'CPU group',
  'DeleteGroup',
  { GroupId: GROUP },
  'runs',
);

function cpuGroup(
  name: string,
  Operation: 'CreateGroup' | 'DeleteGroup' | 'SetProperty',
  OperationDetails: object,
  outcome: 'runs' | Refused,
): CalledExample {
  const Settings = { Operation, OperationDetails };
  return setting(`${name}: ${Operation}`, { PropertyType: 'CpuGroup', Settings }, outcome);
}

function setting(name: string, document: object, outcome: 'runs' | Refused): CalledExample {
  return {
    name: `7 ${name}`,
    type: 'ModificationRequest',
    ...everywhere(outcome),
    document: () => document,
    call: ({ binding }, text) => binding.computeCore.HcsModifyServiceSettings(text),
  };
}
