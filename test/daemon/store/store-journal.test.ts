import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { RecordCopies } from '../../../src/daemon/store/record-copies.ts';
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

describe('a store that knows of nothing begins with the copies', () => {
  let copies: RecordCopies;

  /** Systems and settings of a daemon that was killed, whose database was damaged. */
  async function leave(...ids: readonly string[]): Promise<void> {
    const first = new StoreJournal(store, { warn: (text) => void warnings.push(text), copies });
    const before = new InProcessDaemon({}, { journal: first });
    for (const id of ids) await ComputeSystem.create(id, vm(), { core: before.core() });
    first.keepSetting('hcsd', 'machineFolder', '/machines');
    store.close();
    await before.die();
    rmSync(join(folder, 'state.db'));
    for (const name of ['state.db-wal', 'state.db-shm'])
      rmSync(join(folder, name), { force: true });
  }

  function begin(): StoreJournal {
    warnings = [];
    store = StateStore.open(folder);
    return new StoreJournal(store, { warn: (text) => void warnings.push(text), copies });
  }

  beforeEach(() => {
    copies = new RecordCopies(join(folder, 'copies'));
  });

  test('also when it was begun by a daemon that did not get further', async () => {
    await leave('one', 'two');
    StateStore.open(folder).close();
    const next = begin();
    expect(next.records.map(({ id }) => id).sort()).toEqual(['one', 'two']);
    expect(next.setting('machineFolder')).toBe('/machines');
    expect(warnings).toEqual([expect.stringContaining('copies of 2 are there')]);
  });

  test.each(['{', '', `${'0'.repeat(64)}\n{}`])(
    'and tells which of them cannot be read: %j',
    async (content) => {
      await leave('one', 'two');
      const [name = ''] = readdirSync(join(folder, 'copies')).filter(
        (one) => one !== 'settings.copy',
      );
      const damaged = join(folder, 'copies', name);
      writeFileSync(damaged, content);
      expect(begin().records).toHaveLength(1);
      expect(warnings).toEqual([
        expect.stringContaining(`is not known: ${damaged}`),
        expect.stringContaining('copies of 1 are there'),
      ]);
    },
  );

  test('and one that knows of something does not', async () => {
    await leave('one');
    const fresh = StateStore.open(folder);
    fresh.settings.set('machineFolder', '/others');
    fresh.close();
    const next = begin();
    expect([next.records, next.setting('machineFolder')]).toEqual([[], '/others']);
    expect(warnings).toEqual([]);
  });
});
