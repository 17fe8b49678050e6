import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
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
import { ComputeSystem } from '../../src/hcs/compute-system.ts';
import { codeOf } from '../compute/recording-engine.ts';
import type { KillPoint } from './killed-daemon.ts';
import { lastingEngine, machineDocument } from './lasting-machines.ts';
import { processesOf } from './machine-processes.ts';

const KILLED = fileURLToPath(new URL('killed-daemon.ts', import.meta.url));
const ARGUMENTS = ['--import', import.meta.resolve('tsx'), '--conditions=hdvkit-source', KILLED];
const ADAPTER = '5a7b1c3e-0000-4000-8000-000000000002';

let folder: string;
let state: string;
let socket: string;
let armed: string;
let id: string;
let daemon: ChildProcess | undefined;
let said: string;
const connections: ServiceConnection[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hcsk-'));
  chmodSync(folder, 0o777); // A machine of root's has an account of its own.
  state = join(folder, 'state');
  mkdirSync(state, { mode: 0o700 });
  socket = join(folder, 'run', 'hcsd.sock');
  armed = join(folder, 'armed');
  id = `killed-${process.pid}`;
});

afterEach(async () => {
  for (const connection of connections.splice(0)) await connection.close();
  if (daemon?.exitCode === null && daemon.signalCode === null) {
    const gone = once(daemon, 'exit');
    daemon.kill('SIGKILL');
    await gone;
  }
  daemon = undefined;
  await lastingEngine(join(state, 'machines')).reap([]);
  rmSync(folder, { recursive: true, force: true });
});

/** Starts a daemon that is to be killed at a point, and connects to it. */
async function start(point: KillPoint): Promise<ServiceConnection> {
  said = '';
  daemon = spawn(
    process.execPath,
    [...ARGUMENTS, '--host', 'linux', '--state', state, '--socket', socket],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, KILL_AT: JSON.stringify(point), KILL_ARMED: armed },
    },
  );
  daemon.stderr!.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const ended = once(daemon, 'exit').then(() => Promise.reject(new Error(said)));
  await Promise.race([once(daemon.stdout!, 'data'), ended]);
  ended.catch(() => {});
  const connection = await connectService({ socket: socket });
  connections.push(connection);
  return connection;
}

/** Makes a call inside which the daemon is killed, and which therefore fails. */
async function dies(
  call: () => Promise<unknown>,
  code = 'HCS_E_SERVICE_DISCONNECT',
): Promise<void> {
  const gone = once(daemon!, 'exit');
  writeFileSync(armed, '');
  // Nothing was reported that had not been done.
  expect([await codeOf(call), said]).toEqual([code, expect.anything()]);
  await gone;
  rmSync(armed);
  daemon = undefined;
}

const open = ({ core }: ServiceConnection): Promise<ComputeSystem> =>
  ComputeSystem.open(id, { core });

const create = ({ core }: ServiceConnection): Promise<ComputeSystem> =>
  ComputeSystem.create(id, machineDocument(join(folder, 'machines'), id), { core });

const stateOf = async (system: ComputeSystem): Promise<unknown> =>
  (await system.properties()).State;

/** What there is outside the state: sockets, saved files, what is half written. */
const around = (): string[] =>
  readdirSync(folder)
    .filter((name) => !['state', 'kernel', 'run', 'shared'].includes(name))
    .sort();

/** Programs beside QEMU, each once. */
const besides = (): string[] => {
  const mark = `HDVKIT_MACHINE=${join(state, 'machines')}/`;
  const commands = readdirSync('/proc').flatMap((pid) => {
    try {
      if (!readFileSync(`/proc/${pid}/environ`, 'utf8').includes(mark)) return [];
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, 4).join(' ');
    } catch {
      return []; // It is none, or has ended.
    }
  });
  return ['virtiofsd'].filter((name) => commands.some((command) => command.includes(name)));
};

const adapters = { ResourcePath: `VirtualMachine/Devices/NetworkAdapters/${ADAPTER}` };
const addAdapter = { ...adapters, RequestType: 'Add', Settings: {} } as const;
const removeAdapter = { ...adapters, RequestType: 'Remove', Settings: {} } as const;

test('what a killed daemon had begun is finished or undone by the next one, whatever it was', async () => {
  const saved = join(folder, 'saved');
  const toFile = { SaveType: 'ToFile', SaveStateFilePath: saved } as const;
  const nothing = (): unknown => [
    [...processesOf(id), ...besides()],
    readdirSync(join(state, 'machines')),
    around(),
  ];

  // A creation: QEMU is there, and nobody was told.
  let connection = await start({ when: 'before', what: 'systemChanges', with: '"Created"' });
  await dies(() => create(connection));
  expect(processesOf(id)).toHaveLength(1);
  connection = await start({ when: 'after', what: 'owns', with: '.saved.' });
  expect(said).toContain(`system "${id}" was being created, and is dropped`);
  expect(nothing()).toEqual([[], [], []]);

  // A save: before its file is made, half-way through it, and when it is in its place.
  let system = await create(connection);
  await system.start();
  await system.pause();
  writeFileSync(saved, 'before');
  await dies(() => system.save(toFile));
  connection = await start({ when: 'after', what: 'qmp', with: '"migrate"' });
  system = await open(connection);
  expect(said).toContain(`HcsSaveComputeSystem of system "${id}" was on its way, and is undone`);
  await dies(() => system.save(toFile));
  expect(around()).toHaveLength(3);
  connection = await start({ when: 'after', what: 'rename' });
  system = await open(connection);
  expect(await stateOf(system)).toBe('Paused');
  expect(around()).toEqual([id, 'saved']);
  // QEMU has gone on with it, or was stopped by who came next.
  const isSaved = said.includes('HcsSaveComputeSystem') && said.includes('is finished');
  const first = readFileSync(saved).subarray(0, 8).toString('latin1');
  expect(first).toBe(isSaved ? 'HDVKSAVE' : 'before');
  await dies(() => system.save(toFile));
  connection = await start({ when: 'before', what: 'qmp', with: '"device_add"' });
  system = await open(connection);
  expect(said).toContain(`HcsSaveComputeSystem of system "${id}" was on its way, and is finished`);
  expect(await stateOf(system)).toBe('Paused');
  expect(around()).toEqual([id, 'saved']);
  const { core } = connection;
  expect(JSON.parse(await core.HcsGetProcessorCompatibilityFromSavedState(saved))).toBeDefined();

  // A device that comes: what it stands on is there, or all of it.
  await system.resume();
  await dies(() => system.modify(addAdapter));
  connection = await start({ when: 'after', what: 'qmp', with: '"device_add"' });
  system = await open(connection);
  expect(said).toContain(
    `HcsModifyComputeSystem of system "${id}" was on its way, and is finished`,
  );
  expect(await codeOf(() => system.modify(addAdapter))).toBe('ERROR_ALREADY_EXISTS');
  // One with a program beside QEMU, which goes on with it.
  const addShare = {
    ResourcePath: 'VirtualMachine/Devices/VirtualSmb/Shares',
    RequestType: 'Add',
    Settings: { Name: 'share', Path: join(folder, 'shared') },
  } as const;
  mkdirSync(join(folder, 'shared'));
  await connection.core.HcsGrantVmAccess(id, join(folder, 'shared'));
  await dies(() => system.modify(addShare));
  connection = await start({ when: 'after', what: 'qmp', with: '"device_del"' });
  system = await open(connection);
  expect(said).toContain('is finished');
  expect(await codeOf(() => system.modify(addShare))).toBe('ERROR_ALREADY_EXISTS');
  expect(besides()).toEqual(['virtiofsd']);

  // One that goes, of which the guest has not let go.
  await dies(() => system.modify(removeAdapter));
  connection = await start({ when: 'before', what: 'qmp', with: '"quit"' });
  system = await open(connection);
  expect(said).toContain('is undone');
  expect(await codeOf(() => system.modify(addAdapter))).toBe('ERROR_ALREADY_EXISTS');

  // An end.
  await dies(() => system.terminate());
  connection = await start({ when: 'after', what: 'qmp', with: '"quit"' });
  expect(said).toContain(
    `HcsTerminateComputeSystem of system "${id}" was on its way, and is finished`,
  );
  expect(nothing()).toEqual([[], [], ['saved']]);
  system = await open(connection);
  expect(await system.exited).toMatchObject({ ExitType: 'ForcedExit' });
  await system.close();

  // An end of the guest's own, after which nobody could ask QEMU for its reason.
  system = await create(connection);
  await system.start();
  await dies(async () => {
    createConnection(join(folder, id)).end('x');
    await system.exited;
  });
  await expect.poll(() => processesOf(id)).toEqual([]);
  connection = await start({ when: 'before', what: 'systemGoes' });
  system = await open(connection);
  expect(await system.exited).toMatchObject({ ExitType: 'GracefulExit' });
  expect(nothing()).toEqual([[], [], ['saved']]);

  // An end is told again when it is not known whether it was heard.
  await dies(() => system.close(), 'S_OK');
  connection = await start({ when: 'before', what: 'systemGoes' });
  system = await open(connection);
  expect(await system.exited).toMatchObject({ ExitType: 'GracefulExit' });
});
