"""Backups: copies of the database taken beside its writer, the newest few kept.

A backup is one file that needs nothing beside it, named by its database and its time in UTC:
`watcher-20260102T030405Z.db`. It is copied under another name, checked, brought to disk, and only then takes its own:
what has such a name is whole. A damaged database is not backed up, so that it can never push the good copies out.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from watcher.errors import DamagedDatabase, StoreError

if TYPE_CHECKING:
    from pathlib import Path

KEPT = 5
"""How many backups are kept unless told otherwise."""
_STAMP = "%Y%m%dT%H%M%SZ"
_ABANDONED_SEC = 3600.0
"""A copy under its temporary name that nobody has written to for so long was left by a stop."""


def folder_beside(database: Path) -> Path:
    """Give the folder for backups where no other is named."""
    return database.parent / "backups"


def stamp(now: float) -> str:
    """Give a time (epoch seconds) as it stands in file names."""
    return datetime.fromtimestamp(now, UTC).strftime(_STAMP)


def take(database: Path, folder: Path, *, keep: int = KEPT, now: float | None = None) -> Path:
    """Copy a database beside whoever writes it, and delete all but the newest `keep` backups. Gives the copy. Blocking.

    The copy is what one read transaction sees: no writer waits for it. Raises DamagedDatabase, or StoreError for a
    folder that cannot be written; then nothing is deleted.
    """
    now = time.time() if now is None else now
    target = folder / f"{database.stem}-{stamp(now)}.db"
    temp = folder / f".{target.name}.{os.getpid()}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            _copy(database, temp)
            if wrong := trouble(temp):
                raise DamagedDatabase(f"{database} is damaged ({wrong}): it was not backed up")
            sync(temp)
            temp.rename(target)
        finally:
            temp.unlink(missing_ok=True)
        sync(folder)
        _thin_out(database, folder, keep)
    except sqlite3.OperationalError as error:
        raise StoreError(f"{database} cannot be backed up to {folder}: {error}") from None
    except sqlite3.DatabaseError as error:
        raise DamagedDatabase(f"{database} is damaged ({error}): it was not backed up") from None
    except OSError as error:
        raise StoreError(f"{database} cannot be backed up to {folder}: {error.strerror}") from None
    return target


def _copy(database: Path, temp: Path) -> None:
    with closing(reader(database)) as source, closing(sqlite3.connect(temp, isolation_level=None)) as copy:
        source.backup(copy)
        copy.execute("PRAGMA journal_mode = delete").fetchall()  # one file, readable where nothing may be written


def _thin_out(database: Path, folder: Path, keep: int) -> None:
    for old in all_of(database, folder)[keep:]:
        old.unlink(missing_ok=True)
    for left in folder.glob(f".{_escaped(database.stem)}-*.tmp"):
        if time.time() - left.stat().st_mtime > _ABANDONED_SEC:
            left.unlink(missing_ok=True)


def all_of(database: Path, folder: Path) -> list[Path]:
    """Give the backups of a database, the newest first; none where there is no such folder."""
    found = folder.glob(f"{_escaped(database.stem)}-*.db")
    return sorted((path for path in found if taken_at(database, path) is not None), reverse=True)


def taken_at(database: Path, copy: Path) -> float | None:
    """Give the time of a backup (epoch seconds), read from its name; None for a name that is none."""
    try:
        text = copy.name.removeprefix(f"{database.stem}-").removesuffix(".db")
        return datetime.strptime(text, _STAMP).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def newest_good(database: Path, folder: Path) -> Path | None:
    """Give the newest backup that passes SQLite's full check of integrity. Blocking."""
    return next((copy for copy in all_of(database, folder) if not trouble(copy, quick=False)), None)


def trouble(path: Path, *, quick: bool = True) -> str:
    """Say what SQLite finds wrong with a database file; "" when nothing is. Blocking: it reads the whole file.

    The quick check leaves out whether the indexes agree with the tables. Raises sqlite3.OperationalError for a file
    that cannot be read at all, which says nothing about its content.
    """
    try:
        with closing(reader(path)) as database:
            return trouble_in(database, quick=quick)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        return str(error)


def trouble_in(database: sqlite3.Connection, *, quick: bool) -> str:
    """Say what SQLite finds wrong with an open database; "" when nothing is."""
    found = database.execute(f"PRAGMA {'quick' if quick else 'integrity'}_check(1)").fetchone()[0]
    return "" if found == "ok" else " ".join(str(found).replace("***", "").split())


def reader(path: Path) -> sqlite3.Connection:
    """Open a database file to read it, whoever writes it."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=10)


def sync(path: Path) -> None:
    """Bring a file or a folder to disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _escaped(text: str) -> str:
    return "".join(f"[{char}]" if char in "*?[" else char for char in text)
