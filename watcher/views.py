"""How things are shown: to a person on a terminal, to a person through a pipe, to a program as JSON.

Names go through `names.readable` before a person sees them and through `names.to_json` before a program does, so no
name can break a line, colour a terminal or be read as markup. People get local times, programs ISO 8601 in UTC.
"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from watcher.rules import names
from watcher.rules.statuses import IntegrityStatus as I
from watcher.rules.statuses import ProcessedStatus as P
from watcher.service.shapes import iso as iso  # noqa: PLC0414 - shown here as everywhere
from watcher.service.shapes import local as local  # noqa: PLC0414

if TYPE_CHECKING:
    from watcher.rules.statuses import Status

WORDS: dict[Status, str] = {
    I.UNKNOWN: "not checked yet",
    I.PENDING: "being checked",
    I.COMPLETE: "whole",
    I.INCOMPLETE: "not whole",
    I.ERROR: "could not be checked",
    I.QUARANTINED: "given up: not whole each time it was looked at",
    P.NEW: "nothing decided yet",
    P.SKIPPED_HAS_EN2: "has a stereo track already",
    P.CONVERTED: "a stereo track was added",
    P.CONVERT_FAILED: "the stereo track could not be made",
    P.GROUP_PENDING_PAIR: "waits for the other half of its pair",
    P.GROUP_PROCESSED: "finished as a pair: the film and its stereo sibling",
    P.IGNORED: "left alone",
    P.DUPLICATE: "left alone: the same film stands beside it in another container",
}
"""Each status, said in words."""

_COLOURS: dict[Status, str] = {
    I.COMPLETE: "green",
    I.INCOMPLETE: "yellow",
    I.ERROR: "red",
    I.QUARANTINED: "red",
    I.PENDING: "cyan",
    P.CONVERTED: "green",
    P.SKIPPED_HAS_EN2: "green",
    P.GROUP_PROCESSED: "green",
    P.CONVERT_FAILED: "red",
}

_PIPE_WIDTH = 100_000
"""Nothing is folded or cut on its way to another program."""


def out() -> Console:
    """Give the console of answers: standard output."""
    return _console(stderr=False)


def err() -> Console:
    """Give the console of progress: standard error."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(stderr=stderr, width=None if terminal else _PIPE_WIDTH, markup=False, highlight=False, emoji=False)


def json_line(value: dict[str, Any]) -> None:
    """Print one object on one line of standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=True) + "\n")


def path_keys(path: bytes) -> dict[str, Any]:
    """Give the path for JSON, marked when it had to be escaped."""
    text, escaped = names.to_json(path)
    return {"path": text, "path_escaped": True} if escaped else {"path": text}


def table(*columns: str, header: bool = True) -> Table:
    """Begin a table without frames, the same in a pipe and on a terminal."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=header, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def block(console: Console, content: RenderableType) -> None:
    """Print something indented below its heading; without the blanks at line ends when nobody looks at it."""
    inner = Padding.indent(content, 2)
    if console.is_terminal:
        console.print(inner)
        return
    with console.capture() as captured:
        console.print(inner)
    for line in captured.get().splitlines():
        console.file.write(line.rstrip() + "\n")


def path_text(path: bytes, style: str = "") -> Text:
    """Give a path for a person, folded where it is too long rather than cut."""
    return Text(names.readable(path), style=style, overflow="fold")


def status_text(status: Status) -> Text:
    """Give a status by its name, coloured by whether all is well."""
    return Text(status.name, style=_COLOURS.get(status, ""))


def heading(text: str) -> Text:
    """Give the title of a part of an answer."""
    return Text(text, style="bold")


def now_ms() -> int:
    """Give the time as the database keeps it."""
    return int(time.time() * 1000)


def span(milliseconds: float) -> str:
    """Give a length of time in its largest sensible unit: "4 s", "12 min", "3 h", "5 days"."""
    seconds = abs(milliseconds) / 1000
    for limit, unit_sec, unit in ((100, 1, "s"), (6000, 60, "min"), (2 * 86_400, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit_sec:.0f} {unit}"
    return f"{seconds / 86_400:.0f} days"


def when(at_ms: int, now: int) -> str:
    """Give a time as seen from now: "in 42 s", "now", "3 min ago"."""
    if at_ms > now:
        return f"in {span(at_ms - now)}"
    return f"{span(now - at_ms)} ago" if now - at_ms >= 1000 else "now"


def size(count: int) -> str:
    """Give a size in decimal units, as file managers do."""
    for limit, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= limit:
            return f"{count / limit:.1f} {unit}"
    return f"{count} B"
