"""Recovery: what a stop has interrupted is finished or cleared up, before anything is decided anew.

Checks left nothing on disk and are given back at once. A conversion's traces lie in its film's folder, so they are
settled when that root is there; until then its attempt stands, and nothing new starts on the film.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import structlog

from watcher.media import disk, scratch
from watcher.rules import names
from watcher.service import landing, second_thoughts
from watcher.service.dispatch import EXCLUDED

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from watcher.rules.signature import Signature
    from watcher.service.checks import Checks
    from watcher.service.conversions import Conversions
    from watcher.service.engine import Engine

log = structlog.get_logger("watcher")

LEFTOVER_SEC = 86_400.0
"""A temporary file that nobody here knows may be another service's: none rests for a day between two writes."""


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
        self._settling: set[int] = set()
        """The roots that are being settled: the end of a scan and a beat may come together."""

    async def open(self) -> None:
        """Give back the checks, take note of the conversions, reconsider what the settings excluded; before any job runs."""
        await self._in_store(self._checks.recover)
        await self._in_store(self._engine.store.reconsider, EXCLUDED, self._engine.now_ms())
        await self._in_store(second_thoughts.reconsider, self._engine)
        attempts = await self._in_store(self._engine.store.attempts)
        self._orphans = {attempt.id for attempt in attempts if not attempt.interrupted}

    def adopt(self, attempt_id: str) -> None:
        """Take over an attempt that ended on a disk that would not let its traces go."""
        self._orphans.add(attempt_id)

    async def settle(self, root_id: int, found: Sequence[bytes] | None = None) -> None:
        """Finish, keep or clear up what nobody runs in a root that is itself; what its disk refuses is left for later.

        What somebody has moved since is known only when the root is scanned: `found` are the temporary files that a scan
        has met, None where there was no scan.
        """
        if root_id in self._settling:
            return
        self._settling.add(root_id)
        try:
            await self._settle(root_id, found)
        finally:
            self._settling.discard(root_id)

    async def _settle(self, root_id: int, found: Sequence[bytes] | None) -> None:
        for attempt, path in await self._in_store(self._engine.store.conversions_of, root_id):
            if attempt.interrupted and await self._in_store(self._conversions.interrupted.give_up, attempt.id):
                self._orphans.add(attempt.id)
            if attempt.id in self._orphans:
                try:
                    goes_on = await self._in_store(self._conversions.interrupted.is_wanted, attempt)
                    if found is None and await asyncio.to_thread(landing.is_adrift, attempt, path, goes_on=goes_on):
                        continue
                    share = await asyncio.to_thread(landing.share_done, attempt, path)
                    if share is not None and await self._keep(attempt.id, share):
                        continue
                    final = await asyncio.to_thread(landing.settle_attempt, attempt, path)
                    for temp in found or ():
                        if names.attempt_of(os.path.basename(temp)) == attempt.id:
                            await asyncio.to_thread(disk.unlink_if_there, temp)  # its folder was moved with it
                except OSError as error:
                    log.warning("not cleared up", path=path, reason=error.strerror)
                    continue
                self._orphans.discard(attempt.id)
                await self._in_store(self._write, attempt.id, final)

    async def forget(self) -> None:
        """Clear away all that is kept for later, wherever its disk is there."""
        for attempt in await self._in_store(self._engine.store.attempts):
            if attempt.interrupted:
                try:
                    await asyncio.to_thread(scratch.clear, attempt.temp)
                except OSError as error:
                    log.warning("not cleared up", path=attempt.film, reason=error.strerror)
                else:
                    await self._in_store(self._engine.store.end_attempt, attempt.id)

    async def _keep(self, attempt_id: str, share: float) -> bool:
        """Let the next conversion of its film go on from what an attempt has left, if there is to be one."""
        kept = bool(await self._in_store(self._keep_in_turn, attempt_id, share))
        if kept:
            self._orphans.discard(attempt_id)
        return kept

    def _keep_in_turn(self, attempt_id: str, share: float) -> bool:
        with self._engine.turn():
            kept = self._conversions.interrupted.keep(attempt_id, share)
            if kept:
                self._conversions.void(attempt_id, cleared=False)
        return kept

    async def sweep(self, found: Iterable[bytes]) -> None:
        """Remove the temporary files that a scan has met, that belong to nobody: their database was lost, or their folder
        was elsewhere when they were cleared up.
        """
        now = self._engine.clock()
        known = {attempt.id for attempt in await self._in_store(self._engine.store.attempts)}
        for temp in found:
            if names.attempt_of(os.path.basename(temp)) not in known:
                try:
                    if await asyncio.to_thread(_remove_old, temp, now):
                        log.info("leftover removed", path=temp)
                except OSError as error:
                    log.warning("leftover not removed", path=temp, reason=error.strerror)

    def _write(self, attempt_id: str, final: Signature | None) -> None:
        with self._engine.turn():
            if final is not None:
                self._conversions.landed(attempt_id, final, reason="finished after a stop")
            else:
                self._conversions.void(attempt_id)


def _remove_old(temp: bytes, now: float) -> bool:
    """Remove a temporary file that nobody writes. Not by its modification time, which a finished result has from its film."""
    try:
        if now - os.lstat(temp).st_ctime < LEFTOVER_SEC or landing.who_writes(temp) is not None:
            return False
    except FileNotFoundError:
        return False
    disk.unlink_if_there(temp)
    return True
