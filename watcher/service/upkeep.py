"""Upkeep: the daily backup and maintenance, beside running work; and what was found at the opening of the database.

A backup is due when the newest one is older than `backup_interval_hours`, by the time in its name: a machine that is
switched off every night has its backups too. Maintenance follows each. Both run in small steps between the other work.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from watcher.errors import StoreError
from watcher.service import patience
from watcher.service.roots import identity_of
from watcher.store import backup
from watcher.watch import mounts, roots

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from watcher.config import StateConfig
    from watcher.service.engine import Engine
    from watcher.store.store import StateStore

log = structlog.get_logger("watcher")

RETRY_SEC = 3600.0
"""A backup that could not be made is tried again after so long."""
SAVE_METRICS_SEC = 60.0
_NO_SQLITE = frozenset({"nfs", "nfs3", "nfs4", "cifs", "smb3", "smbfs"})
_RESCUED = {
    "restored": "database restored from a backup",
    "begun_anew": "database begun anew",
    "log_lost": "database log lost",
}


def metrics_file(database: Path) -> Path:
    """Give the file beside a database in which its service keeps its metrics for `watcher metrics`."""
    return database.with_name(f"{database.name}.metrics.json")


def is_no_place_for_sqlite(fs_type: str) -> bool:
    """Tell whether SQLite's locks and its log do not hold on such a file system."""
    return fs_type in _NO_SQLITE


def refuse_network(config: StateConfig) -> None:
    """Refuse a database on NFS or SMB: SQLite's locks and log do not hold there. Raises StoreError. Blocking."""
    path = config.database_path()
    kind = mounts.fs_type_at(os.fsencode(path))
    if is_no_place_for_sqlite(kind) and not config.allow_network_database:
        raise StoreError(
            f"the database {path} would lie on a network file system ({kind}), where SQLite's locks and its log do not "
            "hold and it breaks sooner or later; give storage_url a place on a local disk, or take the risk with "
            "allow_network_database = true"
        )


def open_store(config: StateConfig, open_at: Callable[..., StateStore]) -> StateStore:
    """Open the database of the settings; what had to be rescued is said loudly. In the store's thread."""
    refuse_network(config)
    store = open_at(config.database_path(), backups=config.backup_path())
    if (found := store.rescued) is not None:
        log.error(
            _RESCUED[found.outcome],
            database=str(store.path),
            damage=found.damage,
            set_aside=[str(path) for path in found.set_aside],
            **({"restored_from": str(found.restored_from)} if found.restored_from else {}),
            next="the folders are scanned for what it does not know",
        )
    return store


class Upkeep:
    """Backs the database up and cleans it, when it is time or when asked."""

    def __init__(self, engine: Engine, in_store: Callable[..., Awaitable[Any]]) -> None:
        self._engine = engine
        self._store = engine.store
        self._in_store = in_store
        self._task: asyncio.Task[None] | None = None
        self._not_before = 0.0
        self._one_at_a_time = asyncio.Lock()
        self._metrics_file = metrics_file(self._store.path)
        self._next_save = 0.0
        engine.metrics.load(self._metrics_file)

    def turn(self) -> None:
        """Start what is due. Costs nothing while a backup is young and nothing is counted."""
        if self._engine.metrics.has_news() and time.monotonic() >= self._next_save:
            self._next_save = time.monotonic() + SAVE_METRICS_SEC
            self._save_metrics()
        if self._task is not None and self._task.done():
            self._task.result()
            self._task = None
        if self._task is None and self._engine.clock() >= self._not_before:
            self._not_before = self._next_backup()
            if self._engine.clock() >= self._not_before:
                self._task = asyncio.create_task(self._daily(), name="upkeep")

    def reconsider(self) -> None:
        """Work out anew when the next backup is due, for the clock has jumped."""
        self._not_before = 0.0

    async def close(self) -> None:
        """Stop between two steps."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._engine.metrics.has_news():
            self._save_metrics()

    def _save_metrics(self) -> None:
        try:
            self._engine.metrics.save(self._metrics_file)
            if self._engine.config.metrics_textfile:
                self._engine.metrics.save_text(Path(self._engine.config.metrics_textfile))
        except OSError as error:
            log.warning("metrics not saved", file=str(error.filename or self._metrics_file), reason=error.strerror)

    def _next_backup(self) -> float:
        copies = backup.all_of(self._store.path, self._store.backups)
        taken = backup.taken_at(self._store.path, copies[0]) if copies else None
        now = self._engine.clock()
        # A time ahead of the clock was written by a clock that went wrong: it must not put backups off for years.
        return (
            now if taken is None or taken > now + 86_400 else taken + self._engine.config.backup_interval_hours * 3600
        )

    async def _daily(self) -> None:
        self._not_before = self._engine.clock() + RETRY_SEC
        try:
            await self.backup()
        except StoreError as error:
            log.error("no backup", reason=str(error))  # noqa: TRY400 - a sentence for a person; the trace tells no more
        else:
            self._not_before = self._next_backup()
        await self.maintain()

    async def backup(self) -> Path:
        """Take a backup now; gives it. Raises StoreError."""
        # Not in the store's thread: it reads for itself, and nobody waits for it.
        made = await asyncio.to_thread(
            self._store.backup, keep=self._engine.config.backup_keep, now=self._engine.clock()
        )
        log.info("backed up", backup=str(made), size_bytes=made.stat().st_size)
        return made

    async def maintain(self) -> dict[str, Any]:
        """Let go of what is out of date; gives counts. See `StateManager.run_maintenance`."""
        async with self._one_at_a_time:
            began = time.monotonic()
            before_ms = self._engine.now_ms() - int(self._engine.config.keep_processed_days * 86_400_000)
            entries = await self._in_store(self._forget, before_ms, await self._roots_that_are_there())
            lines = await self._trim_journal(before_ms)
            groups = await self._in_store(self._store.forget_groups)
            freed = await self._in_store(self._store.wasted_bytes)
            if freed:
                await self._in_store(self._store.vacuum)
            await self._in_store(self._store.optimize)
        counts = {
            "entries_deleted": entries,
            "journal_lines_deleted": lines,
            "groups_deleted": groups,
            "freed_bytes": freed,
            "duration_sec": round(time.monotonic() - began, 3),
        }
        say = log.info if any((entries, lines, groups, freed)) else log.debug
        say("maintained", **{word: number for word, number in counts.items() if number})
        return counts

    def _forget(self, before_ms: int, root_ids: list[int]) -> int:
        with self._engine.turn():
            return self._store.forget(before_ms, root_ids)

    async def _trim_journal(self, before_ms: int) -> int:
        deleted, after = 0, 0
        while True:
            some, end = await self._in_store(self._store.trim_journal, before_ms, after)
            deleted += int(some)
            if end is None:
                return deleted
            after = end

    async def _roots_that_are_there(self) -> list[int]:
        """Give the roots about whose files something may be concluded now: what is gone from others may be back."""
        found = []
        for row in await self._in_store(self._store.roots):
            if row.suspended_because is not None:
                continue
            sample = await self._in_store(self._store.sample_paths, row.id)
            with contextlib.suppress(TimeoutError):  # of a disk that does not answer nothing is concluded either
                judged = patience.within(
                    self._engine.config.answer_within_sec, roots.judge, row.path, identity_of(row), sample
                )
                if (await judged).ok:
                    found.append(row.id)
        return found
