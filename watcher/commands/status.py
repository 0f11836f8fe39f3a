"""`watcher status`: how many files stand where, what runs, what is next, and how the folders are."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.text import Text

from watcher import views
from watcher.commands import common
from watcher.service.shapes import of_pause, paused
from watcher.store import connection, pauses, reports
from watcher.watch import roots as watching

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console
    from rich.table import Table

    from watcher.config import Loaded
    from watcher.rules.pauses import Pause
    from watcher.rules.statuses import IntegrityStatus, ProcessedStatus
    from watcher.store.store import StateStore

NEXT_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Seen:
    """All that is shown, read at one time."""

    database: Path
    now_ms: int
    pid: int | None
    pause: Pause | None
    """The one that lasts."""
    counts: reports.Counts
    jobs: list[reports.Job]
    upcoming: list[reports.Upcoming]
    roots: list[reports.RootReport]
    modes: dict[bytes, str]
    """The folders of the settings -> how they are watched."""


def status(loaded: Loaded, *, as_json: bool) -> int:
    """Show the state of everything. Exit code 0."""
    with common.reading(loaded) as store:
        seen = look(loaded, store)
    if as_json:
        views.json_line(_as_json(seen))
    else:
        _show(seen, views.out())
    return common.EXIT_OK


def look(loaded: Loaded, store: StateStore) -> Seen:
    """Read all of it at one time."""
    database = loaded.config.database_path()
    roots = reports.roots(store)
    kinds = {root.path: root.fs_type for root in roots}
    wanted = {os.fsencode(item.path): item.mode for item in loaded.config.watch}
    return Seen(
        database,
        views.now_ms(),
        connection.writer_pid(database),
        pauses.lasting(store, views.now_ms()),
        reports.counts(store),
        reports.jobs(store),
        reports.upcoming(store, NEXT_SHOWN, views.now_ms()),
        roots,
        {path: watching.choose_mode(mode, kinds.get(path, "")) for path, mode in wanted.items()},
    )


def _as_json(seen: Seen) -> dict[str, Any]:
    return {
        "total_files": seen.counts.total,
        "gone_files": seen.counts.gone,
        "by_integrity_status": {str(status): number for status, number in seen.counts.integrity.items()},
        "by_processed_status": {str(status): number for status, number in seen.counts.processed.items()},
        "running_jobs": [
            {
                **views.path_keys(job.path),
                "kind": job.kind,
                "percent": round(100 * job.progress, 1),
                "started_at": views.iso(job.started_at_ms),
            }
            for job in (seen.jobs if seen.pid else [])
            if not job.interrupted
        ],
        "next_due": [
            {**views.path_keys(entry.path), "at": views.iso(entry.at_ms), "waits_for": entry.waits_for}
            for entry in seen.upcoming
        ],
        "roots": [
            {
                **views.path_keys(root.path),
                "mode": seen.modes.get(root.path),
                "fs_type": root.fs_type,
                "files": root.files,
                "suspended_because": root.suspended_because,
                "suspended_since": views.iso(root.suspended_since_ms),
                "last_scan": views.iso(root.last_scan_ms),
            }
            for root in seen.roots
        ],
        "service": {"running": seen.pid is not None, "pid": seen.pid},
        "paused": of_pause(seen.pause),
        "database": {"path": os.fspath(seen.database), "size_bytes": seen.database.stat().st_size},
    }


def _show(seen: Seen, console: Console) -> None:
    console.print(Text.assemble(views.heading("Service   "), service_text(seen)))
    size = views.size(seen.database.stat().st_size)
    database = views.path_text(os.fsencode(seen.database))
    console.print(Text.assemble(views.heading("Database  "), database, f"  ({size})"))
    gone = f"  (and {seen.counts.gone:,} gone from disk)" if seen.counts.gone else ""
    console.print(Text.assemble(views.heading("Files     "), f"{seen.counts.total:,}{gone}"))
    if seen.counts.total:
        views.block(console, counts_table(seen.counts))
    if seen.jobs:
        console.print(views.heading(running_title(seen)))
        views.block(console, _jobs(seen))
    if seen.upcoming:
        console.print(views.heading("Next"))
        views.block(console, _upcoming(seen))
    console.print(views.heading("Folders"))
    views.block(console, roots_table(seen) if seen.roots else Text("none was ever watched"))


def service_text(seen: Seen) -> Text:
    """Say whether a service runs, and whether it is paused."""
    service = Text(f"running (process {seen.pid})", style="green") if seen.pid else Text("not running", style="yellow")
    return service if seen.pause is None else Text.assemble(service, ", ", (paused(seen.pause), "yellow"))


def running_title(seen: Seen) -> str:
    """Give the heading of the jobs on record."""
    if not seen.pid:
        return "Interrupted, taken up again by the next run"
    return "Running" if seen.pause is None else "Paused, goes on after it"


def counts_table(counts: reports.Counts) -> Table:
    """Set the two kinds of status side by side, those that no file has left out."""
    whole = [(status, number) for status, number in counts.integrity.items() if number]
    done = [(status, number) for status, number in counts.processed.items() if number]
    made = views.table("", "", "", "", "", header=False)
    made.columns[0].justify = made.columns[3].justify = "right"
    for row in range(max(len(whole), len(done))):
        made.add_row(*_cell(whole, row), "  ", *_cell(done, row))
    return made


def _cell(
    counted: list[tuple[IntegrityStatus, int]] | list[tuple[ProcessedStatus, int]], row: int
) -> tuple[str | Text, str | Text]:
    if row >= len(counted):
        return "", ""
    status, number = counted[row]
    return f"{number:,}", views.status_text(status)


def _jobs(seen: Seen) -> Table:
    made = views.table("", "", "", "", header=False)
    made.columns[1].justify = made.columns[2].justify = "right"
    for job in seen.jobs:
        was_killed = not seen.pid and not job.interrupted  # the next run finds out how much of it can be gone on with
        percent = Text(f"{'was at ' if was_killed else ''}{100 * job.progress:.0f} %", style="cyan")
        rests = was_killed or job.interrupted
        since = "waits" if rests else views.span(seen.now_ms - job.started_at_ms)
        made.add_row(job.kind, percent, since, views.path_text(job.path))
    return made


def _upcoming(seen: Seen) -> Table:
    made = views.table("", "", header=False)
    made.columns[0].justify = "right"
    for entry in seen.upcoming:
        due = views.when(entry.at_ms, seen.now_ms) if entry.at_ms > seen.now_ms else "now"
        why = Text(f"\n{entry.waits_for}", style="dim") if entry.waits_for else Text()
        made.add_row(due, Text.assemble(views.path_text(entry.path), why))
    return made


def roots_table(seen: Seen) -> Table:
    """Give a line for each folder: how it is watched, and how it is."""
    made = views.table("", "", "", "", header=False)
    made.columns[2].justify = "right"
    for root in seen.roots:
        mode = seen.modes.get(root.path, "")
        kind = Text(" ".join(filter(None, (root.fs_type, mode))), style="dim")
        if root.suspended_because == reports.UNWATCHED:
            state = Text(root.suspended_because, style="dim")
        elif root.suspended_because:
            state = Text(f"suspended: {root.suspended_because}", style="red", overflow="fold")
        elif root.last_scan_ms is None:
            state = Text("not scanned yet")
        else:
            state = Text(f"scanned {views.when(root.last_scan_ms, seen.now_ms)}")
        made.add_row(views.path_text(root.path), kind, "1 file" if root.files == 1 else f"{root.files:,} files", state)
    return made
