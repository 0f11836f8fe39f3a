"""What people ask the database: how many, what runs, what is next. Of single files `stories` tells.

Every function reads and none writes; they work on a read-only store beside a running service. Times are epoch
milliseconds and names are bytes, as they are kept; how they are shown is not decided here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from watcher.rules.statuses import IntegrityStatus, ProcessedStatus

if TYPE_CHECKING:
    from watcher.store.store import StateStore


@dataclass(frozen=True, slots=True)
class Counts:
    """How many files are known, by each of their statuses."""

    total: int
    """Those that are there; what is gone from disk is not in any number but `gone`."""
    gone: int
    integrity: dict[IntegrityStatus, int]
    """Every status is a key, 0 or not."""
    processed: dict[ProcessedStatus, int]


@dataclass(frozen=True, slots=True)
class Job:
    """An attempt on record: it runs, when a service does."""

    attempt_id: str
    path: bytes
    kind: str
    """check or convert."""
    progress: float
    """0 to 1, as it was last written down."""
    started_at_ms: int
    interrupted: bool = False
    """Nobody runs it: it goes on from where it was when its film's turn comes."""


@dataclass(frozen=True, slots=True)
class Upcoming:
    """A file that is looked at again, and why."""

    path: bytes
    at_ms: int
    waits_for: str


@dataclass(frozen=True, slots=True)
class RootReport:
    """A folder that is or was watched."""

    path: bytes
    fs_type: str
    files: int
    """Files known in it that are there."""
    suspended_because: str | None
    suspended_since_ms: int | None
    last_scan_ms: int | None


def counts(store: StateStore, root: bytes | None = None) -> Counts:
    """Count the files by their statuses, all or those of one root: one pass over the table, 1 s for 1,000,000 files."""
    integrity = dict.fromkeys(IntegrityStatus, 0)
    processed = dict.fromkeys(ProcessedStatus, 0)
    gone = 0
    for whole, done, missing, number in store.sql(
        _COUNTS.format("1" if root is None else _IN_ROOT), [] if root is None else [root]
    ):
        if missing:
            gone += number
        else:
            integrity[IntegrityStatus(whole)] += number
            processed[ProcessedStatus(done)] += number
    return Counts(sum(integrity.values()), gone, integrity, processed)


def due(store: StateStore, now_ms: int) -> int:
    """Count the files whose time has come."""
    return sum(store.sql(_DUE.format(which), (now_ms,)).fetchone()[0] for which in ("=", "<>"))


def count_groups(store: StateStore) -> int:
    """Count the groups that have files."""
    return int(store.sql("SELECT count(DISTINCT group_id) FROM file_entry WHERE group_id IS NOT NULL").fetchone()[0])


def finished_since(store: StateStore, at_ms: int) -> int:
    """Count the files about whose sound something was settled since a time."""
    return int(store.sql(_FINISHED, (at_ms,)).fetchone()[0])


def last_line(store: StateStore) -> int:
    """Give the id of the journal's last line: what comes after it is news. 0 when there is none."""
    return int(store.sql("SELECT coalesce(max(id), 0) FROM journal").fetchone()[0])


def worked_on(store: StateStore, after_line: int) -> dict[int, float]:
    """Give the ids of the files whose statuses moved after a line of the journal -> seconds from first to last move."""
    return {row[0]: (row[2] - row[1]) / 1000 for row in store.sql(_WORKED_ON, (after_line,))}


def times_gone(store: StateStore) -> int:
    """Count how often a file was found to be gone."""
    return int(store.sql("SELECT count(*) FROM journal WHERE subject = 'path' AND move = 'gone'").fetchone()[0])


def expired(store: StateStore, now_ms: int) -> int:
    """Count the jobs on record whose lease has run out."""
    return int(store.sql(_EXPIRED, (now_ms,)).fetchone()[0])


def jobs(store: StateStore) -> list[Job]:
    """Give the attempts on record, the oldest first."""
    return [Job(row[0], path_of(*row[1:4]), row[4], row[5], row[6], bool(row[7])) for row in store.sql(_JOBS)]


def upcoming(store: StateStore, limit: int, now_ms: int) -> list[Upcoming]:
    """Give the files that are looked at next, those being worked on and those of suspended folders left out: first what is
    due, in the order in which it is taken, then what waits, by time.
    """
    ids = _working(store)
    due = [
        Upcoming(entry.path, entry.next_check_at_ms or now_ms, _ITS_TURN)
        for complete in (True, False)
        for entry in store.due(complete=complete, now_ms=now_ms, limit=limit, root_ids=ids)
    ]
    return [*due, *by_time(store, limit, now_ms)][:limit]


def by_time(store: StateStore, limit: int, after_ms: int = -1) -> list[Upcoming]:
    """Give the files whose times are next after a time, the longest due first."""
    asked = ((which, root_id) for which in ("=", "<>") for root_id in _working(store))
    rows = [row for which, root_id in asked for row in store.sql(_UPCOMING.format(which), (root_id, after_ms, limit))]
    return sorted((Upcoming(path_of(*row[:3]), *row[3:]) for row in rows), key=lambda entry: entry.at_ms)[:limit]


UNWATCHED = "it is not watched any more"
"""Why a folder is suspended that the service was not told to watch when it began."""


def _working(store: StateStore) -> list[int]:
    return [root.id for root in store.roots() if root.suspended_because is None]


def roots(store: StateStore) -> list[RootReport]:
    """Give every folder that is or was watched, by name."""
    files = dict(store.sql(_FILES_OF_ROOTS).fetchall())
    return [
        RootReport(
            bytes(root.path),
            root.fs_type,
            files.get(root.id, 0),
            root.suspended_because,
            root.suspended_since_ms,
            root.last_scan_ms,
        )
        for root in store.roots()
    ]


def work_left(store: StateStore, root: bytes) -> tuple[int, int]:
    """Give how many files of a root are still to be looked at for the first time or to be processed, and how many there are."""
    ids = [each.id for each in store.roots() if each.path == root]
    total = sum(report.files for report in roots(store) if report.path == root)
    return store.unsettled(ids), total


def path_of(root: bytes, folder: bytes, name: bytes) -> bytes:
    """Join what the database keeps of a path; a file in the root itself has an empty folder."""
    return b"/".join((root.rstrip(b"/"), folder, name) if folder else (root.rstrip(b"/"), name))


_ITS_TURN = "its turn"
_COUNTS = """SELECT integrity_status, processed_status, missing_since_ms IS NOT NULL, count(*)
    FROM file_entry WHERE {0} GROUP BY 1, 2, 3"""
_IN_ROOT = "folder_id IN (SELECT f.id FROM folder AS f JOIN root AS r ON r.id = f.root_id WHERE r.path = ?)"
_FILES_OF_ROOTS = """SELECT f.root_id, count(*) FROM folder AS f JOIN file_entry AS e ON e.folder_id = f.id
    WHERE e.missing_since_ms IS NULL GROUP BY f.root_id"""
_EXPIRED = "SELECT count(*) FROM attempt WHERE lease_until_ms < ? AND interrupted = 0"
_JOBS = """SELECT a.id, r.path, f.path, e.name, a.kind, a.progress, a.started_at_ms, a.interrupted
    FROM attempt AS a
    JOIN file_entry AS e ON e.id = a.entry_id JOIN folder AS f ON f.id = e.folder_id JOIN root AS r ON r.id = f.root_id
    ORDER BY a.started_at_ms"""
# The journal grows with time: its newest lines are found from its end.
_FINISHED = """SELECT count(DISTINCT entry_id) FROM journal
    WHERE id > (SELECT coalesce(max(id), 0) FROM (SELECT id FROM journal WHERE at_ms < ? ORDER BY id DESC LIMIT 1))
    AND subject = 'processed' AND after NOT IN ('new', 'convert_failed')"""
_WORKED_ON = """SELECT entry_id, min(at_ms), max(at_ms) FROM journal WHERE id > ? AND subject <> 'path'
    GROUP BY entry_id ORDER BY min(id)"""
_DUE = """SELECT count(*) FROM file_entry WHERE root_id IN (SELECT id FROM root)
    AND next_check_at_ms IS NOT NULL AND integrity_status {0} 'complete' AND next_check_at_ms <= ?"""
# One query for each root and each of the two partial indexes of due rows: neither answers for both.
_UPCOMING = """SELECT r.path, f.path, e.name, e.next_check_at_ms, e.waits_for FROM file_entry AS e
    CROSS JOIN folder AS f ON f.id = e.folder_id CROSS JOIN root AS r ON r.id = f.root_id
    WHERE e.root_id = ? AND e.next_check_at_ms > ? AND e.integrity_status {0} 'complete'
    AND e.id NOT IN (SELECT entry_id FROM attempt WHERE interrupted = 0) ORDER BY e.next_check_at_ms LIMIT ?"""
