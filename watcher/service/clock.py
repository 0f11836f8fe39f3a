"""The wall clock may jump: NTP corrects it, a NAS without a battery wakes up in the past, a machine was asleep.

What waits was promised a length of time, and the database keeps the time of its end. So when the clock jumps, what
waits moves with it: set back, nothing is left unseen for the hours by which it was; set forward, no film that is still
being copied counts as having been quiet all the while. Slow corrections are no jump: they are let be.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog

from watcher.store import pauses

if TYPE_CHECKING:
    from collections.abc import Callable

    from watcher.service.engine import Engine

log = structlog.get_logger("watcher")

JUMP_SEC = 5.0
"""Less is not told from a busy machine, between whose two readings of two clocks time goes by; nobody waits for it either."""


class Jumps:
    """Compares the wall clock with the monotonic one, once a turn."""

    def __init__(self, wall: Callable[[], float], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._ahead = wall() - monotonic()

    def since(self) -> float:
        """Give by how many seconds the wall clock has jumped since this was last asked; 0 for none. Set back is below 0."""
        before, self._ahead = self._ahead, self._wall() - self._monotonic()
        jump = self._ahead - before
        return jump if abs(jump) >= JUMP_SEC else 0.0


def follow(engine: Engine, jump_sec: float) -> None:
    """Let what waits wait as long as it was promised, after the clock has jumped. In the store's thread.

    A pause until a time lasts no longer than was asked for; but set forward, as after a sleep, the clock may end it.
    """
    by_ms = int(jump_sec * 1000)
    with engine.turn():
        moved = engine.store.shift_times(by_ms)
        pauses.shift(engine.store, min(by_ms, 0))
    log.warning("clock jumped", by_sec=round(jump_sec, 1), waiting_files=moved)


def mend(engine: Engine) -> None:
    """At a start: when what was last written lies in the future, the clock was set back meanwhile. In the store's thread."""
    ahead_ms = engine.store.newest_time_ms() - engine.now_ms()
    if ahead_ms >= JUMP_SEC * 1000:
        follow(engine, -ahead_ms / 1000)
