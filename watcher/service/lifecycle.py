"""Opening and closing: once each, whoever asks, however often, and in whatever order."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from watcher.errors import StoreError
from watcher.service.parts import Parts


class Lifecycle(Parts):
    """The beginning and the end of a manager. After `close` it is not opened again."""

    if TYPE_CHECKING:
        _loop: asyncio.AbstractEventLoop

        async def open(self) -> None:
            """See `StateManager`."""

        async def _close(self) -> None: ...

    def __init__(self) -> None:
        self._wake = asyncio.Event()
        self._stop = asyncio.Event()
        self._opening = asyncio.Lock()
        self._one_turn = asyncio.Lock()
        self._one_caller = asyncio.Lock()
        """Held by who has work done on demand: one after another."""
        self._rests = asyncio.Event()
        """Nobody monitors."""
        self._rests.set()
        self._ending: asyncio.Task[None] | None = None

    async def ready(self) -> None:
        """Open what is not open yet. Raises StoreError after `close`, and what `open` raises."""
        async with self._opening:
            if self._ending is not None:
                raise StoreError("this manager was closed; make another")
            if not self._opened:
                await self.open()

    async def close(self) -> None:
        """Stop everything: jobs are cancelled, their processes gone, the database closed.

        Safe to call twice, at the same time, and from a task that a signal handler made while another one monitors or
        works: that one ends first.
        """
        if self._ending is None:
            self._ending = asyncio.create_task(self._end(), name="close")
        await asyncio.shield(self._ending)

    async def _end(self) -> None:
        self._stop.set()
        self._wake.set()
        await self._rests.wait()
        async with self._opening, self._one_caller:
            await self._close()

    async def __aenter__(self) -> Self:
        try:
            await self.ready()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def wake(self) -> None:
        """Have a turn soon. Safe from any thread."""
        self._loop.call_soon_threadsafe(self._wake.set)

    def stop(self) -> None:
        """Have `start_monitoring` end. Safe from a signal handler and any thread."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self.wake()
