"""The rows of work: what was found out about a file, what runs now, and what a person asked for."""

from __future__ import annotations

from typing import Any

from watcher.store.models import Attempt, FileEntry, Finding, Folder, Memo, Request, Root
from watcher.store.session import Session


class WorkRows(Session):
    """What a store knows about findings, attempts and requests."""

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

    def extend_leases(self, by_ms: int) -> None:
        """Give every running attempt more time: it could not work for so long."""
        self.run(Attempt.update(lease_until_ms=Attempt.lease_until_ms + by_ms))

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
        query = (
            Attempt.select(Attempt, FileEntry, Folder, Root)
            .join(FileEntry)
            .join(Folder)
            .join(Root)
            .where(Attempt.kind == "convert", Folder.root == root_id)
        )
        return [(attempt, attempt.entry.path) for attempt in self.run(query)]

    def attempts(self) -> list[Attempt]:
        """Give all attempts, the oldest first."""
        return list(self.run(Attempt.select().order_by(Attempt.started_at_ms)))

    def memo(self, key: str) -> str | None:
        """Give what was remembered under a key."""
        found = self.run(Memo.select().where(Memo.key == key))
        return found[0].value if found else None

    def put_memo(self, key: str, value: str) -> None:
        """Remember a value in place of the one before."""
        self.run(Memo.replace(key=key, value=value))

    def requests(self) -> list[Request]:
        """Give the wishes not yet read, in the order they were made."""
        return list(self.run(Request.select().order_by(Request.id)))

    def has_request(self, request_id: int) -> bool:
        """Tell whether a wish is still to be carried out."""
        return bool(self.run(Request.select(Request.id).where(Request.id == request_id)))

    def end_request(self, request_id: int) -> None:
        """Delete a wish that was carried out or refused."""
        self.run(Request.delete().where(Request.id == request_id))
