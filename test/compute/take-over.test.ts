import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ComputeFunctions } from '../../src/compute/compute-functions.ts';
import { DeviceDirectory } from '../../src/compute/device-directory.ts';
import type { Adoption, EngineRequest } from '../../src/compute/engine.ts';
import { ServedService } from '../../src/compute/served-service.ts';
import type { ServedSystemRecord } from '../../src/compute/served-system-record.ts';
import type { TakenOver } from '../../src/compute/take-over.ts';
import type { CallBegun } from '../../src/compute/unfinished-call.ts';
import { ComputeSystem } from '../../src/hcs/compute-system.ts';
import type { ComputeSystem as Document } from '../../src/hcs/schema/documents.ts';
import {
  CLASS_ID,
  codeOf,
  INSTANCE,
  OTHER_INSTANCE,
  RecordedEndpoint,
  RecordedMachine,
  RecordingEngine,
  vm,
} from './recording-engine.ts';

/** Machines of it go on: what they have become is up to the test. */
class LastingEngine extends RecordingEngine {
  becomes: Omit<Adoption & { kind: 'machine' }, 'kind' | 'system'> | undefined = {
    state: 'Running',
    devices: [],
  };
  request: EngineRequest | undefined;

  async adopt(_record: unknown, request: EngineRequest): Promise<Adoption> {
    this.request = request;
    this.log.push('adopt');
    if (this.becomes === undefined) {
      const exit = { exitType: 'UnexpectedExit', status: 0x8037_0106, detail: 'gone' } as const;
      return { kind: 'ended', exit };
    }
    const machine = new LastingMachine(this, request);
    this.machines.push(machine);
    return { kind: 'machine', system: machine, ...this.becomes };
  }
}

class LastingMachine extends RecordedMachine {
  settle(...[change]: Parameters<RecordedMachine['modify']>): Promise<void> {
    return this.modify({ ...change, keys: ['settled', ...change.keys] });
  }
}

const entry = (instanceId: string) => ({ instanceId, classId: CLASS_ID, configuration: ['a'] });

let folder: string;
let engine: LastingEngine;
let directory: DeviceDirectory;
let service: ServedService;
let core: ComputeFunctions;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hdvt-'));
  engine = new LastingEngine();
  directory = new DeviceDirectory();
  service = new ServedService({ engines: [engine], directory });
  core = new ComputeFunctions(service);
});

afterEach(async () => {
  vi.useRealTimers();
  await service[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** What a service finds that follows one which ended inside a call. */
function left(
  state: ServedSystemRecord['state'],
  call: CallBegun | undefined,
  more: Partial<ServedSystemRecord> = {},
  document: Document = vm(),
): ServedSystemRecord {
  return {
    idNamespace: '',
    id: 'vm',
    runtimeId: INSTANCE,
    createdDocument: JSON.stringify(document),
    engine: 'recording',
    state,
    entries: [],
    devices: [],
    engineRecord: { pid: 1 },
    ...(call === undefined ? {} : { unfinished: [{ ...call, begunAt: Date.now() - 1000 }] }),
    ...more,
  };
}

/** What the call became, and how the system is. */
async function settled(record: ServedSystemRecord): Promise<readonly [unknown, unknown]> {
  const outcomes = await service.takeOver([record]);
  const text = (outcome: TakenOver): string =>
    outcome.kind === 'settled'
      ? outcome.outcome
      : outcome.kind === 'goesOn'
        ? outcome.state
        : outcome.kind;
  const [first, second] = outcomes.map(text);
  return second === undefined ? ['', first] : [first, second];
}

const SAVE = 'HcsSaveComputeSystem';
const MODIFY = 'HcsModifyComputeSystem';

test.each([
  ['HcsStartComputeSystem', 'Created', 'Running', 'finished'],
  ['HcsStartComputeSystem', 'Created', 'Created', 'undone'],
  ['HcsPauseComputeSystem', 'Running', 'Paused', 'finished'],
  ['HcsPauseComputeSystem', 'Running', 'Running', 'undone'],
  ['HcsResumeComputeSystem', 'Paused', 'Running', 'finished'],
  ['HcsResumeComputeSystem', 'Paused', 'Paused', 'undone'],
  ['HcsShutDownComputeSystem', 'Running', 'Running', 'undone'],
] as const)('%s of a system that was %s and is %s is %s', async (name, was, is, outcome) => {
  engine.becomes = { state: is, devices: [] };
  expect(await settled(left(was, { function: name }))).toEqual([outcome, is]);
  expect(engine.request?.wasInterrupted).toBe(true);
  expect(engine.log).toEqual(['adopt']);
});

test('an interrupted terminate ends the machine, and who opens the system hears so', async () => {
  const call = { function: 'HcsTerminateComputeSystem' };
  expect(await settled(left('Running', call))).toEqual(['finished', 'ended']);
  expect(engine.log).toEqual(['adopt', 'terminate']);
  const system = await ComputeSystem.open('vm', { core });
  expect(await system.exited).toMatchObject({ ExitType: 'ForcedExit' });
  await system.close();
});

test('a machine that has ended while it was being terminated was terminated', async () => {
  engine.becomes = undefined;
  const call = { function: 'HcsTerminateComputeSystem' };
  expect((await settled(left('Running', call)))[1]).toBe('ended');
  const system = await ComputeSystem.open('vm', { core });
  expect(await system.exited).toMatchObject({ ExitType: 'ForcedExit' });
  await system.close();
});

test('an interrupted save leaves the machine paused, and is finished when its file is in place', async () => {
  const path = join(folder, 'saved');
  const target = { kind: 'file', path } as const;
  // Its guest ran on to let go of something.
  engine.becomes = { state: 'Running', devices: [] };
  expect(await settled(left('Paused', { function: SAVE, target }))).toEqual(['undone', 'Paused']);
  expect(engine.log).toEqual(['adopt', 'pause']);
  await (await ComputeSystem.open('vm', { core })).terminate();
  writeFileSync(path, '');
  engine.becomes = { state: 'Paused', devices: [] };
  expect(await settled(left('Paused', { function: SAVE, target }))).toEqual(['finished', 'Paused']);
});

test('an interrupted change of a resource is finished, or undone where that fails', async () => {
  const path = 'VirtualMachine/ComputeTopology/Memory/SizeInMB';
  const change = { path, keys: [], request: 'Update', settings: 128 } as const;
  const call = { function: MODIFY, modification: { kind: 'change', change } } as const;
  expect(await settled(left('Running', call))).toEqual(['finished', 'Running']);
  expect(engine.log).toEqual(['adopt', `modify Update ${path} settled 128`]);
  await (await ComputeSystem.open('vm', { core })).terminate();
  engine.failNext('modify', new Error('no room'));
  const [outcome] = await service.takeOver([left('Running', call)]);
  expect(outcome).toMatchObject({ kind: 'settled', outcome: 'undone', reason: 'no room' });
});

test.each([
  ['addDevice', [OTHER_INSTANCE], 'finished'],
  ['addDevice', [], 'undone'],
  ['removeDevice', [], 'finished'],
  ['removeDevice', [OTHER_INSTANCE], 'undone'],
] as const)('an interrupted %s with %j in the machine is %s', async (kind, devices, outcome) => {
  engine.becomes = { state: 'Running', devices: [INSTANCE, ...devices] };
  const record = left(
    'Running',
    {
      function: MODIFY,
      modification:
        kind === 'addDevice'
          ? { kind, entry: entry(OTHER_INSTANCE) }
          : { kind, instanceId: OTHER_INSTANCE },
    },
    { devices: [INSTANCE, ...(kind === 'addDevice' ? [] : [OTHER_INSTANCE])].map(entry) },
  );
  expect(await settled(record)).toEqual([outcome, 'Running']);
  const there = [INSTANCE, OTHER_INSTANCE].map((instanceId) =>
    service.hasDevice({ systemId: 'vm', instanceId }),
  );
  expect(there).toEqual([true, devices.length > 0]);
});

test('a start that had plugged one of two devices plugs the other one when it is made again', async () => {
  engine.becomes = { state: 'Created', devices: [INSTANCE] };
  const entries = [entry(INSTANCE), entry(OTHER_INSTANCE)];
  const record = left('Created', { function: 'HcsStartComputeSystem' }, { entries });
  expect(await settled(record)).toEqual(['undone', 'Created']);
  directory.register({ systemId: 'vm', ...entry(OTHER_INSTANCE) }, new RecordedEndpoint());
  await (await ComputeSystem.open('vm', { core })).start();
  expect(engine.log).toEqual(['adopt', `start ${OTHER_INSTANCE}`]);
});

test('a device that was there before is powered off by the end, when its process has announced it again', async () => {
  engine.becomes = { state: 'Running', devices: [INSTANCE] };
  await service.takeOver([left('Running', undefined, { devices: [entry(INSTANCE)] })]);
  const endpoint = new RecordedEndpoint();
  directory.register({ systemId: 'vm', ...entry(INSTANCE) }, endpoint);
  await (await ComputeSystem.open('vm', { core })).terminate();
  expect(endpoint.log).toEqual(['off']);
});

test('a machine that ended with its process tells so to a service without its engine, and frees its id', async () => {
  const running = left('Running', undefined, { engine: 'other' });
  const { engineRecord: _, ...gone } = running;
  expect((await settled(gone))[1]).toBe('ended');
  const system = await ComputeSystem.open('vm', { core });
  expect(await system.exited).toMatchObject({ ExitType: 'UnexpectedExit' });
  await system.close();
  await using _next = await ComputeSystem.create('vm', vm(), { core });
});

test('of machines that nobody asks for, the last thousand ends are kept', async () => {
  engine.becomes = undefined;
  const ids = Array.from({ length: 1002 }, (_, i) => `vm ${i}`);
  await service.takeOver(ids.map((id) => left('Running', undefined, { id, runtimeId: id })));
  const found = await Promise.all(
    [...ids.slice(0, 3), ids.at(-1)!].map((id) =>
      codeOf(async () => (await ComputeSystem.open(id, { core })).close()),
    ),
  );
  expect(found).toEqual(['HCS_E_SYSTEM_NOT_FOUND', 'HCS_E_SYSTEM_NOT_FOUND', 'S_OK', 'S_OK']);
});

test('a machine that may go on is left alone by a service without its engine', async () => {
  expect((await settled(left('Running', undefined, { engine: 'other' })))[1]).toBe('left');
  const refusal = await codeOf(() => ComputeSystem.create('vm', vm(), { core }));
  expect(refusal).toBe('HCS_E_INVALID_STATE');
});

test('a guest that was asked to shut down has been shut down by its client', async () => {
  await service.takeOver([left('Running', undefined, { isShuttingDown: true })]);
  const system = await ComputeSystem.open('vm', { core });
  expect(await codeOf(() => system.shutDown())).toBe('HCS_E_SYSTEM_ALREADY_STOPPED');
  engine.machine.exit({ exitType: 'GracefulExit', status: 0 });
  expect(await system.exited).toMatchObject({
    Attribution: [{ SystemExit: { Initiator: 'Client' } }],
  });
});

test('a system that is to end with its last handle waits a minute for somebody to open it again', async () => {
  const document = { ...vm(), ShouldTerminateOnLastHandleClosed: true };
  vi.useFakeTimers({ toFake: ['setTimeout'] });
  await service.takeOver([
    left('Running', undefined, {}, document),
    left('Running', undefined, { id: 'held' }, document),
  ]);
  const held = await ComputeSystem.open('held', { core });
  vi.advanceTimersByTime(59_999);
  expect(engine.log).not.toContain('terminate');
  vi.advanceTimersByTime(1);
  vi.useRealTimers();
  await expect.poll(() => service.systemCount).toBe(1);
  expect(engine.log.filter((step) => step === 'terminate')).toHaveLength(1);
  await held.close();
  await expect.poll(() => service.systemCount).toBe(0);
});
