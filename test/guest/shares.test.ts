import { randomUUID } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { needsGrants } from '../../src/cli/vm/grant-files.ts';
import { runtimeIdOf } from '../../src/compute/system-id.ts';
import type { GuestAgent } from '../../src/engines/qemu/guest-agent.ts';
import { vmAccount } from '../../src/engines/qemu/vm-account.ts';
import type {
  ComputeSystem as Document,
  Plan9Share,
  RestoreState,
  VirtualSmbShare,
} from '../../src/hcs/schema/documents.ts';
import { ComputeSystem } from '../../src/index.ts';
import { errorOf } from '../compute/recording-engine.ts';
import { grantDocument, type LinuxTestHost, openLinuxHost } from './linux-test-host.ts';
import { processes, statusOf } from './machine-processes.ts';

/** A loaded machine takes its time. */
const PATIENCE = { timeout: 60_000, interval: 100 };

let folder: string;
let host: LinuxTestHost;
let system: ComputeSystem;
let agent: GuestAgent;
const systems: ComputeSystem[] = [];

/** A folder of this machine for a share. */
function place(name: string): string {
  const path = join(folder, name);
  mkdirSync(path, { recursive: true });
  return path;
}

const data = (): VirtualSmbShare => ({ Name: 'data', Path: place('data') });
const fixed = (): VirtualSmbShare => ({
  Name: 'fixed',
  Path: place('fixed'),
  Options: { ReadOnly: true, ShareRead: true, CacheIo: true, PseudoOplocks: true },
});

interface Shares {
  readonly smb?: readonly VirtualSmbShare[];
  readonly plan9?: readonly Plan9Share[];
}

async function create(shares: Shares, RestoreState?: RestoreState): Promise<ComputeSystem> {
  const { VirtualMachine, ...document } = host.document() as Document;
  const { smb, plan9 } = shares;
  const id = `hdvkit-${randomUUID()}`;
  const core = host.binding.computeCore;
  const made: Document = {
    ...document,
    VirtualMachine: {
      ...VirtualMachine,
      Devices: {
        ...VirtualMachine?.Devices,
        ...(smb === undefined ? {} : { VirtualSmb: { Shares: smb } }),
        ...(plan9 === undefined ? {} : { Plan9: { Shares: plan9 } }),
      },
      ...(RestoreState === undefined ? {} : { RestoreState }),
    },
  };
  await grantDocument(core, id, made);
  const created = await ComputeSystem.create(id, made, { core });
  systems.push(created);
  return created;
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'hdvf-'));
  chmodSync(folder, 0o711); // The program that serves a share finds it by its path.
  host = await openLinuxHost({ modules: ['virtio_pci', 'virtiofs'] });
  writeFileSync(join(place('fixed'), 'note'), 'fixed');
  system = await create({ smb: [fixed()] });
  // Before the start, a share comes as it does later.
  await modify('VirtualSmb', 'Add', data());
  await system.start();
  agent = await host.agent();
  await run('mkdir -p /data /fixed /later && mount -t virtiofs data /data');
  await run('mount -t virtiofs fixed /fixed');
});

afterAll(async () => {
  for (const one of systems) await one[Symbol.asyncDispose]();
  await host?.close();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});

/** What a command in the guest prints, with its errors. */
async function run(command: string): Promise<string> {
  const { stdout, stderr } = await agent.run(command);
  return (stdout + stderr).trim();
}

async function modify(
  kind: 'Plan9' | 'VirtualSmb',
  RequestType: 'Add' | 'Remove' | 'Update',
  Settings: VirtualSmbShare | Plan9Share,
): Promise<void> {
  if (Settings.Path !== undefined && needsGrants('linux') && existsSync(Settings.Path)) {
    await host.binding.computeCore.HcsGrantVmAccess(system.id, Settings.Path);
  }
  await modifyUngranted(kind, RequestType, Settings);
}

function modifyUngranted(
  kind: 'Plan9' | 'VirtualSmb',
  RequestType: 'Add' | 'Remove' | 'Update',
  Settings: VirtualSmbShare | Plan9Share,
): Promise<void> {
  const ResourcePath = `VirtualMachine/Devices/${kind}/Shares`;
  return system.modify({ ResourcePath, RequestType, Settings });
}

/** Ids of the processes that serve a folder of this test; those that they forked are not counted. */
function serving(name: string): readonly number[] {
  const path = join(folder, name);
  const all = processes((id) => {
    const args = readFileSync(`/proc/${id}/cmdline`, 'utf8').split('\0');
    return args.includes('--shared-dir') && args.includes(path);
  });
  // One that has ended since then is none.
  return processes((id) => all.includes(id) && !all.includes(Number(statusOf(id, 'PPid'))));
}

test('the program of a share has the account of the machine where there is one, and opens what that may', async () => {
  const isRoot = process.getuid?.() === 0;
  const uid = isRoot ? vmAccount(runtimeIdOf(system.id)).uid : (process.getuid?.() ?? -1);
  const [pid = 0] = serving('data');
  expect(statusOf(pid, 'Uid')).toBe(Array(4).fill(uid).join('\t'));
  // Moved into the folder: nothing was granted to the machine, nor inherited.
  writeFileSync(join(folder, 'moved'), 'of the host alone', { mode: 0o600 });
  renameSync(join(folder, 'moved'), join(folder, 'data/moved'));
  const read = await run('cat /data/moved');
  if (isRoot) expect(read).toMatch(/Permission denied/);
  else expect(read).toBe('of the host alone');
  if (!isRoot) return; // Only root of the guest can write then.
  const named = 'mkdir -p /etc && echo user:x:1000:1000::/:/bin/sh >> /etc/passwd';
  const user = "start-stop-daemon -S -n user -a /bin/sh -c user -- -c 'echo user > all/written'";
  expect(await run(`${named}; mkdir -m 777 /data/all && cd /data && ${user}`)).toBe('');
  const written = join(folder, 'data/all/written');
  await expect.poll(() => existsSync(written) && readFileSync(written, 'utf8')).toBe('user\n');
  expect(statSync(written).uid).toBe(uid);
  expect(await run('stat -c %u /data/all/written')).toBe('0');
});

test('a folder that the account of the machine does not reach is refused, or served by the service, and that is said', async () => {
  if (process.getuid?.() !== 0) return; // There are no accounts.
  const closed = place('closed');
  chmodSync(closed, 0o700);
  const refused = await errorOf(() =>
    modify('VirtualSmb', 'Add', { Name: 'inner', Path: place('closed/inner') }),
  );
  expect(refused).toMatchObject({ code: 'E_ACCESSDENIED' });
  expect(refused.message).toMatch(/may not search the folders above; .*HDVKIT_SHARES_AS_SERVICE=1/);
  expect(serving('closed/inner')).toEqual([]);
  process.env.HDVKIT_SHARES_AS_SERVICE = '1';
  const warnings: string[] = [];
  const listen = ({ message }: Error): void => {
    if (message.includes('is served')) warnings.push(message);
  };
  process.on('warning', listen);
  await modify('VirtualSmb', 'Add', { Name: 'inner', Path: place('closed/inner') });
  expect(serving('closed/inner').map((pid) => statusOf(pid, 'Uid'))).toEqual(['0\t0\t0\t0']);
  await modify('VirtualSmb', 'Remove', { Name: 'inner' });
  delete process.env.HDVKIT_SHARES_AS_SERVICE;
  process.off('warning', listen);
  expect(warnings).toEqual([
    expect.stringMatching(
      /closed\/inner" is served with the rights of the service.*may not search/,
    ),
  ]);
});

test('guest and host read what the other wrote in a share', async () => {
  writeFileSync(join(folder, 'data/from-host'), 'of the host');
  expect(await run('cat /data/from-host')).toBe('of the host');
  await run('mkdir /data/inner && echo of the guest > /data/inner/from-guest');
  expect(readFileSync(join(folder, 'data/inner/from-guest'), 'utf8')).toBe('of the guest\n');
  rmSync(join(folder, 'data/inner'), { recursive: true });
});

test('the guest reads a read-only share, and cannot write it', async () => {
  expect(await run('cat /fixed/note')).toBe('fixed');
  expect(await run('echo changed > /fixed/note')).toMatch(/Read-only file system/);
  expect(await run('rm /fixed/note')).toMatch(/Read-only file system/);
  expect(readFileSync(join(folder, 'fixed/note'), 'utf8')).toBe('fixed');
});

test('a folder that was not granted is not shared where machines have accounts of their own', async () => {
  if (!needsGrants('linux')) {
    await modifyUngranted('VirtualSmb', 'Add', { Name: 'own', Path: place('own') });
    await modifyUngranted('VirtualSmb', 'Remove', { Name: 'own' });
    return;
  }
  for (const kind of ['VirtualSmb', 'Plan9'] as const) {
    const share = { Name: 'secret', Path: place('secret') };
    const error = await errorOf(() => modifyUngranted(kind, 'Add', share));
    expect([error.code, error.message]).toEqual([
      'E_ACCESSDENIED',
      expect.stringMatching(/Path is ".*secret".*HcsGrantVmAccess/),
    ]);
  }
});

test('shares of both kinds come to the running machine, and go', async () => {
  const smb = { Name: 'later', Path: place('later') };
  const plan9 = { Name: 'x', AccessName: 'more', Path: place('more'), Port: 564, Flags: 1 };
  writeFileSync(join(folder, 'more/note'), 'of Plan9');
  await modify('VirtualSmb', 'Add', smb);
  await modify('Plan9', 'Add', plan9);
  await expect.poll(() => run('mount -t virtiofs later /later'), PATIENCE).toBe('');
  await run('echo here > /later/note; umount /later');
  expect(readFileSync(join(folder, 'later/note'), 'utf8')).toBe('here\n');
  await expect.poll(() => run('mount -t virtiofs more /later'), PATIENCE).toBe('');
  expect(await run('cat /later/note; touch /later/x')).toMatch(/of Plan9.*Read-only/);
  expect((await errorOf(() => modify('Plan9', 'Add', plan9))).code).toBe('ERROR_ALREADY_EXISTS');
  await run('umount /later');
  expect([serving('later').length, serving('more').length]).toEqual([1, 1]);
  await modify('VirtualSmb', 'Remove', { Name: 'later' });
  await modify('Plan9', 'Remove', { Name: 'x', AccessName: 'more', Port: 564 });
  expect([...serving('later'), ...serving('more')]).toEqual([]);
  expect(await run('mount -t virtiofs later /later')).not.toBe('');
  const again = await errorOf(() => modify('VirtualSmb', 'Remove', { Name: 'later' }));
  expect(again.code).toBe('ERROR_NOT_FOUND');
});

test('what a share cannot be is refused by its field', async () => {
  const share = data();
  await modify('VirtualSmb', 'Update', share);
  for (const [kind, request, settings, code, message] of [
    [
      'VirtualSmb',
      'Update',
      { ...share, AllowedFiles: ['a'] },
      'E_NOTIMPL',
      'Settings.AllowedFiles',
    ],
    [
      'VirtualSmb',
      'Update',
      { ...share, Path: place('x') },
      'ERROR_NOT_SUPPORTED',
      'Path of share',
    ],
    [
      'VirtualSmb',
      'Update',
      { ...share, Options: { ReadOnly: true } },
      'ERROR_NOT_SUPPORTED',
      'ReadOnly of share "data" is false and cannot become true',
    ],
    [
      'VirtualSmb',
      'Add',
      { Name: 'a', Path: folder, Options: { SingleFileMapping: true } },
      'E_NOTIMPL',
      'Settings.Options.SingleFileMapping',
    ],
    ['VirtualSmb', 'Add', { Name: 'a/b', Path: folder }, 'E_INVALIDARG', 'Name is "a/b"'],
    ['Plan9', 'Add', { Name: 'a', Path: '/nowhere/a' }, 'ERROR_FILE_NOT_FOUND', 'no such folder'],
    ['Plan9', 'Add', { Name: 'a', Path: folder, Flags: 0x40 }, 'E_NOTIMPL', 'flags 0x40'],
    ['Plan9', 'Remove', { Name: 'data' }, 'ERROR_NOT_FOUND', 'no Plan9 share "data"'],
  ] as const) {
    const error = await errorOf(() => modify(kind, request, settings));
    expect([error.code, error.message]).toEqual([code, expect.stringContaining(message)]);
  }
});

test('a machine with mounted shares is saved, goes on, and is restored with files open', async () => {
  const plan9 = { Name: 'more', Path: place('more') };
  const path = join(folder, 'state');
  await modify('Plan9', 'Add', plan9);
  await expect.poll(() => run('mount -t virtiofs more /later'), PATIENCE).toBe('');
  await run(
    '(while [ ! -e /tmp/go ]; do sleep 0.1; done; echo end) > /data/open & echo go on > /later/kept',
  );
  await system.pause();
  await system.save({ SaveType: 'ToFile', SaveStateFilePath: path });
  await system.resume();
  expect(await run('echo after > /data/after; cat /data/after /fixed/note')).toBe('after\nfixed');
  await system.terminate();
  expect([...serving('data'), ...serving('more')]).toEqual([]);

  const shares = { smb: [fixed(), data()], plan9: [plan9] };
  const error = await errorOf(() => create({ smb: [data()] }, { SaveStateFilePath: path }));
  expect(error.code).toBe('ERROR_VID_SAVED_STATE_INCOMPATIBLE');
  system = await create(shares, { SaveStateFilePath: path });
  await system.start();
  agent = await host.agent();
  expect(await run('cat /later/kept /fixed/note')).toBe('go on\nfixed');
  await run('touch /tmp/go');
  await expect.poll(() => readFileSync(join(folder, 'data/open'), 'utf8'), PATIENCE).toBe('end\n');
});

test('a machine ends when a program that serves it is killed, and says which', async () => {
  const before = serving('more');
  const shares = { smb: [data(), fixed()], plan9: [{ Name: 'more', Path: place('more') }] };
  const other = await create(shares, { SaveStateFilePath: join(folder, 'state') });
  await other.start();
  const servers = serving('more').filter((id) => !before.includes(id));
  expect(servers).toHaveLength(1);
  const exited = other.exited;
  for (const server of servers) process.kill(server, 'SIGKILL');
  expect(await exited).toMatchObject({
    ExitType: 'UnexpectedExit',
    Detail: expect.stringContaining('virtiofsd ended: signal SIGKILL'),
  });
  expect(serving('more')).toEqual(before);
});

test('templates and clones are refused shares whose server would need their memory', async () => {
  await system.pause();
  const template = { SaveType: 'AsTemplate' } as const;
  const error = await errorOf(() => system.save(template));
  expect(error.code).toBe('ERROR_NOT_SUPPORTED');
  expect(error.message).toContain('as it has the Plan9 share "more"');
  await system.resume();
  await run('umount /data /fixed /later');
  await modify('VirtualSmb', 'Remove', { Name: 'data' });
  await modify('VirtualSmb', 'Remove', { Name: 'fixed' });
  await modify('Plan9', 'Remove', { Name: 'more' });
  await system.pause();
  await system.save(template);
  const restore = { TemplateSystemId: system.id };
  const refused = await errorOf(() => create({ smb: [data()] }, restore));
  expect([refused.code, refused.message]).toEqual([
    'ERROR_NOT_SUPPORTED',
    expect.stringContaining('a clone cannot have the VirtualSmb share "data"'),
  ]);
  system = await create({}, restore);
  await system.start();
  const later = await errorOf(() => modify('VirtualSmb', 'Add', data()));
  expect([later.code, later.message]).toEqual([
    'ERROR_NOT_SUPPORTED',
    expect.stringContaining('a clone cannot have the VirtualSmb share "data"'),
  ]);
});
