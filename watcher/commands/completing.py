"""Running the work of a command to its end, or to the signal that ends it."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any

from watcher.commands import common

if TYPE_CHECKING:
    from collections.abc import Coroutine


def complete(work: Coroutine[Any, Any, int]) -> int:
    """Run a command to its end. SIGTERM and Ctrl-C cancel it, and it clears up; gives its exit code, or 130."""

    async def interruptible() -> int:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
        try:
            return await task
        except asyncio.CancelledError:
            return common.EXIT_INTERRUPTED

    return asyncio.run(interruptible())
