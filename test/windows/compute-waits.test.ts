import { randomUUID } from 'node:crypto';
import { readdirSync, readlinkSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { windowsSystem } from '../../src/ffi/windows-system.ts';
import { INFINITE } from '../../src/hcs/core/constants.ts';
import type { HCS_OPERATION, HCS_PROCESS, HCS_SYSTEM } from '../../src/hcs/core/handles.ts';
import { HRESULT } from '../../src/hcs/hresult.ts';
import { codeOf } from '../compute/recording-engine.ts';
import { ComputeRig, until } from './compute-rig.ts';
import { standInsUnavailable } from './stand-ins.ts';

if (standInsUnavailable !== undefined) console.log(`Skipped: ${standInsUnavailable}`);

const onLinux = process.platform === 'linux';
const CAT = '{"CommandLine":"cat","CreateStdInPipe":true,"CreateStdOutPipe":true}';

describe.runIf(standInsUnavailable === undefined)('a wait of computecore.dll', () => {
  let rig: ComputeRig;
  let core: ComputeRig['core'];
  let id: string;
  let liveBefore: number;
  let system: HCS_SYSTEM;

  beforeAll(() => {
    rig = new ComputeRig();
    core = rig.core;
    liveBefore = rig.standIns.liveBlocks();
  });

  afterAll(() => rig?.close());

  beforeEach(async () => {
    id = `system ${randomUUID()}`;
    system = await rig.create(id);
    await rig.start(system);
  });

  afterEach(async () => {
    await codeOf(() => rig.terminate(system));
    await codeOf(() => core.HcsCloseComputeSystem(system));
    expect(rig.standIns.misuses({ id })).toEqual([]);
    for (const kind of ['system', 'process', 'operation'] as const) {
      expect([kind, rig.standIns.openHandles(kind, id)]).toEqual([kind, 0]);
    }
    // What no caller took was freed all the same.
    expect(rig.standIns.liveBlocks()).toBe(liveBefore);
  });

  async function createProcess(): Promise<HCS_PROCESS> {
    let process = 0n as HCS_PROCESS;
    await rig.run((operation) => {
      process = core.HcsCreateProcess(system, CAT, operation, null);
    });
    return process;
  }

  /** Begins a wait whose native call does not go on until the returned function is called. */
  async function held(name: string, wait: () => Promise<unknown>): Promise<HeldWait> {
    const rule = { id, at: 'call' } as const;
    rig.standIns.hold(name, rule);
    const code = codeOf(wait);
    await until(() => rig.standIns.held(name, rule) > 0);
    return { code, release: () => rig.standIns.release(name, rule) };
  }

  interface HeldWait {
    readonly code: Promise<string>;
    release(): void;
  }

  test('for the exit of a system frees the document that comes after the close', async () => {
    const { code, release } = await held('HcsWaitForComputeSystemExit', () =>
      core.HcsWaitForComputeSystemExit(system, INFINITE),
    );
    await rig.terminate(system);
    const closed = core.HcsCloseComputeSystem(system);
    expect(await code).toBe('ERROR_INVALID_HANDLE');
    release();
    await closed;
  });

  test('for the exit of a process keeps the handle until it has ended, and frees its document', async () => {
    const process = await createProcess();
    const { code, release } = await held('HcsWaitForProcessExit', () =>
      core.HcsWaitForProcessExit(process, INFINITE),
    );
    await rig.run((operation) => core.HcsTerminateProcess(process, operation, null));
    const closed = core.HcsCloseProcess(process);
    expect(await code).toBe('ERROR_INVALID_HANDLE');
    expect(rig.standIns.openHandles('process', id)).toBe(1);
    release();
    await closed;
  });

  test('for the exit of a process passes on how it failed', async () => {
    const process = await createProcess();
    const { HCS_E_SERVICE_DISCONNECT } = HRESULT;
    rig.standIns.failNext('HcsWaitForProcessExit', HCS_E_SERVICE_DISCONNECT, { id, at: 'call' });
    expect(await codeOf(() => core.HcsWaitForProcessExit(process, INFINITE))).toBe(
      'HCS_E_SERVICE_DISCONNECT',
    );
    await core.HcsCloseProcess(process);
  });

  test('for the exit of a process ends when the time is over', async () => {
    const process = await createProcess();
    for (const timeoutMs of [0, 5]) {
      expect(await codeOf(() => core.HcsWaitForProcessExit(process, timeoutMs))).toBe(
        'HCS_E_OPERATION_TIMEOUT',
      );
    }
    await core.HcsCloseProcess(process);
  });

  test('for an operation frees the document that comes after the close', async () => {
    const operation = core.HcsCreateOperation(null, null);
    core.HcsGetComputeSystemProperties(system, operation, null);
    await closeDuring(operation, 'HcsWaitForOperationResult');
  });

  test('for a process closes the pipes that come after the close', async () => {
    const others = pipes();
    const operation = core.HcsCreateOperation(null, null);
    const process = core.HcsCreateProcess(system, CAT, operation, null);
    await core.HcsWaitForOperationResult(operation, INFINITE);
    const ours = pipes().filter((pipe) => !others.includes(pipe));
    await closeDuring(operation, 'HcsWaitForOperationResultAndProcessInfo');
    const left = pipes();
    expect(ours.filter((pipe) => !left.includes(pipe))).toHaveLength(onLinux ? 2 : 0);
    await core.HcsCloseProcess(process);
  });

  test('for a process closes no pipes that somebody else was given', async () => {
    const operation = core.HcsCreateOperation(null, null);
    const process = core.HcsCreateProcess(system, CAT, operation, null);
    const { processInformation } = await core.HcsWaitForOperationResultAndProcessInfo(
      operation,
      INFINITE,
    );
    await closeDuring(operation, 'HcsWaitForOperationResultAndProcessInfo');
    const windows = windowsSystem(rig.standIns.libraries.system);
    expect(windows.CloseHandle(processInformation.StdInput)).not.toBe(0);
    expect(windows.CloseHandle(processInformation.StdOutput)).not.toBe(0);
    await core.HcsCloseProcess(process);
  });

  /** Closes an operation during a wait whose native call then succeeds. */
  async function closeDuring(
    operation: HCS_OPERATION,
    name: 'HcsWaitForOperationResult' | 'HcsWaitForOperationResultAndProcessInfo',
  ): Promise<void> {
    const { code, release } = await held(name, () => core[name](operation, INFINITE));
    core.HcsCloseOperation(operation);
    expect(await code).toBe('ERROR_INVALID_HANDLE');
    release();
    await until(() => rig.standIns.openHandles('operation', id) === 0);
  }
});

/** Ends of pipes that this process has, as `descriptor pipe:[inode]`; none where they cannot be seen. */
function pipes(): string[] {
  if (!onLinux) return [];
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`);
      return target.startsWith('pipe:') ? [`${fd} ${target}`] : [];
    } catch {
      // The descriptor by which the folder was read.
      return [];
    }
  });
}
