import { join } from 'node:path';
import { OperationTable } from './operation-table.ts';
import { ResourceTable } from './resource-table.ts';
import { SettingTable } from './setting-table.ts';
import { StateDatabase, setAside } from './state-database.ts';
import { StoreError } from './store-error.ts';
import { SystemTable } from './system-table.ts';

/** How a {@link StateStore} is opened. */
export interface StateStoreOptions {
  /** Told what an operator has to know: a database that was damaged, and where it is kept. */
  readonly warn?: ((message: string) => void) | undefined;
}

/** Name of the database in the folder of the state. */
export const DATABASE_NAME = 'state.db';

/**
 * What the daemon knows of its systems, on disk: whatever has returned is there after a crash of the daemon or of the
 * machine. Every change is one transaction; {@link StateStore.transaction} makes one of several. All methods are
 * synchronous and throw {@link StoreError}; after one, nothing of the change is stored. A change takes as long as the disk
 * needs to keep it: 0.15 ms on a quiet machine, milliseconds on one with much to write.
 */
export class StateStore {
  readonly systems: SystemTable;
  readonly operations: OperationTable;
  readonly resources: ResourceTable;
  readonly settings: SettingTable;
  /** Where a damaged database was put when this one was opened; undefined: there was none. */
  readonly damaged: string | undefined;
  readonly #database: StateDatabase;

  private constructor(database: StateDatabase, damaged: string | undefined) {
    this.#database = database;
    this.damaged = damaged;
    this.systems = new SystemTable(database);
    this.operations = new OperationTable(database);
    this.resources = new ResourceTable(database);
    this.settings = new SettingTable(database);
  }

  /**
   * Opens the state in a folder, which is made for its owner alone when it is not there. A damaged database is renamed,
   * told by {@link StateStoreOptions.warn}, and a fresh one begun. On a disk that takes no writes, what is there can be
   * read.
   * @throws StoreError `locked` while another process has it open, `foreign` for one of a later version
   */
  static open(folder: string, { warn = () => {} }: StateStoreOptions = {}): StateStore {
    const path = join(folder, DATABASE_NAME);
    try {
      return new StateStore(StateDatabase.open(path), undefined);
    } catch (error) {
      if (!(error instanceof StoreError) || error.kind !== 'damaged') throw error;
      const aside = setAside(path);
      warn(`${error.message}; it is kept as ${aside}, and a fresh one is begun`);
      return new StateStore(StateDatabase.open(path), aside);
    }
  }

  /** Whether it knows of nothing, as a fresh one. */
  get isEmpty(): boolean {
    return this.systems.all().length === 0 && Object.keys(this.settings.all()).length === 0;
  }

  /** Stores all that `work`, which must be synchronous, stores; or nothing of it, when it throws. */
  transaction<T>(work: () => T): T {
    return this.#database.transaction(work);
  }

  /** Gives the database up; safe to call twice. */
  close(): void {
    this.#database.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
