"""Telling: the log line of each committed move, and whether it is worth one.

A move is told as news, or as trouble. What a film in trouble goes through again and again is told the first, second,
fourth, eighth time, with its number; the rest is for those who log at "debug", and all of it is in the database.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from watcher.rules.statuses import Reason
from watcher.service.calm import is_worth_saying

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

log = structlog.get_logger("watcher")

_TROUBLE = frozenset({"check_failed", "check_undecided", "conversion_failed", "gave_up"})
_AGAIN = frozenset({"check_started", "retry"})
"""Moves that lead to a next try."""


@dataclass(frozen=True, slots=True)
class Told:
    """One move, as it is logged."""

    entry_id: int
    path: bytes
    root: bytes
    move: str
    before: str | bytes
    after: str | bytes
    reason: str = ""
    detail: str = ""
    """The reason in words for a person."""
    said: tuple[str, ...] = ()
    """What FFmpeg said."""
    failures: int = 0
    """In a row, with this one."""


def tell(lines: Iterable[Told], jobs: Mapping[int, str]) -> None:
    """Log moves that were committed. `jobs`: entry id -> the attempt that led to them, or follows."""
    for line in lines:
        keys: dict[str, Any] = {"path": line.path, "root": line.root, "from": line.before, "to": line.after}
        if line.entry_id in jobs:
            keys["job"] = jobs[line.entry_id]
        if line.reason:
            keys["reason"] = line.reason
        if line.move not in _TROUBLE or line.reason == Reason.NOT_MEDIA:  # a text file is no film in trouble
            again = line.move in _AGAIN and line.failures > 0
            say = log.info if not again or is_worth_saying(line.failures + 1) else log.debug
        else:
            if line.detail:
                keys["detail"] = line.detail
            if line.said:
                keys["ffmpeg_stderr"] = "\n".join(line.said)
            if line.move != "gave_up" and line.failures > 1:
                keys["times"] = line.failures
            say = log.warning if is_worth_saying(keys.get("times", 1)) else log.debug
        say(line.move, **keys)
