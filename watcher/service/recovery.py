"""Recovery: what a stop has interrupted is finished or cleared up, before anything is decided anew.

Checks left nothing on disk and are given back at once. A conversion's traces lie in its film's folder, so they are
settled when that root is there; until then its attempt stands, and nothing new starts on the film.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import structlog

from watcher.rules import names
from watcher.service import landing, second_thoughts
from watcher.service.dispatch import EXCLUDED

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from watcher.rules.signature import Signature
    from watcher.service.checks import Checks
    from watcher.service.conversions import Conversions
    from watcher.service.engine import Engine

log = structlog.get_logger("watcher")


class Recovery:
    """Settles the attempts that nobody runs."""

    def __init__(
        self, engine: Engine, checks: Checks, conversions: Conversions, in_store: Callable[..., Awaitable[Any]]
    ) -> None:
        self._engine = engine
        self._checks = checks
        self._conversions = conversions
        self._in_store = in_store
        self._orphans: set[str] = set()
        """Conversions that nobody runs and whose traces are still to be cleared up."""
        self._said: set[str] = set()
        self._settling: set[int] = set()
        """The roots that are being settled: the end of a scan and a beat may come together."""

    async def open(self) -> None:
        """Give back the checks, take note of the conversions, reconsider what the settings excluded; before any job runs."""
        await self._in_store(self._checks.recover)
        await self._in_store(self._engine.store.reconsider, EXCLUDED, self._engine.now_ms())
        await self._in_store(second_thoughts.reconsider, self._engine)
        self._orphans = {attempt.id for attempt in await self._in_store(self._engine.store.attempts)}

    def adopt(self, attempt_id: str) -> None:
        """Take over an attempt that ended on a disk that would not let its traces go."""
        self._orphans.add(attempt_id)
        self._said.add(attempt_id)

    async def settle(self, root_id: int, *, scanned: bool) -> None:
        """Finish or clear up the interrupted conversions of a root that is itself; what its disk refuses is left for later.

        A result that somebody has renamed is found by the root's scan: until it is `scanned`, nothing is said about it.
        """
        if not self._orphans or root_id in self._settling:
            return
        self._settling.add(root_id)
        try:
            await self._settle(root_id, scanned=scanned)
        finally:
            self._settling.discard(root_id)

    async def _settle(self, root_id: int, *, scanned: bool) -> None:
        for attempt, path in await self._in_store(self._engine.store.conversions_of, root_id):
            if attempt.id in self._orphans:
                try:
                    if not scanned and await asyncio.to_thread(landing.is_adrift, attempt, path):
                        continue
                    final = await asyncio.to_thread(landing.settle_attempt, attempt, path)
                except OSError as error:
                    if attempt.id not in self._said:
                        log.warning("not cleared up", path=names.readable(path), reason=error.strerror)
                        self._said.add(attempt.id)
                    continue
                self._orphans.discard(attempt.id)
                self._said.discard(attempt.id)
                await self._in_store(self._write, attempt.id, final)

    def _write(self, attempt_id: str, final: Signature | None) -> None:
        with self._engine.turn():
            if final is not None:
                self._conversions.landed(attempt_id, final, reason="finished after a stop")
            else:
                self._conversions.void(attempt_id)
