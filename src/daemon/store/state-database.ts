import { chmodSync, closeSync, existsSync, mkdirSync, openSync, renameSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'libsql';
import { lockHolder } from './lock-holder.ts';
import { APPLICATION_ID, MIGRATIONS } from './schema.ts';
import { StoreError, storeError } from './store-error.ts';

/** A value of a column. */
export type SqlValue = string | number | null;
/** A row, by the names of its columns. */
export type SqlRow = Readonly<Record<string, SqlValue>>;

/** Milliseconds for which a database that another process has open is waited for: one that ends gives it up. */
const LOCK_LIMIT_MS = 1000;

/**
 * One SQLite database, which this process alone has open: transactions, versions, and errors as {@link StoreError}.
 *
 * SQLite comes by libsql, which packages SQLite 3.45 for Node with its binary in packages of their own, so that nothing is
 * compiled or fetched when it is installed. What else there is for Node 20: better-sqlite3, lmdb and classic-level run
 * a script when they are installed; node-sqlite3-wasm cannot write ahead, takes ten times as long for a durable write, tells
 * no result codes ("disk I/O error" for a full disk), and stays locked for ever after a SIGKILL, as its lock is a folder;
 * sql.js keeps a database in memory and writes all of it; Turso's own database calls itself beta. 200 durable writes of
 * 2 KB take 29 ms here, with one fsync each.
 *
 * Every commit is on the disk when it returns (`synchronous = FULL`, write-ahead log). The log is only ever written by one
 * connection, as the lock is held until the end (`locking_mode = EXCLUSIVE`): it needs no shared memory, and what a second
 * process could break it cannot. libsql closes files when its statements are garbage-collected, so closing gives the lock
 * up by hand.
 */
export class StateDatabase {
  readonly path: string;
  readonly #database: Database.Database;
  readonly #statements = new Map<string, Database.Statement>();
  #depth = 0;
  #isOpen = true;

  private constructor(path: string, database: Database.Database) {
    this.path = path;
    this.#database = database;
  }

  /**
   * Opens a database, makes it when there is none, and brings it to the newest version.
   * @throws StoreError; `damaged` when the file is no whole database
   */
  static open(path: string): StateDatabase {
    let opened: Database.Database | undefined;
    try {
      createFile(path);
      opened = new Database(path, { timeout: LOCK_LIMIT_MS });
      const database = new StateDatabase(path, opened);
      database.#prepare();
      return database;
    } catch (error) {
      opened?.close();
      const failure = storeError(path, error);
      if (failure.kind !== 'locked') throw failure;
      const holder = lockHolder(path);
      if (holder === undefined) throw failure;
      throw new StoreError('locked', `${failure.message}: process ${holder}`, error);
    }
  }

  /** All rows of a query. */
  all(sql: string, ...values: readonly SqlValue[]): SqlRow[] {
    this.#check(values);
    return this.#do(() => this.#statement(sql).all(...values) as SqlRow[]);
  }

  /** Runs a statement. @returns how many rows it has changed */
  run(sql: string, ...values: readonly SqlValue[]): number {
    this.#check(values);
    return this.#do(() => this.#statement(sql).run(...values).changes);
  }

  /**
   * Does all of `work`, which must be synchronous, or none of it. Within a transaction it is a part of that one, which
   * can fail alone.
   * @throws StoreError when it cannot be stored; nothing of it is then
   */
  transaction<T>(work: () => T): T {
    const [begin, commit, rollback] =
      this.#depth === 0
        ? ['BEGIN IMMEDIATE', 'COMMIT', 'ROLLBACK']
        : ['SAVEPOINT part', 'RELEASE part', 'ROLLBACK TO part; RELEASE part'];
    this.#do(() => this.#database.exec(begin));
    this.#depth++;
    try {
      const result = work();
      this.#do(() => this.#database.exec(commit));
      return result;
    } catch (error) {
      // SQLite has rolled back already where the disk is full.
      if (this.#database.inTransaction) this.#do(() => this.#database.exec(rollback));
      throw error;
    } finally {
      this.#depth--;
    }
  }

  /** Writes the log into the database and gives it up; safe to call twice. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#statements.clear();
    for (const step of ['PRAGMA journal_mode = DELETE', 'PRAGMA locking_mode = NORMAL', READ]) {
      try {
        this.#database.exec(step);
      } catch {
        // A disk that is full or takes no writes: the log stays, and whoever opens it next reads it.
      }
    }
    this.#database.close();
  }

  #prepare(): void {
    const exec = (sql: string): unknown => this.#database.exec(sql);
    exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = FULL');
    let version = this.#number('user_version');
    const application = this.#number('application_id');
    if (application === 0 && version === 0) this.#expectEmpty();
    else if (application !== APPLICATION_ID) throw foreign(this.path, 'it is of another program');
    if (version > MIGRATIONS.length) {
      const versions = `its version is ${version}, and this one knows ${MIGRATIONS.length}`;
      throw foreign(this.path, versions);
    }
    const [check] = this.all('PRAGMA quick_check(1)');
    if (check?.quick_check !== 'ok') {
      throw new StoreError(
        'damaged',
        `Cannot use the state in ${this.path}: ${check?.quick_check}`,
      );
    }
    const isReadOnly = this.#isReadOnly();
    for (; version < MIGRATIONS.length; version++) {
      this.transaction(() => {
        exec(MIGRATIONS[version]!);
        exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${version + 1}`);
      });
    }
    if (!isReadOnly) exec('PRAGMA journal_mode = WAL');
  }

  #expectEmpty(): void {
    if (this.all(READ).length > 0) throw foreign(this.path, 'it is of another program');
  }

  /** Whether the disk takes no writes: what is stored can be read all the same. Found out by writing. */
  #isReadOnly(): boolean {
    try {
      this.#database.exec(`PRAGMA application_id = ${APPLICATION_ID}`);
      return false;
    } catch (error) {
      if (storeError(this.path, error).kind === 'readOnly') return true;
      throw error;
    }
  }

  /** What libsql would change without a word: it ends texts at a NUL, and stores half a surrogate pair as U+FFFD. */
  #check(values: readonly SqlValue[]): void {
    const text = values.find(
      (value) => typeof value === 'string' && /[\0\p{Surrogate}]/u.test(value),
    );
    if (text === undefined) return;
    throw new StoreError(
      'failed',
      `Cannot use the state in ${this.path}: ${JSON.stringify(String(text).slice(0, 80))} has characters that no text can have`,
    );
  }

  #number(pragma: string): number {
    return Number(this.all(`PRAGMA ${pragma}`)[0]?.[pragma]);
  }

  #statement(sql: string): Database.Statement {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  #do<T>(work: () => T): T {
    if (!this.#isOpen) {
      throw new StoreError('failed', `Cannot use the state in ${this.path}: it was closed`);
    }
    try {
      return work();
    } catch (error) {
      throw storeError(this.path, error);
    }
  }
}

const READ = 'SELECT name FROM sqlite_master LIMIT 1';

/** Makes file and folder so that their owner alone can read them, as SQLite's own files follow the database's. */
function createFile(path: string): void {
  makeFolder(dirname(path));
  if (existsSync(path)) return;
  closeSync(openSync(path, 'a', 0o600));
  chmodSync(path, 0o600);
}

function makeFolder(folder: string): void {
  if (existsSync(folder)) return;
  makeFolder(dirname(folder));
  // One by one: with `recursive`, Node says ENOENT where the disk takes no writes.
  mkdirSync(folder, { mode: 0o700 });
}

/**
 * Puts a damaged database, with its log, out of the way.
 * @returns where it is now: beside what it was, with the time in its name
 */
export function setAside(path: string): string {
  const time = new Date().toISOString().replaceAll(':', '-');
  const aside = `${path}.damaged-${time}`;
  renameSync(path, aside);
  for (const part of ['-wal', '-journal', '-shm']) {
    if (existsSync(path + part)) renameSync(path + part, aside + part);
  }
  return aside;
}

function foreign(path: string, reason: string): StoreError {
  return new StoreError(
    'foreign',
    `Cannot use the state in ${path}: ${reason}; install the program that wrote it, or use another folder`,
  );
}
