"""A finding says which content its verdict speaks of, and when it was given."""


def up(migrator, db):  # noqa: ARG001 - the runner's signature
    """Add the columns; what was found out before is not reused, since nobody knows of which content it speaks."""
    db.execute_sql("ALTER TABLE finding ADD COLUMN about TEXT")
    db.execute_sql("ALTER TABLE finding ADD COLUMN checked_at_ms INTEGER")
