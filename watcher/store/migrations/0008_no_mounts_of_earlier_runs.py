"""The number of a root's mount goes: it says nothing to another run, least of all in a namespace of systemd's making."""


def up(migrator, db):  # noqa: ARG001 - the runner's signature
    """Drop the column."""
    db.execute_sql("ALTER TABLE root DROP COLUMN mount_id")
