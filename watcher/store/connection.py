"""Opening the database: the right file, the right version, one writer.

A writer holds a lock file beside the database for as long as it has it open, with its process id in it, so that a
second one can be told who is there. Readers need no lock: WAL lets them read while the writer writes.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peewee import DatabaseError, SqliteDatabase
from playhouse.migrations import Migration, Runner

from watcher.errors import DamagedDatabase, NewerDatabase, NotAllowed, NotOurDatabase, StoreError, StoreInUse
from watcher.store import rescue
from watcher.store.rescue import APPLICATION_ID

if TYPE_CHECKING:
    from collections.abc import Callable

    from watcher.store.rescue import Rescue

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_TIMEOUT_SEC = 10
LOCK_TRIES = 5
LOCK_TRY_SEC = 0.05
_PRAGMAS = ("journal_mode = wal", "foreign_keys = 1", "synchronous = full", "cache_size = -16000")
"""FULL: a decision that was logged outlives a power cut too, for one more fsync a transaction."""

_WHO_MAY = "say it again with sudo, or as the user of the service"


class WriterLock:
    """The right to write to one database, held by one process."""

    def __init__(self, database: Path) -> None:
        path = rescue.lock_file(database)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if not self._taken():
            holder = os.read(self._fd, 32).decode(errors="replace").strip() or "unknown"
            os.close(self._fd)
            raise StoreInUse(
                f"{database} is in use by another watcher (process {holder}); stop it, or give another storage_url"
            )
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def _taken(self) -> bool:
        # Who only asks whether there is a writer (`writer_pid`) holds the lock for an instant: that is no writer.
        for _ in range(LOCK_TRIES):
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                time.sleep(LOCK_TRY_SEC)
            else:
                return True
        return False

    def release(self) -> None:
        """Let the next writer in; the file stays, since removing it would race with one who waits."""
        os.ftruncate(self._fd, 0)
        os.close(self._fd)


def writer_pid(database: Path) -> int | None:
    """Give the process id of the writer that has the database open now, or None."""
    try:
        with rescue.lock_file(database).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return None
    except OSError:
        text = rescue.lock_file(database).read_text().strip()
        return int(text) if text.isdigit() else None
    return None


def open_for_writing(path: Path, backups: Path) -> tuple[SqliteDatabase, WriterLock, Rescue | None]:
    """Open or create the database, take the lock, put damage right, bring the schema up to date.

    Raises StoreInUse, NotOurDatabase, NewerDatabase, or StoreError for a place that cannot be written.
    """
    try:
        rescue.require_ours(path, backups)
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = WriterLock(path)
    except OSError as error:
        raise StoreError(
            f"the database {path} cannot be opened: {error.strerror}; storage_url names another place"
        ) from None
    try:
        rescued = rescue.make_whole(path, backups, time.time())
        database = _connect(str(path), path, lambda db: _prepare(db, path))
    except BaseException:
        lock.release()
        raise
    return database, lock, rescued


def open_for_reading(path: Path) -> SqliteDatabase:
    """Open an existing database read-only. Raises StoreError when there is none, or none that we may read."""
    try:
        there = path.exists()
    except PermissionError:
        raise NotAllowed(f"you may not look into {path.parent}: {_WHO_MAY}") from None
    if not there:
        raise StoreError(f"there is no database at {path} yet: it is made by the first `watcher run` or `watcher scan`")
    if not os.access(path, os.R_OK, effective_ids=True):
        raise NotAllowed(f"you may not read the database {path}: {_WHO_MAY}")
    # Without a write-ahead log nobody is writing; then the file can be read even where no -shm file may be made.
    still = not path.with_name(path.name + "-wal").exists() and not os.access(path.parent, os.W_OK)
    uri = f"{path.absolute().as_uri()}?mode=ro" + ("&immutable=1" if still else "")
    return _connect(uri, path, lambda db: _verify(db, path), uri=True)


def in_words(path: Path, error: Exception) -> StoreError:
    """Say what SQLite said as an error for a person: damage is told from what may pass, such as a full disk."""
    if "cannot rollback" in str(error) and isinstance(error.__context__, Exception):
        error = error.__context__  # SQLite has rolled back by itself, and Peewee tries to
    if "not a database" in str(error) and not rescue.lock_file(path).exists():
        return NotOurDatabase(f"{path} is not a SQLite database; storage_url names the place of the database")
    if "malformed" in str(error) or "not a database" in str(error):
        return DamagedDatabase(
            f"the database {path} is damaged ({error}); the next `watcher run` sets it aside and restores the newest backup"
        )
    if "readonly" in str(error):
        return NotAllowed(f"you may not write the database {path}, or its disk is read-only: {_WHO_MAY}")
    if "is full" in str(error):
        return StoreError(f"there is no room for the database {path}: free space on its disk")
    return StoreError(f"the database {path} cannot be used: {error}")


def _connect(name: str, path: Path, prepare: Callable[[SqliteDatabase], None], **options: Any) -> SqliteDatabase:
    database = SqliteDatabase(name, timeout=BUSY_TIMEOUT_SEC, thread_safe=False, check_same_thread=False, **options)
    try:
        database.connect()
        prepare(database)
    except (DatabaseError, sqlite3.DatabaseError) as error:
        database.close()
        raise in_words(path, error) from None
    except BaseException:
        database.close()
        raise
    return database


def _prepare(database: SqliteDatabase, path: Path) -> None:
    if _is_empty(database):
        database.execute_sql(f"PRAGMA application_id = {APPLICATION_ID}")
    _verify(database, path, may_be_older=True)
    for pragma in _PRAGMAS:  # only now: the journal mode is written into the file, which might have been another's
        database.execute_sql(f"PRAGMA {pragma}")
    Runner(database, str(MIGRATIONS)).up()


def _is_empty(database: SqliteDatabase) -> bool:
    return database.execute_sql("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0


def _verify_ours(database: SqliteDatabase, path: Path) -> None:
    """An empty database may become ours, another's is left alone."""
    ours = database.execute_sql("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
    if not ours and not _is_empty(database):
        raise NotOurDatabase(f"{path} is the database of another program; it is left alone")


def _verify(database: SqliteDatabase, path: Path, *, may_be_older: bool = False) -> None:
    _verify_ours(database, path)
    known = {migration.name for migration in Migration.load_directory(str(MIGRATIONS))}
    applied = set(Runner(database, str(MIGRATIONS)).applied())
    if applied - known:
        raise NewerDatabase(f"{path} was written by a newer version ({max(applied - known)}); update the program")
    if known - applied and not may_be_older:
        raise StoreError(f"{path} was written by an older version; the next `watcher run` brings it up to date")


def open_beside(path: Path) -> SqliteDatabase:
    """Open our own, current database for one short write beside its writer, without the writer's lock."""
    return _connect(str(path), path, lambda db: _verify(db, path))
