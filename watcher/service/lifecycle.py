"""Opening and closing: once each, whoever asks, however often, and in whatever order."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

from watcher.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Running = TypeVar("Running")


class Lifecycle(Generic[Running]):
    """Makes what runs when it is first asked for, and ends it once. After `close` it is not made again."""

    def __init__(self, begin: Callable[[], Awaitable[Running]], end: Callable[[Running], Awaitable[None]]) -> None:
        self._begin = begin
        self._end = end
        self._opening = asyncio.Lock()
        self._ending: asyncio.Task[None] | None = None
        self.running: Running | None = None
        """What was made and has not ended yet."""

    async def ready(self) -> Running:
        """Give what runs, made now where nobody did. Raises StoreError after `close`, and what making it raises."""
        async with self._opening:
            if self._ending is not None:
                raise StoreError("this manager was closed; make another")
            if self.running is None:
                self.running = await self._begin()
            return self.running

    async def close(self) -> None:
        """End it, and come back when it has ended; whoever asks next waits for the same end."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._close(), name="close")
        await asyncio.shield(self._ending)

    async def _close(self) -> None:
        async with self._opening:  # what is being made is made first
            running = self.running
        if running is not None:
            try:
                await self._end(running)
            finally:
                self.running = None
