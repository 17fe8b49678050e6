import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { StateStore } from '../../../src/daemon/store/state-store.ts';
import { StoreJournal } from '../../../src/daemon/store/store-journal.ts';
import { ComputeSystem } from '../../../src/hcs/compute-system.ts';
import { codeOf, vm } from '../../compute/recording-engine.ts';
import { InProcessDaemon } from '../in-process.ts';

let folder: string;
let store: StateStore;
let journal: StoreJournal;
let daemon: InProcessDaemon;
let warnings: string[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hcsj-'));
  warnings = [];
  store = StateStore.open(folder);
  journal = new StoreJournal(store, { warn: (message) => void warnings.push(message) });
  daemon = new InProcessDaemon({}, { journal });
});

afterEach(async () => {
  await daemon.close();
  store.close();
  rmSync(folder, { recursive: true, force: true });
});

test('each change is stored when its call is done, and nothing is left of a system that ended', async () => {
  const core = daemon.core();
  const release = daemon.engine.hold('create');
  const creating = ComputeSystem.create('vm', vm(), { core });
  await expect.poll(() => journal.records).toMatchObject([{ id: 'vm', state: 'Creating' }]);
  release();
  const system = await creating;
  const state = (): unknown => journal.records.map((record) => record.state);
  expect(state()).toEqual(['Created']);
  await system.start();
  expect(state()).toEqual(['Running']);
  await system.pause();
  expect(state()).toEqual(['Paused']);
  expect(journal.records[0]?.securityDescriptor).toContain('D:(A;;GA;;;');
  await system.terminate();
  // Until whoever holds it has heard of it.
  expect(journal.records).toMatchObject([{ state: 'Stopped', exit: { ExitType: 'ForcedExit' } }]);
  await system.close();
  await expect.poll(() => journal.records).toEqual([]);
});

test('a system that cannot be stored is not created, and one that was built by then is ended', async () => {
  const core = daemon.core();
  const release = daemon.engine.hold('create');
  const creating = codeOf(() => ComputeSystem.create('vm', vm(), { core }));
  await expect.poll(() => journal.records.length).toBe(1);
  store.close();
  release();
  expect(await creating).toBe('E_FAIL');
  expect(daemon.engine.log).toEqual(['create', 'terminate']);
  expect(await codeOf(() => ComputeSystem.create('next', vm(), { core }))).toBe('E_FAIL');
  expect(daemon.engine.log).toEqual(['create', 'terminate']);
  expect(warnings).toEqual([expect.stringContaining('The state of system vm is not stored')]);
});
