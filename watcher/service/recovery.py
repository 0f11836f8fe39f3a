"""Recovery: what a stop has interrupted is finished or cleared up, before anything is decided anew.

Checks left nothing on disk and are given back at once. A conversion's traces lie in its film's folder, so they are
settled when that root is there; until then its attempt stands, and nothing new starts on the film.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import structlog

from watcher.rules import names
from watcher.service import landing
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
        """Conversions that ran when the service last stopped, and whose root has not been there since."""

    async def open(self) -> None:
        """Give back the checks, take note of the conversions, reconsider what the settings excluded; before any job runs."""
        await self._in_store(self._checks.recover)
        await self._in_store(self._engine.store.reconsider, EXCLUDED, self._engine.now_ms())
        self._orphans = {attempt.id for attempt in await self._in_store(self._engine.store.attempts)}

    async def settle(self, root_id: int) -> None:
        """Finish or clear up the interrupted conversions of a root that is itself; what its disk refuses is left for later."""
        if not self._orphans:
            return
        for attempt, path in await self._in_store(self._engine.store.conversions_of, root_id):
            if attempt.id in self._orphans:
                try:
                    final = await asyncio.to_thread(landing.settle_attempt, attempt, path)
                except OSError as error:
                    log.warning("not cleared up", path=names.readable(path), reason=error.strerror)
                    continue
                self._orphans.discard(attempt.id)
                await self._in_store(self._write, attempt.id, final)

    def _write(self, attempt_id: str, final: Signature | None) -> None:
        with self._engine.turn():
            if final is not None:
                self._conversions.landed(attempt_id, final, reason="finished after a stop")
            else:
                self._conversions.void(attempt_id)
