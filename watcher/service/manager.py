"""The state manager: what can be asked of a service, by its public names. How it answers stands where each call leads.

`assembly` puts the service together, `loop` turns it, `demand` has work done that somebody waits for, `shapes` and
`health` tell how it stands, `upkeep` keeps the database well, `legacy` comes from the old tools.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from watcher.service import health, legacy, shapes
from watcher.service.assembly import Parts, assemble
from watcher.service.bell import Bell
from watcher.service.demand import OnDemand
from watcher.service.lifecycle import Lifecycle
from watcher.service.loop import Loop
from watcher.service.reloading import Reloading
from watcher.service.shapes import absolute
from watcher.store.store import StateStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from watcher.config import StateConfig
    from watcher.service.shapes import AnyPath


@dataclass(frozen=True, slots=True)
class _Running:
    """What there is while it is open."""

    parts: Parts
    loop: Loop
    demand: OnDemand


class StateManager:
    """The whole service on one database. An async context manager; the first call opens it where nobody did.

    What is a coroutine raises StoreError, ToolError or RootError when it cannot be opened, each a sentence for a
    person. The `get_...` questions read the database beside all work, over a connection of their own; they are plain
    calls, and may come from any thread. Paths may be text, bytes or `os.PathLike`; times in answers are ISO 8601 in UTC.

    >>> import asyncio
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
        """`read` gives the settings anew for `reload`; `clock` is the wall clock, in epoch seconds."""
        self.config = config
        """The settings in force."""
        self._read = read
        self._clock = clock
        self._bell = Bell()
        self._life = Lifecycle(self._open, self._end)

    # --- beginning and end

    async def ready(self) -> None:
        """Open what is not open yet: find FFmpeg, open the database, clear up after a stop. Nothing is watched yet."""
        await self._life.ready()

    async def _open(self) -> _Running:
        self._bell.listen()
        parts = await assemble(self.config, self._bell, self._clock)
        told = (parts.notifier, self._read, self._configure, parts.in_store)
        loop = Loop(parts, self._bell, Reloading(parts.engine, parts.roots, *told))
        return _Running(parts, loop, OnDemand(parts, loop, self._bell))

    def _configure(self, config: StateConfig) -> None:
        self.config = config
        if (running := self._life.running) is not None:
            running.parts.configure(config)

    async def close(self) -> None:
        """Stop everything: jobs are cancelled, their processes gone, the database closed.

        Safe to call twice, at the same time, and from a task that a signal handler made while another one monitors or
        works: that one ends first.
        """
        self._bell.close()
        await self._life.close()

    @staticmethod
    async def _end(running: _Running) -> None:
        await running.loop.ended()
        async with running.demand.one_caller:
            await running.loop.close()

    async def __aenter__(self) -> Self:
        try:
            await self.ready()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def start_monitoring(self) -> None:
        """Watch the configured folders and work, until `stop`, `close` or cancellation.

        Raises RootError for a folder that lies in another one. Where it monitors already, it waits for that to end.
        """
        running = await self._life.ready()
        await running.loop.monitor(self.get_health_status)

    def stop(self) -> None:
        """Have `start_monitoring` end, the one that runs or the next. Safe from a signal handler and any thread."""
        self._bell.stop()

    def reload(self) -> None:
        """Read the settings anew, soon. Safe from a signal handler; nothing happens where it is not open."""
        if (running := self._life.running) is not None:
            running.loop.reload()

    def look(self) -> None:
        """See soon whether somebody has made a wish. Safe from a signal handler."""
        self._bell.ring()

    # --- work on demand

    async def discover_directory(
        self, directory: AnyPath, on_progress: Callable[[int], None] | None = None
    ) -> dict[str, Any]:
        """Take in the films of a folder and all below it, down to `max_scan_depth`. Several calls at once are safe.

        Gives `directory`, `discovered_files`, `files_added`, `files_updated`, `files_moved`,
        `scan_time_sec` and `status`: "success", or "error" with `error`, a sentence, when the folder is not there or
        not itself. Raises StoreError. `on_progress` is called now and then with the number of films seen so far.
        """
        running = await self._life.ready()
        return await running.demand.discover(absolute(directory), on_progress)

    async def process_pending(self, limit: int | None = None) -> list[dict[str, Any]]:
        """Work off what is due now, `batch_size` at a time, and give one result a file worked on.

        Files that wait (for quiet, for another try) stay waiting. `limit`: at most so many files, those
        found whole first, then in the order of `StatePlanner.due`.
        A result has `file_path`, `file_id`, `group_id`, `is_stereo`, `integrity_status`, `processed_status`,
        `size_bytes`, `processing_time_sec`, `integrity_score` (0 to 1, None before the first verdict), `has_en2` (None
        before it is known), `last_error` (a sentence or None) and `status`: "success", "error" or "waiting".
        While the service is paused nothing is worked on, and nothing waited for.
        """
        running = await self._life.ready()
        return await running.demand.pending(limit)

    async def process_file(self, path: AnyPath) -> dict[str, Any]:
        """Work on one file now, whatever its time, and give its result in the shape of `process_pending`.

        A file nobody knows is taken in; one that failed or was given up is tried again; with one that rests, nothing
        is done. Only a file that is being written stays waiting. Raises FileNotFoundError, or RootError for a file
        whose folder is not itself.
        """
        running = await self._life.ready()
        return await running.demand.file(absolute(path))

    async def work_off(self) -> None:
        """Work until nothing is due, running or waiting to settle among the folders that were taken on."""
        running = await self._life.ready()
        await running.demand.everything()

    # --- to tell

    def get_system_status(self) -> dict[str, Any]:
        """Give the state of everything. Raises StoreError while there is no database.

        `total_files` (there now), `total_groups`, `by_integrity_status` and `by_processed_status` (every
        status a key), `due_files`, `quarantined_files`, `database_size_mb`, `total_processing_time_sec` (checks and
        conversions of the last week), `processing_rate_fps` (files finished a second, over the last hour), `running`
        (whether it monitors), `running_jobs` (path, kind, percent, started_at), `roots`, `paused` (None, or `since`, `until`, `reason` and
        `sentence`), and `config`, the settings.
        """
        from watcher.config import flat  # noqa: PLC0415 - settings are read above the service

        with self._reading() as store:
            known = shapes.of_system(store, int(self._clock() * 1000))
        running = self._life.running
        timings = running.parts.engine.metrics.get_summary(since_hours=7 * 24)["timings"] if running else {}
        worked = sum(timings[name]["sum"] for name in ("check", "conversion") if name in timings)
        more = {"total_processing_time_sec": round(worked, 3), "running": self.is_watching()}
        return {**known, **more, "config": flat(self.config)}

    def get_file_status(self, path: AnyPath) -> dict[str, Any] | None:
        """Give what is known about a file: the shape of `process_pending`, with `reason`, `waits_for`, `next_check_at`,
        `discovered_at`, `missing_since` and its `journal`. None for a file that is not known. Raises StoreError.
        """
        with self._reading() as store:
            return shapes.story(store, absolute(path))

    def get_group_status(self, group_id: int) -> dict[str, Any] | None:
        """Give a group: `group_id`, `directory`, `name`, `total_files`, `files` in the shape of `process_pending`, and
        `status`: "success" when all of them are done, "error" when one failed, else "waiting". None when there is none.
        """
        with self._reading() as store:
            return shapes.of_group(store, group_id)

    def get_health_status(self) -> dict[str, Any]:
        """Give `status` ("healthy", "degraded", "unhealthy"), `paused` (None, or since and until when) and `issues`, each
        with `code`, `severity` ("error" or "warning"), `sentence` and `remedy`. Where this manager is not open, the
        service that runs on its database is asked, if one does. Raises nothing.
        """
        if (running := self._life.running) is None:
            return health.told_by_service(self.config) or health.check(self.config)
        tools, loop = running.parts.tools, running.loop
        programs = (tools.ffmpeg, tools.ffprobe)
        trouble = next((f"{name} cannot be run any more" for name in programs if not os.access(name, os.X_OK)), "")
        beat = time.monotonic() - loop.last_turn
        inside = health.Inside(loop.watching, beat, running.parts.roots.silent(), len(running.parts.debouncer))
        return health.check(self.config, trouble, inside)

    def is_watching(self) -> bool:
        """Tell whether the watches stand."""
        return (running := self._life.running) is not None and running.loop.watching

    def is_compared(self) -> bool:
        """Tell whether every root has been scanned since the start, or cannot be."""
        running = self._life.running
        return running is not None and running.loop.watching and running.parts.roots.compared()

    def is_paused(self) -> bool:
        """Tell whether somebody wishes that nothing is begun, and that what runs stands still."""
        return (running := self._life.running) is not None and running.parts.pausing.is_on

    def running(self) -> dict[str, float]:
        """Give attempt id -> progress, 0 to 1, of the running jobs."""
        running = self._life.running
        return running.parts.pool.running() if running is not None else {}

    def _reading(self) -> StateStore:
        return StateStore(self.config.database_path(), read_only=True)

    # --- to keep well, and to come from the old tools

    async def run_maintenance(self) -> dict[str, Any]:
        """Delete what is out of date, beside running work, and give counts.

        Gone are then: entries whose file has been gone for longer than `keep_processed_days` from a folder that is
        there (never one whose file may exist, never one in work), older journal lines (each file keeps its last), and
        groups without files. The file is rewritten when that frees a quarter of it. Gives `entries_deleted`,
        `journal_lines_deleted`, `groups_deleted`, `freed_bytes`, `duration_sec`.
        """
        running = await self._life.ready()
        return await running.parts.upkeep.maintain()

    async def backup(self) -> str:
        """Copy the database into `backup_dir`, beside running work; gives the copy's path. Raises StoreError."""
        running = await self._life.ready()
        return os.fspath(await running.parts.upkeep.backup())

    async def reset(self, *, confirm: bool = False) -> dict[str, Any]:
        """Forget every file, group and folder, after a backup; films are not touched. Not while it monitors.

        Gives `files_forgotten` and `backup`, its path. Raises ValueError without `confirm=True`, StoreError while work
        is on record, for that must be cleared up first.
        """
        if confirm is not True:
            raise ValueError("reset forgets everything: say confirm=True")
        running = await self._life.ready()
        return await running.demand.forget_all()

    async def migrate_legacy_state_files(self, directory: AnyPath) -> dict[str, Any]:
        """Take over what `.audio_converter_state.json` files in a folder and below it say; the files stay.

        Gives `imported`, `skipped_existing` (known here, or named twice), `skipped_missing` (not there any more) and
        `errors`, a sentence each. Nothing that is known already is overwritten.
        """
        running = await self._life.ready()
        return await legacy.migrate(running.parts.engine, running.parts.in_store, absolute(directory))

    async def import_legacy_results(self, data: dict[str, Any], directory: AnyPath = ".") -> dict[str, Any]:
        """Take over an old tool's results: its state file as a dict, or {"files" or "processed_files": [paths], ...}.

        Relative paths are relative to `directory`. Gives what `migrate_legacy_state_files` gives.
        """
        running = await self._life.ready()
        return await legacy.take_over(running.parts.engine, running.parts.in_store, data, absolute(directory))
