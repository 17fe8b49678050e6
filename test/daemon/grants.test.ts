import { chmodSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runtimeIdOf } from '../../src/compute/system-id.ts';
import type { RemoteService } from '../../src/daemon/remote-service.ts';
import { StateStore } from '../../src/daemon/store/state-store.ts';
import { StoreJournal } from '../../src/daemon/store/store-journal.ts';
import { QemuFiles } from '../../src/engines/qemu/files.ts';
import { vmAccounts } from '../../src/engines/qemu/vm-account.ts';
import { permissionOf } from '../../src/ffi/posix-acl.ts';
import { ComputeSystem } from '../../src/hcs/compute-system.ts';
import { RecordingEngine, vm } from '../compute/recording-engine.ts';
import { InProcessDaemon } from './in-process.ts';

/** Remembers machines, and grants files as QEMU's does. */
class GrantingEngine extends RecordingEngine {
  readonly files = new QemuFiles();
}

let folder: string;
let kernel: string;
let store: StateStore;
let daemon: InProcessDaemon;
let remote: RemoteService;
const made: ComputeSystem[] = [];

function serve(): void {
  store = StateStore.open(join(folder, 'state'));
  const journal = new StoreJournal(store, { warn: (message) => expect(message).toBe('') });
  daemon = new InProcessDaemon({}, { engines: [new GrantingEngine()], journal });
  remote = daemon.remote();
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hcsg-'));
  kernel = join(folder, 'kernel');
  writeFileSync(kernel, '', { mode: 0o600 });
  serve();
});

afterEach(async () => {
  for (const system of made.splice(0)) await system.close();
  await daemon.close();
  store.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Whether the accounts of a system's machine are in the list of a file. */
function isGranted(id: string, path = kernel): boolean {
  return vmAccounts(runtimeIdOf(id)).every(
    ({ uid }) => permissionOf(path, 'access', { kind: 'user', id: uid }) !== undefined,
  );
}

async function create(id: string): Promise<ComputeSystem> {
  await remote.grantUntilEnd(id, kernel);
  const system = await ComputeSystem.create(id, vm(), { core: daemon.core() });
  made.push(system);
  return system;
}

test('a grant until the end goes with its system, and one for good stays', async () => {
  const good = join(folder, 'disk');
  writeFileSync(good, '', { mode: 0o600 });
  await remote.HcsGrantVmAccess('web', good);
  await remote.grantUntilEnd('web', good);
  const system = await create('web');
  await create('db');
  await system.start();
  expect([isGranted('web'), isGranted('db')]).toEqual([true, true]);
  await system.terminate();
  await expect.poll(() => isGranted('web')).toBe(false);
  expect([isGranted('web', good), isGranted('db')]).toEqual([true, true]);
  // As it is when it was said later that it is for good.
  const again = await create('web');
  await remote.HcsGrantVmAccess('web', kernel);
  await again.terminate();
  await remote.HcsRevokeVmAccess('web', good);
  expect([isGranted('web'), isGranted('web', good)]).toEqual([true, false]);
});

test('systems follow each other over a file, whose list is as short afterwards as before', async () => {
  for (let turn = 0; turn < 10; turn++) {
    const id = `vm-${turn % 3}`;
    const system = await create(id);
    expect(isGranted(id)).toBe(true);
    await system.terminate();
    await system.close();
  }
  await expect.poll(() => store.settings.get('grants')).toEqual({});
  expect(['vm-0', 'vm-1', 'vm-2'].map((id) => isGranted(id))).toEqual([false, false, false]);
});

test('a grant to a system that is not created goes with the client that asked for it', async () => {
  await remote.grantUntilEnd('never', kernel);
  expect(isGranted('never')).toBe(true);
  await remote.close();
  await expect.poll(() => isGranted('never')).toBe(false);
  remote = daemon.remote();
  const system = await create('made');
  await remote.close();
  // A look after it, so that the end of the other client was noticed.
  expect(await system.properties()).toMatchObject({ State: 'Created' });
  expect(isGranted('made')).toBe(true);
});

test('the end of one client takes nothing that another one was granted for the same system', async () => {
  const link = join(folder, 'link');
  symlinkSync(kernel, link);
  const other = daemon.remote();
  await remote.grantUntilEnd('web', kernel);
  // As another one writes it.
  await other.grantUntilEnd('web', link);
  await remote.close();
  // A look after it, so that the end was noticed.
  await expect.poll(() => daemon.daemon.sessionCount).toBe(1);
  await other.grantUntilEnd('db', kernel);
  expect([isGranted('web'), isGranted('db')]).toEqual([true, true]);
  await other.close();
  await expect.poll(() => [isGranted('web'), isGranted('db')]).toEqual([false, false]);
  expect(store.settings.get('grants')).toEqual({});
  remote = daemon.remote();
});

test('a file is one file, however its path is written', async () => {
  const link = join(folder, 'link');
  symlinkSync(kernel, link);
  const system = await create('web');
  // For good, so that it stays.
  await remote.HcsGrantVmAccess('web', link);
  expect(store.settings.get('grants')).toEqual({});
  await system.terminate();
  await daemon.service.revokeUnlessThere('web');
  expect(isGranted('web')).toBe(true);
  await remote.HcsRevokeVmAccess('web', `${folder}/../${basename(folder)}/kernel`);
  expect(isGranted('web')).toBe(false);
  // What a link was to is taken back, not what it is to by then.
  await remote.grantUntilEnd('db', link);
  rmSync(link);
  await remote.close();
  await expect.poll(() => isGranted('db')).toBe(false);
  remote = daemon.remote();
});

test('grants that are made and taken back at once follow each other', async () => {
  const { service } = daemon;
  const other = join(folder, 'disk');
  writeFileSync(other, '', { mode: 0o600 });
  // Its client is gone by then.
  const granted = service.grantUntilEnd('never', kernel);
  await service.revokeUnlessThere('never');
  await granted;
  expect(isGranted('never')).toBe(false);
  // One of those that are being taken back is granted for good.
  await service.grantUntilEnd('web', other);
  await service.grantUntilEnd('web', kernel);
  const revoked = service.revokeUnlessThere('web');
  await service.HcsGrantVmAccess('web', kernel);
  await revoked;
  expect([isGranted('web', other), isGranted('web')]).toEqual([false, true]);
  expect(store.settings.get('grants')).toEqual({});
  await service.HcsRevokeVmAccess('web', kernel);
  expect(isGranted('web')).toBe(false);
});

test('the next service takes back what the one before it could not', async () => {
  await remote.grantUntilEnd('gone', kernel);
  const gone = join(folder, 'removed meanwhile');
  writeFileSync(gone, '');
  await remote.grantUntilEnd('gone', gone);
  await create('left');
  const records = daemon.service.records;
  expect(records).toMatchObject([{ id: 'left' }]);
  // As after a kill: nothing of what follows the end of a connection is done.
  const before = daemon;
  store.close();
  rmSync(gone);
  serve();
  try {
    const [outcome] = await daemon.service.takeOver(records);
    // The machine of an engine that takes none over has ended.
    expect(outcome).toMatchObject({ id: 'left', kind: 'ended' });
    expect([isGranted('gone'), isGranted('left')]).toEqual([false, false]);
    expect(store.settings.get('grants')).toEqual({});
  } finally {
    await before.close();
  }
});

test('a file that cannot be granted is told, and not noted', async () => {
  await expect(remote.grantUntilEnd('web', join(folder, 'none'))).rejects.toMatchObject({
    code: 'ERROR_FILE_NOT_FOUND',
    function: 'HcsGrantVmAccess',
  });
  expect(store.settings.get('grants') ?? {}).toEqual({});
  for (const id of ['', undefined as never]) {
    await expect(daemon.service.HcsGrantVmAccess(id, kernel)).rejects.toMatchObject({
      code: 'E_INVALIDARG',
    });
  }
  chmodSync(kernel, 0o640);
  const { mode } = statSync(kernel);
  await remote.grantUntilEnd('web', kernel);
  await remote.close();
  await expect.poll(() => isGranted('web')).toBe(false);
  expect(statSync(kernel).mode).toBe(mode);
});
