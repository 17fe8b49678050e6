/**
 * Keeps a store on a small disk of its own until that is full, makes room, and mounts it so that it takes no writes; prints
 * as JSON what happened. Runs in a mount name space of its own.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SystemRecord } from '../../../src/daemon/store/records.ts';
import { StateStore } from '../../../src/daemon/store/state-store.ts';
import { StoreError } from '../../../src/daemon/store/store-error.ts';

const disk = join(process.argv[2]!, 'disk');
const state = join(disk, 'state');
mkdirSync(disk);
execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', disk]);
writeFileSync(join(disk, 'ballast'), Buffer.alloc(400 * 1024));

const system = (id: string): SystemRecord => ({
  space: '',
  id,
  runtimeId: '',
  owner: 0,
  sddl: '',
  createdDocument: JSON.stringify('x'.repeat(2000)),
  document: '{}',
  engine: 'none',
  state: 'Running',
});
const kindOf = (work: () => unknown): string => {
  try {
    work();
    return 'stored';
  } catch (error) {
    return error instanceof StoreError ? error.kind : String(error);
  }
};
/** Whether the numbers up to this one are there, and no other. */
const has = (store: StateStore, count: number): boolean =>
  store.systems.all().every(({ id }, index) => id === String(index)) &&
  store.systems.all().length === count;

let store = StateStore.open(state);
let count = 0;
const add = (): string =>
  kindOf(() =>
    store.transaction(() => {
      store.operations.begin({ space: '', id: String(count) }, 'HcsCreateComputeSystem');
      store.systems.add(system(String(count)));
    }),
  );
let kind = add();
while (kind === 'stored') {
  count++;
  kind = add();
}
const full = { kind, kept: has(store, count), half: store.operations.all().length !== count };
rmSync(join(disk, 'ballast'));
const again = add();
if (again === 'stored') count++;
store.close();
store = StateStore.open(state);
const afterFull = { damaged: store.damaged ?? null, kept: has(store, count) };
store.close();

const view = join(process.argv[2]!, 'view');
mkdirSync(view);
execFileSync('mount', ['--bind', disk, view]);
execFileSync('mount', ['-o', 'remount,bind,ro', view]);
store = StateStore.open(join(view, 'state'));
const readOnly = add();
const reads = has(store, count);
store.close();
const fresh = kindOf(() => StateStore.open(join(view, 'elsewhere')));
process.stdout.write(JSON.stringify({ full, again, afterFull, readOnly, reads, fresh }));
