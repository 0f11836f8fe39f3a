"""A wish can say more than which file it is about."""


def up(migrator, db):  # noqa: ARG001 - the runner's signature
    """Add the column."""
    db.execute_sql("ALTER TABLE request ADD COLUMN details TEXT")
