import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { connectService, type ServiceConnection } from '../../src/daemon/connect-service.ts';
import { StateStore } from '../../src/daemon/store/state-store.ts';
import { ComputeSystem } from '../../src/hcs/compute-system.ts';
import { until } from '../cli/run-cli.ts';
import { codeOf } from '../compute/recording-engine.ts';
import { lastingEngine, machineDocument } from './lasting-machines.ts';

const MAIN = fileURLToPath(new URL('../../src/cli/hcsd/main.ts', import.meta.url));
const ARGUMENTS = ['--import', import.meta.resolve('tsx'), '--conditions=hdvkit-source', MAIN];
const PATIENCE = { timeout: 60_000 };

let folder: string;
let state: string;
let socket: string;
let daemon: ChildProcess | undefined;
let said: string;
const connections: ServiceConnection[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hcsd-'));
  chmodSync(folder, 0o777); // A machine of root's has an account of its own.
  state = join(folder, 'state');
  mkdirSync(state, { mode: 0o700 });
  socket = join(folder, 'run', 'hcsd.sock');
});

afterEach(async () => {
  for (const connection of connections.splice(0)) await connection.close();
  await kill();
  await lastingEngine(join(state, 'machines')).reap([]);
  rmSync(folder, { recursive: true, force: true });
});

/** Starts a daemon of its own process, and connects to it when it serves. */
async function start(...options: string[]): Promise<ServiceConnection> {
  said = '';
  daemon = spawn(
    process.execPath,
    [...ARGUMENTS, '--host', 'linux', '--state', state, '--socket', socket, ...options],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  daemon.stderr!.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  await until(daemon.stdout!, 'listening').catch(() => Promise.reject(new Error(said)));
  const connection = await connectService({ socket });
  connections.push(connection);
  return connection;
}

async function kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
  if (daemon === undefined) return;
  const gone = once(daemon, 'exit');
  daemon.kill(signal);
  await gone;
  daemon = undefined;
}

function create(
  { core }: ServiceConnection,
  id: string,
  more: Readonly<Record<string, unknown>> = {},
): Promise<ComputeSystem> {
  const document = { ...machineDocument(join(state, '..', 'x'), id), ...more };
  return ComputeSystem.create(id, document, { core });
}

async function states({ core }: ServiceConnection): Promise<Record<string, unknown>> {
  const found = await ComputeSystem.enumerate(undefined, { core });
  return Object.fromEntries(found.map(({ Id, State }) => [Id, State]));
}

const machines = (): string[] => readdirSync(join(state, 'machines'));

test('machines outlive a daemon that is killed, and the next one has them in their states', async () => {
  const first = await start();
  const made = await Promise.all(
    ['created', 'running', 'paused', 'off'].map((id) => create(first, id)),
  );
  const [, running, paused, off] = made;
  await Promise.all([running, paused, off].map((system) => system!.start()));
  await paused!.pause();
  const lost = expect(running!.exited).rejects.toThrow('the connection to its service is lost');
  await kill();
  await lost;
  createConnection(join(folder, 'off')).end('x');

  const second = await start();
  const { core } = second;
  await expect
    .poll(() => states(second), PATIENCE)
    .toEqual({
      created: 'Created',
      running: 'Running',
      paused: 'Paused',
    });
  expect(said).toContain('took system "paused" over, which is Paused');
  const open = (id: string): Promise<ComputeSystem> => ComputeSystem.open(id, { core });
  expect(await (await open('off')).exited).toMatchObject({ ExitType: 'GracefulExit' });
  const [created, again, resumed] = await Promise.all(['created', 'running', 'paused'].map(open));
  await created!.start();
  await again!.pause();
  const file = join(folder, 'saved');
  await again!.save({ SaveType: 'ToFile', SaveStateFilePath: file });
  expect(existsSync(file)).toBe(true);
  await resumed!.resume();
  expect(await states(second)).toEqual({
    created: 'Running',
    running: 'Paused',
    paused: 'Running',
  });
  for (const system of [created, again, resumed]) await system!.terminate();
  expect(await states(second)).toEqual({});
  expect(machines()).toEqual([]);
});

test('what is there only by halves is dropped, what nobody knows is ended, an end is told once', async () => {
  const first = await start();
  await create(first, 'half');
  await (await create(first, 'ended')).start();
  await kill();
  // As if the daemon had died before the engine answered, and the machine later.
  const store = StateStore.open(state);
  store.systems.change(
    { space: '', id: 'half' },
    { state: 'Creating', engineRecord: { entries: [], devices: [] } },
  );
  const { engineRecord } = store.systems.get({ space: '', id: 'ended' })!;
  store.close();
  const { pid } = (engineRecord as { machine: { process: { pid: number } } }).machine.process;
  process.kill(pid, 'SIGKILL');
  expect(machines()).toHaveLength(2);

  const second = await start();
  const { core } = second;
  expect(said).toContain('system "half" was being created, and is dropped');
  expect(said).toContain('ended 1 machines that nobody knows');
  expect(machines()).toEqual([]);
  expect(await states(second)).toEqual({});
  const system = await ComputeSystem.open('ended', { core });
  expect(await system.exited).toMatchObject({ ExitType: 'UnexpectedExit' });
  expect(await system.properties()).toMatchObject({ State: 'Stopped' });
  await system.close();
  const open = (): Promise<unknown> => ComputeSystem.open('ended', { core });
  expect(await codeOf(open)).toBe('HCS_E_SYSTEM_NOT_FOUND');
  await (await create(second, 'half')).terminate();
});

test('a client that has lost its daemon starts the next one on demand, which has the same machines', async () => {
  await (await create(await start(), 'vm')).start();
  await kill();
  const startOnDemand = { host: 'linux', stateFolder: state, idleExitMs: 200 } as const;
  const next = await connectService({ socket, startOnDemand });
  connections.push(next);
  expect(await states(next)).toEqual({ vm: 'Running' });
  const system = await ComputeSystem.open('vm', { core: next.core });
  await system.pause();
  await system.terminate();
  await next.close();
  // It ends by itself, as nobody needs it.
  await expect.poll(() => existsSync(`/proc/${next.service.pid}`), PATIENCE).toBe(false);
  expect(machines()).toEqual([]);
});

test('machines end with a daemon that is told to end, and go on with --keep', async () => {
  const first = await start('--keep');
  const system = await create(first, 'vm');
  await system.start();
  await kill('SIGTERM');
  const second = await start();
  expect(await states(second)).toEqual({ vm: 'Running' });
  await kill('SIGTERM');
  expect(machines()).toEqual([]);
  expect(await states(await start())).toEqual({});
  expect(readFileSync(join(state, 'audit.log'), 'utf8')).toContain('HcsStartComputeSystem');
});

test('a state that is damaged while machines run is kept aside, and the next one begins with them', async () => {
  const first = await start();
  const system = await create(first, 'vm');
  await system.start();
  const id = '5a7b1c3e-0000-4000-8000-000000000003';
  const change = (operation: string, details: object): string =>
    JSON.stringify({
      PropertyType: 'CpuGroup',
      Settings: { Operation: operation, OperationDetails: { GroupId: id, ...details } },
    });
  const processors = { LogicalProcessors: [0], LogicalProcessorCount: 1 };
  await first.core.HcsModifyServiceSettings(change('CreateGroup', processors));
  const ResourcePath = 'VirtualMachine/ComputeTopology/Processor/CpuGroup';
  await system.modify({ ResourcePath, RequestType: 'Update', Settings: { Id: id } });
  await kill();
  writeFileSync(join(state, 'state.db'), Buffer.alloc(8192, 0x41));
  rmSync(join(state, 'state.db-wal'), { force: true });

  const second = await start();
  expect(said).toMatch(/it is kept as .*state\.db\.damaged-/);
  expect(said).toContain('took system "vm" over, which is Running');
  expect(await states(second)).toEqual({ vm: 'Running' });
  expect(machines()).toHaveLength(1);
  expect(readdirSync(state).filter((name) => name.includes('damaged'))).toHaveLength(1);
  const groups = await second.core.HcsGetServiceProperties('{"PropertyTypes":["CpuGroup"]}');
  expect(groups).toContain(id);
  const remove = (): unknown => second.core.HcsModifyServiceSettings(change('DeleteGroup', {}));
  expect(await codeOf(remove)).toBe('ERROR_HV_INVALID_CPU_GROUP_STATE');
  await (await ComputeSystem.open('vm', { core: second.core })).terminate();
  expect(machines()).toEqual([]);
  await remove();
});
