import type { ResourceRecord, SystemKey } from './records.ts';
import type { SqlRow, StateDatabase } from './state-database.ts';

/**
 * What systems own outside the daemon, of a {@link StateStore}. Noted before it is made and forgotten after it is removed,
 * so that nothing is left behind that nobody knows of.
 */
export class ResourceTable {
  readonly #database: StateDatabase;

  constructor(database: StateDatabase) {
    this.#database = database;
  }

  /** All, in the order in which they were added; of one system, where one is given. */
  all(system?: SystemKey): ResourceRecord[] {
    const rows =
      system === undefined
        ? this.#database.all('SELECT * FROM resources ORDER BY rowid')
        : this.#database.all(
            'SELECT * FROM resources WHERE space = ? AND id = ? ORDER BY rowid',
            system.space,
            system.id,
          );
    return rows.map(toRecord);
  }

  /** Those of systems that are not known any more, or have ended: what is left to remove. */
  orphans(): ResourceRecord[] {
    return this.#database
      .all(
        `SELECT * FROM resources WHERE NOT EXISTS (
           SELECT 1 FROM systems
           WHERE systems.space = resources.space AND systems.id = resources.id AND systems.exit IS NULL
         ) ORDER BY rowid`,
      )
      .map(toRecord);
  }

  /** Notes a resource; one of the same kind and name is replaced. */
  add({ kind, name, system }: ResourceRecord): void {
    this.#database.run(
      'INSERT OR REPLACE INTO resources (kind, name, space, id) VALUES (?, ?, ?, ?)',
      kind,
      name,
      system.space,
      system.id,
    );
  }

  /** It is no more. @returns whether it was noted */
  remove(kind: string, name: string): boolean {
    return this.#database.run('DELETE FROM resources WHERE kind = ? AND name = ?', kind, name) > 0;
  }
}

function toRecord(row: SqlRow): ResourceRecord {
  return {
    kind: String(row.kind),
    name: String(row.name),
    system: { space: String(row.space), id: String(row.id) },
  };
}
