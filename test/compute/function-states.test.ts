// Longer than most: three tables with every function of the contract.
import { describe, expect, test } from 'vitest';
import { notImplemented } from '../../src/compute/not-implemented.ts';
import { COMPUTE_CORE_FUNCTIONS, type ComputeCoreFunction } from '../../src/hcs/compute-core.ts';
import { GENERIC_ALL, INFINITE } from '../../src/hcs/core/constants.ts';
import type { HCS_OPERATION } from '../../src/hcs/core/handles.ts';
import { codeOf, OTHER_INSTANCE, Rig, turn, vm } from './recording-engine.ts';
import { describeSystemFunctions, systemCalls } from './system-functions.ts';

const OK = 'S_OK';
const HANDLE = 'ERROR_INVALID_HANDLE';
const INVALID = 'HCS_E_INVALID_STATE';
const TIMEOUT = 'HCS_E_OPERATION_TIMEOUT';
const NOTIMPL = 'E_NOTIMPL';
const document = JSON.stringify(vm());

describeSystemFunctions(() => ({ rig: new Rig(), close: () => Promise.resolve() }));

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
      if (!/Compute/.test(name) || /Wait|Callback|Close|its id$/.test(name)) continue;
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
