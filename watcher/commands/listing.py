"""`watcher list`: the files, filtered; a row is shown as it is read, for a library may have a million."""

from __future__ import annotations

import itertools
import sys
from typing import TYPE_CHECKING, TypeVar

from rich.text import Text

from watcher import views
from watcher.commands import common
from watcher.errors import WatcherError
from watcher.rules import names
from watcher.rules.statuses import IntegrityStatus, ProcessedStatus
from watcher.store import reports

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from rich.table import Table

    from watcher.config import Loaded
    from watcher.store.store import StateStore

    StatusKind = TypeVar("StatusKind", IntegrityStatus, ProcessedStatus)

_ROWS_AT_ONCE = 200


class UnknownChoiceError(WatcherError):
    """What was asked for by name is not known; the message names what is."""


def listing(
    loaded: Loaded, *, integrity: str | None, processed: str | None, root: os.PathLike[str] | None, as_json: bool
) -> int:
    """List files. Exit code 0, also for an empty list. Raises UnknownChoiceError."""
    whole = status_named(IntegrityStatus, integrity) if integrity else None
    done = status_named(ProcessedStatus, processed) if processed else None
    with common.reading(loaded) as store:
        found = reports.listed(store, whole, done, _root(store, root) if root else None)
        if as_json:
            for entry in found:
                views.json_line(as_dict(entry))
        elif sys.stdout.isatty():
            _on_terminal(found)
        else:
            for entry in found:
                sys.stdout.write("\t".join(_cells(entry)) + "\n")
    return common.EXIT_OK


def status_named(kind: type[StatusKind], name: str) -> StatusKind:
    """Give the status of a name, in any case. Raises UnknownChoiceError naming the legal ones."""
    try:
        return kind(name.lower())
    except ValueError:
        legal = ", ".join(status.name for status in kind)
        raise UnknownChoiceError(f"{name!r} is no status; there are {legal}") from None


def _root(store: StateStore, wanted: os.PathLike[str]) -> bytes:
    (path,) = common.paths_of([wanted])
    known = [root.path for root in reports.roots(store)]
    for candidate in (path, common.without_links(path)):
        if candidate in known:
            return candidate
    listed = ", ".join(map(names.readable, known)) or "none"
    raise UnknownChoiceError(f"{names.readable(path)} is no watched folder; there are: {listed}")


def as_dict(entry: reports.Listed) -> dict[str, object]:
    """Give one file as JSON-ready values."""
    return {
        **views.path_keys(entry.path),
        "integrity_status": str(entry.integrity),
        "processed_status": str(entry.processed),
        "size_bytes": entry.size_bytes,
        "reason": entry.reason,
        "waits_for": entry.waits_for,
        "next_check_at": views.iso(entry.next_check_at_ms),
        "missing_since": views.iso(entry.missing_since_ms),
    }


def _cells(entry: reports.Listed) -> tuple[str, ...]:
    """Give the cells of a row, the path first: it is what other programs cut out."""
    return (
        names.readable(entry.path),
        entry.integrity.name,
        entry.processed.name,
        str(entry.size_bytes),
        "gone" if entry.missing_since_ms else entry.reason,
        views.iso(entry.next_check_at_ms) or "",
    )


def _on_terminal(found: Iterator[reports.Listed]) -> None:
    console = views.out()
    now = views.now_ms()
    first = True
    while rows := list(itertools.islice(found, _ROWS_AT_ONCE)):
        made = _columns(header=first)
        for entry in rows:
            made.add_row(
                views.status_text(entry.integrity),
                views.status_text(entry.processed),
                views.size(entry.size_bytes),
                "" if entry.next_check_at_ms is None else views.when(max(entry.next_check_at_ms, now), now),
                _name(entry),
            )
        console.print(made)
        first = False
    if first:
        console.print("no such files")


def _columns(*, header: bool) -> Table:
    """Begin a part of the table; fixed widths keep its parts in line."""
    made = views.table(header=header)
    made.add_column("whole?", width=11)
    made.add_column("stereo?", width=15)
    made.add_column("size", width=8, justify="right")
    made.add_column("next", width=9, justify="right")
    made.add_column("file", overflow="fold")
    return made


def _name(entry: reports.Listed) -> Text:
    why = "gone from disk" if entry.missing_since_ms else entry.reason
    return Text.assemble(views.path_text(entry.path), (f"\n{why}", "dim") if why else "")
