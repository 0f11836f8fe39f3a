"""Pausing: while somebody wishes so, FFmpeg stands still and nothing is begun; what happens to files is noticed all the same.

The wish is in the database, so it outlives a stop, and can be made while nothing runs. `children` is what stands still:
whoever starts a process for a job registers it there. A paused job has all the time of the pause in addition.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from watcher.operations import PauseManager
from watcher.service.shapes import iso, paused
from watcher.store import pauses

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from watcher.rules.pauses import Pause
    from watcher.service.engine import Engine

log = structlog.get_logger("watcher")


class Pausing:
    """The pause of one service."""

    def __init__(self, engine: Engine, in_store: Callable[..., Awaitable[Any]]) -> None:
        self._engine = engine
        self._in_store = in_store
        self.manager = PauseManager(signals=())
        """What jobs ask, and what stops their children."""
        self._pause: Pause | None = None
        """The one that lasts."""

    @property
    def is_on(self) -> bool:
        """Whether nothing may be begun."""
        return self._pause is not None

    @property
    def until(self) -> float:
        """The time (epoch seconds) at which the pause ends by itself; infinite for none, and for one without an end."""
        return float("inf") if self._pause is None or self._pause.until_ms is None else self._pause.until_ms / 1000

    def sentence(self) -> str:
        """Say that it is paused, and until when; "" when it is not."""
        return paused(self._pause) if self._pause is not None else ""

    async def turn(self) -> None:
        """Carry out the wishes about it, and end what is over. Children stop, or go on, before this returns."""
        before = self._pause
        found = await self._in_store(pauses.take, self._engine.store)
        now_ms = self._engine.now_ms()
        self._pause = found if found is not None and found.lasts(now_ms) else None
        if self._pause == before:
            return
        if self._pause is not None:
            self.manager.request_pause()
            log.info("paused", detail=self.sentence().removeprefix("paused "), until=iso(self._pause.until_ms))
        elif before is not None:
            self.manager.resume()
            await self._in_store(self._engine.store.extend_leases, now_ms - before.since_ms)
            by_itself = found is None or found.ended_ms is None
            log.info("resumed", reason="its time is over" if by_itself else "a person asked")
