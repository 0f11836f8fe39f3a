"""Calm: trouble is said when it is new, and counted when it is the same again.

Two rules, for warnings and errors alone. The same trouble at the same place is said the first, second, fourth, eighth
time, with its number. And of one kind of trouble at many places (a disk that dies under a thousand films) the first few
are said, and the rest as one line with their count. The moves of a film's statuses are its life and no part of this:
how often they are said is the engine's business. The database has every single one.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

WINDOW_SEC = 60.0
SAID_AT_MOST = 10
"""So many lines of one kind in a window."""
FORGOTTEN_SEC = 3 * 3600.0
"""Trouble that has not come again for so long is new; a folder is scanned every hour by default."""
_KEPT = 1000
_TROUBLE = frozenset({"warning", "error", "critical", "exception"})
_ALWAYS = frozenset({"root suspended", "more of the same"})
"""What marks a change of state has its counterpart ("root is back"), and neither may be missing."""

Kind = tuple[str, str]


@dataclass(slots=True)
class _Burst:
    began: float
    said: int = 0
    more: int = 0


@dataclass(slots=True)
class Calm:
    """A processor of structlog. Any thread may log; `more` is asked now and then by one."""

    clock: Callable[[], float] = time.monotonic
    _bursts: dict[Kind, _Burst] = field(default_factory=dict)
    _seen: OrderedDict[tuple[Any, ...], tuple[float, int]] = field(default_factory=OrderedDict)
    """Trouble with its place -> when it last came, and how often."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, _logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Let an event pass, with `times` where it came before; or drop it."""
        if method not in _TROUBLE or event["event"] in _ALWAYS or ("from" in event and "to" in event):
            return event
        with self._lock:
            now = self.clock()
            if "times" not in event and (times := self._count(event, now)) > 1:
                event["times"] = times
            if not is_worth_saying(event.get("times", 1)) or self._is_burst(event, now):
                raise structlog.DropEvent
        return event

    def _count(self, event: MutableMapping[str, Any], now: float) -> int:
        same = (event["event"], *(event.get(key) for key in ("reason", "path", "root")))
        before, times = self._seen.pop(same, (now, 0))
        times = times + 1 if now - before < FORGOTTEN_SEC else 1
        self._seen[same] = now, times
        if len(self._seen) > _KEPT:
            self._seen.popitem(last=False)
        return times

    def _is_burst(self, event: MutableMapping[str, Any], now: float) -> bool:
        burst = self._bursts.setdefault((event["event"], str(event.get("reason", ""))), _Burst(now))
        if burst.said < SAID_AT_MOST:
            burst.said += 1
            return False
        burst.more += 1
        return True

    def more(self, *, all_of_it: bool = False) -> list[tuple[str, str, int]]:
        """Give (event, reason, count) of what was counted in windows that are over, or in all, and not said."""
        with self._lock:
            now = self.clock()
            over = [kind for kind, burst in self._bursts.items() if all_of_it or now - burst.began >= WINDOW_SEC]
            ended = [(kind, self._bursts.pop(kind)) for kind in over]
        return [(*kind, burst.more) for kind, burst in ended if burst.more]


def is_worth_saying(times: int) -> bool:
    """Tell whether the n-th time in a row is said: the first, second, fourth, eighth, ..."""
    return times & (times - 1) == 0
