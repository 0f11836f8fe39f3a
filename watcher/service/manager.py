"""The state manager: assembles the service from its parts, and turns its one loop.

asyncio carries the loop, the children and the signals. The store is used from one thread, disks are looked at in
others, and watchdog's threads only append to an inbox. Everything that happens is noted first and acted on in a turn;
a turn ends with the time of the next one, so an idle service sleeps.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from watcher.media import tools as ffmpeg_tools
from watcher.rules.debounce import Debouncer
from watcher.service import counting, landing, patience, upkeep, wishes
from watcher.service.answers import Answers
from watcher.service.checks import Checks
from watcher.service.conversions import Conversions
from watcher.service.dispatch import Dispatch
from watcher.service.engine import Engine
from watcher.service.executor import LocalPool
from watcher.service.exposing import Exposed
from watcher.service.intake import Intake
from watcher.service.jobs import Cancelled, Checked, Failed, Made
from watcher.service.lifecycle import Lifecycle
from watcher.service.log import say_the_rest
from watcher.service.notify import Notifier
from watcher.service.recovery import Recovery
from watcher.service.reloading import Reloading, slots_of
from watcher.service.roots import Roots
from watcher.service.temps import Temps
from watcher.service.work import Worker
from watcher.service.working import Working
from watcher.store import reports
from watcher.store.store import StateStore
from watcher.watch import writers
from watcher.watch.observers import Observers

if TYPE_CHECKING:
    from collections.abc import Callable

    from watcher.config import StateConfig
    from watcher.service.jobs import Outcome

log = structlog.get_logger("watcher")

TURN_APART_SEC = 0.1
"""Turns are at least so far apart: in a storm of events one turn takes in many."""

PROGRESS_EVERY_SEC = 5.0
"""How often the progress of running jobs is written down for `watcher status`."""


class StateManager(Lifecycle, Working, Answers):
    """The whole service on one database. An async context manager; the first call opens it where nobody did.

    Raises StoreError, ToolError or RootError from `open`, each a sentence for a person. What can be asked of it stands
    in `answers` and `working`, how it opens and closes in `lifecycle`; here is how it is put together and turns.

    >>> from watcher.testing import create_temp_videos, create_test_manager
    >>> async def example():
    ...     async with await create_test_manager() as manager:
    ...         (film,) = create_temp_videos(1, manager.config.database_path().parent / "films", "english_stereo")
    ...         before = manager.get_file_status(film)
    ...         result = await manager.process_file(film)
    ...         return before, result["processed_status"], manager.get_system_status()["total_files"]
    >>> asyncio.run(example())
    (None, 'skipped_has_en2', 1)
    """

    def __init__(
        self,
        config: StateConfig,
        *,
        read: Callable[[], StateConfig] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self.config = config
        self._read = read
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._outcomes: list[Outcome] = []
        self._landings: set[asyncio.Task[None]] = set()
        self._notifier = Notifier()
        self._opened = False
        self._last_turn = time.monotonic()
        self._exposed: Exposed | None = None
        self._observing = False
        self._watching = False
        self._next_progress = 0.0
        self._next_due = 0.0

    async def open(self) -> None:
        """Find FFmpeg, open the database, clear up after a stop. Nothing is watched yet."""
        writers.ignore_sigio()
        self._loop = asyncio.get_running_loop()
        where = self.config.ffmpeg
        tools = await ffmpeg_tools.find_tools(
            where.ffmpeg, where.ffprobe, remembered=self.config.tools_path(), remember=True
        )
        self._programs = (tools.ffmpeg, tools.ffprobe)
        self._store: StateStore = await self.in_store(upkeep.open_store, self.config, StateStore)
        self._opened = True
        self._engine = Engine(self._store, self.config, random.Random(), self._clock)  # noqa: S311 - jitter, no secret
        self._checks = Checks(self._engine)
        self._conversions = Conversions(self._engine)
        intake = Intake(self._engine)
        self._observers = Observers(self.wake)
        self._debouncer = Debouncer(
            self.config.debounce_quiet_sec, self.config.debounce_at_most_sec, self.config.max_state_entries
        )
        self._recovery = Recovery(self._engine, self._checks, self._conversions, self.in_store)
        in_turn = partial(self.in_store, self._in_turn)
        temps = Temps()
        self._landing = landing.Landing(
            self._conversions, lambda: landing.keeping(self.config), temps, in_turn, self._recovery.adopt
        )
        self._roots = Roots(self._engine, self._recovery, intake, self._observers, self.in_store, self.wake)
        work = Worker(tools, lambda: self.config, temps).do
        self._pool = LocalPool(slots_of(self.config), counting.timed(work, self._engine.metrics), self._ended)
        self._dispatch = Dispatch(self._engine, self._checks, self._conversions, self._pool, self._roots, self.in_store)
        self._upkeep = upkeep.Upkeep(self._engine, self.in_store)
        told = (self._notifier, self._read, self._configure, self.in_store)
        self._reloading = Reloading(self._engine, self._roots, *told)
        log.info("opened", database=str(self._store.path), ffmpeg=tools.version)
        await self._recovery.open()

    async def in_store(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """Run a call in the store's thread and give its result."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, partial(call, *arguments))

    async def _close(self) -> None:
        if not self._opened:
            self._thread.shutdown()
            self._notifier.close()
            return
        self._opened = False
        self._notifier.stopping()
        async with self._notifier.more_time():
            await self._wind_down()
        await self.in_store(self._store.close)
        self._thread.shutdown()
        self._notifier.close()
        say_the_rest(all_of_it=True)
        log.info("closed")

    async def _wind_down(self) -> None:
        if self._exposed is not None:
            await asyncio.to_thread(self._exposed.close)
        with contextlib.suppress(TimeoutError):  # a thread that waits for a silent disk ends with the program
            await patience.within(self.config.answer_within_sec, self._observers.stop)
        await self._upkeep.close()
        await self._roots.close()
        await asyncio.gather(*self._landings, return_exceptions=True)
        await self._pool.close()
        await self._take_outcomes()
        await asyncio.gather(*self._landings, return_exceptions=True)

    def reload(self) -> None:
        """Read the settings anew, soon. Safe from a signal handler."""
        self._reloading.asked = True
        self.wake()

    def _configure(self, config: StateConfig) -> None:
        self.config = config
        self._engine.configure(config)
        self._pool.resize(slots_of(config))

    async def start_monitoring(self) -> None:
        """Watch the configured folders and work, until `stop`, `close` or cancellation. Raises RootError."""
        await self.ready()
        self._rests.clear()
        try:
            await self._monitor()
        finally:
            self._watching = False
            self._rests.set()

    async def _monitor(self) -> None:
        self._observing = True
        await self._roots.start(self.config.watch, observing=True)
        if self.config.metrics_listen:
            numbers = self._engine.metrics.to_openmetrics
            self._exposed = Exposed(self.config.metrics_listen, numbers, self.get_health_status)
        self._watching = True
        self._notifier.ready()
        log.info("watching", **self._roots.summary())
        while not self._stop.is_set():
            with self._engine.metrics.timer("turn"):
                deadline = await self.turn()
            if self.is_compared():
                self._upkeep.turn()
            await self._sleep(deadline)

    def _busy(self) -> bool:
        return bool(self._pool.running() or self._landings or self._outcomes)

    async def _sleep(self, deadline: float) -> None:
        """Sleep until `deadline` (seconds of the wall clock), a wake-up, or the loop's interval at the latest."""
        await asyncio.sleep(TURN_APART_SEC)
        wait = min(deadline - self._clock(), self.config.loop_interval_sec)
        if self._notifier.watchdog_sec:
            wait = min(wait, self._notifier.watchdog_sec / 2)
        if wait > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), wait)
        self._wake.clear()

    async def turn(self) -> float:
        """Take in what happened, start what is due; gives the time of the next turn, in seconds of the wall clock."""
        async with self._one_turn:
            return await self._turn()

    async def _turn(self) -> float:
        self._last_turn = time.monotonic()
        await self._take_outcomes()
        await self._take_hints()
        next_root = await self._roots.turn()
        if self._store.changed() or self._reloading.asked or self._clock() >= self._next_due:
            for root in await self.in_store(wishes.take, self._engine):
                self._roots.vouch(root)
            await self._reloading.turn()
            self._next_due = await self._dispatch.turn()
        for attempt in await self.in_store(self._engine.take_cancels):
            self._pool.cancel(attempt)
        await self._say()
        monotonic = self._debouncer.next_deadline()
        next_hint = self._clock() + monotonic - time.monotonic() if monotonic is not None else float("inf")
        return min(self._next_due, next_root, next_hint)

    async def _take_hints(self) -> None:
        now = time.monotonic()
        if self._observing:
            for hint in self._observers.drain():
                counting.heard(self._engine.metrics, hint)
                if hint.trouble:
                    self._roots.trouble(hint.root_id, hint.trouble)
                else:
                    self._debouncer.hint(hint.root_id, hint.path, hint.kind, now)
        if due := self._debouncer.due(now):
            await self._roots.look_at(due)

    def _ended(self, outcome: Outcome) -> None:
        self._outcomes.append(outcome)
        self._wake.set()

    async def _take_outcomes(self) -> None:
        for task in [task for task in self._landings if task.done()]:
            self._landings.discard(task)
            task.result()
        outcomes, self._outcomes = self._outcomes, []
        for outcome in outcomes:
            if isinstance(outcome, Made):
                task = asyncio.create_task(self._landing.land(outcome))
                self._landings.add(task)
                task.add_done_callback(lambda _: self._wake.set())
            elif outcome.spec.temp is not None and isinstance(outcome, Failed | Cancelled):
                await self._landing.ended(outcome)
            elif isinstance(outcome, Checked):
                await self.in_store(self._in_turn, self._checked, await self._roots.believed(outcome))
            else:
                await self.in_store(self._in_turn, self._conversions.void, outcome.spec.attempt_id)

    def _checked(self, outcome: Checked) -> None:
        """Write a verdict; what can be said about a whole film's sound at once need not wait for a free place."""
        entry = self._checks.ended(outcome)
        if entry is not None:
            self._conversions.begin(entry, may_start=False)

    def _in_turn(self, call: Callable[..., Any], *arguments: Any) -> Any:
        with self._engine.turn():
            return call(*arguments)

    async def _say(self) -> None:
        if self._roots.is_looked_after():
            self._notifier.alive()
        say_the_rest()
        running = self._pool.running()
        if running and time.monotonic() >= self._next_progress:
            self._next_progress = time.monotonic() + PROGRESS_EVERY_SEC
            await self.in_store(self._engine.write_progress, running)
            queue = await self.in_store(reports.due, self._store, self._engine.now_ms())
            self._engine.metrics.record_gauge("queue_depth", queue)
        counting.now(self._engine.metrics, running_jobs=len(running), waiting_hints=len(self._debouncer))
        self._notifier.status(f"{len(running)} running; {self._roots.sentence()}")
