"""The first tables: roots, folders, entries with their findings, journal, attempts, requests and groups."""

TABLES = """
CREATE TABLE root (
    id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE, device INTEGER, inode INTEGER, mount_id INTEGER,
    fs_type TEXT NOT NULL DEFAULT '', suspended_because TEXT, suspended_since_ms INTEGER,
    last_scan_ms INTEGER, last_scan_files INTEGER
);
CREATE TABLE folder (
    id INTEGER PRIMARY KEY, root_id INTEGER NOT NULL REFERENCES root(id), path BLOB NOT NULL, UNIQUE (root_id, path)
);
CREATE TABLE group_entry (
    id INTEGER PRIMARY KEY, folder_id INTEGER NOT NULL REFERENCES folder(id), stem BLOB NOT NULL, UNIQUE (folder_id, stem)
);
CREATE TABLE file_entry (
    id INTEGER PRIMARY KEY, folder_id INTEGER NOT NULL REFERENCES folder(id), name BLOB NOT NULL,
    device INTEGER NOT NULL, inode INTEGER NOT NULL, size_bytes INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    blocks INTEGER NOT NULL,
    integrity_status TEXT NOT NULL DEFAULT 'unknown', processed_status TEXT NOT NULL DEFAULT 'new',
    next_check_at_ms INTEGER, discovered_at_ms INTEGER NOT NULL, quiet_since_ms INTEGER NOT NULL,
    evidence TEXT NOT NULL DEFAULT '', longest_gap_ms INTEGER NOT NULL DEFAULT 0,
    failures_in_row INTEGER NOT NULL DEFAULT 0, incomplete_in_row INTEGER NOT NULL DEFAULT 0,
    waits_for TEXT NOT NULL DEFAULT '', reason TEXT NOT NULL DEFAULT '',
    missing_since_ms INTEGER, group_id INTEGER REFERENCES group_entry(id), made_from_id INTEGER REFERENCES file_entry(id),
    UNIQUE (folder_id, name)
);
CREATE INDEX file_entry_inode ON file_entry (inode);
CREATE INDEX file_entry_due_check ON file_entry (next_check_at_ms)
    WHERE next_check_at_ms IS NOT NULL AND integrity_status <> 'complete';
CREATE INDEX file_entry_due_process ON file_entry (next_check_at_ms)
    WHERE next_check_at_ms IS NOT NULL AND integrity_status = 'complete';
CREATE INDEX file_entry_missing ON file_entry (missing_since_ms) WHERE missing_since_ms IS NOT NULL;
CREATE INDEX file_entry_group ON file_entry (group_id) WHERE group_id IS NOT NULL;
CREATE INDEX file_entry_made_from ON file_entry (made_from_id) WHERE made_from_id IS NOT NULL;
CREATE TABLE finding (
    entry_id INTEGER PRIMARY KEY REFERENCES file_entry(id) ON DELETE CASCADE,
    verdict TEXT, probe TEXT, decision TEXT, proof TEXT
);
CREATE TABLE journal (
    id INTEGER PRIMARY KEY, entry_id INTEGER NOT NULL REFERENCES file_entry(id) ON DELETE CASCADE,
    at_ms INTEGER NOT NULL, subject TEXT NOT NULL, move TEXT NOT NULL, before TEXT NOT NULL, after TEXT NOT NULL,
    reason TEXT NOT NULL DEFAULT ''
);
CREATE INDEX journal_entry ON journal (entry_id, id);
CREATE TABLE attempt (
    id TEXT NOT NULL PRIMARY KEY, entry_id INTEGER NOT NULL UNIQUE REFERENCES file_entry(id), kind TEXT NOT NULL,
    started_at_ms INTEGER NOT NULL, lease_until_ms INTEGER NOT NULL, progress REAL NOT NULL DEFAULT 0,
    source TEXT NOT NULL, target BLOB, replaces TEXT, temp BLOB, result TEXT, proof TEXT
);
CREATE TABLE request (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, path BLOB NOT NULL, at_ms INTEGER NOT NULL
);
"""


def up(migrator, db):  # noqa: ARG001 - the runner's signature
    """Make the tables."""
    for statement in filter(str.strip, TABLES.split(";")):
        db.execute_sql(statement)
