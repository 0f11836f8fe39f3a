"""The one place where hints cross from the watching threads to the service: they append, it drains."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from watcher.rules.debounce import HintKind

if TYPE_CHECKING:
    from collections.abc import Callable


class Hint(NamedTuple):
    """Something was said about a path. A tuple, for a storm makes a hundred thousand of them."""

    root_id: int
    path: bytes
    """Relative to the root; empty for the root itself."""
    kind: HintKind
    trouble: str = ""
    """With TROUBLE: what cannot be watched, why, and what helps."""


MAX_WAITING = 500_000
"""Hints kept (about 100 MB) while nobody drains; of a root that brings more, only "scan the root" is kept."""


class Inbox:
    """A thread-safe heap of hints. `wake` is called, by the putting thread, when there is something to drain again."""

    def __init__(self, wake: Callable[[], None], max_waiting: int = MAX_WAITING) -> None:
        self._wake = wake
        self._max_waiting = max_waiting
        self._hints: deque[Hint] = deque()
        self._overflowed: set[int] = set()
        self._asleep = True  # set before draining and cleared after appending: a hint is drained, or wakes

    def put(self, root_id: int, hints: list[Hint]) -> None:
        """Append the hints of one root, and wake the drainer unless that was done since it last drained."""
        if len(self._hints) + len(hints) <= self._max_waiting:
            self._hints.extend(hints)
        else:
            self._overflowed.add(root_id)
            self._hints.extend(hint for hint in hints if hint.trouble)
        if self._asleep:
            self._asleep = False
            self._wake()

    def drain(self) -> list[Hint]:
        """Take all hints so far, in the order in which each root's came."""
        self._asleep = True
        hints = [Hint(self._overflowed.pop(), b"", HintKind.OVERFLOW) for _ in range(len(self._overflowed))]
        hints.extend(self._hints.popleft() for _ in range(len(self._hints)))
        return hints
