"""An entry knows its root, and what is due can be found by root, the longest due first and the newest first."""

STATEMENTS = """
ALTER TABLE file_entry ADD COLUMN root_id INTEGER REFERENCES root(id);
UPDATE file_entry SET root_id = (SELECT root_id FROM folder WHERE folder.id = folder_id);
DROP INDEX file_entry_due_check;
DROP INDEX file_entry_due_process;
CREATE INDEX file_entry_due_check ON file_entry (root_id, next_check_at_ms)
    WHERE next_check_at_ms IS NOT NULL AND integrity_status <> 'complete';
CREATE INDEX file_entry_due_process ON file_entry (root_id, next_check_at_ms)
    WHERE next_check_at_ms IS NOT NULL AND integrity_status = 'complete';
CREATE INDEX file_entry_fresh_check ON file_entry (root_id, quiet_since_ms DESC, next_check_at_ms)
    WHERE next_check_at_ms IS NOT NULL AND integrity_status <> 'complete';
CREATE INDEX file_entry_fresh_process ON file_entry (root_id, quiet_since_ms DESC, next_check_at_ms)
    WHERE next_check_at_ms IS NOT NULL AND integrity_status = 'complete'
"""


def up(migrator, db):  # noqa: ARG001 - the runner's signature
    """Add the column, fill it, and make the indexes anew."""
    for statement in STATEMENTS.split(";"):
        db.execute_sql(statement)
