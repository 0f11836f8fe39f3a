"""The bell: who sleeps is woken by it, from any thread; and what it means that somebody wants an end."""

from __future__ import annotations

import asyncio
import contextlib


class Bell:
    """Wakes one event loop. Before `listen` it keeps what it was told, and rings for nobody."""

    def __init__(self) -> None:
        self.stopping = False
        """Monitoring is to end."""
        self.closing = False
        """Everything is to end."""
        self._rung = asyncio.Event()
        self._urgent = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def listen(self) -> None:
        """Have this event loop woken from now on."""
        self._loop = asyncio.get_running_loop()

    def ring(self) -> None:
        """Have a turn soon. Safe from any thread and from a signal handler."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._rung.set)

    def hurry(self) -> None:
        """Have a turn now: a place for work is free. For the event loop's own thread."""
        self._urgent.set()
        self._rung.set()

    def stop(self) -> None:
        """Have monitoring end: what runs now, or what begins next. As safe."""
        self.stopping = True
        self.ring()

    def close(self) -> None:
        """Have everything end. As safe."""
        self.closing = True
        self.stop()

    async def pause(self, sec: float) -> None:
        """Sleep for so long whatever rings, but when there is hurry."""
        await _until(self._urgent, sec)

    async def wait(self, at_most_sec: float) -> None:
        """Sleep until it is rung, or for so long; what was rung before counts too."""
        await _until(self._rung, at_most_sec)


async def _until(event: asyncio.Event, at_most_sec: float) -> None:
    if at_most_sec > 0:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), at_most_sec)
    event.clear()
