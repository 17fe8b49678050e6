import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Adoption, EngineExit, EngineSystem } from '../../src/compute/engine.ts';
import { hasPanicRecord } from '../../src/engines/qemu/crash-log.ts';
import type { QemuEngine } from '../../src/engines/qemu/engine.ts';
import type { EngineRecord } from '../../src/engines/qemu/engine-record.ts';
import { LinuxGuest } from '../../src/engines/qemu/linux-guest.ts';
import { QmpClient } from '../../src/engines/qemu/qmp.ts';
import { readSavedState } from '../../src/engines/qemu/saved-state.ts';
import { STREAM_OFFSET } from '../../src/engines/saved-state-head.ts';
import type { HcsError } from '../../src/hcs/hcs-error.ts';
import { HRESULT } from '../../src/hcs/hresult.ts';
import { isAlive } from '../../src/provision/process-identity.ts';
import {
  addAdapter,
  lastingEngine,
  machineDocument,
  type OwnerRequest,
} from './lasting-machines.ts';

const OWNER = fileURLToPath(new URL('machine-owner.ts', import.meta.url));
const PATIENCE = { timeout: 60_000 };
/** A guest boots, on a loaded machine. */
const BOOT_PATIENCE = { timeout: 170_000 };

let parent: string;
let folder: string;
let exits: Record<string, EngineExit>;
let owner: ChildProcess | undefined;
let all: EngineRecord[];

beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'hdva-'));
  chmodSync(parent, 0o777); // A machine of root's has an account of its own.
  folder = join(parent, 'run');
  exits = {};
  all = [];
});
afterEach(async () => {
  owner?.kill('SIGKILL');
  owner = undefined;
  await lastingEngine(folder).reap([]);
  expect(all.filter(({ process: identity }) => isAlive(identity))).toEqual([]);
  rmSync(parent, { recursive: true, force: true });
});

/** Has an owner make machines, and kills it when they are where they should be. */
async function leave(machines: OwnerRequest['machines']): Promise<EngineRecord[]> {
  const request: OwnerRequest = { folder, machines };
  owner = spawn(
    process.execPath,
    ['--import', 'tsx', '--conditions=hdvkit-source', OWNER, JSON.stringify(request)],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const [text] = (await Promise.race([
    once(createInterface({ input: owner.stdout! }), 'line'),
    once(owner, 'exit').then(() => ['[]']),
  ])) as [string];
  all = JSON.parse(text) as EngineRecord[];
  expect(all).toHaveLength(machines.length);
  owner.kill('SIGKILL');
  await once(owner, 'exit');
  return all;
}

function adopt(
  record: EngineRecord | undefined,
  id: string,
  engine = lastingEngine(folder),
): Promise<Adoption> {
  return engine.adopt(record, {
    id,
    runtimeId: randomUUID(),
    document: {},
    exited: (exit) => {
      exits[id] = exit;
    },
    notify: () => {},
  });
}

async function adopted(
  record: EngineRecord | undefined,
  id: string,
  engine?: QemuEngine,
): Promise<EngineSystem> {
  const adoption = await adopt(record, id, engine);
  if (adoption.kind !== 'machine') throw new Error(`It has ended: ${adoption.exit.detail}`);
  return adoption.system;
}

/** Takes a machine over, and kills the program beside it. */
async function killSide(record: EngineRecord): Promise<void> {
  await adopted(record, 'lost');
  for (const { identity } of Object.values(record.sides)) process.kill(-identity.pid, 'SIGKILL');
}

/** What QEMU says of a machine that nobody has taken over. */
async function status(record: EngineRecord): Promise<unknown> {
  const socket = createConnection(join(record.folder, 'qmp'));
  const qmp = await QmpClient.open(socket);
  const { status } = (await qmp.execute('query-status')) as { readonly status: unknown };
  qmp.close();
  return status;
}

/** One in four of them has not started, one is paused. */
const MANY = process.env.HDVKIT_LONG === '1' ? 64 : 16;

test('many machines whose owner was killed are taken over, each in its state, and end when told to', async () => {
  const states = ['Created', 'Running', 'Paused', 'Running'] as const;
  const machines = Array.from({ length: MANY }, (_, i) => ({
    id: `vm${i}`,
    state: states[i % 4]!,
  }));
  const records = await leave(machines);
  const engine = lastingEngine(folder);
  const adoptions = await Promise.all(records.map((record, i) => adopt(record, `vm${i}`, engine)));
  expect(adoptions.map((one) => one.kind === 'machine' && one.state)).toEqual(
    machines.map(({ state }) => state),
  );
  const systems = adoptions.flatMap((one) => (one.kind === 'machine' ? [one.system] : []));
  // What is taken over is known by the same record.
  expect(systems.map((system) => JSON.parse(JSON.stringify(system.record?.())))).toEqual(records);
  expect(await engine.reap(records)).toBe(0);
  await systems[0]!.start([]);
  await systems[1]!.pause();
  await systems[2]!.resume();
  expect(await systems[3]!.properties(['Memory'])).toMatchObject({
    Memory: { VirtualNodeCount: 1 },
  });
  await Promise.all(systems.map((system) => system.terminate()));
  expect(exits).toEqual(
    Object.fromEntries(machines.map(({ id }) => [id, { exitType: 'ForcedExit', status: 0 }])),
  );
  expect(readdirSync(folder)).toEqual([]);
  expect(readdirSync(parent).sort()).toEqual(['kernel', 'run']);
});

test('what happened while nobody watched is told: an end of the guest, an end of QEMU, another process', async () => {
  const [off, killed, other] = await leave([
    { id: 'off', state: 'Running' },
    { id: 'killed', state: 'Running' },
    { id: 'other', state: 'Running' },
  ]);
  const com = createConnection(join(parent, 'off'));
  com.end('x');
  process.kill(killed!.process.pid, 'SIGKILL');
  await expect.poll(() => isAlive(killed!.process), PATIENCE).toBe(false);
  await expect.poll(() => status(off!), PATIENCE).toBe('shutdown');
  await adopted(off, 'off');
  await expect
    .poll(() => exits.off, PATIENCE)
    .toEqual({ exitType: 'GracefulExit', status: HRESULT.S_OK });
  expect(await adopt(killed, 'killed')).toEqual({
    kind: 'ended',
    exit: {
      exitType: 'UnexpectedExit',
      status: HRESULT.HCS_E_UNEXPECTED_EXIT,
      detail: 'QEMU ended while nobody watched it',
    },
  });
  // A process with the id that began at another time, or before the system was booted again, is another one.
  const reused = { ...other!, folder: join(parent, 'none'), ownSockets: [] };
  for (const started of ['1', other!.process.started.replace(/@.*/, '@another-boot')]) {
    const adoption = await adopt({ ...reused, process: { ...other!.process, started } }, 'reused');
    expect(adoption.kind).toBe('ended');
  }
  expect(isAlive(other!.process)).toBe(true);
  await (await adopted(other, 'other')).terminate();
  expect(readdirSync(folder)).toEqual([]);
});

test('a machine that has gone on since its record was made is taken over as it is', async () => {
  const [ahead, template] = await leave([
    { id: 'ahead', state: 'Running', isAhead: true },
    { id: 'template', state: 'SavedAsTemplate' },
  ]);
  const engine = lastingEngine(folder);
  const stale = { ...ahead!, hasStarted: false, ports: {} };
  const adoption = await adopt(stale, 'ahead', engine);
  if (adoption.kind !== 'machine') throw new Error('It has ended');
  expect(adoption.state).toBe('Running');
  await adoption.system.modify(addAdapter(randomUUID())); // In a port of its own.
  const now = adoption.system.record?.() as EngineRecord | undefined;
  expect(Object.values(now?.ports ?? {}).sort()).toEqual([0, 1]);

  const again = await adopt(template, 'template', engine);
  expect(again.kind === 'machine' && again.state).toBe('SavedAsTemplate');
  const clone = await engine.create({
    id: 'clone',
    runtimeId: randomUUID(),
    document: machineDocument(folder, 'clone'),
    template: 'template',
    exited: () => {},
    notify: () => {},
  });
  await clone.start([]);
  await clone.terminate();
});

test('machines that no record speaks of are reaped, with what they have left, and others are not', async () => {
  const [known, unknown, ended] = await leave(
    ['known', 'unknown', 'ended'].map((id) => ({ id, state: 'Running' as const })),
  );
  process.kill(ended!.process.pid, 'SIGKILL');
  expect(await lastingEngine(folder).reap([known])).toBe(2);
  expect([known, unknown].map((record) => isAlive(record!.process))).toEqual([true, false]);
  expect([known, unknown, ended].map((record) => existsSync(record!.folder))).toEqual([
    true,
    false,
    false,
  ]);
  await (await adopted(known, 'known')).terminate();
});

test('a machine that is let go of is taken over in the same process, and one that cannot be is left as it is', async () => {
  const [record] = await leave([{ id: 'vm', state: 'Running' }]);
  const first = await adopted(record, 'vm');
  const path = 'VirtualMachine/ComputeTopology/Processor/Limits';
  const change = { path, keys: [], request: 'Update', settings: { Limit: 50_000 } } as const;
  const refusal = await first.modify(change).catch((error: HcsError) => error.code);
  // Whoever takes it over sets the limits again, where they can be set at all.
  const limits = { limit: 50_000, weight: 0 };
  expect(first.record?.()).toMatchObject({
    plan: { processorLimits: refusal === undefined ? limits : undefined },
  });
  expect([undefined, 'ERROR_NOT_SUPPORTED']).toContain(refusal);
  first.release?.();
  const second = await adopted(record, 'vm');
  second.release?.();
  rmSync(join(record!.folder, 'qmp'));
  await expect(adopt(record, 'vm')).rejects.toThrow(
    `Cannot control QEMU, process ${record!.process.pid}`,
  );
  await expect(adopt({ ...record!, version: 2 as 1 }, 'vm')).rejects.toThrow('of version 2, not 1');
  expect(isAlive(record!.process)).toBe(true);
  expect(exits).toEqual({});
});

/** Pauses, which a save needs, what the owner left running. */
async function pausedBy(record: EngineRecord | undefined): Promise<EngineSystem> {
  const system = await adopted(record, 'vm');
  await system.pause();
  return system;
}

/** Lets go of a machine. @returns its record, as it is read again */
function released(system: EngineSystem): EngineRecord {
  const record = JSON.parse(JSON.stringify(system.record?.())) as EngineRecord;
  system.release?.();
  return record;
}

test('a machine that was saved is saved again by whoever takes it over, and a save that QEMU has written is finished', async () => {
  const [running] = await leave([{ id: 'vm', state: 'Running' }]);
  const path = (name: string): string => join(parent, name);
  const save = (system: EngineSystem, name: string): Promise<void> =>
    system.save({ kind: 'file', path: path(name) });
  const first = await pausedBy(running);
  await save(first, 'first');
  const record = released(first);
  const second = await adopted(record, 'vm');
  await save(second, 'second');
  expect(readFileSync(path('second')).equals(readFileSync(path('first')))).toBe(true);
  const { lastSave } = released(second);
  expect(lastSave).toMatchObject({ path: path('second') });

  // As if its owner had ended before the head was written.
  const whole = readFileSync(path('second'));
  renameSync(path('second'), lastSave!.part);
  writeFileSync(lastSave!.part, Buffer.concat([Buffer.alloc(STREAM_OFFSET), rest(whole)]));
  const third = await adopted({ ...record, lastSave: lastSave! }, 'vm');
  expect(existsSync(lastSave!.part)).toBe(false);
  expect(rest(readFileSync(path('second'))).equals(rest(whole))).toBe(true);
  expect(await readSavedState(path('second'))).toEqual(await readSavedState(path('first')));
  const last = released(third);

  rmSync(path('second'));
  const fourth = await adopted(last, 'vm');
  await expect(save(fourth, 'third')).rejects.toThrow(
    `it was saved to ${path('second')} since it was paused, and that file was removed`,
  );
  expect(existsSync(path('third'))).toBe(false);
  await fourth.resume();
  await fourth.pause();
  await save(fourth, 'third');
  await readSavedState(path('third'));
  await fourth.terminate();
});

test('a template is one for the next owner when QEMU has written it, and a paused machine before', async () => {
  const [made, running] = await leave([
    { id: 'made', state: 'SavedAsTemplate' },
    { id: 'running', state: 'Running' },
  ]);
  const record = released(await pausedBy(running));
  const state = join(record.folder, 'template');
  writeFileSync(state, 'half');
  const noted = { ...record, template: { ...made!.template!, state } };
  const adoption = await adopt(noted, 'running');
  if (adoption.kind !== 'machine') throw new Error('It has ended');
  expect([adoption.state, existsSync(state)]).toEqual(['Paused', false]);
  const { system } = adoption;
  await system.save({ kind: 'template' });
  expect(released(system).template).toMatchObject({ state });
  await expect(adopt(released(await adopted(made, 'made')), 'made')).resolves.toMatchObject({
    state: 'SavedAsTemplate',
  });
});

function rest(file: Buffer): Buffer {
  return file.subarray(STREAM_OFFSET);
}

test('programs beside QEMU go on with it, and end with it', async () => {
  const [record] = await leave([{ id: 'vm', state: 'Running', share: parent }]);
  const sides = Object.values(record!.sides);
  expect(sides.map(({ name, identity }) => [name, isAlive(identity)])).toEqual([
    ['virtiofsd', true],
  ]);
  const system = await adopted(record, 'vm');
  expect(JSON.parse(JSON.stringify(system.record?.()))).toEqual(record);
  await system.terminate();
  expect(exits.vm).toMatchObject({ exitType: 'ForcedExit' });
  expect(sides.filter(({ identity }) => isAlive(identity))).toEqual([]);
  expect(readdirSync(folder)).toEqual([]);

  const [lost] = await leave([{ id: 'lost', state: 'Running', share: parent }]);
  await killSide(lost!);
  await expect
    .poll(() => exits.lost, PATIENCE)
    .toMatchObject({
      exitType: 'UnexpectedExit',
      detail: expect.stringContaining('virtiofsd ended'),
    });
});

test('a crash of a guest that nobody watched is told with its messages, and the machine ends', async () => {
  using guest = await LinuxGuest.prepare({
    memory: 256,
    commands: ['echo c > /proc/sysrq-trigger'],
  });
  const engine = lastingEngine(folder);
  const request = {
    id: 'crash',
    runtimeId: randomUUID(),
    document: guest.document as Record<string, unknown>,
    exited: () => {},
    notify: () => {},
  };
  const machine = await engine.create(request);
  await machine.start([]);
  const record = JSON.parse(JSON.stringify(machine.record?.())) as EngineRecord;
  all = [record];
  machine.release?.();
  const store = join(record.folder, 'crash-log');
  await expect.poll(() => hasPanicRecord(readFileSync(store)), BOOT_PATIENCE).toBe(true);
  const notices: { readonly type: string; readonly document: string }[] = [];
  const exit = await new Promise<EngineExit>((exited, reject) => {
    const notify = (notice: (typeof notices)[number]): void => void notices.push(notice);
    engine.adopt(record, { ...request, exited, notify }).catch(reject);
  });
  expect(exit).toMatchObject({
    exitType: 'UnexpectedExit',
    status: HRESULT.HCS_E_GUEST_CRITICAL_ERROR,
  });
  expect(notices.map(({ type }) => type)).toEqual(['crashBegun', 'crashed']);
  expect(notices[1]!.document).toContain('sysrq triggered crash');
  expect(readdirSync(folder)).toEqual([]);
});
