import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'libsql';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { SystemRecord } from '../../../src/daemon/store/records.ts';
import { DATABASE_NAME, StateStore } from '../../../src/daemon/store/state-store.ts';
import { StoreError } from '../../../src/daemon/store/store-error.ts';

const KEY = { space: '', id: 'vm' };
const SYSTEM: SystemRecord = {
  ...KEY,
  runtimeId: '6fbc3ed2-0d3c-5f0a-9f3e-000000000002',
  owner: 1000,
  sddl: 'O:S-1-22-1-1000D:(A;;GA;;;S-1-22-1-1000)',
  createdDocument: '{"Owner":"test"}',
  document: '{"Owner":"test"}',
  engine: 'qemu',
  state: 'Creating',
};

let folder: string;
let store: StateStore;
let warnings: string[];

const open = (): StateStore => StateStore.open(folder, { warn: (text) => warnings.push(text) });
const reopen = (): void => {
  store.close();
  store = open();
};
const path = (): string => join(folder, DATABASE_NAME);
const kindOf = (work: () => unknown): string | undefined => {
  try {
    work();
  } catch (error) {
    return error instanceof StoreError ? error.kind : String(error);
  }
  return undefined;
};

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hdvkit-store-'));
  warnings = [];
  store = open();
});
afterEach(() => {
  store.close();
  rmSync(folder, { recursive: true, force: true });
});

describe('a system in the store', () => {
  test('is there with all it was given after the store was opened again', () => {
    const whole: SystemRecord = {
      ...SYSTEM,
      exit: { Status: 0, ExitType: 'GracefulExit', Detail: `in 'saved "one"😀` },
      engineRecord: { pid: 4711, sockets: ['/run/é\u0000\ud800'], nothing: null },
    };
    store.systems.add(whole);
    reopen();
    expect(store.systems.get(KEY)).toEqual(whole);
    expect(store.systems.all()).toEqual([whole]);
  });

  test('keeps what a change does not name, and loses what it clears', () => {
    store.systems.add({ ...SYSTEM, exit: { Status: 0 }, engineRecord: { pid: 1 } });
    store.systems.change(KEY, { state: 'Running', exit: undefined });
    expect(store.systems.get(KEY)).toMatchObject({ state: 'Running', engineRecord: { pid: 1 } });
    expect(store.systems.get(KEY)?.exit).toBeUndefined();
  });

  test('has its id alone in its space', () => {
    store.systems.add(SYSTEM);
    expect(kindOf(() => store.systems.add(SYSTEM))).toBe('conflict');
    store.systems.add({ ...SYSTEM, space: 'other' });
    expect(store.systems.all().map(({ space }) => space)).toEqual(['', 'other']);
  });

  test('cannot be changed when it is not there', () => {
    expect(kindOf(() => store.systems.change(KEY, { state: 'Running' }))).toBe('conflict');
    expect(store.systems.remove(KEY)).toBe(false);
  });

  test.each(['a\0b', 'a\ud800b'])(
    'is refused with the id %j, which would be stored as another',
    (id) => {
      expect(kindOf(() => store.systems.add({ ...SYSTEM, id }))).toBe('failed');
      expect(kindOf(() => store.systems.get({ space: '', id }))).toBe('failed');
      expect(store.systems.all()).toEqual([]);
    },
  );

  test('is refused with a document that is no JSON, and nothing of it is stored', () => {
    expect(kindOf(() => store.systems.add({ ...SYSTEM, document: '{' }))).toBe('conflict');
    expect(store.systems.all()).toEqual([]);
  });
});

describe('operations and resources in the store', () => {
  test('an operation is there until it ends', () => {
    const first = store.operations.begin(KEY, 'HcsSaveComputeSystem', { path: '/a' });
    reopen();
    expect(store.operations.all(KEY)).toEqual([first]);
    store.operations.end(first.number);
    expect(store.operations.all()).toEqual([]);
    expect(store.operations.begin(KEY, 'HcsStartComputeSystem').number).toBeGreaterThan(
      first.number,
    );
  });

  test('operations go with their system, resources stay as orphans, as those of one that has ended', () => {
    store.systems.add(SYSTEM);
    store.operations.begin(KEY, 'HcsStartComputeSystem');
    const part = { kind: 'file', name: '/saved.part', system: KEY };
    store.resources.add(part);
    expect(store.resources.orphans()).toEqual([]);
    store.systems.change(KEY, { exit: { Status: 0 } });
    expect(store.resources.orphans()).toEqual([part]);
    store.systems.remove(KEY);
    expect(store.operations.all()).toEqual([]);
    expect(store.resources.orphans()).toEqual([part]);
    expect(store.resources.remove('file', '/saved.part')).toBe(true);
    expect(store.resources.all(KEY)).toEqual([]);
  });

  test('several changes are stored together or not at all', () => {
    const change = (): void =>
      store.transaction(() => {
        store.systems.add(SYSTEM);
        store.operations.begin(KEY, 'HcsCreateComputeSystem');
        throw new Error('changed its mind');
      });
    expect(change).toThrow('changed its mind');
    expect([store.systems.all(), store.operations.all()]).toEqual([[], []]);
  });

  test('a part of a transaction can fail alone', () => {
    store.transaction(() => {
      store.systems.add(SYSTEM);
      expect(
        kindOf(() =>
          store.transaction(() => {
            store.systems.change(KEY, { state: 'Running' });
            store.systems.add(SYSTEM);
          }),
        ),
      ).toBe('conflict');
    });
    reopen();
    expect(store.systems.get(KEY)?.state).toBe('Creating');
  });
});

describe('the database of the store', () => {
  test('of version 1 comes to the newest version with what it has', () => {
    store.close();
    rmSync(path());
    const old = new Database(path());
    old.exec(readFileSync(new URL('version-1.sql', import.meta.url), 'utf8'));
    old.close();
    store = open();
    expect(store.systems.get({ space: '', id: 'old' })).toMatchObject({
      owner: 1000,
      state: 'Running',
      engineRecord: { pid: 42 },
    });
    expect(store.operations.all()[0]).toMatchObject({ number: 7, details: { path: '/saved' } });
    store.resources.add({ kind: 'file', name: '/saved', system: KEY });
    expect(store.operations.begin(KEY, 'HcsStartComputeSystem').number).toBe(8);
    expect(warnings).toEqual([]);
  });

  test.each([
    ['a later version', 'PRAGMA application_id = 0x68637364; PRAGMA user_version = 1000'],
    ['another program', 'PRAGMA application_id = 77; CREATE TABLE theirs (a)'],
    ['a program that says no name', 'CREATE TABLE theirs (a)'],
  ])('of %s is refused and left as it is', (_of, sql) => {
    store.close();
    rmSync(path());
    const other = new Database(path());
    other.exec(sql);
    other.close();
    const before = readFileSync(path());
    expect(kindOf(open)).toBe('foreign');
    expect(readFileSync(path())).toEqual(before);
    rmSync(path());
  });

  test.each([
    ['is no database', () => writeFileSync(path(), Buffer.alloc(8192, 0x41))],
    ['has lost its end', () => truncateSync(path(), statSync(path()).size - 4096)],
    [
      'has a page of garbage',
      () => {
        const bytes = readFileSync(path());
        bytes.fill(0xaa, 4096, 3 * 4096);
        writeFileSync(path(), bytes);
      },
    ],
  ])('that %s is kept aside, told, and followed by a fresh one', (_how, damage) => {
    store.systems.add(SYSTEM);
    store.close();
    damage();
    const bytes = readFileSync(path());
    store = open();
    expect(store.systems.all()).toEqual([]);
    expect(store.damaged).toMatch(/state\.db\.damaged-\d{4}-\d\d-\d\dT/);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain(store.damaged);
    expect(readFileSync(store.damaged!)).toEqual(bytes);
    store.systems.add(SYSTEM);
    reopen();
    expect(store.systems.get(KEY)).toEqual(SYSTEM);
    expect(store.damaged).toBeUndefined();
  });

  test('is for its owner alone, and one file when it is closed', () => {
    store.systems.add(SYSTEM);
    for (const name of readdirSync(folder)) {
      expect([name, statSync(join(folder, name)).mode & 0o077]).toEqual([name, 0]);
    }
    store.close();
    expect(readdirSync(folder)).toEqual([DATABASE_NAME]);
    expect(kindOf(() => store.systems.all())).toBe('failed');
  });

  test('makes its folder for its owner alone', () => {
    using nested = StateStore.open(join(folder, 'a', 'b'));
    expect(nested.systems.all()).toEqual([]);
    expect(statSync(join(folder, 'a', 'b')).mode & 0o777).toBe(0o700);
  });

  test('is told by its path when it cannot be opened', () => {
    writeFileSync(join(folder, 'file'), '');
    expect(() => StateStore.open(join(folder, 'file'))).toThrow(join(folder, 'file'));
    expect(kindOf(() => StateStore.open(join(folder, 'file')))).toBe('failed');
    expect(existsSync(path())).toBe(true);
  });
});
