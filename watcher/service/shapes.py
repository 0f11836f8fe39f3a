r"""The shapes in which the library is asked and answers: plain dicts, ready for JSON. Times are ISO 8601 in UTC, sizes bytes.

A path is text: as the file system has it where that is UTF-8, with `\xff` for bytes that are not.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from watcher.errors import WatcherError
from watcher.rules import groups, names
from watcher.rules.statuses import IntegrityStatus as I
from watcher.rules.statuses import ProcessedStatus as P
from watcher.rules.verdict import Verdict
from watcher.store import pauses, reports

if TYPE_CHECKING:
    from watcher.rules.pauses import Pause
    from watcher.store.models import FileEntry, Finding
    from watcher.store.store import StateStore

    AnyPath = str | bytes | os.PathLike[str] | os.PathLike[bytes]

_HAS_STEREO = frozenset({P.SKIPPED_HAS_EN2, P.CONVERTED, P.GROUP_PROCESSED, P.GROUP_PENDING_PAIR})
_NOT_WHOLE = frozenset({I.INCOMPLETE, I.ERROR, I.QUARANTINED})


def absolute(path: AnyPath) -> bytes:
    """Give the absolute path of what a caller named, byte for byte; no link is followed."""
    return os.path.abspath(os.fsencode(path))


def iso(at_ms: int | None) -> str | None:
    """Give a stored time as ISO 8601 in UTC."""
    if at_ms is None:
        return None
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def local(at_ms: int) -> str:
    """Give a stored time for a person, as their clock shows it."""
    return datetime.fromtimestamp(at_ms / 1000).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def of_pause(pause: Pause | None) -> dict[str, Any] | None:
    """Give a pause that lasts: `since`, `until` (None: until somebody ends it), `reason`, `sentence`. None for none."""
    if pause is None:
        return None
    times = {"since": iso(pause.since_ms), "until": iso(pause.until_ms)}
    return {**times, "reason": pause.reason, "sentence": paused(pause)}


def paused(pause: Pause) -> str:
    """Say that a pause lasts, until when and why."""
    end = f"until {local(pause.until_ms)}" if pause.until_ms is not None else "until somebody resumes it"
    return f"paused {end}" + (f": {pause.reason}" if pause.reason else "")


def of_file(store: StateStore, entry: FileEntry, *, worked_sec: float = 0.0) -> dict[str, Any]:
    """Give what is known about one file, without its journal."""
    finding = store.finding(entry.id)
    wrong = _wrong(entry, finding)
    rests = entry.integrity_status is I.COMPLETE and entry.processed_status not in (P.NEW, P.CONVERT_FAILED)
    return {
        "file_path": names.to_json(entry.path)[0],
        "file_id": entry.id,
        "group_id": entry.group_id,
        "is_stereo": groups.is_stereo_sibling(entry.name),
        "integrity_status": str(entry.integrity_status),
        "processed_status": str(entry.processed_status),
        "size_bytes": entry.size_bytes,
        "processing_time_sec": round(worked_sec, 3),
        "integrity_score": finding.verdict.get("score") if finding.verdict else None,
        "has_en2": None if entry.processed_status is P.NEW else entry.processed_status in _HAS_STEREO,
        "last_error": wrong or None,
        "status": "error" if wrong else "success" if rests else "waiting",
    }


def _wrong(entry: FileEntry, finding: Finding) -> str:
    if entry.integrity_status in _NOT_WHOLE:
        try:
            return Verdict.from_dict(finding.verdict).sentence() if finding.verdict else entry.reason or "no verdict"
        except (WatcherError, KeyError, TypeError, ValueError):
            return str(entry.reason) or "no verdict"  # written by another version
    if entry.processed_status is P.CONVERT_FAILED:
        proof = finding.proof or {}
        return str(proof.get("detail") or proof.get("failed") or proof.get("refused") or entry.reason or "it failed")
    return ""


def story(store: StateStore, path: bytes) -> dict[str, Any] | None:
    """Give all that is known about the file of a path; None when it has no entry."""
    entry = store.entry_at(path)
    if entry is None:
        return None
    return {
        **of_file(store, entry),
        "reason": entry.reason,
        "waits_for": entry.waits_for,
        "next_check_at": iso(entry.next_check_at_ms),
        "discovered_at": iso(entry.discovered_at_ms),
        "missing_since": iso(entry.missing_since_ms),
        "journal": [
            {
                "at": iso(line.at_ms),
                "subject": line.subject,
                "move": line.move,
                "before": line.before,
                "after": line.after,
                "reason": line.reason,
            }
            for line in store.journal(entry.id)
        ],
    }


def of_group(store: StateStore, group_id: int) -> dict[str, Any] | None:
    """Give a group and its files, the one first seen first; None when there is no such group."""
    group = store.group(group_id)
    if group is None:
        return None
    members = [of_file(store, entry) for entry in store.members_of(group_id) if entry.missing_since_ms is None]
    return {
        "group_id": group_id,
        "directory": names.to_json(group.folder.root.path.rstrip(b"/") + b"/" + group.folder.path)[0].rstrip("/"),
        "name": names.to_json(group.stem)[0],
        "total_files": len(members),
        "files": members,
        "status": "success"
        if members and all(file["status"] == "success" for file in members)
        else "error"
        if any(file["status"] == "error" for file in members)
        else "waiting",
    }


def of_system(store: StateStore, now_ms: int) -> dict[str, Any]:
    """Give what the database says about everything."""
    counts = store.counts()
    return {
        "total_files": counts.total,
        "total_groups": reports.count_groups(store),
        "by_integrity_status": {str(status): number for status, number in counts.integrity.items()},
        "by_processed_status": {str(status): number for status, number in counts.processed.items()},
        "due_files": reports.due(store, now_ms),
        "paused": of_pause(pauses.lasting(store, now_ms)),
        "quarantined_files": counts.integrity[I.QUARANTINED],
        "database_size_mb": round(store.path.stat().st_size / 1e6, 3),
        "processing_rate_fps": round(reports.finished_since(store, now_ms - 3_600_000) / 3600, 6),
        "running_jobs": [
            {
                "path": names.to_json(job.path)[0],
                "kind": job.kind,
                "percent": round(100 * job.progress, 1),
                "started_at": iso(job.started_at_ms),
            }
            for job in reports.jobs(store)
            if not job.interrupted
        ],
        "roots": [
            {
                "path": names.to_json(root.path)[0],
                "fs_type": root.fs_type,
                "files": root.files,
                "suspended_because": root.suspended_because,
                "suspended_since": iso(root.suspended_since_ms),
                "last_scan": iso(root.last_scan_ms),
            }
            for root in reports.roots(store)
        ],
    }
