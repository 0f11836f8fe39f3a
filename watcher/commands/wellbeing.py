"""`watcher health`, `metrics` and `next`: how it is, what it did, what comes. They read, beside a service or without one."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

from rich.text import Text

from watcher import views
from watcher.commands import common
from watcher.errors import ToolError
from watcher.media import tools
from watcher.service import health as inspection
from watcher.service.metrics import StateMetrics
from watcher.service.shapes import of_pause, paused
from watcher.service.upkeep import metrics_file
from watcher.store import connection, pauses, reports

if TYPE_CHECKING:
    from rich.console import Console

    from watcher.config import Loaded

_EXIT = {"healthy": 0, "degraded": 1, "unhealthy": 2}
_COLOURS = {"healthy": "green", "degraded": "yellow", "unhealthy": "red", "warning": "yellow", "error": "red"}


async def health(loaded: Loaded, *, as_json: bool) -> int:
    """Say what is wrong. Exit code 0 healthy, 1 degraded, 2 unhealthy."""
    found = await asyncio.to_thread(inspection.told_by_service, loaded.config)
    if found is None:
        found = await asyncio.to_thread(inspection.check, loaded.config, await _tool_trouble(loaded))
    if as_json:
        views.json_line(found)
    else:
        _show(found, views.out())
    return _EXIT[found["status"]]


async def _tool_trouble(loaded: Loaded) -> str:
    programs = loaded.config.ffmpeg
    try:
        await tools.find_tools(programs.ffmpeg, programs.ffprobe)
    except ToolError as error:
        return str(error)
    return ""


def _show(found: dict[str, Any], console: Console) -> None:
    console.print(Text(found["status"], style=_COLOURS[found["status"]]))
    if found["paused"]:
        console.print(Text(found["paused"]["sentence"], style="yellow", overflow="fold"))
    for issue in found["issues"]:
        word = Text(f"{issue['severity']:<8}", style=_COLOURS[issue["severity"]])
        console.print(Text.assemble(word, issue["sentence"], overflow="fold"))
        console.print(Text(f"        {issue['remedy']}", style="dim", overflow="fold"))


def metrics(loaded: Loaded, *, since_hours: float, as_json: bool, openmetrics: bool) -> int:
    """Show what the service has counted. Exit code 0."""
    read = StateMetrics()
    read.load(metrics_file(loaded.config.database_path()), with_totals=True)
    if openmetrics:
        sys.stdout.write(read.to_openmetrics())
        return common.EXIT_OK
    summary = read.get_summary(since_hours)
    if as_json:
        views.json_line(summary)
        return common.EXIT_OK
    console = views.out()
    shown = False
    for title, rows in (("Counted", summary["counters"]), ("Last seen", summary["gauges"])):
        if rows:
            shown = True
            console.print(views.heading(title))
            table = views.table("", "", header=False)
            table.columns[1].justify = "right"
            for name, number in rows.items():
                table.add_row(name, f"{number:,g}" if number < 1e6 else f"{number:,.0f}")
            views.block(console, table)
    if summary["timings"]:
        shown = True
        console.print(views.heading("Seconds"))
        views.block(console, _timings(summary["timings"]))
    if not shown:
        console.print(f"nothing was counted in the last {since_hours:g} hours")
    return common.EXIT_OK


def _timings(timings: dict[str, dict[str, float]]) -> Any:
    keys = ("count", "avg", "p50", "p95", "max", "sum")
    table = views.table("", *keys)
    for column in table.columns[1:]:
        column.justify = "right"
    for name, numbers in timings.items():
        table.add_row(name, *(f"{numbers[key]:,.0f}" if key == "count" else f"{numbers[key]:,.2f}" for key in keys))
    return table


def upcoming(loaded: Loaded, *, limit: int, as_json: bool) -> int:
    """Show the files that are looked at next, in their order. Exit code 0."""
    with common.reading(loaded) as store:
        entries = reports.upcoming(store, limit, views.now_ms())
        pause = pauses.lasting(store, views.now_ms())
        at_work = [job.path for job in reports.jobs(store) if not job.interrupted]
    now = views.now_ms()
    if as_json:
        for entry in entries:
            told = {**views.path_keys(entry.path), "waits_for": entry.waits_for, "paused": of_pause(pause)}
            views.json_line({"at": views.iso(entry.at_ms), **told})
        return common.EXIT_OK
    console = views.out()
    if pause is not None:
        console.print(Text(paused(pause), style="yellow", overflow="fold"))
    if at_work and connection.writer_pid(loaded.config.database_path()) is not None:
        console.print(Text.assemble("at work: ", Text(", ").join(map(views.path_text, at_work)), overflow="fold"))
    elif not entries:
        console.print("nothing waits: every file rests until it changes")
    if not entries:
        return common.EXIT_OK
    table = views.table("", "", "", header=False)
    table.columns[1].justify = "right"
    for entry in entries:
        why = Text(f"\n{entry.waits_for}", style="dim") if entry.waits_for else Text()
        due = views.when(entry.at_ms, now) if entry.at_ms > now else "now"
        table.add_row(views.local(entry.at_ms), due, Text.assemble(views.path_text(entry.path), why))
    console.print(table)
    return common.EXIT_OK
