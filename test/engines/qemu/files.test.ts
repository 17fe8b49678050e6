import { spawnSync } from 'node:child_process';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { filesOf } from '../../../src/cli/vm/grant-files.ts';
import { DeviceDirectory } from '../../../src/compute/device-directory.ts';
import { ComputeService } from '../../../src/compute/service.ts';
import { runtimeIdOf } from '../../../src/compute/system-id.ts';
import { QemuEngine } from '../../../src/engines/qemu/engine.ts';
import { O_PATH } from '../../../src/engines/qemu/handed-files.ts';
import { type SavedMachine, sealSavedState } from '../../../src/engines/qemu/saved-state.ts';
import {
  releaseAccount,
  takeAccount,
  VM_GROUP,
  vmAccount,
  vmAccounts,
} from '../../../src/engines/qemu/vm-account.ts';
import { STREAM_OFFSET } from '../../../src/engines/saved-state-head.ts';
import { permissionOf } from '../../../src/ffi/posix-acl.ts';
import { findFirmware } from '../../../src/provision/find-firmware.ts';
import { codeOf } from '../../compute/recording-engine.ts';
import { vmFileTests } from '../../compute/vm-files.ts';

const core = (): ComputeService =>
  new ComputeService({ engines: [new QemuEngine()], directory: new DeviceDirectory() });

vmFileTests(core);

const folder = mkdtempSync(join(tmpdir(), 'hdvkit-qemu-files-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('an empty guest state has the variables that the firmware begins with', async () => {
  const path = join(folder, 'a.vmgs');
  await core().HcsCreateEmptyGuestStateFile(path);
  expect(readFileSync(path).equals(readFileSync(findFirmware().variables.path))).toBe(true);
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

test('an empty runtime state has no machine that could go on', async () => {
  const path = join(folder, 'a.vmrs');
  await core().HcsCreateEmptyRuntimeStateFile(path);
  expect(await codeOf(() => core().HcsGetProcessorCompatibilityFromSavedState(path))).toBe(
    'ERROR_INVALID_DATA',
  );
});

test('a saved machine needs the processor that its guest has seen, and none where that was made up', async () => {
  const requirements = async (machine: Partial<SavedMachine>): Promise<unknown> => {
    const path = join(folder, 'machine.vmrs');
    writeFileSync(path, Buffer.alloc(STREAM_OFFSET + 8));
    await sealSavedState(path, machine as SavedMachine);
    const text = await core().HcsGetProcessorCompatibilityFromSavedState(path);
    return JSON.parse(text);
  };
  const processor = { ProcessorFeatures: ['Sse3' as const], CacheLineFlushSize: 64 };
  expect(await requirements({ accelerator: 'kvm', processor })).toEqual(processor);
  expect(await requirements({ accelerator: 'tcg', processor })).toEqual({
    ProcessorFeatures: [],
    XsaveProcessorFeatures: [],
  });
  expect(await codeOf(() => requirements({ accelerator: 'kvm' }))).toBe('ERROR_NOT_SUPPORTED');
});

test('the account of a machine follows from its id, and is of nobody else', () => {
  const id = '0f6c8a2e-5b1d-4c3e-8f70-2a9b4d6e8c01';
  expect(vmAccount(id.toUpperCase())).toEqual(vmAccount(id));
  const uids = new Set(
    Array.from({ length: 100 }, (_, i) => vmAccount(runtimeIdOf(`vm ${i}`)).uid),
  );
  expect(uids.size).toBe(100);
  for (const uid of uids) {
    expect(uid).toBeGreaterThan(VM_GROUP);
    expect(uid).toBeLessThan(2 ** 31);
  }
});

test('a grant lets the account of the machine in, and a revoke out again', async () => {
  const path = join(folder, 'disk.raw');
  writeFileSync(path, 'disk', { mode: 0o640 });
  const entry = { kind: 'user', id: vmAccount(runtimeIdOf('granted')).uid } as const;
  const other = { kind: 'user', id: vmAccount(runtimeIdOf('other')).uid } as const;
  await core().HcsGrantVmAccess('granted', path);
  await core().HcsGrantVmAccess('other', path);
  await core().HcsGrantVmAccess('granted', path);
  expect(permissionOf(path, 'access', entry)).toBe(6);
  await core().HcsRevokeVmAccess('granted', path);
  await core().HcsRevokeVmAccess('granted', path);
  expect(permissionOf(path, 'access', entry)).toBeUndefined();
  expect(permissionOf(path, 'access', other)).toBe(6);
  await core().HcsRevokeVmAccess('other', path);
  expect(statSync(path).mode & 0o777).toBe(0o640);
});

test('the group may read a folder with what is in it, and with what comes later', async () => {
  const root = join(folder, 'shared');
  mkdirSync(join(root, 'inner'), { recursive: true, mode: 0o700 });
  const file = join(root, 'inner', 'file');
  writeFileSync(file, '', { mode: 0o600 });
  const entry = { kind: 'group', id: VM_GROUP } as const;
  await core().HcsGrantVmGroupAccess(root);
  const later = join(root, 'inner', 'later');
  writeFileSync(later, '', { mode: 0o644 });
  expect([root, file, later].map((path) => permissionOf(path, 'access', entry))).toEqual([5, 4, 5]);
  await core().HcsRevokeVmGroupAccess(root);
  const paths = [root, join(root, 'inner'), file, later];
  expect(paths.map((path) => permissionOf(path, 'access', entry))).toEqual(
    paths.map(() => undefined),
  );
  expect(permissionOf(root, 'default', entry)).toBeUndefined();
});

/**
 * What a process of the account of a machine gets to see of a file that it is handed as QEMU is: by a descriptor that opens
 * nothing. Root only: nobody else can take an account.
 */
function readAs(systemId: string, path: string): string {
  const { uid, gid } = vmAccount(runtimeIdOf(systemId));
  const fd = openSync(path, O_PATH);
  try {
    const { status, stdout, stderr } = spawnSync('cat', ['/proc/self/fd/3'], {
      ...{ uid, gid, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe', fd] },
    });
    if (status === 0) return stdout;
    return stderr.includes('Permission denied') ? 'denied' : stderr;
  } finally {
    closeSync(fd);
  }
}

test('a grant counts whatever folders are above a file, which stay closed, for the account of the machine alone', async () => {
  const root = join(folder, 'closed');
  mkdirSync(root, { mode: 0o700 });
  const path = join(root, 'disk.raw');
  writeFileSync(path, 'disk', { mode: 0o600 });
  const isRoot = process.getuid?.() === 0;
  const seen = (id: string): string => (isRoot ? readAs(id, path) : 'not root');
  expect(seen('opens')).toBe(isRoot ? 'denied' : 'not root');
  await core().HcsGrantVmAccess('opens', path);
  const [first, second] = vmAccounts(runtimeIdOf('opens'));
  // Whichever of its accounts the machine will have.
  for (const { uid } of [first, second]) {
    const entry = { kind: 'user', id: uid } as const;
    expect(permissionOf(path, 'access', entry)).toBe(6);
    expect(permissionOf(root, 'access', entry)).toBeUndefined();
  }
  expect(seen('opens')).toBe(isRoot ? 'disk' : 'not root');
  expect(seen('other')).toBe(isRoot ? 'denied' : 'not root');
  await core().HcsRevokeVmAccess('opens', path);
  expect(seen('opens')).toBe(isRoot ? 'denied' : 'not root');
});

test('a folder is granted to a machine with what is in it, and with what comes later', async () => {
  const root = join(folder, 'whole');
  mkdirSync(join(root, 'inner'), { recursive: true, mode: 0o700 });
  const file = join(root, 'inner', 'file');
  writeFileSync(file, '', { mode: 0o600 });
  const entry = { kind: 'user', id: vmAccount(runtimeIdOf('whole')).uid } as const;
  const outside = join(folder, 'outside');
  writeFileSync(outside, '', { mode: 0o600 });
  symlinkSync(outside, join(root, 'link'));
  await core().HcsGrantVmAccess('whole', root);
  expect(permissionOf(outside, 'access', entry)).toBeUndefined();
  const later = join(root, 'inner', 'later');
  writeFileSync(later, '', { mode: 0o664 });
  expect([root, file, later].map((path) => permissionOf(path, 'access', entry))).toEqual([7, 6, 7]);
  await core().HcsRevokeVmAccess('whole', root);
  const rights = [root, file, later].map((path) => permissionOf(path, 'access', entry));
  expect(rights).toEqual([undefined, undefined, undefined]);
});

test('grants of many processes at once to one file are all kept', async () => {
  const path = join(folder, 'popular');
  writeFileSync(path, '', { mode: 0o600 });
  const ids = Array.from({ length: 20 }, (_, i) => `popular ${i}`);
  await Promise.all(ids.map((id) => core().HcsGrantVmAccess(id, path)));
  const granted = ids.filter((id) => {
    const entry = { kind: 'user', id: vmAccount(runtimeIdOf(id)).uid } as const;
    return permissionOf(path, 'access', entry) === 6;
  });
  expect(granted).toEqual(ids);
});

test('a machine whose account is taken gets its other one, and none when both are', () => {
  const runtimeId = '5a1f6a52-1f5e-4b53-9f1c-7a2b6d3c9e10';
  const [first, second] = vmAccounts(runtimeId);
  const one = takeAccount(runtimeId);
  const other = takeAccount(runtimeId);
  expect([one, other]).toEqual([first, second]);
  expect(() => takeAccount(runtimeId)).toThrow(
    `Cannot give the machine an account: other machines run with the uids ${first.uid} and ${second.uid}`,
  );
  releaseAccount(one);
  expect(takeAccount(runtimeId)).toEqual(first);
  releaseAccount(first);
  releaseAccount(second);
});

test('a file whose access control list is full is told, and how to make room', async () => {
  const path = join(folder, 'granted.img');
  writeFileSync(path, '');
  const grantMany = async (): Promise<void> => {
    // The largest value that Linux gives an attribute (64 KiB) has 8,191 entries; a grant is two.
    for (let i = 0; i < 4100; i++) await core().HcsGrantVmAccess(`granted-${i}`, path);
  };
  await expect(grantMany()).rejects.toMatchObject({
    code: 'ERROR_DISK_FULL',
    reason: expect.stringContaining('setfacl -b'),
  });
});

test('what every machine may read needs no grant of its own to boot from', async () => {
  const kernel = join(folder, 'kernel');
  const disk = join(folder, 'disk.vhd');
  for (const path of [kernel, disk]) writeFileSync(path, '');
  const files = (): readonly string[] =>
    filesOf({
      VirtualMachine: {
        Chipset: { LinuxKernelDirect: { KernelFilePath: kernel } },
        Devices: { Scsi: { a: { Attachments: { '0': { Path: disk } } } } },
      },
    });
  expect(files()).toEqual([kernel, disk]);
  for (const path of [kernel, disk]) await core().HcsGrantVmGroupAccess(path);
  expect(files()).toEqual([disk]); // The machine writes to it.
  await core().HcsRevokeVmGroupAccess(kernel);
  expect(files()).toEqual([kernel, disk]);
});
