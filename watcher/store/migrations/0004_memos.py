"""What is to be remembered from one start to the next, and belongs to no file."""


def up(migrator, db):  # noqa: ARG001 - the runner's signature
    """Make the table."""
    db.execute_sql("CREATE TABLE memo (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL)")
