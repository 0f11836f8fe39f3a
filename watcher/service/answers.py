"""What the manager tells, and what keeps it well. Its shapes are those of `shapes`.

The `get_...` questions read the database beside all work, over a connection of their own; they are plain calls and may
come from any thread. The others open the service first where nobody did.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from watcher.errors import StoreError
from watcher.rules import names
from watcher.service import health, legacy, shapes
from watcher.service.parts import Parts, absolute
from watcher.store.store import StateStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from watcher.service.parts import AnyPath


class Answers(Parts):
    """The questions that need no work on films."""

    # --- to tell

    def get_system_status(self) -> dict[str, Any]:
        """Give the state of everything. Raises StoreError while there is no database.

        `total_files` (there now), `gone_files`, `total_groups`, `by_integrity_status` and `by_processed_status` (every
        status a key), `due_files`, `quarantined_files`, `database_size_mb`, `total_processing_time_sec` (checks and
        conversions of the last week), `processing_rate_fps` (files finished a second, over the last hour), `running`
        (whether it monitors), `running_jobs` (path, kind, percent, started_at), `roots`, and `config`, the settings.
        """
        from watcher.config import flat  # noqa: PLC0415 - settings are read above the service

        with self._reading() as store:
            known = shapes.of_system(store, int(self._clock() * 1000))
        timings = self._engine.metrics.get_summary(since_hours=7 * 24)["timings"] if self._opened else {}
        worked = sum(timings[name]["sum"] for name in ("check", "conversion") if name in timings)
        return {
            **known,
            "total_processing_time_sec": round(worked, 3),
            "running": self._watching,
            "config": flat(self.config),
        }

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
        """Give `status` ("healthy", "degraded", "unhealthy"), `checked_at` and `issues`, each with `code`, `severity`
        ("error" or "warning"), `sentence` and `remedy`. Raises nothing.
        """
        inside, trouble = None, ""
        if self._opened:
            trouble = next(
                (f"{name} cannot be run any more" for name in self._programs if not os.access(name, os.X_OK)), ""
            )
            beat = time.monotonic() - self._last_turn
            inside = health.Inside(self._watching, beat, self._roots.silent(), len(self._debouncer))
        return health.check(self.config, trouble, inside)

    def is_watching(self) -> bool:
        """Tell whether the watches stand."""
        return self._watching

    def is_compared(self) -> bool:
        """Tell whether every root has been scanned since the start, or cannot be."""
        return self._watching and self._roots.compared()

    def running(self) -> dict[str, float]:
        """Give attempt id -> progress of the running jobs."""
        return self._pool.running()

    @contextmanager
    def _reading(self) -> Iterator[StateStore]:
        with StateStore(self.config.database_path(), read_only=True) as store:
            yield store

    # --- to keep well

    async def run_maintenance(self) -> dict[str, Any]:
        """Delete what is out of date, beside running work, and give counts.

        Gone are then: entries whose file has been gone for longer than `keep_processed_days` from a folder that is
        there (never one whose file may exist, never one in work), older journal lines (each file keeps its last), and
        groups without files. The file is rewritten when that frees a quarter of it. Gives `entries_deleted`,
        `journal_lines_deleted`, `groups_deleted`, `freed_bytes`, `duration_sec`.
        """
        await self.ready()
        return await self._upkeep.maintain()

    async def backup(self) -> str:
        """Copy the database into `backup_dir`, beside running work; gives the copy's path. Raises StoreError."""
        await self.ready()
        return os.fspath(await self._upkeep.backup())

    async def reset(self, *, confirm: bool = False) -> dict[str, Any]:
        """Forget every file, group and folder, after a backup; films are not touched. Not while it monitors.

        Gives `files_forgotten` and `backup`, its path. Raises ValueError without `confirm=True`, StoreError while work
        is on record, for that must be cleared up first.
        """
        if confirm is not True:
            raise ValueError("reset forgets everything: say confirm=True")
        await self.ready()
        async with self._one_caller:
            if self._watching or await self.in_store(self._store.attempts):
                raise StoreError("work is under way: stop monitoring, and let what was interrupted be cleared up first")
            copy = await self._upkeep.backup()
            forgotten = await self.in_store(self._store.clear)
            self._roots.forget()
        return {"files_forgotten": forgotten, "backup": os.fspath(copy)}

    # --- to come from the old tools

    async def migrate_legacy_state_files(self, directory: AnyPath) -> dict[str, Any]:
        """Take over what `.audio_converter_state.json` files in a folder and below it say; the files stay.

        Gives `imported`, `skipped_existing` (known here, or named twice), `skipped_missing` (not there any more) and
        `errors`, a sentence each. Nothing that is known already is overwritten.
        """
        await self.ready()
        folder = absolute(directory)
        outcome = legacy.Imported()
        if not await asyncio.to_thread(os.path.isdir, folder):
            outcome.errors.append(f"{names.readable(folder)}: the folder does not exist")
        for file in await asyncio.to_thread(legacy.find_files, folder):
            items = await asyncio.to_thread(legacy.read_file, file, outcome)
            await self._import(items, folder, outcome)
        return outcome.to_dict()

    async def import_legacy_results(self, data: dict[str, Any], directory: AnyPath = ".") -> dict[str, Any]:
        """Take over an old tool's results: its state file as a dict, or {"files" or "processed_files": [paths], ...}.

        Relative paths are relative to `directory`. Gives what `migrate_legacy_state_files` gives.
        """
        await self.ready()
        folder = absolute(directory)
        outcome = legacy.Imported()
        items = await asyncio.to_thread(legacy.read, data, folder, outcome)
        await self._import(items, folder, outcome)
        return outcome.to_dict()

    async def _import(self, items: list[legacy.Item], folder: bytes, outcome: legacy.Imported) -> None:
        watched = [os.fsencode(item.path) for item in self.config.watch]
        importer = await self.in_store(legacy.Importer, self._engine, watched)
        for start in range(0, len(items), legacy.BATCH):
            await self.in_store(importer.take, items[start : start + legacy.BATCH], folder, outcome)
