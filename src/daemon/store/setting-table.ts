import { fromJson, toJson } from './json-column.ts';
import type { StateDatabase } from './state-database.ts';

/** Parts of the daemon itself, of a {@link StateStore}: JSON of whoever keeps them. */
export class SettingTable {
  readonly #database: StateDatabase;

  constructor(database: StateDatabase) {
    this.#database = database;
  }

  /** All, by their names. */
  all(): Readonly<Record<string, unknown>> {
    const rows = this.#database.all('SELECT * FROM settings ORDER BY part');
    return Object.fromEntries(rows.map(({ part, value }) => [String(part), fromJson(value)]));
  }

  /** Undefined for one that was never kept. */
  get(part: string): unknown {
    const [row] = this.#database.all('SELECT value FROM settings WHERE part = ?', part);
    return fromJson(row?.value);
  }

  set(part: string, value: unknown): void {
    const sql = 'INSERT OR REPLACE INTO settings (part, value) VALUES (?, ?)';
    this.#database.run(sql, part, toJson(value));
  }
}
