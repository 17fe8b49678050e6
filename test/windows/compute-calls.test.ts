// Longer than most files: every function of computecore.dll, called once, with what arrived there byte for byte.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { COMPUTE_CORE_FUNCTIONS } from '../../src/hcs/compute-core.ts';
import {
  GENERIC_ALL,
  HCS_CREATE_OPTIONS_VERSION_1,
  HCS_OPERATION_TYPE,
  HCS_RESOURCE_TYPE,
  INFINITE,
} from '../../src/hcs/core/constants.ts';
import type { HCS_OPERATION, HCS_PROCESS, HCS_SYSTEM } from '../../src/hcs/core/handles.ts';
import { codeOf } from '../compute/recording-engine.ts';
import { ComputeRig, DOCUMENT, until } from './compute-rig.ts';
import { standInsUnavailable } from './stand-ins.ts';

if (standInsUnavailable !== undefined) console.log(`Skipped: ${standInsUnavailable}`);

/** What every line of this file has to survive: letters beyond Latin, and beyond the first 65,536 characters. */
const ID = 'Grüße \u{1F600}';
const QUOTED = JSON.stringify(DOCUMENT);

describe.runIf(standInsUnavailable === undefined)('computecore.dll is given', () => {
  let rig: ComputeRig;
  let core: ComputeRig['core'];
  let operation: HCS_OPERATION;
  let system: HCS_SYSTEM;
  let liveBefore: number;
  /** Functions that this file has seen in a transcript. */
  const seen = new Set<string>();

  beforeAll(async () => {
    rig = new ComputeRig();
    core = rig.core;
    liveBefore = rig.standIns.liveBlocks();
    system = await rig.create(ID);
    await rig.start(system);
    operation = core.HcsCreateOperation(null, null);
  });

  afterAll(async () => {
    await rig.terminate(system);
    core.HcsCloseOperation(operation);
    await core.HcsCloseComputeSystem(system);
    expect(rig.standIns.misuses({ id: ID })).toEqual([]);
    rig.close();
  });

  /** The calls that arrive while something is done; callbacks come when they come. */
  async function arriving(work: () => unknown): Promise<readonly string[]> {
    rig.standIns.clear();
    await work();
    const lines = rig.transcript().filter((line) => !line.startsWith('callback '));
    for (const line of lines) seen.add(/^\w+/.exec(line)?.[0] ?? '');
    return lines;
  }

  const wait = (): Promise<string | null> => core.HcsWaitForOperationResult(operation, INFINITE);

  test('an operation that is made, asked, changed and closed', async () => {
    const lines = await arriving(async () => {
      const own = core.HcsCreateOperation('context', null);
      expect(core.HcsGetOperationContext(own)).toBe('context');
      core.HcsSetOperationContext(own, 'other');
      core.HcsSetOperationCallback(own, 'third', () => {});
      expect(core.HcsGetOperationContext(own)).toBe('third');
      expect(core.HcsGetOperationType(own)).toBe(HCS_OPERATION_TYPE.HcsOperationTypeNone);
      expect(core.HcsGetOperationId(own)).toBeGreaterThan(0n);
      expect(core.HcsGetComputeSystemFromOperation(own)).toBe(0n);
      expect(core.HcsGetProcessFromOperation(own)).toBe(0n);
      const socket = HCS_RESOURCE_TYPE.HcsResourceTypeSocket;
      const uri = 'hcs:/VirtualMachine/LiveMigrationSocket';
      core.HcsAddResourceToOperation(own, socket, uri, 0x1234_5678_9abcn);
      expect(await codeOf(() => core.HcsCancelOperation(own))).toBe('E_NOTIMPL');
      core.HcsCloseOperation(own);
      core.HcsCloseOperation(core.HcsCreateOperationWithNotifications(1, null, () => {}));
      // On another thread.
      await until(() => rig.transcript().includes('HcsCloseOperation(operation2)'));
    });
    expect(lines).toEqual([
      'HcsCreateOperation(given, null) = operation1',
      'HcsGetOperationContext(operation1) = given',
      'HcsSetOperationContext(operation1, given) = 0x00000000',
      'HcsSetOperationCallback(operation1, given, given) = 0x00000000',
      'HcsGetOperationContext(operation1) = given',
      'HcsGetOperationType(operation1) = 0xffffffff',
      'HcsGetOperationId(operation1) = valid',
      'HcsGetComputeSystemFromOperation(operation1) = null',
      'HcsGetProcessFromOperation(operation1) = null',
      'HcsAddResourceToOperation(operation1, 0x4, "hcs:/VirtualMachine/LiveMigrationSocket", 0x123456789abc) = 0x00000000',
      'HcsCancelOperation(operation1) = 0x80004001',
      'HcsCloseOperation(operation1)',
      'HcsCreateOperationWithNotifications(0x1, given, given) = operation2',
      'HcsCloseOperation(operation2)',
    ]);
  });

  test('a system that is created, told apart by its operation, and closed', async () => {
    const lines = await arriving(async () => {
      const own = core.HcsCreateComputeSystem('one', DOCUMENT, operation, null);
      expect(await wait()).toBeNull();
      expect(core.HcsGetComputeSystemFromOperation(operation)).toBe(own);
      expect(core.systemIdOf(own)).toBe('one');
      expect(core.HcsGetOperationResult(operation)).toBeNull();
      expect(core.HcsGetOperationProperties(operation, '{}')).toContain('"Operation"');
      core.HcsTerminateComputeSystem(own, operation, null);
      await wait();
      expect(await core.HcsWaitForComputeSystemExit(own, INFINITE)).toContain('"ForcedExit"');
      await core.HcsCloseComputeSystem(own);
    });
    expect(lines).toEqual([
      `HcsCreateComputeSystem("one", ${QUOTED}, operation1, null) = 0x00000000, system1`,
      'HcsWaitForOperationResult(operation1, 0xc8) = 0x00000000, null',
      'HcsGetComputeSystemFromOperation(operation1) = system1',
      'HcsGetOperationResult(operation1) = 0x00000000, null',
      expect.stringMatching(/^HcsGetOperationProperties\(operation1, "\{\}"\) = 0x00000000, "\{/),
      'HcsTerminateComputeSystem(system1, operation1, null) = 0x00000000',
      'HcsWaitForOperationResult(operation1, 0xc8) = 0x00000000, null',
      expect.stringMatching(/^HcsWaitForComputeSystemExit\(system1, 0xc8\) = 0x00000000, "\{/),
      'HcsCloseComputeSystem(system1)',
    ]);
  });

  test('systems in an id space, with the event callback in HCS_CREATE_OPTIONS_1', async () => {
    const lines = await arriving(async () => {
      const types: number[] = [];
      const options = {
        Version: HCS_CREATE_OPTIONS_VERSION_1,
        UserToken: 0x44n,
        CallbackOptions: 0,
        CallbackContext: 'context',
        Callback: ({ Type }: { readonly Type: number }) => void types.push(Type),
      } as const;
      const own = core.HcsCreateComputeSystemInNamespace('space', ID, DOCUMENT, operation, options);
      await wait();
      core.HcsEnumerateComputeSystemsInNamespace('space', '{}', operation);
      expect(JSON.parse((await wait()) ?? '')).toMatchObject([{ Id: ID }]);
      const other = await core.HcsOpenComputeSystemInNamespace('space', ID, GENERIC_ALL);
      core.HcsTerminateComputeSystem(other, operation, '');
      await wait();
      await until(() => types.length > 0);
      expect(types).toEqual([1]);
      await core.HcsCloseComputeSystem(other);
      await core.HcsCloseComputeSystem(own);
      const bare = core.HcsCreateComputeSystemInNamespace('space', 'b', DOCUMENT, operation, null);
      await wait();
      await core.HcsCloseComputeSystem(bare);
    });
    expect(lines).toEqual([
      expect.stringMatching(
        /^HcsCreateComputeSystemInNamespace\("space", "Grüße 😀", ".*", operation1, .*0x44.*\) = 0x00000000, system1$/u,
      ),
      'HcsWaitForOperationResult(operation1, 0xc8) = 0x00000000, null',
      'HcsEnumerateComputeSystemsInNamespace("space", "{}", operation1) = 0x00000000',
      expect.stringMatching(/^HcsWaitForOperationResult\(operation1, 0xc8\) = 0x00000000, "\[\{/),
      `HcsOpenComputeSystemInNamespace("space", "${ID}", 0x10000000) = 0x00000000, system2`,
      'HcsTerminateComputeSystem(system2, operation1, "") = 0x00000000',
      'HcsWaitForOperationResult(operation1, 0xc8) = 0x00000000, null',
      'HcsCloseComputeSystem(system2)',
      'HcsCloseComputeSystem(system1)',
      `HcsCreateComputeSystemInNamespace("space", "b", ${QUOTED}, operation1, null) = 0x00000000, system3`,
      'HcsWaitForOperationResult(operation1, 0xc8) = 0x00000000, null',
      'HcsCloseComputeSystem(system3)',
    ]);
  });

  test('what is done to a system', async () => {
    const query = '{"Queries":{"Basic":null}}';
    const request =
      '{"ResourcePath":"VirtualMachine/ComputeTopology/Memory/SizeInMB","Settings":8}';
    const lines = await arriving(async () => {
      const own = await core.HcsOpenComputeSystem(ID, GENERIC_ALL);
      core.HcsSetComputeSystemCallback(own, 2, null, () => {});
      core.HcsGetComputeSystemProperties(own, operation, query);
      await wait();
      core.HcsModifyComputeSystem(own, operation, request, 0x55n);
      await wait();
      core.HcsPauseComputeSystem(own, operation, '{"SuspensionLevel":"Suspend"}');
      await wait();
      const save = '{"SaveType":"ToFile","SaveStateFilePath":"C:\\\\a.vmrs"}';
      core.HcsSaveComputeSystem(own, operation, save);
      await wait();
      core.HcsResumeComputeSystem(own, operation, null);
      await wait();
      core.HcsShutDownComputeSystem(own, operation, '{"Type":"Shutdown"}');
      await wait();
      await core.HcsWaitForComputeSystemExit(own, INFINITE);
      await core.HcsCloseComputeSystem(own);
      await core.HcsCloseComputeSystem(system);
      system = core.HcsCreateComputeSystem(ID, DOCUMENT, operation, null);
      await wait();
      core.HcsEnumerateComputeSystems('{"Owners":["Test"]}', operation);
      expect(JSON.parse((await wait()) ?? '')).toMatchObject([{ Id: ID }]);
      core.HcsStartComputeSystem(system, operation, null);
      await wait();
      core.HcsCrashComputeSystem(system, operation, '{"Type":"CrashGuest"}');
      await wait();
      await core.HcsWaitForComputeSystemExit(system, INFINITE);
    });
    expect(lines.filter((line) => !line.startsWith('HcsWaitFor'))).toEqual([
      `HcsOpenComputeSystem("${ID}", 0x10000000) = 0x00000000, system1`,
      'HcsSetComputeSystemCallback(system1, 0x2, given, given) = 0x00000000',
      `HcsGetComputeSystemProperties(system1, operation1, ${JSON.stringify(query)}) = 0x00000000`,
      `HcsModifyComputeSystem(system1, operation1, ${JSON.stringify(request)}, 0x55) = 0x00000000`,
      'HcsPauseComputeSystem(system1, operation1, "{\\"SuspensionLevel\\":\\"Suspend\\"}") = 0x00000000',
      'HcsSaveComputeSystem(system1, operation1, "{\\"SaveType\\":\\"ToFile\\",\\"SaveStateFilePath\\":\\"C:\\\\\\\\a.vmrs\\"}") = 0x00000000',
      'HcsResumeComputeSystem(system1, operation1, null) = 0x00000000',
      'HcsShutDownComputeSystem(system1, operation1, "{\\"Type\\":\\"Shutdown\\"}") = 0x00000000',
      'HcsCloseComputeSystem(system1)',
      'HcsCloseComputeSystem(system2)',
      `HcsCreateComputeSystem("${ID}", ${QUOTED}, operation1, null) = 0x00000000, system3`,
      'HcsEnumerateComputeSystems("{\\"Owners\\":[\\"Test\\"]}", operation1) = 0x00000000',
      'HcsStartComputeSystem(system3, operation1, null) = 0x00000000',
      'HcsCrashComputeSystem(system3, operation1, "{\\"Type\\":\\"CrashGuest\\"}") = 0x00000000',
    ]);
    await core.HcsCloseComputeSystem(system);
    system = await rig.create(ID);
    await rig.start(system);
  });

  test('what is done to a process', async () => {
    const parameters = '{"CommandLine":"cat","CreateStdInPipe":true,"CreateStdOutPipe":true}';
    const resize = '{"Operation":"ConsoleSize","ConsoleSize":{"Height":25,"Width":80}}';
    const types: number[] = [];
    const lines = await arriving(async () => {
      const own = core.HcsCreateProcess(system, parameters, operation, null);
      const created = await core.HcsWaitForOperationResultAndProcessInfo(operation, INFINITE);
      const { ProcessId, StdInput, StdOutput, StdError } = created.processInformation;
      expect(ProcessId).toBeGreaterThan(0);
      expect([StdInput === 0n, StdOutput === 0n, StdError === 0n]).toEqual([false, false, true]);
      expect(core.HcsGetOperationResultAndProcessInfo(operation)).toEqual(created);
      expect(core.HcsGetProcessFromOperation(operation)).toBe(own);
      core.HcsGetProcessInfo(own, operation);
      const again = await core.HcsWaitForOperationResultAndProcessInfo(operation, INFINITE);
      expect(again.processInformation.ProcessId).toBe(ProcessId);
      core.HcsModifyProcess(own, operation, resize);
      await wait();
      core.HcsGetProcessProperties(own, operation, null);
      expect(JSON.parse((await wait()) ?? '')).toMatchObject({ ProcessId, Exited: false });
      const other: HCS_PROCESS = await core.HcsOpenProcess(system, ProcessId, GENERIC_ALL);
      core.HcsSetProcessCallback(other, 0, null, ({ Type }) => types.push(Type));
      core.HcsSignalProcess(own, operation, '{"Signal":"CtrlC"}');
      await wait();
      await until(() => types.length > 0);
      expect(types).toEqual([0x1_0000]);
      core.HcsTerminateProcess(own, operation, null);
      expect(await codeOf(wait)).toBe('HCS_E_PROCESS_ALREADY_STOPPED');
      expect(await core.HcsWaitForProcessExit(own, INFINITE)).toContain('"Exited":true');
      await core.HcsCloseProcess(other);
      await core.HcsCloseProcess(own);
    });
    expect(lines.filter((line) => !line.startsWith('HcsWaitForOperationResult('))).toEqual([
      `HcsCreateProcess(system1, ${JSON.stringify(parameters)}, operation1, null) = 0x00000000, process1`,
      'HcsWaitForOperationResultAndProcessInfo(operation1, 0xc8) = 0x00000000, null',
      'HcsGetOperationResultAndProcessInfo(operation1) = 0x00000000, null',
      'HcsGetProcessFromOperation(operation1) = process1',
      'HcsGetProcessInfo(process1, operation1) = 0x00000000',
      'HcsWaitForOperationResultAndProcessInfo(operation1, 0xc8) = 0x00000000, null',
      `HcsModifyProcess(process1, operation1, ${JSON.stringify(resize)}) = 0x00000000`,
      'HcsGetProcessProperties(process1, operation1, null) = 0x00000000',
      expect.stringMatching(
        /^HcsOpenProcess\(system1, 0x[\da-f]+, 0x10000000\) = 0x00000000, process2$/,
      ),
      'HcsSetProcessCallback(process2, 0x0, given, given) = 0x00000000',
      'HcsSignalProcess(process1, operation1, "{\\"Signal\\":\\"CtrlC\\"}") = 0x00000000',
      'HcsTerminateProcess(process1, operation1, null) = 0x00000000',
      expect.stringMatching(/^HcsWaitForProcessExit\(process1, 0xc8\) = 0x00000000, "\{/),
      'HcsCloseProcess(process2)',
      'HcsCloseProcess(process1)',
    ]);
  });

  test('the steps of a migration', async () => {
    const steps = [
      'HcsInitializeLiveMigrationOnSource',
      'HcsStartLiveMigrationOnSource',
      'HcsStartLiveMigrationTransfer',
      'HcsCancelLiveMigration',
      'HcsFinalizeLiveMigration',
    ] as const;
    const lines = await arriving(async () => {
      for (const step of steps) {
        core[step](system, operation, `{"Origin":"Source","Step":"${step}"}`);
        await codeOf(wait);
      }
    });
    expect(lines.filter((line) => !line.startsWith('HcsWaitFor'))).toEqual(
      steps.map(
        (step) =>
          `${step}(system1, operation1, "{\\"Origin\\":\\"Source\\",\\"Step\\":\\"${step}\\"}") = 0x00000000`,
      ),
    );
  });

  test('what is asked of the service, and for files', async () => {
    const path = 'C:\\Jürgen\\a.vmgs';
    const lines = await arriving(async () => {
      const properties = await core.HcsGetServiceProperties('{"PropertyTypes":["Basic"]}');
      expect(JSON.parse(properties)).toHaveProperty('Properties');
      expect(await core.HcsModifyServiceSettings('{"PropertyType":"CpuGroup"}')).toBeNull();
      await core.HcsSubmitWerReport('{"SystemId":"vm"}');
      await core.HcsCreateEmptyGuestStateFile(path);
      await core.HcsCreateEmptyRuntimeStateFile(path);
      const features = await core.HcsGetProcessorCompatibilityFromSavedState(path);
      expect(JSON.parse(features)).toHaveProperty('ProcessorFeatures');
      await core.HcsGrantVmAccess('vm', path);
      await core.HcsRevokeVmAccess('vm', path);
      await core.HcsGrantVmGroupAccess(path);
      await core.HcsRevokeVmGroupAccess(path);
    });
    const quoted = JSON.stringify(path);
    expect(lines).toEqual([
      expect.stringMatching(
        /^HcsGetServiceProperties\("\{\\"PropertyTypes\\":\[\\"Basic\\"\]\}"\) = 0x00000000, "\{/,
      ),
      'HcsModifyServiceSettings("{\\"PropertyType\\":\\"CpuGroup\\"}") = 0x00000000, null',
      'HcsSubmitWerReport("{\\"SystemId\\":\\"vm\\"}") = 0x00000000',
      `HcsCreateEmptyGuestStateFile(${quoted}) = 0x00000000`,
      `HcsCreateEmptyRuntimeStateFile(${quoted}) = 0x00000000`,
      expect.stringContaining(
        `HcsGetProcessorCompatibilityFromSavedState(${quoted}) = 0x00000000, "{`,
      ),
      `HcsGrantVmAccess("vm", ${quoted}) = 0x00000000`,
      `HcsRevokeVmAccess("vm", ${quoted}) = 0x00000000`,
      `HcsGrantVmGroupAccess(${quoted}) = 0x00000000`,
      `HcsRevokeVmGroupAccess(${quoted}) = 0x00000000`,
    ]);
  });

  test('every function of the contract, by the tests above', () => {
    expect(COMPUTE_CORE_FUNCTIONS.filter((name) => !seen.has(name))).toEqual([]);
  });

  test('no document that stays allocated', () => {
    expect(rig.standIns.liveBlocks()).toBe(liveBefore);
  });
});
