"""Many hints, one due path: when a path that keeps being hinted at is looked at.

A path is due when it has been quiet for `quiet_sec`, or `at_most_sec` after its first hint, whichever comes first; so
a file that never stops changing is still looked at. Each hint is answered: a path is due once, with everything that
was said about it merged, and a later hint begins a new wait.

Memory has an end: beyond `max_entries` paths a hint is kept as "scan this folder" for the folder the path lies in,
and beyond a tenth as many folders again as "scan this root". Less is known then, nothing is lost.

Every wait is equally long, so both orders (by last and by first hint) are kept by appending: a hint costs O(1).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from enum import IntFlag


class HintKind(IntFlag):
    """What was said about a path. Kinds of several hints are merged with `|`."""

    CREATED = 1
    CLOSED = 2
    """Closed after writing: the writer may be done."""
    MOVED_IN = 4
    """This is the new name of something renamed or moved."""
    DELETED = 8
    """Gone under this name: deleted, renamed or moved away."""
    FOLDER = 16
    """The path is a folder: it and everything below it is to be compared with what is known."""
    SCAN_ROOT = 32
    """The whole root is to be compared; the path is empty."""
    OVERFLOW = 64
    """The kernel or we lost hints: scan the root. The path is empty."""
    TROUBLE = 128
    """Something cannot be watched; the hint's detail says what. For the log and the root's health, no path is due."""
    FINISHED = 256
    """Until it was renamed to this name it had that of an unfinished download: whoever wrote it says that it is done."""


@dataclass(frozen=True, slots=True)
class DueHint:
    """A path whose wait is over."""

    root_id: int
    rel_path: bytes
    """Relative to the root; a folder when `kinds` has FOLDER, empty for the root itself."""
    kinds: HintKind
    """All that was said about it."""
    first_at: float
    """When its first and last hints came, on the caller's monotonic clock in seconds."""
    last_at: float


_FOLDER = int(HintKind.FOLDER)
_ROOT = int(HintKind.SCAN_ROOT | HintKind.OVERFLOW)
_Key = tuple[int, bytes]


class _Wait:
    """One path that waits. Kinds are a plain int: merging flags of an enum costs ten times as much."""

    __slots__ = ("first_at", "kinds", "last_at")

    def __init__(self, kinds: int, now: float) -> None:
        self.kinds = kinds
        self.first_at = now
        self.last_at = now


class Debouncer:
    """The paths that wait. Not thread-safe: one thread gives hints and takes what is due."""

    def __init__(self, quiet_sec: float, at_most_sec: float, max_entries: int) -> None:
        """Take both ends of the wait in seconds, and how many paths may wait before hints are folded into folders."""
        self._quiet_sec = quiet_sec
        self._at_most_sec = max(quiet_sec, at_most_sec)
        self._max_paths = max(1, max_entries)
        self._max_folders = max(1, max_entries // 10)
        self._by_last: OrderedDict[_Key, _Wait] = OrderedDict()
        self._by_first: OrderedDict[_Key, _Wait] = OrderedDict()
        self._folders = 0
        self._now = float("-inf")

    def __len__(self) -> int:
        """Count what waits: at most `max_entries`, a tenth more of folders, and one for each root."""
        return len(self._by_last)

    def hint(self, root_id: int, rel_path: bytes, kind: HintKind, now: float) -> None:
        """Note that something was said about a path at `now`."""
        kinds = int(kind)
        now = self._forward(now)
        key = (root_id, b"" if kinds & _ROOT else rel_path)
        wait = self._by_last.get(key)
        if wait is None:
            key, kinds = self._fold(key, kinds)
            wait = self._by_last.get(key)
        if wait is None:
            self._by_last[key] = self._by_first[key] = _Wait(kinds, now)
            self._folders += bool(kinds & _FOLDER)
            return
        if kinds & _FOLDER and not wait.kinds & _FOLDER:
            self._folders += 1
        wait.kinds |= kinds
        wait.last_at = now
        self._by_last.move_to_end(key)

    def due(self, now: float) -> list[DueHint]:
        """Take the paths whose wait is over, those waiting longest for quiet first. Each is given once."""
        now = self._forward(now)
        due: list[DueHint] = []
        while self._by_last:
            key, wait = next(iter(self._by_last.items()))
            if wait.last_at + self._quiet_sec > now:
                break
            due.append(self._take(key))
        while self._by_first:
            key, wait = next(iter(self._by_first.items()))
            if wait.first_at + self._at_most_sec > now:
                break
            due.append(self._take(key))
        return due

    def next_deadline(self) -> float | None:
        """Say when the next path is due, on the caller's clock; None when nothing waits."""
        if not self._by_last:
            return None
        quiet = next(iter(self._by_last.values())).last_at + self._quiet_sec
        at_most = next(iter(self._by_first.values())).first_at + self._at_most_sec
        return min(quiet, at_most)

    def _forward(self, now: float) -> float:
        # Two threads may read the clock in one order and call in the other; the orders kept here must not see it.
        self._now = max(self._now, now)
        return self._now

    def _take(self, key: _Key) -> DueHint:
        wait = self._by_last.pop(key)
        del self._by_first[key]
        self._folders -= bool(wait.kinds & _FOLDER)
        return DueHint(key[0], key[1], HintKind(wait.kinds), wait.first_at, wait.last_at)

    def _fold(self, key: _Key, kinds: int) -> tuple[_Key, int]:
        """Choose what a hint about a path that does not wait yet is kept as."""
        if kinds & _ROOT or (len(self._by_last) - self._folders < self._max_paths and not kinds & _FOLDER):
            return key, kinds
        root_id, rel_path = key
        if not kinds & _FOLDER:
            key = (root_id, rel_path.rpartition(b"/")[0])
            kinds = _FOLDER
        if self._folders < self._max_folders or key in self._by_last:
            return key, kinds
        return (root_id, b""), int(HintKind.SCAN_ROOT)
