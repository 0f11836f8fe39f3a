"""`watcher status --watch`: a live picture, drawn anew each second: what arrives, what runs, what is in trouble."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.text import Text

from watcher import views
from watcher.commands import common, status
from watcher.errors import UsageError
from watcher.service import wording
from watcher.store import following, reports

if TYPE_CHECKING:
    from rich.table import Table

    from watcher.commands.status import Seen
    from watcher.config import Loaded
    from watcher.store.reports import Job, Upcoming
    from watcher.store.store import StateStore

DRAW_EVERY_SEC = 1.0
SHOWN = 8
"""Lines of each part: a picture that does not fit the screen is none."""


@dataclass(slots=True)
class _Sizes:
    """How fast files grow, from one look at them to the next."""

    _last: dict[bytes, tuple[float, int]] = field(default_factory=dict)

    def look(self, paths: list[bytes]) -> dict[bytes, tuple[int, float]]:
        """Give the size of each file that is there, and its growth in bytes a second."""
        found, now = {}, time.monotonic()
        for path in paths:
            try:
                size = os.stat(path).st_size
            except OSError:
                continue
            before, was = self._last.get(path, (now, size))
            found[path] = (size, (size - was) / (now - before) if now > before else 0.0)
            self._last[path] = now, size
        self._last = {path: self._last[path] for path in found}
        return found


@dataclass(slots=True)
class _Paces:
    """How fast jobs go: by what was seen of them here, and until they have moved, by what they have done since they began.

    What they did before a pause or an interruption, and the time that took, says nothing about when they end.
    """

    _since: dict[str, tuple[int, float]] = field(default_factory=dict)

    def look(self, jobs: list[Job], now_ms: int, *, stands_still: bool) -> dict[str, float]:
        """Give the share of its work that each job does in a second, of those of which it is known."""
        paces = {}
        for job in jobs:
            at_ms, share = self._since.setdefault(job.attempt_id, (now_ms, job.progress))
            if job.progress <= share:
                at_ms, share = job.started_at_ms, 0.0
            if job.progress - share > 0.01 and now_ms - at_ms >= 1000:
                paces[job.attempt_id] = (job.progress - share) / (now_ms - at_ms) * 1000
        self._since = {} if stands_still else {job.attempt_id: self._since[job.attempt_id] for job in jobs}
        return {} if stands_still else paces


async def watch(loaded: Loaded, *, as_json: bool) -> int:
    """Draw until interrupted; the last picture stays on the screen. Exit code 130. Raises UsageError without a terminal."""
    if as_json or not views.out().is_terminal:
        raise UsageError("--watch draws on a terminal; a program asks now and then, without it: watcher status --json")
    sizes, paces = _Sizes(), _Paces()
    with common.reading(loaded) as store, Live(console=views.out(), auto_refresh=False) as live:
        while True:
            live.update(picture(loaded, store, sizes, paces), refresh=True)
            await asyncio.sleep(DRAW_EVERY_SEC)


def picture(loaded: Loaded, store: StateStore, sizes: _Sizes, paces: _Paces) -> RenderableType:
    """Give one picture of how it is now."""
    seen = status.look(loaded, store)
    parts: list[RenderableType] = [
        Text.assemble(views.heading("Service   "), status.service_text(seen), f"   {views.local(seen.now_ms)}")
    ]
    arriving = reports.upcoming(store, SHOWN, seen.now_ms)
    for title, table in (
        ("Waiting", _waiting(arriving, seen, sizes) if arriving else None),
        (status.running_title(seen), _running(seen, store, paces) if seen.jobs and seen.pid else None),
        ("In trouble", _trouble(store, seen)),
        ("Files", status.counts_table(seen.counts) if seen.counts.total else None),
        ("Folders", status.roots_table(seen) if seen.roots else None),
    ):
        if table is not None:
            parts += [views.heading(title), Padding.indent(table, 2)]
    return Group(*parts)


def _waiting(arriving: list[Upcoming], seen: Seen, sizes: _Sizes) -> Table:
    looked = sizes.look([entry.path for entry in arriving])
    table = views.table("", "", "", "", header=False)
    for column in table.columns[:3]:
        column.justify, column.no_wrap = "right", True
    for entry in arriving:
        size, rate = looked.get(entry.path, (0, 0.0))
        grows = Text(f"{views.size(int(rate))}/s", style="cyan") if rate > 0 else Text()
        why = Text(f"  {entry.waits_for}", style="dim")
        when = views.when(entry.at_ms, seen.now_ms) if entry.at_ms > seen.now_ms else "now"
        table.add_row(views.size(size), grows, when, Text.assemble(views.path_text(entry.path), why))
    return table


def _running(seen: Seen, store: StateStore, paces: _Paces) -> Table:
    table = views.table("", "", "", "", "", header=False)
    for column in table.columns[:4]:
        column.no_wrap = True
    goes = paces.look(seen.jobs, seen.now_ms, stands_still=seen.pause is not None)
    for job in seen.jobs[:SHOWN]:
        entry, pace = store.entry_at(job.path), goes.get(job.attempt_id)
        speed, left = "", "waits" if job.interrupted else ""
        if pace is not None and not job.interrupted:
            speed = f"{views.size(int(entry.size_bytes * pace))}/s" if entry else ""
            left = f"{views.span(1000 * (1 - job.progress) / pace)} left"
        percent = Text(f"{100 * job.progress:3.0f} %", style="cyan")
        table.add_row(job.kind, percent, speed, left, views.path_text(job.path))
    return table


def _trouble(store: StateStore, seen: Seen) -> Table | None:
    lines = following.trouble(store, SHOWN)
    if not lines:
        return None
    table = views.table("", "", header=False)
    for line in lines:
        said = Text(wording.message({"event": line.move, "path": line.path}), style="yellow")
        why = Text(f"  {line.reason}" if line.reason else "", style="dim")
        table.add_row(views.when(line.at_ms, seen.now_ms), Text.assemble(said, why, overflow="fold"))
    return table
