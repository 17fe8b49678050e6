/**
 * What the store could not do, for whoever has to decide:
 *
 * | Kind       | Means                                                                                      |
 * | ---------- | ------------------------------------------------------------------------------------------ |
 * | `full`     | the disk has no room; what was stored is there, and writing goes on when there is room again |
 * | `readOnly` | the disk or the file takes no writes; what was stored can be read                          |
 * | `locked`   | another process has the database open                                                      |
 * | `foreign`  | the file is of a later version, or of another program: it is left as it is                 |
 * | `damaged`  | the file is no whole database any more; the next opening keeps it aside and begins a fresh one |
 * | `conflict` | what is added is there already, or what is changed is not                                  |
 * | `failed`   | anything else that the system answered                                                     |
 */
export type StoreErrorKind =
  | 'full'
  | 'readOnly'
  | 'locked'
  | 'foreign'
  | 'damaged'
  | 'conflict'
  | 'failed';

/** The state of the daemon cannot be read or written. Nothing of what was asked for has been stored. */
export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly kind: StoreErrorKind;

  constructor(kind: StoreErrorKind, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.kind = kind;
  }
}

type Meaning = readonly [code: string, kind: StoreErrorKind, remedy: string];

const ANYTHING_ELSE: Meaning = ['', 'failed', ''];

const FULL = 'the disk is full; make room, and try again';
const READ_ONLY = 'it takes no writes; mount the disk writable, or move the state';

/** What SQLite's result codes (sqlite.org/rescode.html), and the system's, mean here, by how their names begin. */
const KINDS: readonly Meaning[] = [
  ['SQLITE_FULL', 'full', FULL],
  ['ENOSPC', 'full', FULL],
  ['EDQUOT', 'full', FULL],
  ['SQLITE_READONLY', 'readOnly', READ_ONLY],
  ['EROFS', 'readOnly', READ_ONLY],
  ['SQLITE_BUSY', 'locked', 'another process has it open; only one may: end that one'],
  ['SQLITE_NOTADB', 'damaged', 'it is no database'],
  ['SQLITE_CORRUPT', 'damaged', 'it is damaged'],
  ['SQLITE_CONSTRAINT', 'conflict', 'the entry does not fit those that are there'],
  ['SQLITE_CANTOPEN', 'failed', 'it cannot be opened'],
  ['SQLITE_IOERR', 'failed', 'the disk answers with errors; look at the log of the system'],
];

/** Makes a {@link StoreError} of what the database threw. */
export function storeError(path: string, error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  const { code = '', message } = error as { code?: string; message: string };
  const [, kind, remedy] = KINDS.find(([name]) => code.startsWith(name)) ?? ANYTHING_ELSE;
  const reason = remedy === '' ? message : `${remedy} (${code}: ${message})`;
  return new StoreError(kind, `Cannot use the state in ${path}: ${reason}`, error);
}
