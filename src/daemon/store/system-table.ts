import type { SystemState } from '../../compute/system-state.ts';
import type { SystemExitStatus } from '../../hcs/schema/documents.ts';
import { fromJson, toJson } from './json-column.ts';
import type { SystemChanges, SystemKey, SystemRecord } from './records.ts';
import type { SqlRow, SqlValue, StateDatabase } from './state-database.ts';
import { StoreError } from './store-error.ts';

/** Column of each part of a record that may change, and how it is written. */
const CHANGEABLE: {
  readonly [K in keyof Required<SystemChanges>]: readonly [
    column: string,
    write: (value: SystemRecord[K]) => SqlValue,
  ];
} = {
  sddl: ['sddl', (value) => value],
  document: ['document', (value) => value],
  state: ['state', (value) => value],
  exit: ['exit', toJson],
  engineRecord: ['engine_record', toJson],
};

/** The compute systems of a {@link StateStore}. */
export class SystemTable {
  readonly #database: StateDatabase;

  constructor(database: StateDatabase) {
    this.#database = database;
  }

  /** All, in the order in which they were added. */
  all(): SystemRecord[] {
    return this.#database.all('SELECT * FROM systems ORDER BY rowid').map(toRecord);
  }

  get({ space, id }: SystemKey): SystemRecord | undefined {
    const sql = 'SELECT * FROM systems WHERE space = ? AND id = ?';
    return this.#database.all(sql, space, id).map(toRecord)[0];
  }

  /** @throws StoreError `conflict` when the id is taken in its space */
  add(system: SystemRecord): void {
    const row: Record<string, SqlValue> = {
      space: system.space,
      id: system.id,
      runtime_id: system.runtimeId,
      owner: system.owner,
      created_document: system.createdDocument,
      engine: system.engine,
      ...columns(system),
    };
    const names = Object.keys(row);
    this.#database.run(
      `INSERT INTO systems (${names.join(', ')}) VALUES (${names.map(() => '?').join(', ')})`,
      ...Object.values(row),
    );
  }

  /** Changes what is named, and nothing else. @throws StoreError `conflict` when there is no such system */
  change({ space, id }: SystemKey, changes: SystemChanges): void {
    const row = columns(changes);
    const names = Object.keys(row);
    if (names.length === 0) return;
    const sql = `UPDATE systems SET ${names.map((name) => `${name} = ?`).join(', ')} WHERE space = ? AND id = ?`;
    if (this.#database.run(sql, ...Object.values(row), space, id) > 0) return;
    throw new StoreError('conflict', `Cannot change system "${id}" in the state: it is not there`);
  }

  /**
   * Forgets a system with its operations. What it owns stays known until that is removed.
   * @returns whether it was there
   */
  remove({ space, id }: SystemKey): boolean {
    return this.#database.transaction(() => {
      this.#database.run('DELETE FROM operations WHERE space = ? AND id = ?', space, id);
      return this.#database.run('DELETE FROM systems WHERE space = ? AND id = ?', space, id) > 0;
    });
  }
}

function columns(changes: SystemChanges): Record<string, SqlValue> {
  const row: Record<string, SqlValue> = {};
  for (const [key, [column, write]] of Object.entries(CHANGEABLE)) {
    if (!(key in changes)) continue;
    row[column] = (write as (value: unknown) => SqlValue)(changes[key as keyof SystemChanges]);
  }
  return row;
}

function toRecord(row: SqlRow): SystemRecord {
  return {
    space: String(row.space),
    id: String(row.id),
    runtimeId: String(row.runtime_id),
    owner: Number(row.owner),
    sddl: String(row.sddl),
    createdDocument: String(row.created_document),
    document: String(row.document),
    engine: String(row.engine),
    state: row.state as SystemState | 'Creating',
    exit: fromJson(row.exit) as SystemExitStatus | undefined,
    engineRecord: fromJson(row.engine_record),
  };
}
