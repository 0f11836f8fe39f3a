"""A damaged database is set aside under a dated name, and the newest good backup takes its place.

What counts as damaged, and whose file it is, is decided here, before SQLite may write a byte:

- a readable database that bears another program's mark and has tables is somebody else's: refused, whatever stands
  beside it;
- a file that cannot be read as a database is ours, and damaged, when the lock file of a writer of ours or backups of
  it show that it was ours once; else it is somebody else's, and refused;
- an empty file is a database to be made; but where there are backups of it, it was cut to nothing;
- a database of ours is damaged when SQLite's quick check says so. A write-ahead log whose head is no log's is damage
  of the log alone: SQLite would pass over it without a word, so it is set aside, and the database used as it is.

Nothing is deleted. What the backup does not know, the next scan of the folders finds out.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import struct
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from watcher.errors import NotOurDatabase, StoreError
from watcher.store import backup

if TYPE_CHECKING:
    from pathlib import Path

APPLICATION_ID = 0x57544348  # "WTCH": marks the file as ours (PRAGMA application_id)
_MAGIC = b"SQLite format 3\0"  # https://www.sqlite.org/fileformat.html, 1.3
_WAL_MAGIC = (0x377F0682, 0x377F0683)  # the same, 4.1


@dataclass(frozen=True, slots=True)
class Rescue:
    """What was found damaged at the opening of a database, and what was done."""

    damage: str
    """What SQLite, or the look at the file's head, says."""
    set_aside: tuple[Path, ...]
    """The damaged files under their new names."""
    outcome: Literal["restored", "begun_anew", "log_lost"]
    """A backup took its place; there was none; or only the write-ahead log had to go."""
    restored_from: Path | None = None


def require_ours(path: Path, backups: Path) -> None:
    """Make sure that a file is a database of ours, or may become one. Raises NotOurDatabase. Touches nothing."""
    head = _head(path)
    if not head or _is_ours(head):
        return
    try:
        # immutable: of another program's database not even a log beside it is made or read
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as stranger:
            tables = stranger.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    except sqlite3.DatabaseError:
        if was_ours(path, backups):
            return
        raise NotOurDatabase(f"{path} is not a SQLite database; storage_url names the place of the database") from None
    if tables:
        raise NotOurDatabase(f"{path} is the database of another program; it is left alone")


def was_ours(path: Path, backups: Path) -> bool:
    """Tell whether what stands around a file shows that it was a database of ours."""
    return lock_file(path).exists() or bool(backup.all_of(path, backups))


def lock_file(path: Path) -> Path:
    """Give the lock file of a database."""
    return path.with_name(path.name + ".lock")


def make_whole(path: Path, backups: Path, now: float) -> Rescue | None:
    """Look for damage, and put it right. Under the writer's lock. Blocking: reads the whole database.

    Raises StoreError when the file cannot be read or replaced.
    """
    try:
        real = path.resolve()  # a link to the database stays one; SQLite's log lies beside what it leads to
        lost_log = _set_log_aside(real, now)
        damage = _damage(path, backups)
        if damage:
            good = backup.newest_good(path, backups)
            return _restore(real, good, damage, now, lost_log)
    except sqlite3.OperationalError as error:
        raise StoreError(f"the database {path} cannot be used: {error}") from None
    except OSError as error:
        raise StoreError(f"the database {path} is damaged and cannot be replaced: {error.strerror}") from None
    return (
        Rescue("its write-ahead log is none: what was written last is lost", lost_log, "log_lost") if lost_log else None
    )


def _damage(path: Path, backups: Path) -> str:
    head = _head(path)
    if not head:
        return "the file is empty" if path.exists() and backup.all_of(path, backups) else ""
    if not head.startswith(_MAGIC):
        return "its head is not that of a database"
    return backup.trouble(path)


def _restore(path: Path, good: Path | None, damage: str, now: float, lost_log: tuple[Path, ...]) -> Rescue:
    aside = _free_name(path, now)
    moved = [*lost_log]
    log = path.with_name(path.name + "-wal")
    if log.exists() and log.stat().st_size > 0:
        moved.append(log.rename(aside.with_name(aside.name + "-wal")))
    for left in (log, path.with_name(path.name + "-shm")):
        left.unlink(missing_ok=True)
    if good is None:
        path.rename(aside)
    else:
        fresh = path.with_name(f".{path.name}.restored")
        shutil.copyfile(good, fresh)
        backup.sync(fresh)
        # Two names for an instant, so that a stop here never leaves none: that would begin an empty database.
        try:
            os.link(path, aside)
        except OSError:  # file systems without links
            shutil.copyfile(path, aside)
        fresh.replace(path)
    backup.sync(path.parent)
    return Rescue(damage, (aside, *moved), "restored" if good else "begun_anew", good)


def _set_log_aside(path: Path, now: float) -> tuple[Path, ...]:
    """Set a write-ahead log aside that SQLite would ignore as a whole; gives its new name, or nothing."""
    log = path.with_name(path.name + "-wal")
    head = _head(log)
    if len(head) < 32 or _is_log(head[:32]):
        return ()
    aside = _free_name(path, now)
    return (log.rename(aside.with_name(aside.name + "-wal")),)


def _is_log(head: bytes) -> bool:
    """Tell whether 32 bytes are the head of a write-ahead log, by its mark and its checksum (file format, 4.1 and 4.2)."""
    (magic,) = struct.unpack(">I", head[:4])
    if magic not in _WAL_MAGIC:
        return False
    words = struct.unpack(f"{'>' if magic & 1 else '<'}6I", head[:24])
    first = second = 0
    for one, other in zip(words[::2], words[1::2], strict=True):
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + other + first) & 0xFFFFFFFF
    return (first, second) == struct.unpack(">2I", head[24:32])


def _free_name(path: Path, now: float) -> Path:
    """Give a dated name beside the database that nothing has yet."""
    base = path.with_name(f"{path.name}.damaged-{backup.stamp(now)}")
    aside, number = base, 1
    while os.path.lexists(aside) or os.path.lexists(f"{aside}-wal"):
        number += 1
        aside = base.with_name(f"{base.name}.{number}")
    return aside


def set_aside_files(path: Path) -> list[Path]:
    """Give the damaged databases that were set aside beside this one, the oldest first."""
    path = path.resolve()
    found = path.parent.iterdir() if path.parent.is_dir() else ()
    return sorted(
        each for each in found if each.name.startswith(f"{path.name}.damaged-") and not each.name.endswith("-wal")
    )


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(100)
    except (FileNotFoundError, IsADirectoryError):
        return b""


def _is_ours(head: bytes) -> bool:
    return head.startswith(_MAGIC) and head[68:72] == APPLICATION_ID.to_bytes(4, "big")
