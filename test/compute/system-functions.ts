// Longer than most: a table with every function on systems.
import { describe, expect, test } from 'vitest';
import { GENERIC_ALL, INFINITE } from '../../src/hcs/core/constants.ts';
import type { HCS_OPERATION, HCS_SYSTEM } from '../../src/hcs/core/handles.ts';
import { codeOf, deviceRequest, OTHER_INSTANCE, Rig, turn, vm } from './recording-engine.ts';

const OK = 'S_OK';
const HANDLE = 'ERROR_INVALID_HANDLE';
const INVALID = 'HCS_E_INVALID_STATE';
const STOPPED = 'HCS_E_SYSTEM_ALREADY_STOPPED';
const TIMEOUT = 'HCS_E_OPERATION_TIMEOUT';
const NOTIMPL = 'E_NOTIMPL';
const NOT_FOUND = 'HCS_E_SYSTEM_NOT_FOUND';
const EXISTS = 'HCS_E_SYSTEM_ALREADY_EXISTS';
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
      const system = rig.core.HcsCreateComputeSystem('vm', document, operation, null);
      while (!rig.engine.log.includes('create')) await turn();
      return found(system, release);
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
export const systemCalls: Record<string, readonly [SystemCall, readonly string[]]> = {
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
  // By the id of the system, which is there whatever handle one has, and free once it has ended.
  'HcsOpenComputeSystem by its id': [
    ({ core }) => core.HcsOpenComputeSystem('vm', GENERIC_ALL),
    [OK, OK, OK, OK, OK, NOT_FOUND, NOT_FOUND, OK, NOT_FOUND, NOT_FOUND, NOT_FOUND],
  ],
  'HcsOpenComputeSystemInNamespace by its id': [
    ({ core }) => core.HcsOpenComputeSystemInNamespace('', 'vm', GENERIC_ALL),
    [OK, OK, OK, OK, OK, NOT_FOUND, NOT_FOUND, OK, NOT_FOUND, NOT_FOUND, NOT_FOUND],
  ],
  'HcsCreateComputeSystem with its id': [
    tracked(({ core }, _, o) => void core.HcsCreateComputeSystem('vm', document, o, null)),
    [EXISTS, EXISTS, EXISTS, EXISTS, EXISTS, OK, OK, EXISTS, OK, OK, OK],
  ],
  'HcsEnumerateComputeSystems with its id': [
    async (rig) => {
      const query = '{"Ids":["vm"]}';
      const list = await rig.run((o) => rig.core.HcsEnumerateComputeSystems(query, o));
      return JSON.parse(list ?? '').length === 1
        ? undefined
        : rig.core.HcsOpenComputeSystem('vm', GENERIC_ALL);
    },
    [OK, OK, OK, OK, OK, NOT_FOUND, NOT_FOUND, OK, NOT_FOUND, NOT_FOUND, NOT_FOUND],
  ],
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

/** What every function ends with on systems in every state, whoever serves them. */
export function describeSystemFunctions(
  open: () => { rig: Rig; close: () => Promise<void> },
): void {
  describe.each(Object.entries(systemCalls))('%s', (_, [call, codes]) => {
    test.each(SYSTEM_STATES.map((state, i) => [state, codes[i] as string] as const))(
      'on a system that is %s ends with %s',
      async (state, code) => {
        const { rig, close } = open();
        try {
          const { system, settle } = await systemIn(rig, state);
          const result = codeOf(() => call(rig, system));
          settle();
          expect(await result).toBe(code);
          // Whatever it was, the service goes on.
          expect(await codeOf(() => rig.create('another'))).toBe(OK);
        } finally {
          await close();
        }
      },
    );
  });
}
