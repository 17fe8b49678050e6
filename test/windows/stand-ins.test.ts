// Longer than most files: the behaviour of a whole service, rule by rule.
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { readStruct, structLayout } from '../../src/ffi/struct-layout.ts';
import { HCS_EVENT_TYPE } from '../../src/hcs/core/constants.ts';
import { HRESULT } from '../../src/hcs/hresult.ts';
import { COMPUTE_CORE_ABI } from '../../src/hcs/native/compute-core-abi.ts';
import { GENERIC_ALL, RawCompute } from './raw-compute.ts';
import { openStandIns, type StandIns, standInsUnavailable } from './stand-ins.ts';

const EXITED = HCS_EVENT_TYPE.HcsEventSystemExited;
const DEVICE = '0f6c8a2e-5b1d-4c3e-8f70-2a9b4d6e8c01';
const CLASS = 'b2d4f6a8-1c3e-4a5b-9d7f-6e8c0a2b4d60';
const VM = {
  Owner: 'Test',
  VirtualMachine: {
    ComputeTopology: { Memory: { SizeInMB: 64 } },
    GuestConnection: {},
  },
};
/** Waits in slices, and who asks for a result: as often as timing has it. */
const TIMED = ['HcsWaitForOperationResult', 'HcsGetOperationResult'];

if (standInsUnavailable !== undefined) console.log(`Skipped: ${standInsUnavailable}`);

describe.runIf(standInsUnavailable === undefined)('the stand-in of computecore', () => {
  let standIns: StandIns;
  let hcs: RawCompute;
  let id: string;
  let blocksBefore: number;

  beforeAll(() => {
    standIns = openStandIns();
    hcs = new RawCompute(standIns);
  });
  afterAll(() => standIns.close());

  beforeEach(() => {
    id = `system ${randomUUID()}`;
    hcs.calls.length = 0;
    hcs.inCallback = () => {};
    blocksBefore = standIns.liveBlocks();
  });
  afterEach(() => {
    standIns.close();
    standIns.clearRules();
    expect(standIns.liveBlocks()).toBe(blocksBefore);
  });

  async function created(document: unknown = VM): Promise<number> {
    const operation = hcs.createOperation();
    const { result, handle } = hcs.create(id, document, operation);
    expect(result).toBe(HRESULT.S_OK);
    expect((await hcs.wait(operation)).result).toBe(HRESULT.S_OK);
    hcs.closeOperation(operation);
    return handle;
  }

  async function running(document: unknown = VM): Promise<number> {
    const system = await created(document);
    expect(await hcs.run('HcsStartComputeSystem', system)).toEqual({ result: 0, document: null });
    return system;
  }

  async function gone(system: number): Promise<void> {
    await hcs.run('HcsTerminateComputeSystem', system);
    await hcs.close(system);
  }

  function onEvents(system: number, options = 0): number {
    return hcs.library.function('HcsSetComputeSystemCallback')(system, options, null, hcs.event);
  }

  test('a life from creation to the exit event stands in the transcript, line by line', async () => {
    const system = await created();
    expect(onEvents(system)).toBe(HRESULT.S_OK);
    await hcs.run('HcsStartComputeSystem', system);
    standIns.hold('HcsEventSystemExited', { id });
    await hcs.run('HcsTerminateComputeSystem', system);
    standIns.release('HcsEventSystemExited', { id });
    const exit = await hcs.called(EXITED);
    await hcs.close(system);
    const status =
      '{"Status":-2143878905,"ExitType":"ForcedExit","Attribution":[{"SystemExit":{"Detail":"Terminate","Initiator":"Client"}}]}';
    expect(exit.data).toBe(status);
    expect(standIns.transcript({ id, leaveOut: TIMED })).toEqual([
      'HcsCreateOperation(null, null) = operation1',
      `HcsCreateComputeSystem(${JSON.stringify(id)}, ${JSON.stringify(JSON.stringify(VM))}, operation1, null) = 0x00000000, system1`,
      'HcsCloseOperation(operation1)',
      'HcsSetComputeSystemCallback(system1, 0x0, null, given) = 0x00000000',
      'HcsCreateOperation(null, null) = operation2',
      'HcsStartComputeSystem(system1, operation2, null) = 0x00000000',
      'HcsCloseOperation(operation2)',
      'HcsCreateOperation(null, null) = operation3',
      'HcsTerminateComputeSystem(system1, operation3, null) = 0x00000000',
      'HcsCloseOperation(operation3)',
      `callback HCS_EVENT_CALLBACK(system1, 0x1, ${JSON.stringify(status)}, null)`,
      'HcsCloseComputeSystem(system1)',
    ]);
  });

  test('documents are counted until they are freed, whatever comes into their places', async () => {
    const system = await created();
    const operation = hcs.createOperation();
    hcs.call('HcsGetComputeSystemProperties', system, operation);
    await hcs.wait(operation);
    const take = (): number | bigint => {
      const out: [number | bigint] = [0];
      expect(hcs.library.function('HcsGetOperationResult')(operation, out)).toBe(HRESULT.S_OK);
      return out[0];
    };
    let live: (number | bigint)[] = [];
    for (let round = 0; round < 20; round++) {
      const more = Array.from({ length: 10 }, take);
      expect(standIns.liveBlocks()).toBe(blocksBefore + live.length + more.length);
      // Memory of other sizes in the places of those that are freed.
      for (const address of live) expect(hcs.system.takeString(address)).toContain(id);
      const others = Array.from({ length: 50 }, (_, i) => Buffer.alloc(1 << (i % 22), 'US'));
      expect(standIns.liveBlocks()).toBe(blocksBefore + more.length);
      expect(others).toHaveLength(50);
      live = more;
    }
    for (const address of live) hcs.system.takeString(address);
    expect(standIns.liveBlocks()).toBe(blocksBefore);
    hcs.closeOperation(operation);
    await gone(system);
  });

  test('creation gives a handle at once, and may fail later', async () => {
    standIns.hold('HcsCreateComputeSystem', { id });
    const operation = hcs.createOperation();
    const { result, handle } = hcs.create(id, { Owner: 'nothing else' }, operation);
    expect(result).toBe(HRESULT.S_OK);
    expect(handle).toBeGreaterThan(0xffff_ffff);
    expect((await hcs.wait(operation, 5)).result).toBe(HRESULT.HCS_E_OPERATION_TIMEOUT);
    standIns.release('HcsCreateComputeSystem', { id });
    const ended = await hcs.wait(operation);
    expect(ended.result).toBe(HRESULT.HCS_E_INVALID_JSON);
    expect(JSON.parse(ended.document ?? '')).toMatchObject({
      Error: HRESULT.HCS_E_INVALID_JSON | 0,
    });
    hcs.closeOperation(operation);
    await hcs.close(handle);
    expect(standIns.openHandles('system', id)).toBe(0);
  });

  test('a malformed document is refused by the call, and its operation says where', async () => {
    const operation = hcs.createOperation();
    const { result, handle } = hcs.create(id, '{"Owner": }', operation);
    expect(result).toBe(HRESULT.HCS_E_INVALID_JSON);
    expect(handle).toBe(0);
    expect((await hcs.wait(operation)).document).toContain('position 10');
    hcs.closeOperation(operation);
  });

  test('an id is taken until its system has ended', async () => {
    const system = await created();
    const operation = hcs.createOperation();
    expect(hcs.create(id, VM, operation).result).toBe(HRESULT.HCS_E_SYSTEM_ALREADY_EXISTS);
    await hcs.run('HcsTerminateComputeSystem', system);
    const second = hcs.create(id, VM, operation);
    expect(second.result).toBe(HRESULT.S_OK);
    await hcs.wait(operation);
    hcs.closeOperation(operation);
    await hcs.close(system);
    await gone(second.handle);
  });

  test('an operation is idle, in flight, completed, and can be used again', async () => {
    const operation = hcs.createOperation();
    const result = hcs.library.function('HcsGetOperationResult');
    const type = hcs.library.function('HcsGetOperationType');
    expect(result(operation, [0])).toBe(HRESULT.HCS_E_OPERATION_NOT_STARTED);
    expect((await hcs.wait(operation)).result).toBe(HRESULT.HCS_E_OPERATION_NOT_STARTED);
    expect(type(operation)).toBe(-1);
    standIns.hold('HcsCreateComputeSystem', { id });
    const { handle } = hcs.create(id, VM, operation);
    expect(result(operation, [0])).toBe(HRESULT.HCS_E_OPERATION_PENDING);
    expect(hcs.call('HcsStartComputeSystem', handle, operation)).toBe(
      HRESULT.HCS_E_OPERATION_ALREADY_STARTED,
    );
    expect(standIns.misuses({ id })).toEqual([
      'MISUSE HcsStartComputeSystem: operation1 is in flight for HcsCreateComputeSystem',
    ]);
    standIns.release('HcsCreateComputeSystem', { id });
    await hcs.wait(operation);
    expect(type(operation)).toBe(1);
    hcs.call('HcsStartComputeSystem', handle, operation);
    expect((await hcs.wait(operation)).result).toBe(HRESULT.S_OK);
    expect(type(operation)).toBe(2);
    hcs.closeOperation(operation);
    expect(Number(hcs.library.function('HcsGetOperationId')(operation))).toBeGreaterThan(2 ** 53);
    await gone(handle);
  });

  test('completions come on threads of the service, with context, and their result can be read there', async () => {
    const system = await created();
    const operation = hcs.createOperation(hcs.completion, 77);
    hcs.inCallback = ({ operation: completed }) => {
      const out: [number | bigint] = [0];
      const result = hcs.library.function('HcsGetOperationResult')(completed, out);
      expect(result).toBe(HRESULT.S_OK);
      hcs.system.takeString(out[0]);
      hcs.closeOperation(completed);
    };
    hcs.call('HcsGetComputeSystemProperties', system, operation);
    const call = await hcs.called('completion');
    expect(call).toMatchObject({ operation, context: 77 });
    expect(standIns.transcript({ id })).toContain('callback HCS_OPERATION_COMPLETION(operation2)');
    await gone(system);
  });

  test('an operation closed in flight is silent, and the call goes on', async () => {
    const system = await created();
    const operation = hcs.createOperation(hcs.completion);
    standIns.hold('HcsStartComputeSystem', { id });
    hcs.call('HcsStartComputeSystem', system, operation);
    hcs.closeOperation(operation);
    standIns.release('HcsStartComputeSystem', { id });
    const { document } = await hcs.run('HcsGetComputeSystemProperties', system);
    expect(JSON.parse(document ?? '').State).toBe('Running');
    expect(hcs.calls).toEqual([]);
    await gone(system);
  });

  test('completions can be had as events of the handle, which excludes operations with callbacks', async () => {
    const system = await created();
    expect(onEvents(system, 1)).toBe(HRESULT.S_OK);
    expect(onEvents(system, 1)).toBe(HRESULT.HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET);
    const withCallback = hcs.createOperation(hcs.completion);
    expect(hcs.call('HcsStartComputeSystem', system, withCallback)).toBe(
      HRESULT.HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET,
    );
    hcs.closeOperation(withCallback);
    const operation = hcs.createOperation();
    hcs.call('HcsStartComputeSystem', system, operation);
    const event = await hcs.called(HCS_EVENT_TYPE.HcsEventOperationCallback);
    expect(event).toMatchObject({ operation, data: null });
    hcs.closeOperation(operation);
    await gone(system);
  });

  test('closing a handle waits for the callback that runs, and no other comes', async () => {
    const system = await running();
    onEvents(system);
    let closed: Promise<void> | undefined;
    hcs.inCallback = () => {
      closed = hcs.close(system);
      // The callback does not return before the other thread waits for it.
      while (standIns.waitingForCallbacks() === 0);
    };
    expect(standIns.raiseEvent(id, HCS_EVENT_TYPE.HcsEventSystemCrashInitiated, '{}')).toBe(1);
    standIns.raiseEvent(id, HCS_EVENT_TYPE.HcsEventSystemCrashReport, '{}');
    await hcs.called(HCS_EVENT_TYPE.HcsEventSystemCrashInitiated);
    await closed;
    expect(standIns.raiseEvent(id, EXITED, '{}')).toBe(0);
    expect(hcs.calls).toHaveLength(1);
    standIns.endSystem(id, 'GracefulExit');
  });

  test('events come in order, each type with what it was raised with', async () => {
    const system = await running();
    onEvents(system);
    const types = Object.values(HCS_EVENT_TYPE).filter((type) => type > 1 && type !== 0x0100_0000);
    for (const type of types) standIns.raiseEvent(id, type, `{"n":${type}}`);
    await hcs.called(types.at(-1) as number);
    expect(hcs.calls.map(({ type, data }) => [type, data])).toEqual(
      types.map((type) => [type, `{"n":${type}}`]),
    );
    await gone(system);
  });

  test('the exit event follows the completion, and can be a while', async () => {
    const system = await running();
    onEvents(system);
    standIns.hold('HcsEventSystemExited', { id });
    expect((await hcs.run('HcsTerminateComputeSystem', system)).result).toBe(HRESULT.S_OK);
    expect(hcs.calls).toEqual([]);
    const again = await hcs.run('HcsTerminateComputeSystem', system);
    expect(again.result).toBe(HRESULT.HCS_E_SYSTEM_ALREADY_STOPPED);
    standIns.release('HcsEventSystemExited', { id });
    await hcs.called(EXITED);
    await hcs.close(system);
  });

  test('an exit can be waited for', async () => {
    const system = await running();
    const wait = hcs.library.function('HcsWaitForComputeSystemExit');
    const out: [number | bigint] = [0];
    expect(await wait.async(system, 1, out)).toBe(HRESULT.HCS_E_OPERATION_TIMEOUT);
    const waiting = wait.async(system, 0xffff_ffff, out);
    expect(standIns.endSystem(id, 'UnexpectedExit', HRESULT.HCS_E_UNEXPECTED_EXIT)).toBe(true);
    expect(await waiting).toBe(HRESULT.S_OK);
    expect(JSON.parse(hcs.system.takeString(out[0]) ?? '')).toMatchObject({
      Status: HRESULT.HCS_E_UNEXPECTED_EXIT | 0,
      ExitType: 'UnexpectedExit',
    });
    const { document } = await hcs.run('HcsGetComputeSystemProperties', system);
    expect(JSON.parse(document ?? '')).toMatchObject({ Stopped: true, ExitType: 'UnexpectedExit' });
    await hcs.close(system);
  });

  test('the last handle ends the system where the document says so', async () => {
    const system = await running({ ...VM, ShouldTerminateOnLastHandleClosed: true });
    const open = hcs.library.function('HcsOpenComputeSystem');
    const second: [number | bigint] = [0];
    expect(open(id, GENERIC_ALL, second)).toBe(HRESULT.S_OK);
    await hcs.close(system);
    onEvents(Number(second[0]));
    expect(await hcs.run('HcsPauseComputeSystem', Number(second[0]))).toMatchObject({ result: 0 });
    await hcs.close(Number(second[0]));
    for (;;) {
      const result = open(id, GENERIC_ALL, second);
      if (result === HRESULT.HCS_E_SYSTEM_NOT_FOUND) break;
      await hcs.close(Number(second[0]));
    }
    expect(hcs.calls).toEqual([]);
  });

  test('a system lives on without handles where the document does not say so', async () => {
    await hcs.close(await running());
    const open = hcs.library.function('HcsOpenComputeSystem');
    const again: [number | bigint] = [0];
    expect(open(id, 1, again)).toBe(HRESULT.E_INVALIDARG);
    expect(open(id, GENERIC_ALL, again)).toBe(HRESULT.S_OK);
    const { document } = await hcs.run('HcsGetComputeSystemProperties', Number(again[0]));
    expect(JSON.parse(document ?? '').State).toBe('Running');
    await gone(Number(again[0]));
  });

  test('states allow what the table of states says', async () => {
    const system = await created();
    const fails = async (name: Parameters<RawCompute['run']>[0]): Promise<void> => {
      expect((await hcs.run(name, system)).result).toBe(HRESULT.HCS_E_INVALID_STATE);
    };
    const { document } = await hcs.run('HcsGetComputeSystemProperties', system);
    expect(JSON.parse(document ?? '')).not.toHaveProperty('State');
    await fails('HcsPauseComputeSystem');
    await fails('HcsResumeComputeSystem');
    await hcs.run('HcsStartComputeSystem', system);
    await fails('HcsStartComputeSystem');
    await fails('HcsSaveComputeSystem');
    expect((await hcs.run('HcsPauseComputeSystem', system)).result).toBe(HRESULT.S_OK);
    await fails('HcsShutDownComputeSystem');
    const save = '{"SaveType":"ToFile","SaveStateFilePath":"C:\\\\vm.vmrs"}';
    expect((await hcs.run('HcsSaveComputeSystem', system, save)).result).toBe(HRESULT.S_OK);
    expect((await hcs.run('HcsResumeComputeSystem', system)).result).toBe(HRESULT.S_OK);
    onEvents(system);
    expect((await hcs.run('HcsShutDownComputeSystem', system)).result).toBe(HRESULT.S_OK);
    expect(JSON.parse((await hcs.called(EXITED)).data ?? '').ExitType).toBe('GracefulExit');
    await hcs.close(system);
  });

  test('a machine that nothing in the guest can shut down is not configured for it', async () => {
    const system = await running({ VirtualMachine: {} });
    expect((await hcs.run('HcsShutDownComputeSystem', system)).result).toBe(0x8037_0120);
    await gone(system);
  });

  test('a crash is told in order', async () => {
    const system = await running();
    onEvents(system);
    await hcs.run('HcsCrashComputeSystem', system, '{"Type":"CrashGuest"}');
    await hcs.called(EXITED);
    expect(hcs.calls.map(({ type }) => type)).toEqual([2, 3, 1]);
    await hcs.close(system);
  });

  test('a start that a terminate overtakes says so', async () => {
    const system = await created();
    const operation = hcs.createOperation();
    standIns.hold('HcsStartComputeSystem', { id });
    hcs.call('HcsStartComputeSystem', system, operation);
    await hcs.run('HcsTerminateComputeSystem', system);
    standIns.release('HcsStartComputeSystem', { id });
    expect((await hcs.wait(operation)).result).toBe(HRESULT.HCS_E_TERMINATED_DURING_START);
    hcs.closeOperation(operation);
    await hcs.close(system);
  });

  test('calls and operations fail on demand, with a document', async () => {
    const system = await created();
    const document = '{"Error":-2143878885}';
    standIns.failNext('HcsStartComputeSystem', HRESULT.HCS_E_ACCESS_DENIED, { id, document });
    expect(await hcs.run('HcsStartComputeSystem', system)).toEqual({
      result: HRESULT.HCS_E_ACCESS_DENIED,
      document,
    });
    const operation = hcs.createOperation();
    standIns.failNext('HcsStartComputeSystem', HRESULT.E_ACCESSDENIED, {
      id,
      document,
      at: 'call',
    });
    expect(hcs.call('HcsStartComputeSystem', system, operation)).toBe(HRESULT.E_ACCESSDENIED);
    expect(await hcs.wait(operation)).toEqual({ result: HRESULT.E_ACCESSDENIED, document });
    hcs.closeOperation(operation);
    standIns.failNext('HcsOpenComputeSystem', HRESULT.HCS_E_ACCESS_DENIED, { id });
    const open = hcs.library.function('HcsOpenComputeSystem');
    expect(open(id, GENERIC_ALL, [0])).toBe(HRESULT.HCS_E_ACCESS_DENIED);
    await gone(system);
  });

  test('a callback may come before the call that caused it has returned', async () => {
    const system = await created();
    standIns.hold('HcsGetComputeSystemProperties', { id, at: 'return' });
    const operation = hcs.createOperation(hcs.completion);
    const call = hcs.library
      .function('HcsGetComputeSystemProperties')
      .async(system, operation, null);
    await hcs.called('completion');
    standIns.release('HcsGetComputeSystemProperties', { id, at: 'return' });
    expect(await call).toBe(HRESULT.S_OK);
    hcs.closeOperation(operation);
    await gone(system);
  });

  test('misuse is reported: double closes, use after close, what is no handle', async () => {
    const system = await created();
    await gone(system);
    await hcs.close(system);
    const operation = hcs.createOperation();
    hcs.closeOperation(operation);
    hcs.closeOperation(operation);
    expect(hcs.call('HcsStartComputeSystem', 4711, hcs.createOperation())).toBe(
      HRESULT.ERROR_INVALID_HANDLE,
    );
    expect(hcs.call('HcsPauseComputeSystem', system, operation)).toBe(HRESULT.ERROR_INVALID_HANDLE);
    const misuses = standIns.misuses().map((line) => line.replace(/\d+ is/, 'N is'));
    expect(misuses).toContain('MISUSE HcsCloseComputeSystem: systemN is closed');
    expect(misuses).toContain('MISUSE HcsCloseOperation: operationN is closed');
    expect(misuses).toContain('MISUSE HcsPauseComputeSystem: systemN is closed');
    expect(misuses.some((line) => line.endsWith('is no system handle'))).toBe(true);
  });

  test('hostile: callbacks after close', async () => {
    const system = await running();
    onEvents(system);
    const operation = hcs.createOperation(hcs.completion, 5);
    hcs.call('HcsGetComputeSystemProperties', system, operation);
    await hcs.called('completion');
    hcs.closeOperation(operation);
    expect(standIns.completeAfterClose(id)).toBe(true);
    while (hcs.calls.length < 2) await new Promise(setImmediate);
    expect(hcs.calls[1]).toMatchObject({ type: 'completion', context: 5, operation });
    await gone(system);
    expect(standIns.callAfterClose(id, EXITED, '{"late":true}')).toBe(true);
    await hcs.called(EXITED, '{"late":true}');
    expect(standIns.transcript({ id })).toContain(
      'late HCS_EVENT_CALLBACK(system1, 0x1, "{\\"late\\":true}", null)',
    );
  });

  describe('devices', () => {
    const flexible = { EmulatorId: CLASS, HostingModel: 'External' };
    const withDevice = { VirtualMachine: { Devices: { FlexibleIov: { [DEVICE]: flexible } } } };

    test('a device that no host answers for fails the start by name', async () => {
      const system = await created(withDevice);
      const { result, document } = await hcs.run('HcsStartComputeSystem', system);
      expect(result).toBe(HRESULT.E_UNEXPECTED);
      expect(JSON.parse(document ?? '').Attribution[0].VirtualDeviceFailure).toMatchObject({
        Detail: 'FinishReservingResources',
        InstanceId: DEVICE,
      });
      await gone(system);
    });

    const modify = async (system: number, request: unknown): Promise<[number, string | null]> => {
      const operation = hcs.createOperation();
      const text = typeof request === 'string' ? request : JSON.stringify(request);
      hcs.library.function('HcsModifyComputeSystem')(system, operation, text, 0);
      const { result, document } = await hcs.wait(operation);
      hcs.closeOperation(operation);
      return [result, document];
    };

    test('so does adding it, and removing answers what Windows 11 answers', async () => {
      const system = await running();
      const ResourcePath = `VirtualMachine/Devices/FlexibleIov/${DEVICE}`;
      const add = { ResourcePath, RequestType: 'Add', Settings: flexible };
      expect((await modify(system, add))[0]).toBe(HRESULT.E_UNEXPECTED);
      const remove = { ResourcePath, RequestType: 'Remove' };
      expect((await modify(system, remove))[0]).toBe(HRESULT.ERROR_NOT_SUPPORTED);
      expect((await modify(system, '[]'))[0]).toBe(HRESULT.HCS_E_INVALID_JSON);
      expect((await modify(system, {}))[0]).toBe(HRESULT.E_INVALIDARG);
      const bad = { ResourcePath, RequestType: 'Add', Settings: { EmulatorId: 'no guid' } };
      expect((await modify(system, bad))[0]).toBe(HRESULT.HCS_E_INVALID_JSON);
      await gone(system);
    });
  });

  describe('processes', () => {
    const INFORMATION = structLayout(COMPUTE_CORE_ABI, 'HCS_PROCESS_INFORMATION');

    async function started(
      system: number,
      parameters: unknown,
    ): Promise<{ process: number; information: Record<string, number | bigint> }> {
      const operation = hcs.createOperation();
      const process: [number | bigint] = [0];
      const create = hcs.library.function('HcsCreateProcess');
      expect(create(system, JSON.stringify(parameters), operation, null, process)).toBe(0);
      const bytes = new Uint8Array(INFORMATION.size);
      const out: [number | bigint] = [0];
      const wait = hcs.library.function('HcsWaitForOperationResultAndProcessInfo');
      expect(await wait.async(operation, 0xffff_ffff, bytes, out)).toBe(HRESULT.S_OK);
      hcs.system.takeString(out[0]);
      hcs.closeOperation(operation);
      const information = readStruct(INFORMATION, new DataView(bytes.buffer));
      return { process: Number(process[0]), information };
    }

    const settled = async (operation: number): Promise<number> => {
      const { result } = await hcs.wait(operation);
      hcs.closeOperation(operation);
      return result;
    };

    test('a process echoes through its pipes, exits, and says so', async () => {
      const system = await running();
      const { process, information } = await started(system, {
        CommandLine: 'cat',
        CreateStdInPipe: true,
        CreateStdOutPipe: true,
      });
      expect(information).toMatchObject({ ProcessId: 1000, StdError: 0 });
      const { StdInput = 0, StdOutput = 0 } = information;
      const { ReadFile, WriteFile, CloseHandle } = hcs.system;
      const sent = Buffer.from('there and back');
      const count: [number | bigint] = [0];
      expect(WriteFile(StdInput, sent, sent.length, count, null)).toBe(1);
      const got = Buffer.alloc(64);
      expect(await ReadFile.async(StdOutput, got, got.length, count, null)).toBe(1);
      expect(got.toString('utf8', 0, Number(count[0]))).toBe('there and back');
      hcs.library.function('HcsSetProcessCallback')(process, 0, null, hcs.event);
      const operation = hcs.createOperation();
      const end = '{"Operation":"CloseHandle","CloseHandle":{"Handle":"StdIn"}}';
      hcs.library.function('HcsModifyProcess')(process, operation, end);
      expect(await settled(operation)).toBe(HRESULT.S_OK);
      expect(CloseHandle(StdInput)).toBe(1);
      const exit = await hcs.called(HCS_EVENT_TYPE.HcsEventProcessExited);
      const status = '{"ProcessId":1000,"Exited":true,"ExitCode":0,"LastWaitResult":0}';
      expect(exit.data).toBe(status);
      expect(await ReadFile.async(StdOutput, got, got.length, count, null)).toBe(0);
      expect(CloseHandle(StdOutput)).toBe(1);
      const out: [number | bigint] = [0];
      expect(hcs.library.function('HcsWaitForProcessExit')(process, 0, out)).toBe(HRESULT.S_OK);
      expect(hcs.system.takeString(out[0])).toBe(status);
      hcs.library.function('HcsCloseProcess')(process);
      await gone(system);
    });

    test('killing twice says that it is gone; other operations have no process information', async () => {
      const system = await running();
      const { process } = await started(system, { CommandLine: 'sleep' });
      const kill = hcs.library.function('HcsTerminateProcess');
      const [first, second] = [hcs.createOperation(), hcs.createOperation()];
      kill(process, first, null);
      expect((await hcs.wait(first)).result).toBe(HRESULT.S_OK);
      const info = hcs.library.function('HcsGetOperationResultAndProcessInfo');
      expect(info(first, new Uint8Array(INFORMATION.size), [0])).toBe(HRESULT.E_INVALIDARG);
      kill(process, second, null);
      expect(await settled(second)).toBe(HRESULT.HCS_E_PROCESS_ALREADY_STOPPED);
      hcs.closeOperation(first);
      const open = hcs.library.function('HcsOpenProcess');
      expect(open(system, 4711, GENERIC_ALL, [0])).toBe(HRESULT.ERROR_NOT_FOUND);
      hcs.library.function('HcsCloseProcess')(process);
      await gone(system);
      expect(standIns.openHandles('process', id)).toBe(0);
    });

    test('the end of the system ends its processes', async () => {
      const system = await running();
      const { process } = await started(system, { CommandLine: 'sleep' });
      hcs.library.function('HcsSetProcessCallback')(process, 0, null, hcs.event);
      await hcs.run('HcsTerminateComputeSystem', system);
      const exit = await hcs.called(HCS_EVENT_TYPE.HcsEventProcessExited);
      expect(JSON.parse(exit.data ?? '').LastWaitResult).toBe(HRESULT.HCS_E_CONNECTION_CLOSED | 0);
      hcs.library.function('HcsCloseProcess')(process);
      await hcs.close(system);
    });
  });

  describe('documents', () => {
    test('enumeration filters, and tells basic properties', async () => {
      const system = await running();
      const list = async (query: string | null): Promise<{ Id: string }[]> => {
        const operation = hcs.createOperation();
        hcs.library.function('HcsEnumerateComputeSystems')(query, operation);
        const { document } = await hcs.wait(operation);
        hcs.closeOperation(operation);
        return JSON.parse(document ?? '');
      };
      expect((await list(null)).map(({ Id }) => Id)).toContain(id);
      expect(await list(JSON.stringify({ Ids: [id], Owners: ['Test'] }))).toMatchObject([
        { Id: id, SystemType: 'VirtualMachine', Owner: 'Test', State: 'Running' },
      ]);
      expect(await list(JSON.stringify({ Ids: [id], Types: ['Container'] }))).toEqual([]);
      await gone(system);
      expect((await list(null)).map(({ Id }) => Id)).not.toContain(id);
    });

    test('properties answer the types and queries that are known', async () => {
      const system = await running();
      const ask = (query: unknown): ReturnType<RawCompute['run']> =>
        hcs.run('HcsGetComputeSystemProperties', system, JSON.stringify(query));
      const memory = await ask({ PropertyTypes: ['Memory'] });
      expect(JSON.parse(memory.document ?? '').Memory.AssignedMemory).toBe((64 << 20) / 4096);
      expect((await ask({ PropertyTypes: ['Unheard'] })).result).toBe(HRESULT.E_INVALIDARG);
      const queries = await ask({ Queries: { Basic: {}, Unheard: {} } });
      expect(JSON.parse(queries.document ?? '').PropertyResponses).toMatchObject({
        Basic: { Response: { Id: id } },
        Unheard: { Error: { Error: HRESULT.E_NOTIMPL | 0 } },
      });
      await gone(system);
    });

    test('the service tells its schema versions, and refuses with a document', () => {
      const properties = hcs.library.function('HcsGetServiceProperties');
      const out: [number | bigint] = [0];
      expect(properties('{"PropertyTypes":["Basic"]}', out)).toBe(HRESULT.S_OK);
      expect(JSON.parse(hcs.system.takeString(out[0]) ?? '').Properties).toHaveLength(1);
      expect(properties('{"PropertyTypes":["Unheard"]}', out)).toBe(HRESULT.E_INVALIDARG);
      expect(JSON.parse(hcs.system.takeString(out[0]) ?? '').Error).toBe(HRESULT.E_INVALIDARG | 0);
      expect(hcs.library.function('HcsModifyServiceSettings')('{', out)).toBe(
        HRESULT.HCS_E_INVALID_JSON,
      );
      hcs.system.takeString(out[0]);
    });

    test('strings arrive as they were given, whatever is in them', () => {
      const path = 'C:\\vm\\größe 😀\u0001"\ud800';
      const grant = hcs.library.function('HcsGrantVmAccess');
      expect(grant(id, path)).toBe(HRESULT.S_OK);
      const line = standIns.transcript({ id }).at(-1);
      expect(line).toBe(
        `HcsGrantVmAccess(${JSON.stringify(id)}, ${JSON.stringify(path)}) = 0x00000000`,
      );
    });
  });
});
