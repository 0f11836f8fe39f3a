"""What the manager is put together of, named for the classes that its questions stand in. It holds nothing itself."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from watcher.config import StateConfig
    from watcher.rules.debounce import Debouncer
    from watcher.service.dispatch import Dispatch
    from watcher.service.engine import Engine
    from watcher.service.executor import LocalPool
    from watcher.service.roots import Roots
    from watcher.service.upkeep import Upkeep
    from watcher.store.store import StateStore

    AnyPath = str | bytes | os.PathLike[str] | os.PathLike[bytes]


class Parts:
    """The parts, which `StateManager` makes when it opens."""

    if TYPE_CHECKING:
        config: StateConfig
        _clock: Callable[[], float]
        _store: StateStore
        _engine: Engine
        _roots: Roots
        _pool: LocalPool
        _dispatch: Dispatch
        _debouncer: Debouncer
        _upkeep: Upkeep
        _opened: bool
        _programs: tuple[str, str]
        _watching: bool
        _last_turn: float
        _next_due: float
        _stop: asyncio.Event
        _wake: asyncio.Event
        _one_caller: asyncio.Lock

        async def ready(self) -> None:
            """See `StateManager`."""

        async def turn(self) -> float:
            """See `StateManager`."""

        async def in_store(self, call: Callable[..., Any], *arguments: Any) -> Any:
            """See `StateManager`."""

        async def _sleep(self, deadline: float) -> None: ...
        def _busy(self) -> bool: ...
        def wake(self) -> None:
            """See `StateManager`."""


def absolute(path: AnyPath) -> bytes:
    """Give the absolute path of what a caller named, byte for byte; no link is followed."""
    return os.path.abspath(os.fsencode(path))
