"""`watcher list`: the files, filtered; a row is shown as it is read, for a library may have a million."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TypeVar

from rich.text import Text

from watcher import views
from watcher.commands import common
from watcher.errors import UsageError
from watcher.rules import names
from watcher.rules.statuses import IntegrityStatus, ProcessedStatus
from watcher.store import reports, stories

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from watcher.config import Loaded
    from watcher.store.store import StateStore

    StatusKind = TypeVar("StatusKind", IntegrityStatus, ProcessedStatus)


class UnknownChoiceError(UsageError):
    """What was asked for by name is not known; the message names what is."""


def listing(
    loaded: Loaded, *, integrity: str | None, processed: str | None, root: os.PathLike[str] | None, as_json: bool
) -> int:
    """List files. Exit code 0, also for an empty list. Raises UnknownChoiceError."""
    whole = status_named(IntegrityStatus, integrity) if integrity else None
    done = status_named(ProcessedStatus, processed) if processed else None
    with common.reading(loaded) as store:
        found = stories.listed(store, whole, done, _root(store, root) if root else None)
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


def as_dict(entry: stories.Listed) -> dict[str, object]:
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


def _cells(entry: stories.Listed) -> tuple[str, ...]:
    """Give the cells of a row, the path first: it is what other programs cut out."""
    return (
        names.readable(entry.path),
        entry.integrity.name,
        entry.processed.name,
        str(entry.size_bytes),
        "gone" if entry.missing_since_ms else entry.reason,
        views.iso(entry.next_check_at_ms) or "",
    )


def _on_terminal(found: Iterator[stories.Listed]) -> None:
    console = views.out()
    now = views.now_ms()
    none = True
    for entry in found:
        none = False
        console.print(views.path_text(entry.path))
        console.print(_standing(entry, now))
    if none:
        console.print("no such files")


def _standing(entry: stories.Listed, now: int) -> Text:
    """Say below a name how the file stands; in columns, whatever the length of the names."""
    said = ["gone from disk" if entry.missing_since_ms else entry.reason.replace("_", " ")]
    if entry.next_check_at_ms is not None:
        said.append(f"next look {views.when(max(entry.next_check_at_ms, now), now)}")
    statuses = [views.status_text(status) for status in (entry.integrity, entry.processed)]
    for text, width in zip(statuses, (13, 16), strict=True):
        text.pad_right(width - len(text))
    why = ("; ".join(filter(None, said)), "dim")
    return Text.assemble("  ", *statuses, f"{views.size(entry.size_bytes):>9}  ", why, overflow="fold")
