/** Says that a database is ours (sqlite.org/pragma.html#pragma_application_id): "hcsd". */
export const APPLICATION_ID = 0x68637364;

/**
 * What brings a database from each version to the next; the first makes one of nothing. A database of any version that was
 * ever released must get here: entries are added, never changed. Each runs in one transaction with the number of its version.
 */
export const MIGRATIONS: readonly string[] = [
  // Version 1: systems and what is in flight.
  `
  CREATE TABLE systems (
    space TEXT NOT NULL,
    id TEXT NOT NULL,
    runtime_id TEXT NOT NULL,
    owner INTEGER NOT NULL,
    sddl TEXT NOT NULL,
    created_document TEXT NOT NULL CHECK (json_valid(created_document)),
    document TEXT NOT NULL CHECK (json_valid(document)),
    engine TEXT NOT NULL,
    state TEXT NOT NULL,
    exit TEXT CHECK (json_valid(exit)),
    engine_record TEXT CHECK (json_valid(engine_record)),
    PRIMARY KEY (space, id)
  ) STRICT;
  CREATE TABLE operations (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    space TEXT NOT NULL,
    id TEXT NOT NULL,
    function TEXT NOT NULL,
    begun_at INTEGER NOT NULL,
    details TEXT NOT NULL CHECK (json_valid(details))
  ) STRICT;
  `,
  // Version 2: where a system was saved, and what it owns outside the daemon.
  `
  ALTER TABLE systems ADD COLUMN saved_state_file TEXT;
  CREATE INDEX operations_of_systems ON operations (space, id);
  CREATE TABLE resources (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    space TEXT NOT NULL,
    id TEXT NOT NULL,
    details TEXT CHECK (json_valid(details)),
    PRIMARY KEY (kind, name)
  ) STRICT;
  CREATE INDEX resources_of_systems ON resources (space, id);
  `,
  // Version 3: parts of the service itself, one of which was a resource; nobody asked where a system was saved.
  `
  ALTER TABLE systems DROP COLUMN saved_state_file;
  CREATE TABLE settings (
    part TEXT PRIMARY KEY,
    value TEXT NOT NULL CHECK (json_valid(value))
  ) STRICT;
  INSERT INTO settings SELECT 'machineFolder', json_quote(name) FROM resources WHERE kind = 'machines';
  DELETE FROM resources WHERE kind = 'machines';
  ALTER TABLE resources DROP COLUMN details;
  `,
];
