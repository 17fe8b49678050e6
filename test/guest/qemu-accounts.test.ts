import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runtimeIdOf } from '../../src/compute/system-id.ts';
import type { GuestAgent } from '../../src/engines/qemu/guest-agent.ts';
import { VM_GROUP, vmAccount } from '../../src/engines/qemu/vm-account.ts';
import { permissionOf } from '../../src/ffi/posix-acl.ts';
import type { ComputeCore } from '../../src/hcs/compute-core.ts';
import type { ComputeSystem as Document, RestoreState } from '../../src/hcs/schema/documents.ts';
import { ComputeSystem, DeviceHost } from '../../src/index.ts';
import { errorOf } from '../compute/recording-engine.ts';
import { ImageMaker } from './disk-images.ts';
import { type LinuxTestHost, openLinuxHost } from './linux-test-host.ts';
import { folderOf, processesOf, statusOf } from './machine-processes.ts';

/*
 * What accounts of machines hold where the service is root, and what holds where it is not: machines then have the rights of
 * the service, and grants change nothing.
 */

const IS_ROOT = process.getuid?.() === 0;
const MIB = 1024 * 1024;
const SECRET = 'of the service alone';
const DEVICE = new URL('../host/conformance-devices.ts', import.meta.url);

let folder: string;
let host: LinuxTestHost;
let core: ComputeCore;
let agent: GuestAgent;
let devices: DeviceHost;
let machine: ComputeSystem;
const instanceId = randomUUID();
const templateId = `hdvkit-${randomUUID()}`;
const systems: ComputeSystem[] = [];

const uidOf = (id: string): number =>
  IS_ROOT ? vmAccount(runtimeIdOf(id)).uid : (process.getuid?.() ?? -1);

function image(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, Buffer.alloc(MIB, content), { mode: 0o600 });
  return path;
}

async function create(id: string, RestoreState?: RestoreState): Promise<ComputeSystem> {
  const { VirtualMachine, ...document } = host.document() as Document;
  const Attachments = { '0': { Path: join(folder, 'fixed.img'), ReadOnly: true } };
  const Devices = { ...VirtualMachine?.Devices, Scsi: { disks: { Attachments } } };
  const restore = RestoreState === undefined ? {} : { RestoreState };
  const made = { ...document, VirtualMachine: { ...VirtualMachine, Devices, ...restore } };
  const system = await ComputeSystem.create(id, made, { core });
  systems.push(system);
  return system;
}

/** Refused as Windows refuses a file without the machine's entry, where machines have accounts. */
async function expectRefusal(attempt: () => Promise<unknown>, path: string): Promise<void> {
  if (!IS_ROOT) return void (await attempt());
  const error = await errorOf(attempt);
  expect(error.code).toBe('E_ACCESSDENIED');
  expect(error.reason).toContain(`"${path}"`);
  expect(error.reason).toContain('HcsGrantVmAccess');
}

const pidOf = (id: string): number => processesOf(id)[0] ?? Number.NaN;

/** What a program of an account meets: `'ok'`, or the code of the error, for each attempt. */
function attempts(uid: number, script: string, ...args: string[]): unknown {
  const { stdout, stderr } = spawnSync(process.execPath, ['-e', script, ...args], {
    ...{ encoding: 'utf8', cwd: '/', uid, gid: VM_GROUP },
  });
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout);
}

const OPEN = `const [flags, ...paths] = process.argv.slice(1);
  console.log(JSON.stringify(paths.map((path) => {
    try { require('fs').closeSync(require('fs').openSync(path, flags)); return 'ok'; } catch (e) { return e.code; }
  })));`;
const CONNECT = `const paths = process.argv.slice(1);
  Promise.all(paths.map((path) => new Promise((done) => {
    const socket = require('net').connect(path, () => { socket.destroy(); done('ok'); });
    socket.on('error', (e) => done(e.code));
  }))).then((all) => console.log(JSON.stringify(all)));`;
const KILL = `try { process.kill(Number(process.argv[1]), 0); console.log('["ok"]'); }
  catch (e) { console.log(JSON.stringify([e.code])); }`;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'hdva-'));
  image('fixed.img', 'F');
  process.env.HDVKIT_TEST_SECRET = SECRET;
  host = await openLinuxHost({ modules: ['virtio_pci', 'virtio_scsi', 'sd_mod'] });
  core = host.binding.computeCore;
  await core.HcsGrantVmAccess(templateId, join(folder, 'fixed.img'));
  machine = await create(templateId);
  devices = await DeviceHost.create(machine, {
    binding: host.binding.hdv,
    hostingModel: 'External',
  });
  await devices.attach(DEVICE, { export: 'MsiProbe', instanceId });
  await machine.start();
  agent = await host.agent();
});

afterAll(async () => {
  delete process.env.HDVKIT_TEST_SECRET;
  await devices?.[Symbol.asyncDispose]();
  for (const system of systems) await system[Symbol.asyncDispose]();
  await host?.close();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});

async function run(command: string): Promise<string> {
  const { stdout } = await agent.run(command);
  return stdout.trim();
}

const disk = (lun: number): string =>
  `/dev/$(ls /sys/bus/scsi/devices/*:0:0:${lun}/block | tail -1)`;

async function modify(lun: number, RequestType: 'Add' | 'Remove', Path?: string): Promise<void> {
  await machine.modify({
    ResourcePath: `VirtualMachine/Devices/Scsi/disks/Attachments/${lun}`,
    RequestType,
    ...(Path === undefined ? {} : { Settings: { Path } }),
  });
}

test('QEMU has the account of its machine and no other right, in its sandbox', () => {
  const uid = String(uidOf(templateId));
  expect(statusOf(pidOf(templateId), 'Uid').split('\t')).toEqual([uid, uid, uid, uid]);
  expect(statusOf(pidOf(templateId), 'Seccomp')).toBe('2');
  expect(statusOf(pidOf(templateId), 'NoNewPrivs')).toBe('1');
  expect(statusOf(pidOf(templateId), 'CapEff')).toBe('0000000000000000');
  const own = statSync(folderOf(templateId));
  expect([own.uid, own.mode & 0o777]).toEqual([uidOf(templateId), 0o700]);
  const gid = IS_ROOT ? VM_GROUP : (process.getgid?.() ?? -1);
  expect(statusOf(pidOf(templateId), 'Gid').split('\t')[0]).toBe(String(gid));
  const groups = IS_ROOT ? [] : (process.getgroups?.() ?? []);
  const has = statusOf(pidOf(templateId), 'Groups').split(' ').filter(Boolean).map(Number);
  expect(has.filter((group) => !groups.includes(group))).toEqual([]);
  const environment = readFileSync(`/proc/${pidOf(templateId)}/environ`, 'utf8');
  expect(environment.includes(SECRET)).toBe(!IS_ROOT);
  expect(readFileSync(`/proc/${pidOf(templateId)}/cmdline`, 'utf8')).not.toContain(SECRET);
});

test('a machine is not made with a disk that was not granted to it', async () => {
  const path = join(folder, 'fixed.img');
  await expectRefusal(async () => {
    const made = await create(`hdvkit-${randomUUID()}`);
    await made.terminate();
  }, path);
});

test('a disk that comes later is refused before a grant, there after it, refused after a revoke', async () => {
  const path = image('later.img', 'L');
  if (IS_ROOT) await expectRefusal(() => modify(1, 'Add', path), path);
  await core.HcsGrantVmAccess(templateId, path);
  await modify(1, 'Add', path);
  await expect.poll(() => run(`head -c 3 ${disk(1)}`), { timeout: 60_000 }).toBe('LLL');
  await run(`echo written > ${disk(1)}; sync`);
  expect(readFileSync(path).subarray(0, 7).toString()).toBe('written');
  await modify(1, 'Remove');
  await core.HcsRevokeVmAccess(templateId, path);
  await expectRefusal(() => modify(1, 'Add', path), path);
  if (!IS_ROOT) await modify(1, 'Remove');
});

test('an image is opened with the one below it, which is granted as well', async () => {
  const images = await ImageMaker.start();
  const [base, top] = ['base.qcow2', 'top.qcow2'].map((name) => join(folder, name)) as [
    string,
    string,
  ];
  try {
    await images.create(base, 'qcow2', MIB, 'B');
    await images.create(top, 'qcow2', MIB, '', 'base.qcow2');
  } finally {
    await images.close();
  }
  for (const path of [base, top]) chmodSync(path, 0o600);
  await core.HcsGrantVmAccess(templateId, top);
  if (IS_ROOT) await expectRefusal(() => modify(2, 'Add', top), base);
  await core.HcsGrantVmAccess(templateId, base);
  await modify(2, 'Add', top);
  await expect.poll(() => run(`head -c 3 ${disk(2)}`), { timeout: 60_000 }).toBe('BBB');
  await modify(2, 'Remove');
});

test('the socket of a monitor is the service’s own, in a folder that QEMU cannot search', async () => {
  const place = join(folder, 'monitor');
  mkdirSync(place, { mode: 0o700 });
  const socket = join(place, 'vnc');
  const { VirtualMachine, ...document } = host.document() as Document;
  const VideoMonitor = { ConnectionOptions: { NamedPipe: socket } };
  const Devices = { ...VirtualMachine?.Devices, VideoMonitor };
  const made = { ...document, VirtualMachine: { ...VirtualMachine, Devices } };
  const system = await ComputeSystem.create(`hdvkit-${randomUUID()}`, made, { core });
  try {
    expect(readdirSync(place)).toEqual(['vnc']);
    expect(statSync(socket).uid).toBe(process.getuid?.());
    const viewer = connect(socket);
    const [said] = await once(viewer, 'data');
    expect(String(said)).toMatch(/^RFB 003\./);
    viewer.destroy();
  } finally {
    await system[Symbol.asyncDispose]();
  }
  expect(readdirSync(place)).toEqual([]);
});

test('another machine has nothing of it: no file, no socket, no memory, and not its devices', async () => {
  const own = folderOf(templateId);
  const pid = pidOf(templateId);
  // Num RefCount Protocol Flags Type St Inode Path
  const sockets = readFileSync('/proc/net/unix', 'utf8')
    .split('\n')
    .flatMap((line) => line.split(/\s+/)[7] ?? [])
    .filter((path) => path.startsWith(`${own}/`) || path.startsWith(dirname(devicePath())));
  expect(sockets.length).toBeGreaterThan(0);
  const files = [
    ...readdirSync(own).map((name) => join(own, name)),
    ...[join(folder, 'fixed.img'), `/proc/${pid}/mem`, `/proc/${pid}/fd/3`],
  ];
  if (IS_ROOT) {
    const { uid } = vmAccount(runtimeIdOf('another'));
    expect(attempts(uid, OPEN, 'r', ...files)).toEqual(files.map(() => 'EACCES'));
    expect(attempts(uid, CONNECT, ...sockets)).toEqual(sockets.map(() => 'EACCES'));
    expect(attempts(uid, KILL, String(pid))).toEqual(['EPERM']);
  }
  // What let QEMU connect to the device is taken back.
  for (const path of [...sockets, ...sockets.map((socket) => dirname(socket))]) {
    const entry = { kind: 'user', id: uidOf(templateId) } as const;
    expect(permissionOf(path, 'access', entry)).toBeUndefined();
  }
});

/** The socket of a device of this process. */
function devicePath(): string {
  const own = new Set(
    readdirSync('/proc/self/fd').map((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1];
      } catch {
        return undefined; // The one that listed the folder.
      }
    }),
  );
  const found = readFileSync('/proc/net/unix', 'utf8')
    .split('\n')
    .map((line) => line.split(/\s+/))
    .find(
      ([, , , , , , inode, path]) => own.has(inode) && /\/hdv-\w+\/\d+\.sock$/.test(path ?? ''),
    );
  if (found === undefined) throw new Error('There is no socket of a device');
  return found[7] as string;
}

test('a machine with a device is not saved, as QEMU would lose its state, and it is said which', async () => {
  await machine.pause();
  const saved = join(folder, 'with-device.vmrs');
  for (const options of [{ SaveType: 'AsTemplate' }, { SaveStateFilePath: saved }] as const) {
    const error = await errorOf(() => machine.save(options));
    expect(error.code).toBe('ERROR_NOT_SUPPORTED');
    expect(error.reason).toContain(`it has the device ${instanceId}`);
  }
  expect(readdirSync(folder).filter((name) => name.includes('with-device'))).toEqual([]);
  await machine.resume();
});

test('clones of a template have accounts of their own, and cannot change its memory', async () => {
  await machine.modify({
    ResourcePath: `VirtualMachine/Devices/FlexibleIov/${instanceId}`,
    RequestType: 'Remove',
  });
  await run('echo of the template > /tmp/note');
  await machine.pause();
  await machine.save({ SaveType: 'AsTemplate' });
  const id = `hdvkit-${randomUUID()}`;
  const restore = { TemplateSystemId: templateId };
  const path = join(folder, 'fixed.img');
  if (IS_ROOT) await expectRefusal(() => create(id, restore), path);
  await core.HcsGrantVmAccess(id, path);
  const clone = await create(id, restore);
  await clone.start();
  agent = await host.agent();
  expect(await run(`cat /tmp/note; head -c 3 ${disk(0)}`)).toBe('of the template\nFFF');
  expect(statusOf(pidOf(id), 'Uid').split('\t')[0]).toBe(String(uidOf(id)));
  expect(uidOf(id) === uidOf(templateId)).toBe(!IS_ROOT);
  if (IS_ROOT) {
    const memory = `/proc/${pidOf(id)}/fd/3`;
    expect(attempts(uidOf(id), OPEN, 'r', memory)).toEqual(['ok']);
    expect(attempts(uidOf(id), OPEN, 'r+', memory)).toEqual(['EACCES']);
  }

  await run('echo of the clone > /tmp/note');
  await clone.pause();
  const saved = join(folder, 'saved.vmrs');
  await clone.save({ SaveType: 'ToFile', SaveStateFilePath: saved });
  const { uid, mode } = statSync(saved);
  expect([uid, mode & 0o777]).toEqual([process.getuid?.(), 0o600]);
  const restoredId = `hdvkit-${randomUUID()}`;
  const before = join(folder, 'before.vmrs');
  await core.HcsCreateEmptyRuntimeStateFile(before);
  await core.HcsGrantVmAccess(restoredId, before);
  await clone.save({ SaveType: 'ToFile', SaveStateFilePath: before });
  await clone.terminate();

  await core.HcsGrantVmAccess(restoredId, path);
  const from = { SaveStateFilePath: saved };
  if (IS_ROOT) await expectRefusal(() => create(restoredId, from), saved);
  // What was granted before it was saved to is granted still.
  const restored = await create(restoredId, { SaveStateFilePath: before });
  await restored.start();
  agent = await host.agent();
  expect(await run('cat /tmp/note')).toBe('of the clone');
  expect(statusOf(pidOf(restoredId), 'Uid').split('\t')[0]).toBe(String(uidOf(restoredId)));
  await restored.terminate();
});
