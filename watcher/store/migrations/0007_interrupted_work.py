"""An attempt may be interrupted: nobody runs it, and the next one for its film goes on from its files."""


def up(migrator, db):  # noqa: ARG001 - the runner's signature
    """Add the column."""
    db.execute_sql("ALTER TABLE attempt ADD COLUMN interrupted INTEGER NOT NULL DEFAULT 0")
