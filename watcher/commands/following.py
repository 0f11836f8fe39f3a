"""`watcher tail` and `watcher report`: what happens now, and what has come of it lately."""

from __future__ import annotations

import asyncio
import csv
import re
import sys
from typing import TYPE_CHECKING, Any

from rich.text import Text

from watcher import views
from watcher.commands import common
from watcher.errors import UsageError
from watcher.rules import names
from watcher.service import wording
from watcher.store import following

if TYPE_CHECKING:
    from watcher.config import Loaded
    from watcher.store.following import Came, Happened

_LOOK_EVERY_SEC = 0.5
_UNITS_SEC = {"h": 3600, "d": 86_400, "w": 7 * 86_400}
_TITLES = {
    "converted": "Stereo track added",
    "has_stereo": "Had one already",
    "ignored": "Left alone",
    "is_duplicate": "Doubles of another film",
    "conversion_failed": "No stereo track could be made",
    "check_failed": "Not whole",
    "gave_up": "Given up, for it was not whole each time",
}
_TROUBLE = {"check_failed", "check_undecided", "conversion_failed", "gave_up"}


async def tail(loaded: Loaded, count: int, *, follow: bool, as_json: bool) -> int:
    """Show the last moves, and go on until interrupted. Exit code 0, or 130 when interrupted."""
    with common.reading(loaded) as store:
        lines = following.last(store, count)
        seen = lines[-1].number if lines else 0
        store.changed()
        while True:
            for line in lines:
                _tell(line, as_json=as_json)
                seen = line.number
            sys.stdout.flush()
            if not follow:
                return common.EXIT_OK
            await asyncio.sleep(_LOOK_EVERY_SEC)
            lines = following.after(store, seen) if store.changed() else []  # one stat, while nothing happens


def _tell(line: Happened, *, as_json: bool) -> None:
    if as_json:
        keys = {"move": line.move, "before": line.before, "after": line.after, "reason": line.reason}
        views.json_line({"at": views.iso(line.at_ms), **views.path_keys(line.path), **keys})
        return
    event = {"event": line.move, "path": line.path, "reason": line.reason, "from": line.before, "to": line.after}
    style = "yellow" if line.move in _TROUBLE else "green" if line.move == "converted" else ""
    said = Text(wording.message(event), style=style, overflow="fold")
    views.out().print(Text.assemble((views.local(line.at_ms), "dim"), "  ", said))


def report(loaded: Loaded, since: str, *, as_json: bool, as_csv: bool) -> int:
    """Show what came of each film since then. Exit code 0. Raises UsageError for a length of time it cannot read."""
    now = views.now_ms()
    from_ms = now - _milliseconds(since)
    with common.reading(loaded) as store:
        came = following.outcomes(store, from_ms)
    if as_csv:
        columns = ("at", "outcome", "path", "size_bytes", "took_sec", "reason")
        table = csv.writer(sys.stdout)
        table.writerow(columns)
        table.writerows([_row(one)[column] for column in columns] for one in came)
    elif as_json:
        totals = {outcome: sum(one.outcome == outcome for one in came) for outcome in following.OUTCOMES}
        files = [{**_row(one), **views.path_keys(one.path)} for one in came]
        views.json_line({"since": views.iso(from_ms), "until": views.iso(now), "totals": totals, "files": files})
    else:
        _show(came, since)
    return common.EXIT_OK


def _row(one: Came) -> dict[str, Any]:
    took = None if one.took_ms is None else round(one.took_ms / 1000, 1)
    path = names.to_json(one.path)[0]
    known = {"at": views.iso(one.at_ms), "outcome": one.outcome, "path": path, "size_bytes": one.size_bytes}
    return {**known, "took_sec": took, "reason": one.reason}


def _show(came: list[Came], since: str) -> None:
    console = views.out()
    if not came:
        console.print(f"nothing has come of any film in the last {since}")
        return
    for outcome, title in _TITLES.items():
        ours = [one for one in came if one.outcome == outcome]
        if not ours:
            continue
        total = views.size(sum(one.size_bytes for one in ours))
        many = "1 film" if len(ours) == 1 else f"{len(ours):,} films"
        console.print(views.heading(f"{title}: {many}, {total}"))
        table = views.table("", "", "", "", header=False)
        table.columns[1].justify = table.columns[2].justify = "right"
        for one in ours:
            took = "" if one.took_ms is None else views.span(one.took_ms)
            why = (
                Text(f"\n{one.reason.replace('_', ' ')}", style="dim")
                if one.reason and outcome != "converted"
                else Text()
            )
            place = Text.assemble(views.path_text(one.path), why)
            table.add_row(views.local(one.at_ms), views.size(one.size_bytes), took, place)
        views.block(console, table)


def _milliseconds(since: str) -> int:
    found = re.fullmatch(r"(\d+)\s*([hdw])", since.strip().lower())
    if found is None:
        raise UsageError(f"--since {since}: a number with h, d or w is wanted, as in 12h, 7d or 4w")
    return int(found[1]) * _UNITS_SEC[found[2]] * 1000
