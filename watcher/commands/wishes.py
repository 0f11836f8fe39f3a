"""`watcher retry` and `watcher release`: wishes for the service, stored until it takes them up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from rich.text import Text

from watcher import views
from watcher.commands import common
from watcher.rules import names
from watcher.rules.statuses import IntegrityStatus, ProcessedStatus
from watcher.store import connection, reports, stories
from watcher.store.store import add_request

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from watcher.config import Loaded
    from watcher.store.store import StateStore

    Wish = Literal["retry", "release"]


def wish(loaded: Loaded, kind: Wish, files: Sequence[os.PathLike[str]]) -> int:
    """Store a wish for each file, or for a watched folder. Exit code 0, or 1 when one of them is not known."""
    database = loaded.config.database_path()
    code = common.EXIT_OK
    for path in common.paths_of(files):
        with common.reading(loaded) as store:
            known, effect = _effect(store, kind, path)
        if known is None:
            views.err().print(Text(f"watcher: {names.readable(path)}: {effect}", overflow="fold"))
            code = common.EXIT_NO
            continue
        add_request(database, kind, known, views.now_ms())
        pid = connection.writer_pid(database)
        interval = loaded.config.loop_interval_sec
        when = f"within {interval:g} s" if pid else "when the service runs next"
        views.out().print(Text.assemble(views.path_text(known), f": {effect}, {when}"))
    return code


def _effect(store: StateStore, kind: Wish, path: bytes) -> tuple[bytes | None, str]:
    """Give the path as the database knows it and what the wish will do; or None and what is wrong."""
    if kind == "release":
        for root in reports.roots(store):
            if root.path == path and root.suspended_because == reports.UNWATCHED:
                return None, reports.UNWATCHED
            if root.path == path:
                return path, "the folder is taken as it is now, and scanned" if root.suspended_because else (
                    "the folder is not suspended; what its next scan misses is taken for gone"
                )
    for candidate in (path, common.without_links(path)):
        story = stories.story(store, candidate)
        if story is None:
            continue
        if story.file.missing_since_ms is not None:
            return None, "it is gone from disk"
        return candidate, _of_file(kind, story.file)
    return None, "it is not known; `watcher why FILE` says why"


def _of_file(kind: Wish, file: stories.Listed) -> str:
    if kind == "release":
        return "its verdict is forgotten and it is checked anew"
    if file.processed is ProcessedStatus.CONVERT_FAILED:
        return "its stereo track is tried again"
    if file.integrity is IntegrityStatus.QUARANTINED:
        return "it leaves quarantine and is checked anew"
    if file.integrity in (IntegrityStatus.INCOMPLETE, IntegrityStatus.ERROR):
        return "it is checked again without waiting longer"
    return f"nothing has failed ({file.integrity.name}, {file.processed.name}), so the service will find nothing to do"
