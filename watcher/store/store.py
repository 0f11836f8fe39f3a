"""`StateStore`: everything the program knows, in one SQLite file, written from one thread.

Its methods are synchronous and must be called from one thread at a time (the service has one thread for them). What
belongs together stands in one `transaction()`; it is IMMEDIATE, so SQLite never has to answer "database is locked".
This module decides nothing: which move is legal and when it is made is the engine's business.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from peewee import fn

from watcher.errors import LostRace
from watcher.store import connection
from watcher.store.models import (
    Attempt,
    FileEntry,
    Finding,
    Folder,
    GroupEntry,
    Request,
    Root,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from peewee import Query

    from watcher.rules.signature import Signature
    from watcher.rules.statuses import Status

RawSignature = tuple[int, int, int, int, int]
"""(device, inode, size, mtime_ns, blocks): what a scan carries instead of a Signature, a hundred thousand times."""

NewEntry = tuple[int, bytes, RawSignature, str]
"""(folder id, name, signature, evidence)"""


class StateStore:
    """The database of one watcher. A context manager; `read_only` opens an existing one beside a running service."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self._lock: connection.WriterLock | None = None
        if read_only:
            self._db = connection.open_for_reading(path)
        else:
            self._db, self._lock = connection.open_for_writing(path)
        self._folders: dict[tuple[int, bytes], int] = {}

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
            with self._db.atomic("IMMEDIATE") if folders is not None else self._db.atomic():
                yield
        except BaseException:
            if folders is not None:
                self._folders = folders  # ids handed out inside are gone with the transaction
            raise

    def run(self, query: Query) -> Any:
        """Run a Peewee query on this store's connection."""
        return query.execute(self._db)

    def sql(self, text: str, values: Sequence[object] = ()) -> Any:
        """Run plain SQL where Peewee's 250 us a statement would be the cost that counts; gives the cursor."""
        return self._db.execute_sql(text, values)

    # --- roots and folders

    def root_at(self, path: bytes) -> Root:
        """Give the row of a root, made if it is new: then files known below another root, that lie in it, become its own."""
        with self.transaction():
            if self.run(Root.insert(path=path).on_conflict_ignore().as_rowcount()):
                self._rehome(Root.select().where(Root.path == path).get(self._db))
        return Root.select().where(Root.path == path).get(self._db)

    def _rehome(self, root: Root) -> None:
        """Take over the folders of roots inside this one, and of a root around it those that lie in this one."""
        here = root.path.rstrip(b"/") + b"/"
        for other in self.roots():
            there = other.path.rstrip(b"/") + b"/"
            if other.id == root.id or not (here.startswith(there) or there.startswith(here)):
                continue
            for folder, path in self.sql("SELECT id, path FROM folder WHERE root_id = ?", (other.id,)).fetchall():
                absolute = there + path
                if (absolute.rstrip(b"/") + b"/").startswith(here):
                    relative = absolute[len(here) :].rstrip(b"/")
                    self.sql("UPDATE folder SET root_id = ?, path = ? WHERE id = ?", (root.id, relative, folder))
        self._folders.clear()

    def roots(self) -> list[Root]:
        """Give every root ever watched."""
        return list(self.run(Root.select().order_by(Root.path)))

    def root_row(self, root_id: int) -> Root:
        """Give a root by id."""
        return Root.select().where(Root.id == root_id).get(self._db)

    def update_root(self, root_id: int, **changes: Any) -> None:
        """Write columns of a root."""
        self.run(Root.update(**changes).where(Root.id == root_id))

    def folder_id(self, root_id: int, path: bytes) -> int:
        """Give the id of a folder below a root, made if it is new."""
        key = (root_id, path)
        if key not in self._folders:
            self.sql("INSERT OR IGNORE INTO folder (root_id, path) VALUES (?, ?)", key)
            row = self.sql("SELECT id FROM folder WHERE root_id = ? AND path = ?", key).fetchone()
            if len(self._folders) > 50_000:
                self._folders.clear()
            self._folders[key] = row[0]
        return self._folders[key]

    def sample_paths(self, root_id: int) -> list[bytes]:
        """Give the paths of up to 20 files that should be below a root, spread over it: by them a root is recognised."""
        root = self.root_row(root_id).path.rstrip(b"/")
        folders = self.sql("SELECT id, path FROM folder WHERE root_id = ?", (root_id,)).fetchall()
        chosen = folders[:: max(1, len(folders) // _SAMPLE)]
        each = max(1, _SAMPLE // max(1, len(chosen)))
        found = []
        for folder_id, path in chosen:
            for (name,) in self.sql(_PRESENT, (folder_id, each)):
                found.append(b"/".join(part for part in (root, path, name) if part or part is root))
        return found[:_SAMPLE]

    def count_entries(self, root_id: int) -> int:
        """Count the entries of a root, gone ones too."""
        return int(FileEntry.select().join(Folder).where(Folder.root == root_id).count(self._db))

    def unsettled(self, root_ids: Sequence[int]) -> int:
        """Count the entries of these roots that are still to be looked at for the first time, or to be processed."""
        new = (FileEntry.integrity_status.in_(("unknown", "pending"))) | (
            (FileEntry.integrity_status == "complete") & (FileEntry.processed_status == "new")
        )
        query = (
            FileEntry.select().join(Folder).where(Folder.root.in_(root_ids), FileEntry.next_check_at_ms.is_null(False))
        )
        return int(query.where(new).count(self._db))

    # --- entries

    def insert_entries(self, entries: Iterable[NewEntry], now_ms: int, next_check_at_ms: dict[str, int]) -> None:
        """Insert new files, UNKNOWN and NEW; `next_check_at_ms` maps evidence to the time of the first look."""
        rows = (
            (folder, name, *signature, now_ms, now_ms, evidence, next_check_at_ms[evidence], _NEW_WAITS)
            for folder, name, signature, evidence in entries
        )
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

    def due(self, *, complete: bool, now_ms: int, limit: int, root_ids: Sequence[int]) -> list[FileEntry]:
        """Give the entries whose time has come and that nobody works on, the longest due first.

        `complete` chooses the kind of work: False those to be checked, True those to be processed.
        """
        found = self._waiting(complete, now_ms, limit, root_ids)
        entries = {entry.id: entry for entry in self._entries(FileEntry.id.in_([row[0] for row in found]))}
        return [entries[row[0]] for row in found]

    def next_due_ms(self, *, complete: bool, root_ids: Sequence[int]) -> int | None:
        """Give the time of the next due entry of one kind of work."""
        found = self._waiting(complete, _FAR_FUTURE_MS, 1, root_ids)
        return found[0][1] if found else None

    def _waiting(self, complete: bool, until_ms: int, limit: int, root_ids: Sequence[int]) -> list[tuple[int, int]]:
        query = _DUE.format(*(("process", "=") if complete else ("check", "<>")))
        return self.sql(query, (until_ms, json.dumps(list(root_ids)), limit)).fetchall()

    def update_entry(self, entry: FileEntry, **changes: Any) -> None:
        """Write columns of an entry that are no status."""
        assert not changes.keys() & {"integrity_status", "processed_status"}  # noqa: S101 - a status changes by record_move
        self.run(FileEntry.update(**changes).where(FileEntry.id == entry.id))
        _set(entry, changes)

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

    def forget(self, gone_before_ms: int, root_ids: Sequence[int]) -> int:
        """Delete the entries of these roots whose file has been gone since before `gone_before_ms`; gives their number."""
        old = (
            FileEntry.select(FileEntry.id)
            .join(Folder)
            .where(FileEntry.missing_since_ms < gone_before_ms, Folder.root.in_(root_ids))
            .where(FileEntry.id.not_in(Attempt.select(Attempt.entry)))
        )
        self.run(FileEntry.update(made_from=None).where(FileEntry.made_from.in_(old)))
        return int(self.run(FileEntry.delete().where(FileEntry.id.in_(old))))

    # --- findings

    def finding(self, entry_id: int) -> Finding:
        """Give what was found out about an entry; an empty one when nothing was."""
        found = self.run(Finding.select().where(Finding.entry == entry_id))
        return found[0] if found else Finding(entry=entry_id)

    def put_finding(self, entry_id: int, **columns: Any) -> None:
        """Write some columns of an entry's finding; the others stay."""
        insert = Finding.insert(entry=entry_id, **columns)
        self.run(insert.on_conflict(conflict_target=[Finding.entry], update=columns))

    # --- attempts and requests

    def begin_attempt(self, **columns: Any) -> None:
        """Write the row of a job that is about to start."""
        self.run(Attempt.insert(**columns))

    def update_attempt(self, attempt_id: str, **columns: Any) -> None:
        """Write columns of a running attempt."""
        self.run(Attempt.update(**columns).where(Attempt.id == attempt_id))

    def end_attempt(self, attempt_id: str) -> None:
        """Delete the row of a job whose process is gone."""
        self.run(Attempt.delete().where(Attempt.id == attempt_id))

    def attempt(self, attempt_id: str) -> Attempt | None:
        """Give one attempt by id."""
        found = self.run(Attempt.select().where(Attempt.id == attempt_id))
        return found[0] if found else None

    def attempt_of(self, entry_id: int) -> Attempt | None:
        """Give the attempt that runs for an entry."""
        found = self.run(Attempt.select().where(Attempt.entry == entry_id))
        return found[0] if found else None

    def conversions_of(self, root_id: int) -> list[tuple[Attempt, bytes]]:
        """Give the conversions on record for the films of a root, each with the film's path."""
        query = Attempt.select().join(FileEntry).join(Folder).where(Attempt.kind == "convert", Folder.root == root_id)
        return [(attempt, entry.path) for attempt in self.run(query) if (entry := self.entry(attempt.entry_id))]

    def attempts(self) -> list[Attempt]:
        """Give all attempts, the oldest first."""
        return list(self.run(Attempt.select().order_by(Attempt.started_at_ms)))

    def requests(self) -> list[Request]:
        """Give the wishes not yet read, in the order they were made."""
        return list(self.run(Request.select().order_by(Request.id)))

    def end_request(self, request_id: int) -> None:
        """Delete a wish that was carried out or refused."""
        self.run(Request.delete().where(Request.id == request_id))

    # --- upkeep

    def checkpoint(self) -> None:
        """Bring the write-ahead log into the database file and cut it to nothing: after big scans."""
        self.sql("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


_SAMPLE = 20
_PRESENT = "SELECT name FROM file_entry WHERE folder_id = ? AND missing_since_ms IS NULL LIMIT ?"
_FAR_FUTURE_MS = 2**62
# CROSS JOIN and INDEXED BY hold SQLite to walking one partial index in order, whatever its statistics say.
_DUE = """SELECT e.id, e.next_check_at_ms FROM file_entry AS e INDEXED BY file_entry_due_{0}
    CROSS JOIN folder AS f ON f.id = e.folder_id
    WHERE e.next_check_at_ms IS NOT NULL AND e.integrity_status {1} 'complete' AND e.next_check_at_ms <= ?
    AND f.root_id IN (SELECT value FROM json_each(?)) AND e.id NOT IN (SELECT entry_id FROM attempt)
    ORDER BY e.next_check_at_ms LIMIT ?"""
_NEW_WAITS = "newly found"
_INSERT = """INSERT OR IGNORE INTO file_entry
    (folder_id, name, device, inode, size_bytes, mtime_ns, blocks, discovered_at_ms, quiet_since_ms, evidence,
     next_check_at_ms, waits_for)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_OF_FOLDER = """SELECT name, e.id, device, inode, size_bytes, mtime_ns, blocks, missing_since_ms
    FROM folder AS f JOIN file_entry AS e ON e.folder_id = f.id WHERE f.root_id = ? AND f.path = ?"""
_NOTE = 'INSERT INTO journal (entry_id, at_ms, subject, move, "before", "after", reason) VALUES (?, ?, ?, ?, ?, ?, ?)'


def _set(entry: FileEntry, changes: dict[str, Any]) -> None:
    for column, value in changes.items():
        setattr(entry, column, value)


def signature_columns(signature: Signature) -> dict[str, int]:
    """Give a signature as the columns of an entry."""
    return {name: getattr(signature, name) for name in ("device", "inode", "size_bytes", "mtime_ns", "blocks")}


def add_request(database: Path, kind: str, path: bytes, at_ms: int) -> None:
    """Append a wish for the running service, or for the next one. Raises StoreError when there is no database."""
    connection.open_for_reading(database).close()
    writer = connection.open_beside(database)
    try:
        with writer.atomic("IMMEDIATE"):
            Request.insert(kind=kind, path=path, at_ms=at_ms).execute(writer)
    finally:
        writer.close()


def absolute(path: str | bytes | os.PathLike[str]) -> bytes:
    """Give an absolute path as bytes, without following links: the last name is the entry's own."""
    return os.fsencode(os.path.abspath(os.fsdecode(path)))
