"""The loop: everything that happens is noted first and acted on in a turn, and a turn ends with the time of the next one.

asyncio carries the loop, the children and the signals. The store is used from one thread, disks are looked at in
others, and watchdog's threads only append to an inbox. An idle service sleeps.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

import structlog

from watcher.errors import SettingsError
from watcher.service import asking, clock, counting, patience, wishes
from watcher.service.exposing import Exposed
from watcher.service.log import say_the_rest
from watcher.store import reports

if TYPE_CHECKING:
    from collections.abc import Callable

    from watcher.service.assembly import Parts
    from watcher.service.bell import Bell
    from watcher.service.reloading import Reloading

log = structlog.get_logger("watcher")

TURN_APART_SEC = 0.1
"""Turns are at least so far apart: in a storm of events one turn takes in many. Only the end of a job does not wait."""

PROGRESS_EVERY_SEC = 5.0
"""How often the progress of running jobs is written down for `watcher status`."""


class Loop:
    """Turns a service's parts, by itself while it monitors, or for somebody who works on demand."""

    def __init__(self, parts: Parts, bell: Bell, reloading: Reloading) -> None:
        self._parts = parts
        self._bell = bell
        self._reloading = reloading
        self._engine = parts.engine
        self._jumps = clock.Jumps(parts.engine.clock)
        self._one_turn = asyncio.Lock()
        self._rests = asyncio.Event()
        """Nobody monitors."""
        self._rests.set()
        self._observing = False
        self._exposed: list[Exposed] = []
        self._next_progress = 0.0
        self._next_due = 0.0
        self.watching = False
        """The watches stand."""
        self.last_turn = time.monotonic()
        """When it turned last."""

    async def monitor(self, health: Callable[[], dict[str, Any]]) -> None:
        """Watch the configured folders and work until the bell says stop. `health` is what `/healthz` answers.

        Where somebody monitors already, this waits for that to end.
        """
        if not self._rests.is_set():
            await self._rests.wait()
            return
        self._rests.clear()
        try:
            await self._monitor(health)
        finally:
            self.watching = self._bell.stopping = False
            self._rests.set()

    async def _monitor(self, health: Callable[[], dict[str, Any]]) -> None:
        parts, config = self._parts, self._engine.config
        self._observing = True
        await parts.roots.start(config.watch, observing=True)
        self._answer(health)
        self.watching = True
        parts.notifier.ready()
        log.info("watching", **parts.roots.summary())
        while not self._bell.stopping:
            with self._engine.metrics.timer("turn"):
                deadline = await self.turn()
            if parts.roots.compared():
                parts.upkeep.turn()
            await self.sleep(deadline)

    def _answer(self, health: Callable[[], dict[str, Any]]) -> None:
        """Have those answered who ask for numbers and for health, from now on."""
        if self._exposed:
            return
        numbers = self._engine.metrics.to_openmetrics
        if self._engine.config.metrics_listen:
            self._exposed.append(Exposed(self._engine.config.metrics_listen, numbers, health))
        try:
            own = asking.socket_of(self._parts.store.path)
            self._exposed.append(Exposed(f"unix:{own}", numbers, health))
        except SettingsError as error:  # a file system without sockets: it works, and is looked at from outside
            log.warning("cannot be asked", reason=str(error))

    def busy(self) -> bool:
        """Tell whether a job runs, or lands."""
        return bool(self._parts.pool.running()) or self._parts.outcomes.any()

    async def sleep(self, deadline: float) -> None:
        """Sleep until `deadline` (seconds of the wall clock), the bell, or the loop's interval at the latest."""
        await self._bell.pause(TURN_APART_SEC)
        wait = min(deadline - self._engine.clock(), self._engine.config.loop_interval_sec)
        if watchdog_sec := self._parts.notifier.watchdog_sec:
            wait = min(wait, watchdog_sec / 2)
        await self._bell.wait(wait)

    async def turn(self) -> float:
        """Take in what happened, start what is due; gives the time of the next turn, in seconds of the wall clock."""
        async with self._one_turn:
            return await self._turn()

    async def _turn(self) -> float:
        parts, now = self._parts, self._engine.clock
        self.last_turn = time.monotonic()
        if jump := self._jumps.since():
            await parts.in_store(clock.follow, self._engine, jump)
            parts.upkeep.reconsider()
            self._next_due = 0.0
        if news := parts.store.changed() or now() >= parts.pausing.until:
            await parts.pausing.turn()  # first: whoever asks for calm does not wait for a disk that wakes up
        await parts.outcomes.turn()
        await self._take_hints()
        next_root = await parts.roots.turn()
        if parts.store.changed() or news or self._reloading.asked or now() >= self._next_due:
            for root in await parts.in_store(wishes.take, self._engine):
                parts.roots.vouch(root)
            await self._reloading.turn()
            self._next_due = float("inf") if parts.pausing.is_on else await parts.dispatch.turn()
        for attempt in await parts.in_store(self._engine.take_cancels):
            parts.pool.cancel(attempt)
        await self._say()
        monotonic = parts.debouncer.next_deadline()
        next_hint = now() + monotonic - time.monotonic() if monotonic is not None else float("inf")
        return min(self._next_due, next_root, next_hint, parts.pausing.until)

    def restrict(self, only: frozenset[int] | None) -> None:
        """Have only these entries worked on; None for all. While it monitors, all are."""
        self._parts.dispatch.only = None if self.watching else only
        self._next_due = 0.0  # what was computed for others says nothing

    async def _take_hints(self) -> None:
        now = time.monotonic()
        if self._observing:
            for hint in self._parts.observers.drain():
                counting.heard(self._engine.metrics, hint)
                if hint.trouble:
                    self._parts.roots.trouble(hint.root_id, hint.trouble)
                else:
                    self._parts.debouncer.hint(hint.root_id, hint.path, hint.kind, now)
        if due := self._parts.debouncer.due(now):
            await self._parts.roots.look_at(due)

    async def _say(self) -> None:
        parts = self._parts
        if parts.roots.is_looked_after():
            parts.notifier.alive()
        say_the_rest()
        running = parts.pool.running()
        if running and time.monotonic() >= self._next_progress:
            self._next_progress = time.monotonic() + PROGRESS_EVERY_SEC
            await parts.in_store(self._engine.write_progress, running)
            queue = await parts.in_store(reports.due, parts.store, self._engine.now_ms())
            self._engine.metrics.record_gauge("queue_depth", queue)
        paused = parts.pausing.sentence()
        numbers = {"waiting_hints": len(parts.debouncer), "paused": int(parts.pausing.is_on)}
        counting.now(self._engine.metrics, running_jobs=len(running), **numbers)
        doing = f"{paused}; {len(running)} stopped" if paused else f"{len(running)} running"
        parts.notifier.status(f"{doing}; {parts.roots.sentence()}")

    def reload(self) -> None:
        """Read the settings anew, soon. Safe from a signal handler."""
        self._reloading.asked = True
        self._bell.ring()

    # --- the end

    async def ended(self) -> None:
        """Come back when nobody monitors any more."""
        await self._rests.wait()

    async def close(self) -> None:
        """Cancel the jobs, wait until their processes are gone, and close everything. Nobody monitors any more."""
        parts = self._parts
        parts.notifier.stopping()
        async with parts.notifier.more_time():
            await self._wind_down()
        await parts.in_store(parts.store.close)
        parts.in_store.close()
        parts.notifier.close()
        say_the_rest(all_of_it=True)
        log.info("closed")

    async def _wind_down(self) -> None:
        parts = self._parts
        for each in self._exposed:
            await asyncio.to_thread(each.close)
        with contextlib.suppress(TimeoutError):  # a thread that waits for a silent disk ends with the program
            await patience.within(self._engine.config.answer_within_sec, parts.observers.stop)
        await parts.upkeep.close()
        await parts.roots.close()
        await parts.outcomes.landed()
        parts.pausing.manager.cancelled.set()  # nobody waits for a drive that is away any more
        await parts.pool.close()
        await parts.outcomes.turn()
        await parts.outcomes.landed()
