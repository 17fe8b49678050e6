-- A database as version 1 of the state left it.
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
INSERT INTO systems VALUES ('', 'old', '6fbc3ed2-0d3c-5f0a-9f3e-000000000001', 1000, 'O:S-1-22-1-1000',
  '{"Owner":"test"}', '{"Owner":"test"}', 'qemu', 'Running', NULL, '{"pid":42}');
INSERT INTO operations VALUES (7, '', 'old', 'HcsSaveComputeSystem', 1700000000000, '{"path":"/saved"}');
PRAGMA application_id = 0x68637364;
PRAGMA user_version = 1;
