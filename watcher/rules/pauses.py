"""A pause of the service: since when, until when, why; what a wish makes of it, and how its length is written."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace
from typing import Any

from watcher.errors import UsageError

KINDS = frozenset({"pause", "resume"})
"""The wishes that are about it."""
LONGEST_SEC = 366 * 86_400
_UNITS_SEC = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_PARTS = re.compile(r"(\d{1,9})\s*([smhdw])\s*")


@dataclass(frozen=True, slots=True)
class Pause:
    """The last pause that somebody asked for. Times are epoch milliseconds."""

    since_ms: int
    until_ms: int | None = None
    """When it ends by itself; None for one that somebody must end."""
    reason: str = ""
    """In the words of whoever asked for it."""
    ended_ms: int | None = None
    """When it was ended; None while nobody has."""

    def lasts(self, now_ms: int) -> bool:
        """Tell whether nothing may be started now."""
        return self.over_since_ms(now_ms) is None

    def over_since_ms(self, now_ms: int) -> int | None:
        """Give when it ended; None while it lasts."""
        if self.ended_ms is not None:
            return self.ended_ms
        return self.until_ms if self.until_ms is not None and self.until_ms <= now_ms else None

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON-ready data."""
        return asdict(self)


def after(before: Pause | None, kind: str, at_ms: int, details: dict[str, Any] | None) -> Pause | None:
    """Give what stands after a wish: who asks for a pause again says anew how long it lasts and why."""
    lasted = before is not None and before.lasts(at_ms)
    if kind == "resume":
        return replace(before, ended_ms=at_ms) if before is not None and lasted else before
    said = {key: (details or {}).get(key) for key in ("until_ms", "reason")}
    since = before.since_ms if before is not None and lasted else at_ms
    return Pause(since, said["until_ms"], str(said["reason"] or ""))


def seconds(text: str) -> int:
    """Read a length of time: "90s", "45m", "2h", "1h 30m", "3d". Raises UsageError, saying how it is written."""
    words = text.strip().lower()
    parts = _PARTS.findall(words)
    total = sum(int(number) * _UNITS_SEC[unit] for number, unit in parts)
    if not parts or _PARTS.sub("", words) or total == 0:
        raise UsageError(f"{text!r} is no length of time: 30m, 2h, 1h30m or 3d is one (s, m, h, d, w)")
    if total > LONGEST_SEC:
        raise UsageError(f"{text!r} is longer than a year: without a length it lasts until somebody ends it")
    return total
