"""`watcher run` and `watcher scan`: the service until it is stopped, or one pass over a folder."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from watcher import views
from watcher.commands import common
from watcher.config import require_folder, require_folders, require_place
from watcher.errors import RootError
from watcher.rules import names
from watcher.service import log, patience
from watcher.service.manager import StateManager
from watcher.store import reports
from watcher.store.store import StateStore

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Iterator

    from rich.progress import TaskID

    from watcher.config import Loaded, StateConfig

LOOK_EVERY_SEC = 0.5
"""How often the progress of `scan --process` is looked up for the eye."""


def run(loaded: Loaded) -> int:
    """Watch and work until SIGINT or SIGTERM. Exit code 0. Raises SettingsError, StoreError, ToolError or RootError."""
    asyncio.run(_watch(loaded))
    return common.EXIT_OK


async def _watch(loaded: Loaded) -> None:
    with contextlib.suppress(TimeoutError):  # a folder that does not answer is there; it will be suspended
        await patience.within(loaded.config.answer_within_sec, require_folders, loaded)
    require_place(loaded)
    log.set_up(loaded.config.log_level, loaded.config.log_format)
    manager = StateManager(loaded.config, read=lambda: _read_again(loaded))
    with _stopped_by_signals(manager) as stopping, contextlib.suppress(asyncio.CancelledError):
        async with manager:
            stopping.opened = True
            await manager.start_monitoring()


def _read_again(loaded: Loaded) -> StateConfig:
    """Read the settings once more, and let the log heed them. Raises SettingsError."""
    assert loaded.again is not None  # noqa: S101 - `load` has set it
    config = loaded.again().config
    log.set_up(config.log_level, config.log_format)
    return config


class _Stopping:
    """What a signal does: before the manager is open it cancels the opening, then it asks the manager to stop."""

    def __init__(self, manager: StateManager, task: asyncio.Task[Any]) -> None:
        self._manager = manager
        self._task = task
        self.opened = False

    def reload(self) -> None:
        """Have the settings read anew; who is still opening has just read them."""
        if self.opened:
            self._manager.reload()

    def look(self) -> None:
        """Have a turn soon; whoever is still opening reads the wishes anyway."""
        if self.opened:
            self._manager.look()

    def __call__(self) -> None:
        if self.opened:
            self._manager.stop()
        else:
            self._task.cancel()


@contextlib.contextmanager
def _stopped_by_signals(manager: StateManager) -> Iterator[_Stopping]:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - we are in it
    stopping = _Stopping(manager, task)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping)
    # A terminal that is closed ends what runs in it; a service has none, and is asked to reload by the same signal.
    hung_up = stopping if sys.stdin is not None and sys.stdin.isatty() else stopping.reload
    loop.add_signal_handler(signal.SIGURG, stopping.look)  # from `watcher pause`: there is a wish to be read
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup wants it
        loop.add_signal_handler(signal.SIGHUP, hung_up)
    yield stopping


async def scan(loaded: Loaded, folder: os.PathLike[str], *, process: bool) -> int:
    """Take a folder's films in once, and with `process` work them off. Exit code 0.

    Raises StoreInUse while a service holds the database, and what `run` raises.
    """
    (root,) = common.paths_of([folder])
    require_folder(root)
    require_place(loaded)
    level = loaded.config.log_level if "log_level" in loaded.origins else "warning"
    with _progress() as progress:
        log.set_up(level, loaded.config.log_format, sys.stderr)  # inside: on a terminal, lines go above the bar
        async with StateManager(loaded.config) as manager:
            task = progress.add_task("looking for films", total=None)
            before = await asyncio.to_thread(_gone, loaded, 0)
            found = await manager.discover_directory(root, lambda count: progress.update(task, completed=count))
            if found["status"] == "error":
                raise RootError(found["error"])
            progress.update(task, completed=found["discovered_files"], total=found["discovered_files"])
            if process and manager.is_paused():
                views.err().print("watcher: paused, so nothing was worked on: `watcher resume` ends that")
            elif process:
                async with _shown(manager, loaded, root, progress, progress.add_task("working", total=None)):
                    await manager.work_off()
    _say_found(root, found, _gone(loaded, before))
    if process:
        _say_counts(loaded, root)
    return common.EXIT_OK


def _progress() -> Progress:
    console = views.err()
    text = TextColumn("{task.description}", markup=False)
    columns = (
        SpinnerColumn(finished_text=" "),
        text,
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=console, disable=not console.is_terminal, transient=True)


@contextlib.asynccontextmanager
async def _shown(
    manager: StateManager, loaded: Loaded, root: bytes, progress: Progress, task: TaskID
) -> AsyncIterator[None]:
    """Keep the bar true while the manager works; nothing is asked of the database when nobody looks."""
    if progress.disable:
        yield
        return
    with StateStore(loaded.config.database_path(), read_only=True) as store:
        looking = asyncio.create_task(_keep_shown(manager, store, root, progress, task))
        try:
            yield
        finally:
            looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await looking


async def _keep_shown(manager: StateManager, store: StateStore, root: bytes, progress: Progress, task: TaskID) -> None:
    while True:
        (left, total), jobs = await asyncio.to_thread(lambda: (reports.work_left(store, root), reports.jobs(store)))
        shares = manager.running()
        running = [job for job in jobs if job.attempt_id in shares]
        what = ""
        if running:
            first, more = running[0], len(running) - 1
            name = names.readable(first.path.rpartition(b"/")[2])[:40]
            what = f"{first.kind} {100 * shares[first.attempt_id]:.0f} % {name}" + (f" and {more} more" if more else "")
        if manager.is_paused():
            what = "paused, until `watcher resume`"
        progress.update(task, description=what or "waiting for files to settle", completed=total - left, total=total)
        await asyncio.sleep(LOOK_EVERY_SEC)


def _gone(loaded: Loaded, before: int) -> int:
    """Give how many more files were gone than `before`."""
    with common.reading(loaded) as store:
        return reports.times_gone(store) - before


def _say_found(root: bytes, found: dict[str, Any], gone: int) -> None:
    number = found["discovered_files"]
    counted = f"{number:,} {'film' if number == 1 else 'films'}, {found['files_added']:,} new"
    if gone:
        counted += f", {gone:,} gone"
    views.out().print(Text.assemble(views.path_text(root), f": {counted} ({found['scan_time_sec']:.1f} s)"))


def _say_counts(loaded: Loaded, root: bytes) -> None:
    with common.reading(loaded) as store:
        counts = reports.counts(store, root)
    for statuses in (counts.integrity, counts.processed):
        made = views.table("", "", "", header=False)
        made.columns[0].justify = "right"
        for status, number in statuses.items():
            if number:
                made.add_row(f"{number:,}", views.status_text(status), views.WORDS[status])
        if made.row_count:
            views.block(views.out(), made)
