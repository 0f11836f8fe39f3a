"""What people ask the database about single files: which there are, what is known of one, and its whole story.

Like `reports`: every function reads and none writes, times are epoch milliseconds, and names are bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from watcher.rules import groups
from watcher.rules.statuses import IntegrityStatus, ProcessedStatus
from watcher.store import reports

if TYPE_CHECKING:
    from collections.abc import Iterator

    from watcher.rules.looks import Known
    from watcher.store.models import FileEntry
    from watcher.store.store import StateStore


@dataclass(frozen=True, slots=True)
class Listed:
    """One file of a listing."""

    path: bytes
    integrity: IntegrityStatus
    processed: ProcessedStatus
    size_bytes: int
    reason: str
    waits_for: str
    next_check_at_ms: int | None
    missing_since_ms: int | None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a file's journal."""

    at_ms: int
    subject: str
    """integrity, processed or path."""
    move: str
    before: str
    after: str
    reason: str


@dataclass(frozen=True, slots=True)
class Story:
    """All that is known about one file."""

    file: Listed
    root: bytes
    root_suspended_because: str | None
    device: int
    inode: int
    mtime_ns: int
    discovered_at_ms: int
    quiet_since_ms: int
    failures_in_row: int
    verdict: dict[str, Any] | None
    checked_at_ms: int | None
    decision: dict[str, Any] | None
    proof: dict[str, Any] | None
    running: reports.Job | None
    group: tuple[Listed, ...]
    """The other files of the same film that are there: its stereo sibling, other containers."""
    journal: tuple[Line, ...]


def listed(
    store: StateStore,
    integrity: IntegrityStatus | None = None,
    processed: ProcessedStatus | None = None,
    root: bytes | None = None,
) -> Iterator[Listed]:
    """Give the files that have these statuses and lie in this root, by folder and name, one at a time."""
    chosen = {"e.integrity_status = ?": integrity, "e.processed_status = ?": processed, "r.path = ?": root}
    where = {clause: value for clause, value in chosen.items() if value is not None}
    text = _LISTED.format(" AND ".join(where) or "1")
    for row in store.sql(text, [value if isinstance(value, bytes) else str(value) for value in where.values()]):
        yield Listed(reports.path_of(*row[:3]), IntegrityStatus(row[3]), ProcessedStatus(row[4]), *row[5:])


def story(store: StateStore, path: bytes) -> Story | None:
    """Tell everything about the file of an absolute path; None when it has no entry."""
    entry = store.entry_at(path)
    if entry is None:
        return None
    finding = store.finding(entry.id)
    stem = groups.stem_of(entry.name)
    others = [
        other for other in store.siblings(entry, stem) if other.id != entry.id and groups.stem_of(other.name) == stem
    ]
    return Story(
        file=_listed(entry),
        root=bytes(entry.folder.root.path),
        root_suspended_because=entry.folder.root.suspended_because,
        device=entry.device,
        inode=entry.inode,
        mtime_ns=entry.mtime_ns,
        discovered_at_ms=entry.discovered_at_ms,
        quiet_since_ms=entry.quiet_since_ms,
        failures_in_row=entry.failures_in_row,
        verdict=finding.verdict,
        checked_at_ms=finding.checked_at_ms,
        decision=finding.decision,
        proof=finding.proof,
        running=next((job for job in reports.jobs(store) if job.path == entry.path), None),
        group=tuple(_listed(other) for other in others if other.missing_since_ms is None),
        journal=tuple(Line(*line) for line in store.sql(_JOURNAL, (entry.id,))),
    )


def known(store: StateStore, path: bytes) -> Known | None:
    """Give the stored verdict about the file of an absolute path and the content it speaks of; None when there is none."""
    entry = store.entry_at(path)
    return None if entry is None else store.finding(entry.id).known


def _listed(entry: FileEntry) -> Listed:
    return Listed(
        entry.path,
        entry.integrity_status,
        entry.processed_status,
        entry.size_bytes,
        entry.reason,
        entry.waits_for,
        entry.next_check_at_ms,
        entry.missing_since_ms,
    )


# CROSS JOIN walks the unique indexes in the order asked for: a million files are not sorted first.
_LISTED = """SELECT r.path, f.path, e.name, e.integrity_status, e.processed_status, e.size_bytes, e.reason, e.waits_for,
    e.next_check_at_ms, e.missing_since_ms
    FROM root AS r CROSS JOIN folder AS f ON f.root_id = r.id CROSS JOIN file_entry AS e ON e.folder_id = f.id
    WHERE {0} ORDER BY r.path, f.path, e.name"""
_JOURNAL = 'SELECT at_ms, subject, move, "before", "after", reason FROM journal WHERE entry_id = ? ORDER BY id'
