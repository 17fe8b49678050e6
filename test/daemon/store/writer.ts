/**
 * Stores numbers that follow on the last one, each with all that belongs to it, and prints each when it is stored. With a
 * number as its second argument it stores so many, and stays.
 */
import { writeSync } from 'node:fs';
import { StateStore } from '../../../src/daemon/store/state-store.ts';

const KEY = { space: '', id: 'counter' };
const store = StateStore.open(process.argv[2]!);
const before = store.systems.get(KEY);
if (before === undefined) {
  store.systems.add({
    ...KEY,
    runtimeId: '',
    owner: 0,
    sddl: '',
    createdDocument: '{}',
    document: '{}',
    engine: 'none',
    state: 'Running',
    engineRecord: -1,
  });
}
const first = Number(before?.engineRecord ?? -1) + 1;
const end = first + Number(process.argv[3] ?? Number.POSITIVE_INFINITY);
for (let number = first; number < end; number++) {
  store.transaction(() => {
    for (const { number: last } of store.operations.all()) store.operations.end(last);
    store.operations.begin(KEY, 'HcsModifyComputeSystem', number);
    store.systems.change(KEY, { engineRecord: number, document: `{"at":"${'x'.repeat(3000)}"}` });
    store.resources.add({ kind: 'file', name: String(number), system: KEY });
  });
  writeSync(1, `${number}\n`);
}
setInterval(() => {}, 1000);
