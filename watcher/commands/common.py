"""What several commands need: opening the database to read it, paths as bytes, and who works on the database now."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING, Any

from watcher.store.store import StateStore

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from watcher.config import Loaded

EXIT_OK = 0
EXIT_NO = 1
EXIT_NO_VERDICT = 2
EXIT_INTERRUPTED = 130


def reading(loaded: Loaded) -> StateStore:
    """Open the database to read it, beside a running service or without one. Raises StoreError when there is none."""
    return StateStore(loaded.config.database_path(), read_only=True)


def paths_of(files: Sequence[os.PathLike[str]]) -> list[bytes]:
    """Give the absolute paths of what was named on the command line, byte for byte; no link is followed."""
    return [os.fsencode(os.path.abspath(file)) for file in files]


def without_links(path: bytes) -> bytes:
    """Give the path with its folder's links followed: a watched folder may have been reached by another name."""
    folder, _, name = path.rpartition(b"/")
    return os.path.join(os.path.realpath(folder or b"/"), name)


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
            return EXIT_INTERRUPTED

    return asyncio.run(interruptible())
