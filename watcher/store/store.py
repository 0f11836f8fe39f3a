"""`StateStore`: everything the program knows, in one SQLite file, written from one thread.

Its methods are synchronous and must be called from one thread at a time (the service has one thread for them). What
belongs together stands in one `transaction()`; it is IMMEDIATE, so SQLite never has to answer "database is locked".
This module decides nothing: which move is legal and when it is made is the engine's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peewee import DatabaseError

from watcher.errors import LostRace
from watcher.rules.statuses import IntegrityStatus, ProcessedStatus
from watcher.store import connection, reports
from watcher.store.care import Care
from watcher.store.due_rows import DueRows
from watcher.store.models import (
    FileEntry,
    Folder,
    GroupEntry,
    Journal,
    Request,
    Root,
)
from watcher.store.root_rows import RootRows
from watcher.store.work_rows import WorkRows

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from watcher.rules.signature import Signature
    from watcher.rules.statuses import Status

RawSignature = tuple[int, int, int, int, int]
"""(device, inode, size, mtime_ns, blocks): what a scan carries instead of a Signature, a hundred thousand times."""

NewEntry = tuple[int, bytes, RawSignature, str]
"""(folder id, name, signature, evidence)"""


class StateStore(RootRows, DueRows, WorkRows, Care):
    """The database of one watcher. A context manager; `read_only` opens an existing one beside a running service.

    Raises StoreInUse while another process writes it, NotOurDatabase, NewerDatabase, or StoreError.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder, StateStore(Path(folder) / "films.db") as store:
    ...     (store.counts().total, store.integrity_check(), store.backup().parent.name)
    (0, '', 'backups')
    """

    def insert_entries(self, entries: Iterable[NewEntry], now_ms: int, next_check_at_ms: dict[str, int]) -> None:
        """Insert new files, UNKNOWN and NEW; `next_check_at_ms` maps evidence to the time of the first look."""
        rows = (
            (folder, name, *signature, now_ms, now_ms, evidence, next_check_at_ms[evidence], _NEW_WAITS)
            for folder, name, signature, evidence in entries
        )
        with self.in_words():
            self._db.connection().executemany(_INSERT, rows)

    def entries_of_folder(self, root_id: int, path: bytes) -> dict[bytes, tuple[int, RawSignature, int | None]]:
        """Give name -> (entry id, signature, missing_since_ms) of one folder."""
        found = self.sql(_OF_FOLDER, (root_id, path))
        return {bytes(row[0]): (row[1], row[2:7], row[7]) for row in found}

    def entries_with_inodes(self, inodes: Sequence[int]) -> list[FileEntry]:
        """Give the entries whose last known inode is one of these."""
        return self._entries(FileEntry.inode.in_(inodes)) if inodes else []

    def siblings(self, entry: FileEntry, stem: bytes) -> list[FileEntry]:
        """Give the entries of the same folder whose names begin with `stem` and a dot, in the order first seen."""
        name = FileEntry.name
        # b"/" is the byte after b"."; the unique index on (folder, name) answers this as a range.
        return self._entries((FileEntry.folder == entry.folder_id) & (name >= stem + b".") & (name < stem + b"/"))

    def members_of(self, group_id: int) -> list[FileEntry]:
        """Give the entries of a group, in the order first seen."""
        return self._entries(FileEntry.group == group_id)

    def entry(self, entry_id: int) -> FileEntry | None:
        """Give one entry by id."""
        return next(iter(self._entries(FileEntry.id == entry_id)), None)

    def entry_at(self, path: bytes) -> FileEntry | None:
        """Give the entry of an absolute path, of the root nearest to it."""
        for root in sorted(self.roots(), key=lambda root: -len(root.path)):
            prefix = root.path.rstrip(b"/") + b"/"
            if path.startswith(prefix):
                folder, _, name = path[len(prefix) :].rpartition(b"/")
                here = (Folder.root == root.id) & (Folder.path == folder) & (FileEntry.name == name)
                found = self._entries(here)
                if found:
                    return found[0]
        return None

    def _entries(self, *where: Any) -> list[FileEntry]:
        return list(self.run(self.entry_query().where(*where).order_by(FileEntry.id)))

    def entry_query(self) -> Any:
        """Begin a query of entries with their folders and roots, which `FileEntry.path` needs."""
        return FileEntry.select(FileEntry, Folder, Root).join(Folder).join(Root)

    def due(
        self,
        *,
        complete: bool,
        now_ms: int,
        limit: int,
        root_ids: Sequence[int],
        only: Iterable[int] | None = None,
        turn: int = 0,
    ) -> list[FileEntry]:
        """Give entries whose time has come and that nobody works on, in the order in which they are to be taken.

        `complete` chooses the kind of work: False those to be checked, True those to be processed. `turn` counts how
        many were taken before: see `rules.planner.in_turn`. `only` names entries by id, all others are left waiting.
        """
        ids = self.due_ids(complete=complete, now_ms=now_ms, limit=limit, root_ids=root_ids, only=only, turn=turn)
        entries = {entry.id: entry for entry in self._entries(FileEntry.id.in_(ids))} if ids else {}
        return [entries[each] for each in ids]

    def move_entry(self, entry: FileEntry, folder_id: int, name: bytes) -> FileEntry:
        """Let a row follow its file to another folder and name, where it stands and is in no group yet; gives the row."""
        self.sql(_MOVE, (folder_id, folder_id, name, entry.id))
        return self._entries(FileEntry.id == entry.id)[0]

    def update_entry(self, entry: FileEntry, **changes: Any) -> None:
        """Write columns of an entry that are no status."""
        assert not changes.keys() & {"integrity_status", "processed_status"}  # noqa: S101 - a status changes by record_move
        self.run(FileEntry.update(**changes).where(FileEntry.id == entry.id))
        _set(entry, changes)

    def resting(self, after_id: int, limit: int) -> list[FileEntry]:
        """Give whole films about whose sound a decision stands, or a refusal, or which wait for a pair, from `after_id` on."""
        decided = FileEntry.processed_status.in_(
            [
                ProcessedStatus.IGNORED,
                ProcessedStatus.SKIPPED_HAS_EN2,
                ProcessedStatus.CONVERT_FAILED,
                ProcessedStatus.GROUP_PENDING_PAIR,
            ]
        )
        query = self.entry_query().where(
            FileEntry.id > after_id,
            FileEntry.integrity_status == IntegrityStatus.COMPLETE,
            FileEntry.missing_since_ms.is_null(),
            decided,
        )
        return list(self.run(query.order_by(FileEntry.id).limit(limit)))

    def reconsider(self, waits_for: str, at_ms: int) -> None:
        """Have the entries that wait for this looked at again at a time."""
        here = (FileEntry.waits_for == waits_for) & FileEntry.missing_since_ms.is_null()
        self.run(FileEntry.update(next_check_at_ms=at_ms).where(here))

    def record_move(
        self, entry: FileEntry, subject: str, move: str, after: Status, *, reason: str, at_ms: int, **changes: Any
    ) -> None:
        """Write a computed move of one status, its journal line and `changes`, all or nothing.

        Raises LostRace when the row's status is no longer the one in `entry`.
        """
        column = f"{subject}_status"
        before = getattr(entry, column)
        changes = {**changes, column: after, "reason": reason}
        with self.transaction():
            same = (FileEntry.id == entry.id) & (getattr(FileEntry, column) == before)
            if self.run(FileEntry.update(**changes).where(same)) != 1:
                raise LostRace(f"entry {entry.id} is no longer {before.name}: {move!r} was not made")
            self.note(entry, subject, move, str(before), str(after), reason=reason, at_ms=at_ms)
        _set(entry, changes)

    def note(
        self, entry: FileEntry, subject: str, move: str, before: str, after: str, *, reason: str, at_ms: int
    ) -> None:
        """Append a line to an entry's journal."""
        self.sql(_NOTE, (entry.id, at_ms, subject, move, before, after, reason))

    def group_of(self, folder_id: int, stem: bytes) -> int:
        """Give the id of a group, made if it is new."""
        self.run(GroupEntry.insert(folder=folder_id, stem=stem).on_conflict_ignore())
        here = (GroupEntry.folder == folder_id) & (GroupEntry.stem == stem)
        return GroupEntry.select().where(here).get(self._db).id

    def group(self, group_id: int) -> GroupEntry | None:
        """Give a group with its folder and root; None when there is none."""
        query = GroupEntry.select(GroupEntry, Folder, Root).join(Folder).join(Root).where(GroupEntry.id == group_id)
        return next(iter(self.run(query)), None)

    def journal(self, entry_id: int) -> list[Journal]:
        """Give the journal of a file, the oldest line first."""
        return list(self.run(Journal.select().where(Journal.entry == entry_id).order_by(Journal.id)))

    def counts(self) -> reports.Counts:
        """Count the files by each of their statuses."""
        return reports.counts(self)

    def delete_entry(self, entry: FileEntry) -> None:
        """Delete one entry, with its journal and findings."""
        self.run(FileEntry.update(made_from=None).where(FileEntry.made_from == entry.id))
        self.run(FileEntry.delete().where(FileEntry.id == entry.id))


_MOVE = """UPDATE file_entry SET folder_id = ?, root_id = (SELECT root_id FROM folder WHERE id = ?), name = ?,
    missing_since_ms = NULL, group_id = NULL WHERE id = ?"""
_NEW_WAITS = "newly found: it must be quiet first"
_INSERT = """INSERT OR IGNORE INTO file_entry
    (folder_id, root_id, name, device, inode, size_bytes, mtime_ns, blocks, discovered_at_ms, quiet_since_ms, evidence,
     next_check_at_ms, waits_for)
    VALUES (?1, (SELECT root_id FROM folder WHERE id = ?1), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_OF_FOLDER = """SELECT name, e.id, device, inode, size_bytes, mtime_ns, blocks, missing_since_ms
    FROM folder AS f JOIN file_entry AS e ON e.folder_id = f.id WHERE f.root_id = ? AND f.path = ?"""
_NOTE = 'INSERT INTO journal (entry_id, at_ms, subject, move, "before", "after", reason) VALUES (?, ?, ?, ?, ?, ?, ?)'


def _set(entry: FileEntry, changes: dict[str, Any]) -> None:
    for column, value in changes.items():
        setattr(entry, column, value)


def signature_columns(signature: Signature) -> dict[str, int]:
    """Give a signature as the columns of an entry."""
    return {name: getattr(signature, name) for name in ("device", "inode", "size_bytes", "mtime_ns", "blocks")}


def add_request(database: Path, kind: str, path: bytes, at_ms: int, details: dict[str, Any] | None = None) -> int:
    """Append a wish for the running service, or for the next one; gives its number.

    Raises StoreError when there is no database, or none that we may write.
    """
    connection.open_for_reading(database).close()
    writer = connection.open_beside(database)
    try:
        with writer.atomic("IMMEDIATE"):
            return int(Request.insert(kind=kind, path=path, at_ms=at_ms, details=details).execute(writer))
    except DatabaseError as error:
        raise connection.in_words(database, error) from None
    finally:
        writer.close()
