import { fromJson, toJson } from './json-column.ts';
import type { OperationRecord, SystemKey } from './records.ts';
import type { SqlRow, StateDatabase } from './state-database.ts';

/** What has been begun and has not ended, of a {@link StateStore}. */
export class OperationTable {
  readonly #database: StateDatabase;

  constructor(database: StateDatabase) {
    this.#database = database;
  }

  /** All, the oldest first; of one system, where one is given. */
  all(system?: SystemKey): OperationRecord[] {
    const rows =
      system === undefined
        ? this.#database.all('SELECT * FROM operations ORDER BY number')
        : this.#database.all(
            'SELECT * FROM operations WHERE space = ? AND id = ? ORDER BY number',
            system.space,
            system.id,
          );
    return rows.map(toRecord);
  }

  /**
   * Notes that something is about to be done to a system, which need not be known yet.
   * @param name the function that does it
   * @param details what finishing or rolling back has to know; `null` for nothing
   */
  begin(system: SystemKey, name: string, details: unknown = null): OperationRecord {
    return this.#database.transaction(() => {
      const begunAt = Date.now();
      this.#database.run(
        'INSERT INTO operations (space, id, function, begun_at, details) VALUES (?, ?, ?, ?, ?)',
        system.space,
        system.id,
        name,
        begunAt,
        toJson(details),
      );
      const [row] = this.#database.all('SELECT last_insert_rowid() AS number');
      const { space, id } = system;
      return {
        number: Number(row?.number),
        system: { space, id },
        function: name,
        begunAt,
        details,
      };
    });
  }

  /** It has ended, in whatever way. */
  end(number: number): void {
    this.#database.run('DELETE FROM operations WHERE number = ?', number);
  }

  /** All of a system's have ended. */
  endAll({ space, id }: SystemKey): void {
    this.#database.run('DELETE FROM operations WHERE space = ? AND id = ?', space, id);
  }
}

function toRecord(row: SqlRow): OperationRecord {
  return {
    number: Number(row.number),
    system: { space: String(row.space), id: String(row.id) },
    function: String(row.function),
    begunAt: Number(row.begun_at),
    details: fromJson(row.details),
  };
}
