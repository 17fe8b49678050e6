import { randomUUID } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runtimeIdOf } from '../../src/compute/system-id.ts';
import type { GuestAgent } from '../../src/engines/qemu/guest-agent.ts';
import { startTpm, tpmStateOf } from '../../src/engines/qemu/resources/tpm.ts';
import { SideProcess } from '../../src/engines/qemu/side-process.ts';
import { SideProcesses } from '../../src/engines/qemu/side-processes.ts';
import { vmAccount } from '../../src/engines/qemu/vm-account.ts';
import { WatchedFolder } from '../../src/engines/qemu/watched-folder.ts';
import { permissionOf } from '../../src/ffi/posix-acl.ts';
import type {
  ComputeSystem as Document,
  GuestState,
  RestoreState,
} from '../../src/hcs/schema/documents.ts';
import { ComputeSystem } from '../../src/index.ts';
import { findSideProgram } from '../../src/provision/find-side-program.ts';
import { errorOf } from '../compute/recording-engine.ts';
import { grantDocument, type LinuxTestHost, openLinuxHost } from './linux-test-host.ts';
import { programsOf, statusOf } from './machine-processes.ts';

/** An index of the TPM's memory that stays (TPM 2.0 Part 2, 7.4), of four bytes. */
const INDEX = '01500000';
/** The platform's owner, without a password (Part 2, 7.4; Part 1, 19.4). */
const OWNER = '40000001';
const NO_PASSWORD = '00000009' + '40000009' + '0000' + '00' + '0000';
/** For owner and index: read and written without more (Part 2, 13.4). */
const ATTRIBUTES = '00060006';
/** Part 2, 6.6.3: the command was not carried out, and can be sent again. */
const RETRY = 0x922;
const ZERO = '0'.repeat(64);
/** What only the environment of the service has. */
const SECRET = 'of the service alone';

let folder: string;
let host: LinuxTestHost;
let system: ComputeSystem;
let agent: GuestAgent;
const systems: ComputeSystem[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'hdvt-'));
  process.env.HDVKIT_TEST_SECRET = SECRET;
  host = await openLinuxHost({ uefi: true });
  await host.binding.computeCore.HcsCreateEmptyGuestStateFile(join(folder, 'state'));
});

afterAll(async () => {
  delete process.env.HDVKIT_TEST_SECRET;
  for (const one of systems) await one[Symbol.asyncDispose]();
  await host?.close();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});

async function create(GuestState: GuestState, restore?: RestoreState): Promise<ComputeSystem> {
  const { VirtualMachine, ...document } = host.document() as Document;
  const id = `hdvkit-${randomUUID()}`;
  const core = host.binding.computeCore;
  const made: Document = {
    ...document,
    VirtualMachine: {
      ...VirtualMachine,
      GuestState,
      SecuritySettings: { EnableTpm: true },
      ...(restore === undefined ? {} : { RestoreState: restore }),
    },
  };
  await grantDocument(core, id, made);
  const created = await ComputeSystem.create(id, made, { core });
  systems.push(created);
  return created;
}

async function start(machine: ComputeSystem): Promise<GuestAgent> {
  await machine.start();
  return await host.agent();
}

const state = (name = 'state'): GuestState => ({ GuestStateFilePath: join(folder, name) });

/** The SHA-256 bank of a platform configuration register, as the guest's driver reads it. */
async function pcr(guest: GuestAgent, number: number): Promise<string> {
  const { stdout } = await guest.run(`cat /sys/class/tpm/tpm0/pcr-sha256/${number}`);
  return stdout.trim();
}

/**
 * A command with one authorisation, in hexadecimal digits.
 * @param code of TPM 2.0 Part 2, 6.5.2
 * @param rest what follows handles and authorisation
 */
function encode(code: string, handles: string, rest: string): string {
  const body = handles + NO_PASSWORD + rest;
  return `8002${(10 + body.length / 2).toString(16).padStart(8, '0')}${code}${body}`;
}

const hex = (text: string): string => Buffer.from(text).toString('hex');
const DEFINE = encode('0000012a', OWNER, `0000000e${INDEX}000b${ATTRIBUTES}00000004`); // SHA-256, no policy
const READ = encode('0000014e', INDEX + INDEX, '00040000');

/** Sends a command to the TPM of a guest. @returns the response, in hexadecimal digits */
async function command(guest: GuestAgent, text: string): Promise<string> {
  const { stdout, stderr } = await guest.run(
    `exec 3<>/dev/tpm0 && echo ${text} | xxd -r -p > /tmp/command && cat /tmp/command >&3 && dd bs=4096 count=1 <&3 2>/dev/null | xxd -p -c 4096`,
  );
  expect([stderr, stdout.slice(12, 20)]).toEqual(['', '00000000']);
  return stdout.trim();
}

/** Keeps four bytes for good. */
async function keep(guest: GuestAgent, text: string): Promise<void> {
  await command(guest, DEFINE);
  await write(guest, text);
}

async function write(guest: GuestAgent, text: string): Promise<void> {
  await command(guest, encode('00000137', INDEX + INDEX, `0004${hex(text)}0000`));
}

async function kept(guest: GuestAgent): Promise<string> {
  const response = Buffer.from(await command(guest, READ), 'hex');
  return response.subarray(16, 20).toString();
}

/** Adds to a register that a guest may use as it likes. */
async function extend(guest: GuestAgent): Promise<void> {
  await command(guest, encode('00000182', '00000010', `00000001000b${'5a'.repeat(32)}`));
}

/** Command lines of the TPM programs that this process has started. */
function programs(): string[] {
  // Threads and processes may end meanwhile.
  const read = (path: string): string => {
    try {
      return readFileSync(path, 'utf8');
    } catch {
      return '';
    }
  };
  const ids = readdirSync('/proc/self/task').flatMap((id) =>
    read(`/proc/self/task/${id}/children`).trim().split(' '),
  );
  return ids
    .filter((id) => id !== '')
    .map((id) => read(`/proc/${id}/cmdline`))
    .filter((line) => line.includes('swtpm'));
}

test('a guest has a TPM that the firmware has measured itself into', async () => {
  system = await create(state());
  agent = await start(system);
  expect(await pcr(agent, 0)).toMatch(/^[0-9A-F]{64}$/);
  expect(await pcr(agent, 0)).not.toBe(ZERO);
  expect(await pcr(agent, 16)).toBe(ZERO);
  await extend(agent);
  expect(await pcr(agent, 16)).not.toBe(ZERO);
  await keep(agent, 'kept');
  expect(await kept(agent)).toBe('kept');
});

test('its program has the account of the machine where there is one, and may open the state for it', () => {
  const IS_ROOT = process.getuid?.() === 0;
  const { uid, gid } = vmAccount(runtimeIdOf(system.id));
  const [pid = 0] = programsOf(system.id, 'swtpm');
  const own = [process.getuid?.(), process.getgid?.()];
  expect([statusOf(pid, 'Uid'), statusOf(pid, 'Gid')]).toEqual(
    (IS_ROOT ? [uid, gid] : own).map((id) => Array(4).fill(id).join('\t')),
  );
  expect(statusOf(pid, 'CapEff')).toBe('0000000000000000');
  expect(readFileSync(`/proc/${pid}/environ`, 'utf8').includes(SECRET)).toBe(!IS_ROOT);
  if (!IS_ROOT) return;
  const path = join(folder, 'state.tpm');
  const { uid: owner, mode } = statSync(path);
  // The bits of the group are the list's mask.
  expect([owner, mode & 0o707]).toEqual([0, 0o600]);
  expect(permissionOf(path, 'access', { kind: 'user', id: uid })).toBe(6);
});

test('another machine with the same TPM is refused', async () => {
  expect(programs()).toHaveLength(1);
  const error = await errorOf(() => create(state()));
  expect([error.code, error.message]).toEqual([
    'ERROR_SHARING_VIOLATION',
    expect.stringContaining('another machine uses the TPM'),
  ]);
  expect(programs()).toHaveLength(1);
});

test('of two machines that are made of a new guest state at once, one has its TPM', async () => {
  const guestState = join(folder, 'contended');
  await host.binding.computeCore.HcsCreateEmptyGuestStateFile(guestState);
  const plan = {
    ...{ guestState, isTransient: false },
    tpm: { state: tpmStateOf(guestState) },
  };
  const folders = [WatchedFolder.create(), WatchedFolder.create()];
  const sides = folders.map((one) => new SideProcesses(one));
  try {
    const outcomes = await Promise.allSettled(
      folders.map((one, index) => startTpm(sides[index]!, one, plan)),
    );
    const [failed] = outcomes.filter(({ status }) => status === 'rejected');
    expect(failed).toMatchObject({ reason: { code: 'ERROR_SHARING_VIOLATION' } });
    expect(existsSync(plan.tpm.state)).toBe(true);
    for (const outcome of outcomes) if (outcome.status === 'fulfilled') outcome.value.discard();
    expect(existsSync(plan.tpm.state)).toBe(false);
  } finally {
    for (const side of sides) await side.endAll();
    for (const one of folders) await one.remove();
    rmSync(guestState);
  }
});

test('a saved machine goes on with its TPM, and a transient one leaves the file alone', async () => {
  const path = join(folder, 'saved');
  const extended = await pcr(agent, 16);
  await system.pause();
  await system.save({ SaveType: 'ToFile', SaveStateFilePath: path });
  await system.terminate();
  expect(programs()).toEqual([]);
  expect(readdirSync(folder).sort()).toEqual(['saved', 'state', 'state.tpm']);
  const before = readFileSync(join(folder, 'state.tpm'));

  const transient = { ...state(), ForceTransientState: true };
  system = await create(transient, { SaveStateFilePath: path });
  agent = await start(system);
  expect(await pcr(agent, 16)).toBe(extended);
  expect(await kept(agent)).toBe('kept');
  await write(agent, 'lost');
  expect(await kept(agent)).toBe('lost');
  expect(readFileSync(join(folder, 'state.tpm')).equals(before)).toBe(true);
});

test('clones of a template have TPMs of their own that begin as the template’s', async () => {
  const extended = await pcr(agent, 16);
  await system.pause();
  await system.save({ SaveType: 'AsTemplate' });
  const clone = await create({}, { TemplateSystemId: system.id });
  const other = await start(clone);
  expect(programs()).toHaveLength(2);
  expect(await pcr(other, 16)).toBe(extended);
  expect(await kept(other)).toBe('lost');
  await extend(other);
  expect(await pcr(other, 16)).not.toBe(extended);
  await clone.terminate();
  await system.terminate();
  expect(programs()).toEqual([]);
});

test('what a guest has kept is in the file for the next machine', async () => {
  const program = await findSideProgram('swtpm');
  const watched = WatchedFolder.create();
  const side = await SideProcess.start({
    program,
    folder: watched,
    socket: 'server',
    args: (socket) => [
      ...['socket', '--tpm2', '--tpmstate', `backend-uri=file://${join(folder, 'state.tpm')}`],
      ...['--server', `type=unixio,path=${socket}`, '--flags', 'not-need-init,startup-clear'],
    ],
  });
  const socket = connect(side.socket);
  const send = (text: string): Promise<Buffer> =>
    new Promise((resolve, reject) => {
      socket.once('error', reject).once('data', resolve).write(Buffer.from(text, 'hex'));
    });
  let response = await send(READ);
  // It has not been shut down, which it has to note first (Part 1, 19.8.6).
  if (response.readUInt32BE(6) === RETRY) response = await send(READ);
  expect(response.subarray(16, 20).toString()).toBe('kept');
  socket.destroy();
  await side.end();
  await watched.remove();
});

test('a guest state is revoked with its TPM', async () => {
  await host.binding.computeCore.HcsRevokeVmAccess(systems[0]?.id ?? '', join(folder, 'state'));
  const { uid } = vmAccount(runtimeIdOf(systems[0]?.id ?? ''));
  for (const name of ['state', 'state.tpm']) {
    const entry = { kind: 'user', id: uid } as const;
    expect(permissionOf(join(folder, name), 'access', entry)).toBeUndefined();
  }
});

test('a guest state that was used is refused without its TPM', async () => {
  copyFileSync(join(folder, 'state'), join(folder, 'copy'));
  const error = await errorOf(() => create(state('copy')));
  expect([error.code, error.message]).toEqual([
    'ERROR_FILE_NOT_FOUND',
    expect.stringContaining('copy.tpm" with its TPM is missing'),
  ]);
  writeFileSync(join(folder, 'copy.tpm'), '');
  await (await create(state('copy'))).terminate();
});
