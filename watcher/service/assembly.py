"""How a service is put together: every part is made here, once, and handed to those who need it."""

from __future__ import annotations

import asyncio
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from watcher.media import tools as ffmpeg_tools
from watcher.rules.debounce import Debouncer
from watcher.service import clock as clocks
from watcher.service import counting, landing, upkeep
from watcher.service.checks import Checks
from watcher.service.conversions import Conversions
from watcher.service.discovery import Discovery
from watcher.service.dispatch import Dispatch
from watcher.service.engine import Engine
from watcher.service.executor import LocalPool
from watcher.service.intake import Intake
from watcher.service.notify import Notifier
from watcher.service.outcomes import Outcomes
from watcher.service.pausing import Pausing
from watcher.service.recovery import Recovery
from watcher.service.reloading import slots_of
from watcher.service.roots import Roots
from watcher.service.temps import Temps
from watcher.service.work import Worker
from watcher.store.store import StateStore
from watcher.watch import writers
from watcher.watch.observers import Observers

if TYPE_CHECKING:
    from collections.abc import Callable

    from watcher.config import StateConfig
    from watcher.media.ffmpeg import Tools
    from watcher.service.bell import Bell

log = structlog.get_logger("watcher")


class StoreThread:
    """The one thread that the store is used from."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="store")

    async def __call__(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """Run a call there and give its result."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, partial(call, *arguments))

    def close(self) -> None:
        """Wait for what it does, and end it."""
        self._pool.shutdown()


@dataclass(frozen=True, slots=True)
class Parts:
    """A service, opened: what each part does stands in its own module."""

    tools: Tools
    notifier: Notifier
    in_store: StoreThread
    store: StateStore
    engine: Engine
    recovery: Recovery
    observers: Observers
    debouncer: Debouncer
    roots: Roots
    discovery: Discovery
    pool: LocalPool
    outcomes: Outcomes
    dispatch: Dispatch
    pausing: Pausing
    upkeep: upkeep.Upkeep

    def configure(self, config: StateConfig) -> None:
        """Have settings heeded from now on."""
        self.engine.configure(config)
        self.pool.resize(slots_of(config))


async def assemble(config: StateConfig, bell: Bell, clock: Callable[[], float]) -> Parts:
    """Find FFmpeg, open the database, clear up after a stop. Nothing is watched yet.

    Raises StoreError, ToolError or RootError; nothing is left open then.
    """
    writers.ignore_sigio()
    notifier, in_store = Notifier(), StoreThread()
    store: StateStore | None = None
    try:
        where = config.ffmpeg
        tools = await ffmpeg_tools.find_tools(
            where.ffmpeg, where.ffprobe, remembered=config.tools_path(), remember=True
        )
        store = await in_store(upkeep.open_store, config, StateStore)
        parts = _put_together(config, bell, clock, tools, notifier, in_store, store)
        log.info("opened", database=str(store.path), ffmpeg=tools.version)
        await in_store(clocks.mend, parts.engine)
        await parts.recovery.open()
        await parts.pausing.turn()
    except BaseException:
        if store is not None:
            await in_store(store.close)
        in_store.close()
        notifier.close()
        raise
    return parts


def _put_together(
    config: StateConfig,
    bell: Bell,
    clock: Callable[[], float],
    tools: Tools,
    notifier: Notifier,
    in_store: StoreThread,
    store: StateStore,
) -> Parts:
    engine = Engine(store, config, random.Random(), clock)  # noqa: S311 - jitter, no secret
    in_turn = partial(in_store, _in_turn, engine)
    checks, conversions, temps = Checks(engine), Conversions(engine), Temps()
    recovery = Recovery(engine, checks, conversions, in_store)
    observers = Observers(bell.ring)
    roots = Roots(engine, recovery, Intake(engine), observers, in_store, bell.ring)
    keeping = lambda: landing.keeping(engine.config)  # noqa: E731 - asked anew for each result
    pausing = Pausing(engine, in_store)
    lands = landing.Landing(conversions, keeping, temps, in_turn, recovery.adopt, pausing.manager.cancelled)
    outcomes = Outcomes(checks, conversions, lands, roots, in_turn, bell.hurry)
    work = Worker(tools, lambda: engine.config, temps, pausing.manager).do
    pool = LocalPool(slots_of(config), counting.timed(work, engine.metrics), outcomes.add)
    return Parts(
        tools=tools,
        notifier=notifier,
        in_store=in_store,
        store=store,
        engine=engine,
        recovery=recovery,
        observers=observers,
        debouncer=Debouncer(config.debounce_quiet_sec, config.debounce_at_most_sec, config.max_state_entries),
        roots=roots,
        discovery=Discovery(engine, roots, recovery, in_store),
        pool=pool,
        outcomes=outcomes,
        dispatch=Dispatch(engine, checks, conversions, pool, roots, in_store),
        pausing=pausing,
        upkeep=upkeep.Upkeep(engine, in_store),
    )


def _in_turn(engine: Engine, call: Callable[..., Any], *arguments: Any) -> Any:
    """Give a call's result, made in one turn."""
    with engine.turn():
        return call(*arguments)
