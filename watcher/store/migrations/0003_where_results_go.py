"""An attempt knows the film's name, whether the film goes in the end, and where its old content is kept."""

COLUMNS = ("film BLOB", "removes_film INTEGER NOT NULL DEFAULT 0", "kept BLOB")


def up(migrator, db):  # noqa: ARG001 - the runner's signature
    """Add the columns."""
    for column in COLUMNS:
        db.execute_sql(f"ALTER TABLE attempt ADD COLUMN {column}")
