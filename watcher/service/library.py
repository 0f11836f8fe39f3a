"""The names a program of your own begins with: a manager, and the parts that are of use without one."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from watcher.config import StateConfig, load
from watcher.errors import SettingsError
from watcher.media import integrity, tools
from watcher.rules import machine, planner
from watcher.rules.statuses import IntegrityStatus, Mode, ProcessedStatus
from watcher.service import log
from watcher.service.manager import StateManager
from watcher.service.shapes import absolute

if TYPE_CHECKING:
    from collections.abc import Callable

    from watcher.media.ffmpeg import Tools
    from watcher.rules.statuses import Status
    from watcher.rules.verdict import Verdict
    from watcher.service.shapes import AnyPath
    from watcher.store.models import FileEntry
    from watcher.store.store import StateStore


def create_state_manager(
    environment: Literal["production", "development"] = "production",
    config: StateConfig | str | os.PathLike[str] | None = None,
) -> StateManager:
    """Give a manager, not opened yet: use it in `async with`, or call it and `await close()` at the end.

    `config` are settings, or a file of them; without it the file that WATCHER_CONFIG names, if any, and the
    environment. `environment` chooses a preset, which gives way to both. What it logs goes to the `watcher` logger of
    the standard library, unless the program has set structlog up. Raises SettingsError.

    >>> import asyncio, tempfile
    >>> async def example(folder):
    ...     settings = StateConfig(storage_url=f"{folder}/watcher.db")
    ...     async with create_state_manager(config=settings) as manager:
    ...         scan = await manager.discover_directory(folder)
    ...         return scan["status"], scan["files_added"], await manager.process_pending()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     asyncio.run(example(folder))
    ('success', 0, [])
    """
    if not isinstance(config, StateConfig):
        if not isinstance(config, str | os.PathLike | None):
            raise SettingsError(f"config: should be a StateConfig or a file of settings, not a {type(config).__name__}")
        file = config or os.environ.get("WATCHER_CONFIG")
        config = load(Path(file) if file else None, environment=environment).config
    log.hand_over(config.log_level)
    return StateManager(config)


class AudioStateMachine:
    """The two tables of moves, as they are everywhere in this package. It holds no state, and changes nothing.

    >>> machine = AudioStateMachine()
    >>> machine.after(ProcessedStatus.NEW, "converted").name
    'CONVERTED'
    >>> machine.moves_from(IntegrityStatus.INCOMPLETE)
    ['check_started', 'gave_up', 'content_changed', 'released']
    >>> machine.after(IntegrityStatus.UNKNOWN, "check_passed", "film.mkv")
    Traceback (most recent call last):
    watcher.errors.IllegalMove: film.mkv: UNKNOWN cannot take the move 'check_passed'; legal from here: ...
    """

    def may(self, entry: FileEntry | Status, move: str) -> bool:
        """Tell whether a file, or a file of a status, may make a move of one of its two statuses."""
        if isinstance(entry, str):
            return machine.may(_status(entry), move)
        return machine.may(entry.integrity_status, move) or machine.may(entry.processed_status, move)

    def moves_from(self, status: Status) -> list[str]:
        """Name the moves that are legal from a status."""
        return machine.moves_from(_status(status))

    def after(self, status: Status, move: str, subject: str = "") -> Status:
        """Give the status after a move. Raises IllegalMove, which names `subject`, the status and what would be legal."""
        return machine.after(_status(status), move, subject)

    def to_mermaid(self, kind: type[Status] | None = None) -> str:
        """Draw one table as a mermaid diagram, or both, one after the other."""
        if kind is not None:
            return machine.to_mermaid(kind)
        return f"{machine.to_mermaid(IntegrityStatus)}\n{machine.to_mermaid(ProcessedStatus)}"


def _status(value: Status) -> Status:
    """Give a status; a text is none, since COMPLETE and NEW are of two tables. Raises TypeError."""
    if not isinstance(value, IntegrityStatus | ProcessedStatus):
        raise TypeError(f"an IntegrityStatus or a ProcessedStatus is wanted, not {value!r}")
    return value


class StatePlanner:
    """What is due, when the next thing is, and how long a failure makes a file wait. It reads and never writes.

    >>> from watcher.store.store import StateStore
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, StateStore(Path(folder, "watcher.db")) as store:
    ...     plan = StatePlanner(store, StateConfig(backoff_step_sec=30, backoff_max_sec=600))
    ...     plan.due(), plan.next_deadline(), [plan.backoff_sec(times) for times in (1, 2, 3, 20)]
    ([], None, [30.0, 60.0, 120.0, 600.0])
    """

    def __init__(
        self, store: StateStore, config: StateConfig | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._config = config or StateConfig()
        self._clock = clock

    def _roots(self) -> list[int]:
        return [root.id for root in self._store.roots() if root.suspended_because is None]

    def due(self, limit: int | None = None) -> list[FileEntry]:
        """Give the files whose time has come and that nobody works on, in the order in which the service takes them.

        Those found whole, whose sound is to be decided about, stand before those to be checked, for each kind has its own
        places at work. Folders take turns; within one the newest comes first, but every fourth is the one that has been
        due for longest. At most `limit`, or `batch_size`. A suspended folder has none.
        """
        limit = self._config.batch_size if limit is None else limit
        now_ms, roots = int(self._clock() * 1000), self._roots()
        found = [
            entry
            for complete in (True, False)
            for entry in self._store.due(complete=complete, now_ms=now_ms, limit=limit, root_ids=roots)
        ]
        return found[:limit]

    def next_deadline(self) -> float | None:
        """Give the time (epoch seconds) of the next file, past when it is due already; None when none waits."""
        roots = self._roots()
        found = [self._store.next_due_ms(complete=complete, root_ids=roots) for complete in (True, False)]
        return min((at / 1000 for at in found if at is not None), default=None)

    def backoff_sec(self, times_in_a_row: int) -> float:
        """Give the wait after the n-th failure in a row (from 1): doubled each time, up to `backoff_max_sec`, no jitter."""
        return planner.backoff_sec(times_in_a_row, self._config.backoff_step_sec, self._config.backoff_max_sec, 0)


class IntegrityAdapter:
    """Whether a film is whole, without a database. Finds FFmpeg at the first question.

    >>> import asyncio
    >>> from watcher.testing import create_temp_videos
    >>> import tempfile
    >>> async def example(folder):
    ...     whole, cut = create_temp_videos(2, folder, ["german", "truncated"])
    ...     adapter = IntegrityAdapter()
    ...     return await adapter.check_integrity(whole), (await adapter.verdict(cut)).reason.value
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     asyncio.run(example(folder))
    (True, 'truncated')
    """

    def __init__(self, config: StateConfig | None = None, mode: Mode | str | None = None) -> None:
        """`mode` is quick, audio or full. Without it, what the settings say."""
        self._config = config or StateConfig()
        if mode is not None and mode not in list(Mode):
            raise SettingsError(f"mode: should be one of {', '.join(Mode)}, not {mode!r}")
        self._mode = Mode(mode) if mode else Mode.QUICK if self._config.integrity_quick_mode else Mode.FULL
        self._tools: Tools | None = None

    async def check_integrity(self, path: AnyPath) -> bool:
        """Tell whether a film is proved whole. False also where no verdict can be had; `verdict` tells the two apart.

        Raises ToolError when FFmpeg cannot be used.
        """
        return (await self.verdict(path)).status is IntegrityStatus.COMPLETE

    async def verdict(self, path: AnyPath, on_progress: Callable[[float], None] | None = None) -> Verdict:
        """Give the whole verdict: `status`, `reason`, `score`, evidence and more, and `sentence()` for a person.

        `on_progress` gets the share done, 0 to 1. Raises ToolError when FFmpeg cannot be used.
        """
        if self._tools is None:
            self._tools = await tools.find_tools(self._config.ffmpeg.ffmpeg, self._config.ffmpeg.ffprobe)
        settings = self._config.integrity
        result = await integrity.check(
            self._tools,
            absolute(path),
            self._mode,
            threads=settings.threads,
            tolerate_lines=settings.tolerate_lines,
            on_progress=on_progress,
        )
        return result.verdict


__all__ = ["AudioStateMachine", "IntegrityAdapter", "StatePlanner", "create_state_manager"]
