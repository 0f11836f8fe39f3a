"""The session: one open database, its transactions, and the two ways to ask it something."""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from peewee import DatabaseError, OperationalError

from watcher.errors import DamagedDatabase, StoreError
from watcher.store import backup, connection

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from peewee import Query

    from watcher.store.rescue import Rescue


class Session:
    """An open database. A context manager; `read_only` opens an existing one beside a running service.

    `backups` is the folder of its backups, "backups" beside it when none is named: opened for writing, a damaged
    database is set aside and the newest good one of them restored (`rescued` then says so).
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        read_only: bool = False,
        backups: str | os.PathLike[str] | None = None,
    ) -> None:
        path = self.path = Path(path)
        self.backups = backup.folder_beside(path) if backups is None else Path(backups)
        self.rescued: Rescue | None = None
        self._log_seen = (-1, -1)
        self._lock: connection.WriterLock | None = None
        if read_only:
            self._db = connection.open_for_reading(path)
        else:
            self._db, self._lock, self.rescued = connection.open_for_writing(path, self.backups)
        self._folders: dict[tuple[int, bytes], int] = {}

    def changed(self) -> bool:
        """Tell whether anybody, we or another process, has written since this was last asked: by one stat. Any thread."""
        try:
            seen = os.stat(f"{self.path}-wal")
        except FileNotFoundError:
            return True
        before, self._log_seen = self._log_seen, (seen.st_size, seen.st_mtime_ns)
        return before != self._log_seen

    def close(self) -> None:
        """Close the database and let the next writer in. Safe to call twice."""
        self._db.close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write all of what is done inside, or nothing."""
        folders = dict(self._folders) if not self._db.in_transaction() else None
        try:
            with self.in_words(), self._db.atomic("IMMEDIATE") if folders is not None else self._db.atomic():
                yield
        except BaseException:
            if folders is not None:
                self._folders = folders  # ids handed out inside are gone with the transaction
            raise

    def run(self, query: Query) -> Any:
        """Run a Peewee query on this store's connection."""
        with self.in_words():
            return query.execute(self._db)

    def sql(self, text: str, values: Sequence[object] = ()) -> Any:
        """Run plain SQL where Peewee's 250 us a statement would be the cost that counts; gives the cursor."""
        with self.in_words():
            return self._db.execute_sql(text, values)

    @contextmanager
    def in_words(self) -> Iterator[None]:
        """Say what keeps the database from working (a full disk, one that does not answer) as a StoreError."""
        try:
            yield
        except (OperationalError, sqlite3.OperationalError) as error:
            before = error.__context__
            while before is not None and not isinstance(before, StoreError):
                before = before.__context__
            if before is not None:
                raise before from None  # a full disk makes SQLite roll back by itself; Peewee's own attempt then fails
            raise connection.in_words(self.path, error) from error
        except (DatabaseError, sqlite3.DatabaseError) as error:
            said = connection.in_words(self.path, error)
            if isinstance(said, DamagedDatabase):
                raise said from error
            raise
