// Longer than most: three tables with every function of the contract.
import { describe, expect, test } from 'vitest';
import { notImplemented } from '../../src/compute/not-implemented.ts';
import { COMPUTE_CORE_FUNCTIONS, type ComputeCoreFunction } from '../../src/hcs/compute-core.ts';
import { GENERIC_ALL, INFINITE } from '../../src/hcs/core/constants.ts';
import type { HCS_OPERATION, HCS_SYSTEM } from '../../src/hcs/core/handles.ts';
import { codeOf, deviceRequest, OTHER_INSTANCE, Rig, turn, vm } from './recording-engine.ts';

const OK = 'S_OK';
const HANDLE = 'ERROR_INVALID_HANDLE';
const INVALID = 'HCS_E_INVALID_STATE';
const STOPPED = 'HCS_E_SYSTEM_ALREADY_STOPPED';
const TIMEOUT = 'HCS_E_OPERATION_TIMEOUT';
const NOTIMPL = 'E_NOTIMPL';
const document = JSON.stringify(vm());

/** What a handle of a system can be, in the order of the columns below. */
const SYSTEM_STATES = [
  'Pending',
  'Created',
  'Running',
  'Paused',
  'SavedAsTemplate',
  'Stopped',
  'Failed',
  'closed',
  'foreign',
  'forged',
  'zero',
] as const;
type SystemState = (typeof SYSTEM_STATES)[number];

/** A handle in a state; `settle` lets what is pending go on. */
async function systemIn(
  rig: Rig,
  state: SystemState,
): Promise<{ readonly system: HCS_SYSTEM; readonly settle: () => void }> {
  rig.announce(OTHER_INSTANCE);
  const found = (system: HCS_SYSTEM, settle = (): void => {}) => ({ system, settle });
  switch (state) {
    case 'foreign':
      return found(await new Rig().create());
    case 'forged':
      return found(0xdead_beefn as HCS_SYSTEM);
    case 'zero':
      return found(0n as HCS_SYSTEM);
    case 'Pending': {
      const release = rig.engine.hold('create');
      const operation = rig.core.HcsCreateOperation(null, null);
      return found(rig.core.HcsCreateComputeSystem('vm', document, operation, null), release);
    }
    case 'Failed': {
      rig.engine.failNext('create', new Error('no'));
      const operation = rig.core.HcsCreateOperation(null, null);
      const system = rig.core.HcsCreateComputeSystem('vm', document, operation, null);
      await codeOf(() => rig.core.HcsWaitForOperationResult(operation, INFINITE));
      return found(system);
    }
  }
  const system = await rig.create();
  if (state === 'closed') await rig.core.HcsCloseComputeSystem(system);
  if (state === 'Created' || state === 'closed') return found(system);
  await rig.start(system);
  if (state === 'Paused' || state === 'SavedAsTemplate') {
    await rig.run((operation) => rig.core.HcsPauseComputeSystem(system, operation, null));
  }
  if (state === 'SavedAsTemplate') {
    const options = '{"SaveType":"AsTemplate"}';
    await rig.run((operation) => rig.core.HcsSaveComputeSystem(system, operation, options));
  }
  if (state === 'Stopped') await rig.terminate(system);
  return found(system);
}

type SystemCall = (rig: Rig, system: HCS_SYSTEM) => unknown;

/** A call that an operation tracks, with its result. */
const tracked =
  (start: (rig: Rig, system: HCS_SYSTEM, operation: HCS_OPERATION) => void): SystemCall =>
  (rig, system) =>
    rig.run((operation) => start(rig, system, operation));

const gone = [HANDLE, HANDLE, HANDLE, HANDLE];
const always = (code: string): readonly string[] => [...Array(7).fill(code), ...gone];

/** Calls on systems, with what they end with in each of {@link SYSTEM_STATES}. */
const systemCalls: Record<string, readonly [SystemCall, readonly string[]]> = {
  HcsStartComputeSystem: [
    tracked(({ core }, s, o) => core.HcsStartComputeSystem(s, o, null)),
    [OK, OK, INVALID, INVALID, INVALID, STOPPED, STOPPED, ...gone],
  ],
  HcsShutDownComputeSystem: [
    tracked(({ core }, s, o) => core.HcsShutDownComputeSystem(s, o, null)),
    [INVALID, INVALID, OK, INVALID, INVALID, STOPPED, STOPPED, ...gone],
  ],
  HcsTerminateComputeSystem: [
    tracked(({ core }, s, o) => core.HcsTerminateComputeSystem(s, o, null)),
    [OK, OK, OK, OK, OK, STOPPED, STOPPED, ...gone],
  ],
  HcsPauseComputeSystem: [
    tracked(({ core }, s, o) => core.HcsPauseComputeSystem(s, o, null)),
    [INVALID, INVALID, OK, INVALID, INVALID, STOPPED, STOPPED, ...gone],
  ],
  HcsResumeComputeSystem: [
    tracked(({ core }, s, o) => core.HcsResumeComputeSystem(s, o, null)),
    [INVALID, INVALID, INVALID, OK, INVALID, STOPPED, STOPPED, ...gone],
  ],
  HcsCrashComputeSystem: [
    tracked(({ core }, s, o) => core.HcsCrashComputeSystem(s, o, null)),
    [INVALID, INVALID, OK, INVALID, INVALID, STOPPED, STOPPED, ...gone],
  ],
  HcsSaveComputeSystem: [
    tracked(({ core }, s, o) => core.HcsSaveComputeSystem(s, o, '{"SaveStateFilePath":"/saved"}')),
    [INVALID, INVALID, INVALID, OK, INVALID, STOPPED, STOPPED, ...gone],
  ],
  HcsModifyComputeSystem: [
    tracked(({ core }, s, o) => {
      const request = JSON.stringify(deviceRequest('Add', OTHER_INSTANCE));
      core.HcsModifyComputeSystem(s, o, request, null);
    }),
    [OK, OK, OK, INVALID, INVALID, STOPPED, STOPPED, ...gone],
  ],
  HcsGetComputeSystemProperties: [
    tracked(({ core }, s, o) => core.HcsGetComputeSystemProperties(s, o, null)),
    always(OK),
  ],
  'HcsGetComputeSystemProperties of the engine': [
    tracked(({ core }, s, o) =>
      core.HcsGetComputeSystemProperties(s, o, '{"PropertyTypes":["Memory"]}'),
    ),
    [OK, OK, OK, OK, OK, STOPPED, STOPPED, ...gone],
  ],
  HcsWaitForComputeSystemExit: [
    ({ core }, s) => core.HcsWaitForComputeSystemExit(s, 0),
    [TIMEOUT, TIMEOUT, TIMEOUT, TIMEOUT, TIMEOUT, OK, OK, ...gone],
  ],
  HcsSetComputeSystemCallback: [
    ({ core }, s) => core.HcsSetComputeSystemCallback(s, 0, null, () => {}),
    always(OK),
  ],
  HcsCloseComputeSystem: [({ core }, s) => core.HcsCloseComputeSystem(s), always(OK)],
  HcsInitializeLiveMigrationOnSource: [
    tracked(({ core }, s, o) => core.HcsInitializeLiveMigrationOnSource(s, o, null)),
    always(NOTIMPL),
  ],
  HcsStartLiveMigrationOnSource: [
    tracked(({ core }, s, o) => core.HcsStartLiveMigrationOnSource(s, o, null)),
    always(NOTIMPL),
  ],
  HcsStartLiveMigrationTransfer: [
    tracked(({ core }, s, o) => core.HcsStartLiveMigrationTransfer(s, o, null)),
    always(NOTIMPL),
  ],
  HcsFinalizeLiveMigration: [
    tracked(({ core }, s, o) => core.HcsFinalizeLiveMigration(s, o, null)),
    always(NOTIMPL),
  ],
  HcsCancelLiveMigration: [
    tracked(({ core }, s, o) => core.HcsCancelLiveMigration(s, o, '{}')),
    always(NOTIMPL),
  ],
  HcsCreateProcess: [
    tracked(({ core }, s, o) => void core.HcsCreateProcess(s, '{}', o, null)),
    always(NOTIMPL),
  ],
  HcsOpenProcess: [({ core }, s) => core.HcsOpenProcess(s, 1, GENERIC_ALL), always(NOTIMPL)],
};

describe.each(Object.entries(systemCalls))('%s', (_, [call, codes]) => {
  test.each(SYSTEM_STATES.map((state, i) => [state, codes[i] as string] as const))(
    'on a system that is %s ends with %s',
    async (state, code) => {
      const rig = new Rig();
      const { system, settle } = await systemIn(rig, state);
      const result = codeOf(() => call(rig, system));
      settle();
      expect(await result).toBe(code);
      // Whatever it was, the service goes on.
      expect(await codeOf(() => rig.create('another'))).toBe(OK);
    },
  );
});

/** What an operation can be, in the order of the columns below. */
const OPERATION_STATES = [
  'idle',
  'in flight',
  'completed',
  'failed',
  'refused',
  'cancelled',
  'closed',
  'foreign',
  'forged',
] as const;
type OperationState = (typeof OPERATION_STATES)[number];

async function operationIn(rig: Rig, state: OperationState): Promise<HCS_OPERATION> {
  const { core, engine } = rig;
  if (state === 'foreign') return new Rig().core.HcsCreateOperation(null, null);
  if (state === 'forged') return 0xdead_beefn as HCS_OPERATION;
  const operation = core.HcsCreateOperation(null, null);
  if (state === 'idle') return operation;
  if (state === 'closed') {
    core.HcsCloseOperation(operation);
    return operation;
  }
  const system = await rig.create();
  if (state === 'completed') {
    core.HcsStartComputeSystem(system, operation, null);
    await core.HcsWaitForOperationResult(operation, INFINITE);
  } else if (state === 'failed') {
    core.HcsResumeComputeSystem(system, operation, null);
    await codeOf(() => core.HcsWaitForOperationResult(operation, INFINITE));
  } else if (state === 'refused') {
    await codeOf(() => core.HcsModifyComputeSystem(system, operation, '{', null));
  } else {
    engine.hold('start');
    const other = core.HcsCreateOperation(null, null);
    core.HcsStartComputeSystem(system, state === 'in flight' ? operation : other, null);
    await turn();
    if (state === 'cancelled') {
      core.HcsPauseComputeSystem(system, operation, null);
      core.HcsCancelOperation(operation);
      await codeOf(() => core.HcsWaitForOperationResult(operation, INFINITE));
    }
  }
  return operation;
}

const NOT_STARTED = 'HCS_E_OPERATION_NOT_STARTED';
const STARTED = 'HCS_E_OPERATION_ALREADY_STARTED';
const PENDING = 'HCS_E_OPERATION_PENDING';
const JSON_ERROR = 'HCS_E_INVALID_JSON';
const CANCELLED = 'ERROR_CANCELLED';
const ARGUMENT = 'E_INVALIDARG';
const noOperation = [HANDLE, HANDLE, HANDLE];
const anyOperation = [OK, OK, OK, OK, OK, OK, ...noOperation];
const idleOnly = [OK, STARTED, OK, OK, OK, OK, ...noOperation];
const noProcess = [NOT_STARTED, ...Array(5).fill(ARGUMENT), ...noOperation];
const SOCKET = 'hcs:/VirtualMachine/LiveMigrationSocket';

type OperationCall = (rig: Rig, operation: HCS_OPERATION) => unknown;

/** Calls on operations, with what they end with in each of {@link OPERATION_STATES}. */
const operationCalls: Record<string, readonly [OperationCall, readonly string[]]> = {
  HcsCloseOperation: [({ core }, o) => core.HcsCloseOperation(o), anyOperation],
  HcsGetOperationContext: [({ core }, o) => core.HcsGetOperationContext(o), anyOperation],
  HcsSetOperationContext: [({ core }, o) => core.HcsSetOperationContext(o, 1), anyOperation],
  HcsSetOperationCallback: [
    ({ core }, o) => core.HcsSetOperationCallback(o, null, () => {}),
    idleOnly,
  ],
  HcsGetComputeSystemFromOperation: [
    ({ core }, o) => core.HcsGetComputeSystemFromOperation(o),
    anyOperation,
  ],
  HcsGetProcessFromOperation: [({ core }, o) => core.HcsGetProcessFromOperation(o), anyOperation],
  HcsGetOperationType: [({ core }, o) => core.HcsGetOperationType(o), anyOperation],
  // All ones instead of an error.
  HcsGetOperationId: [({ core }, o) => core.HcsGetOperationId(o), Array(9).fill(OK)],
  HcsGetOperationResult: [
    ({ core }, o) => core.HcsGetOperationResult(o),
    [NOT_STARTED, PENDING, OK, INVALID, JSON_ERROR, CANCELLED, ...noOperation],
  ],
  HcsGetOperationResultAndProcessInfo: [
    ({ core }, o) => core.HcsGetOperationResultAndProcessInfo(o),
    noProcess,
  ],
  HcsWaitForOperationResult: [
    ({ core }, o) => core.HcsWaitForOperationResult(o, 0),
    [NOT_STARTED, TIMEOUT, OK, INVALID, JSON_ERROR, CANCELLED, ...noOperation],
  ],
  HcsWaitForOperationResultAndProcessInfo: [
    ({ core }, o) => core.HcsWaitForOperationResultAndProcessInfo(o, 0),
    noProcess,
  ],
  HcsCancelOperation: [
    ({ core }, o) => core.HcsCancelOperation(o),
    [
      NOT_STARTED,
      'ERROR_NOT_SUPPORTED',
      INVALID,
      INVALID,
      INVALID,
      'HCS_E_OPERATION_ALREADY_CANCELLED',
      ...noOperation,
    ],
  ],
  HcsGetOperationProperties: [
    ({ core }, o) => core.HcsGetOperationProperties(o, null),
    [NOT_STARTED, OK, OK, OK, OK, OK, ...noOperation],
  ],
  HcsAddResourceToOperation: [
    ({ core }, o) => core.HcsAddResourceToOperation(o, 4, SOCKET, 5n as never),
    idleOnly,
  ],
  // Calls that any operation tracks, those on systems included.
  HcsEnumerateComputeSystems: [({ core }, o) => core.HcsEnumerateComputeSystems(null, o), idleOnly],
  HcsEnumerateComputeSystemsInNamespace: [
    ({ core }, o) => core.HcsEnumerateComputeSystemsInNamespace('space', null, o),
    idleOnly,
  ],
  HcsCreateComputeSystem: [
    ({ core }, o) => void core.HcsCreateComputeSystem('new', document, o, null),
    idleOnly,
  ],
  HcsCreateComputeSystemInNamespace: [
    ({ core }, o) => void core.HcsCreateComputeSystemInNamespace('space', 'new', document, o, null),
    idleOnly,
  ],
};

describe.each(Object.entries(operationCalls))('%s', (_, [call, codes]) => {
  test.each(OPERATION_STATES.map((state, i) => [state, codes[i] as string] as const))(
    'with an operation that is %s ends with %s',
    async (state, code) => {
      const rig = new Rig();
      const operation = await operationIn(rig, state);
      expect(await codeOf(() => call(rig, operation))).toBe(code);
      expect(await codeOf(() => rig.create('another'))).toBe(OK);
    },
  );
});

test('a call on a system is refused while its operation is in flight, and on one that is not open', async () => {
  for (const state of ['in flight', 'closed', 'foreign', 'forged'] as const) {
    const rig = new Rig();
    const operation = await operationIn(rig, state);
    const system = await rig.create('free');
    for (const [name, [call]] of Object.entries(systemCalls)) {
      if (!/Compute/.test(name) || /Wait|Callback|Close/.test(name)) continue;
      const before = [...rig.engine.log];
      const same = Object.create(rig) as Rig;
      same.run = async (start) => {
        start(operation);
        return null;
      };
      const code = state === 'in flight' ? STARTED : HANDLE;
      expect([state, name, await codeOf(() => call(same, system))]).toEqual([state, name, code]);
      expect(rig.engine.log).toEqual(before);
    }
  }
});

/** Functions that take neither, with what they end with when they are asked for nothing wrong. */
const others: Record<string, readonly [(rig: Rig) => unknown, string]> = {
  HcsCreateOperation: [({ core }) => core.HcsCreateOperation(null, null), OK],
  HcsCreateOperationWithNotifications: [
    ({ core }) => core.HcsCreateOperationWithNotifications(1, null, () => {}),
    OK,
  ],
  HcsOpenComputeSystem: [({ core }) => core.HcsOpenComputeSystem('vm', GENERIC_ALL), OK],
  HcsOpenComputeSystemInNamespace: [
    ({ core }) => core.HcsOpenComputeSystemInNamespace('space', 'vm', GENERIC_ALL),
    'HCS_E_SYSTEM_NOT_FOUND',
  ],
  HcsGetServiceProperties: [({ core }) => core.HcsGetServiceProperties(null), OK],
  HcsModifyServiceSettings: [
    ({ core }) =>
      core.HcsModifyServiceSettings(
        JSON.stringify({
          PropertyType: 'CpuGroup',
          Settings: { Operation: 'DeleteGroup', OperationDetails: { GroupId: OTHER_INSTANCE } },
        }),
      ),
    'ERROR_HV_INVALID_CPU_GROUP_ID',
  ],
  HcsSubmitWerReport: [({ core }) => core.HcsSubmitWerReport('{}'), 'ERROR_NOT_SUPPORTED'],
};

test.each(Object.entries(others))('%s ends as it should', async (_, [call, code]) => {
  const rig = new Rig();
  await rig.create();
  expect(await codeOf(() => call(rig))).toBe(code);
});

/** Functions on files: without an engine that has any, they answer so, after a look at the path. */
const fileFunctions = COMPUTE_CORE_FUNCTIONS.filter((name) =>
  /StateFile$|FromSavedState$|Vm(Group)?Access$/.test(name),
);

test.each(fileFunctions)('%s needs an absolute path, and an engine with files', async (name) => {
  const { core } = new Rig();
  const call = (path: string): unknown => {
    const withId = name === 'HcsGrantVmAccess' || name === 'HcsRevokeVmAccess';
    return (core[name] as (...args: string[]) => unknown).apply(
      core,
      withId ? ['vm', path] : [path],
    );
  };
  expect(await codeOf(() => call('/tmp/file'))).toBe(NOTIMPL);
  expect(await codeOf(() => call('file'))).toBe(ARGUMENT);
});

test('the tables have every function of the contract, but those on processes', () => {
  const names = [systemCalls, operationCalls, others].flatMap((table) => Object.keys(table));
  const listed = new Set([...names.map((name) => name.split(' ')[0]), ...fileFunctions]);
  const missing = COMPUTE_CORE_FUNCTIONS.filter((name) => !listed.has(name));
  const onProcesses: readonly ComputeCoreFunction[] = [
    'HcsCloseProcess',
    'HcsTerminateProcess',
    'HcsSignalProcess',
    'HcsGetProcessInfo',
    'HcsGetProcessProperties',
    'HcsModifyProcess',
    'HcsSetProcessCallback',
    'HcsWaitForProcessExit',
  ];
  expect(missing.sort()).toEqual([...onProcesses].sort());
  for (const name of onProcesses) expect(notImplemented).toContain(name);
});
