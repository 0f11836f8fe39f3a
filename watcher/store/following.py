"""The journal of all files together: what happened since, and what came of each film. Reads only."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from watcher.store.store import StateStore

OUTCOMES = ("converted", "has_stereo", "ignored", "is_duplicate", "conversion_failed", "check_failed", "gave_up")
"""Moves after which a film rests, or is in trouble."""


@dataclass(frozen=True, slots=True)
class Happened:
    """One line of the journal, with the file it is about."""

    number: int
    """Grows from line to line."""
    at_ms: int
    path: bytes
    """Where the file is now."""
    move: str
    before: str
    after: str
    reason: str


@dataclass(frozen=True, slots=True)
class Came:
    """What came of one film, last."""

    at_ms: int
    path: bytes
    outcome: str
    """One of OUTCOMES."""
    reason: str
    size_bytes: int
    took_ms: int | None
    """Of its conversion; of all else since its last check began. None when that is no longer on record."""


def last(store: StateStore, count: int) -> list[Happened]:
    """Give the last lines, the oldest first."""
    rows = store.sql(_LINES.format(_FILES, "DESC"), (0, count)).fetchall()
    return [_happened(row) for row in reversed(rows)]


def after(store: StateStore, number: int, limit: int = 1000) -> list[Happened]:
    """Give the lines that follow one, in their order."""
    return [_happened(row) for row in store.sql(_LINES.format(_FILES, "ASC"), (number, limit))]


def trouble(store: StateStore, count: int) -> list[Happened]:
    """Give the last lines of trouble whose files are still in it, the newest first and a file once."""
    return [_happened(row) for row in store.sql(_TROUBLE.format(_FILES), (count,))]


def outcomes(store: StateStore, since_ms: int) -> list[Came]:
    """Give what came of each film since a time, in that order."""
    rows = store.sql(_OUTCOMES.format(_FILES), (since_ms, json.dumps(OUTCOMES))).fetchall()
    return [Came(row[0], _path(*row[1:4]), *row[4:]) for row in rows]


def _happened(row: tuple[int, int, bytes, bytes, bytes, str, str, str, str]) -> Happened:
    return Happened(row[0], row[1], _path(*row[2:5]), *row[5:])


def _path(root: bytes, folder: bytes, name: bytes) -> bytes:
    return b"/".join(filter(None, (bytes(root).rstrip(b"/"), bytes(folder), bytes(name))))


_FILES = """FROM journal AS j JOIN file_entry AS e ON e.id = j.entry_id
    JOIN folder AS f ON f.id = e.folder_id JOIN root AS r ON r.id = f.root_id"""
_LINES = """SELECT j.id, j.at_ms, r.path, f.path, e.name, j.move, j."before", j."after", j.reason {0}
    WHERE j.id > ? ORDER BY j.id {1} LIMIT ?"""
_TROUBLE = """SELECT max(j.id), j.at_ms, r.path, f.path, e.name, j.move, j."before", j."after", e.waits_for {0}
    WHERE j.move IN ('check_failed', 'check_undecided', 'conversion_failed', 'gave_up') AND e.missing_since_ms IS NULL
    AND (e.integrity_status IN ('incomplete', 'error', 'quarantined') OR e.processed_status = 'convert_failed')
    AND e.reason <> 'not_media' GROUP BY e.id ORDER BY 1 DESC LIMIT ?"""
_OUTCOMES = """SELECT j.at_ms, r.path, f.path, e.name, j.move, j.reason, e.size_bytes,
    coalesce(
        iif(j.move = 'converted', (SELECT json_extract(p.proof, '$.took_ms') FROM finding AS p WHERE p.entry_id = e.id), NULL),
        j.at_ms - (SELECT max(b.at_ms) FROM journal AS b WHERE b.entry_id = e.id AND b.id < j.id AND b.move = 'check_started')
    )
    {0} WHERE j.at_ms >= ? AND j.id = (SELECT max(o.id) FROM journal AS o WHERE o.entry_id = e.id
        AND o.move IN (SELECT value FROM json_each(?))) ORDER BY j.id"""
