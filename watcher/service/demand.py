"""On demand: one folder taken in, what is due worked off, one file now. The loop does the same by itself."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Any

from watcher.errors import RootError, StoreError
from watcher.rules import names
from watcher.rules.statuses import IntegrityStatus
from watcher.service import shapes, wishes
from watcher.service.intake import Sighting
from watcher.store import reports
from watcher.watch import scan

if TYPE_CHECKING:
    from collections.abc import Callable

    from watcher.service.assembly import Parts
    from watcher.service.bell import Bell
    from watcher.service.loop import Loop


class OnDemand:
    """Has work done that somebody waits for; their shapes are those of `StateManager`, who asks."""

    def __init__(self, parts: Parts, loop: Loop, bell: Bell) -> None:
        self._parts = parts
        self._loop = loop
        self._bell = bell
        self._in_store = parts.in_store
        self._store = parts.store
        self._engine = parts.engine
        self.one_caller = asyncio.Lock()
        """Held by who has work done: one after another."""

    async def discover(self, path: bytes, on_progress: Callable[[int], None] | None) -> dict[str, Any]:
        """Take in the films of a folder. See `StateManager.discover_directory`."""
        began = time.monotonic()
        try:
            return {**await self._parts.discovery.discover(path, on_progress), "status": "success"}
        except RootError as error:
            numbers = ("discovered_files", "files_added", "files_updated", "files_moved")
            taken = round(time.monotonic() - began, 3)
            answer = {"directory": names.to_json(path)[0], **dict.fromkeys(numbers, 0), "scan_time_sec": taken}
            return {**answer, "status": "error", "error": str(error)}

    async def pending(self, limit: int | None) -> list[dict[str, Any]]:
        """Work off what is due. See `StateManager.process_pending`."""
        async with self.one_caller:
            await self._parts.discovery.adopt()
            only = None if limit is None else await self._in_store(self._first_due, limit)
            return await self._work(only)

    async def file(self, path: bytes) -> dict[str, Any]:
        """Work on one file now. See `StateManager.process_file`."""
        async with self.one_caller:
            await self._parts.discovery.adopt()
            entry_id = await self._hurry(path)
            done = await self._work(frozenset({entry_id}))
            as_it_stands: dict[str, Any] = done[0] if done else await self._in_store(self._as_it_stands, entry_id)
            return as_it_stands

    async def everything(self) -> None:
        """Work until nothing is due, running or waiting to settle among the folders that were taken on."""
        roots = self._parts.roots
        while not self._bell.closing:
            deadline = await self._loop.turn()
            if (
                not self._loop.busy()
                and not roots.scanning()
                and not await self._in_store(self._store.unsettled, roots.active())
            ):
                return
            await self._loop.sleep(deadline)

    async def forget_all(self) -> dict[str, Any]:
        """Forget everything, after a backup. See `StateManager.reset`."""
        async with self.one_caller:
            if not self._loop.watching:
                await self._parts.recovery.forget()
            if self._loop.watching or await self._in_store(self._store.attempts):
                raise StoreError("work is under way: stop monitoring, and let what was interrupted be cleared up first")
            copy = await self._parts.upkeep.backup()
            forgotten = await self._in_store(self._store.clear)
            self._parts.roots.forget()
        return {"files_forgotten": forgotten, "backup": os.fspath(copy)}

    async def _hurry(self, path: bytes) -> int:
        """Have one file looked at now; gives its entry."""
        if await asyncio.to_thread(scan.observe, path) is None:
            raise FileNotFoundError(f"{names.readable(path)} is no file that is there")
        folder, _, name = path.rpartition(b"/")
        root = await self._parts.discovery.around(folder or b"/")
        if root.suspended is not None:
            raise RootError(f"{names.readable(path)}: its folder is suspended: {root.suspended}")
        seen = await asyncio.to_thread(scan.observe, path)
        below = folder[len(root.path.rstrip(b"/")) + 1 :]
        if seen is not None:
            raw = (seen.device, seen.inode, seen.size_bytes, seen.mtime_ns, seen.blocks)
            await self._parts.roots.take(root.id, [Sighting(below, [(name, raw)])])
        return int(await self._in_store(self._make_due, path))

    def _make_due(self, path: bytes) -> int:
        entry = self._store.entry_at(path)
        if entry is None:
            raise FileNotFoundError(f"{names.readable(path)} is no file that is there")
        now_ms = self._engine.now_ms()
        with self._engine.turn():
            if entry.integrity_status is IntegrityStatus.UNKNOWN:
                long_quiet = {"quiet_since_ms": 0, "longest_gap_ms": 0}
                self._store.update_entry(entry, next_check_at_ms=now_ms, **long_quiet)
            elif not wishes.retry(self._engine, entry) and entry.next_check_at_ms is not None:
                self._store.update_entry(entry, next_check_at_ms=now_ms)
        return int(entry.id)

    def _first_due(self, limit: int) -> frozenset[int]:
        now_ms, roots = self._engine.now_ms(), self._parts.roots.active()
        due = [
            entry.id
            for complete in (True, False)
            for entry in self._store.due(complete=complete, now_ms=now_ms, limit=limit, root_ids=roots)
        ]
        return frozenset(due[:limit])

    async def _work(self, only: frozenset[int] | None) -> list[dict[str, Any]]:
        """Turn until nothing of these is due or in work any more; gives the results of all that moved."""
        begin = await self._in_store(reports.last_line, self._store)
        # While somebody monitors, that loop turns for all; only its results are waited for.
        self._loop.restrict(only)
        try:
            while not self._bell.closing:
                deadline = await self._loop.turn()
                if not await self._in_store(self._any_left, only):
                    break
                await self._loop.sleep(deadline)
        finally:
            self._loop.restrict(None)
        results: list[dict[str, Any]] = await self._in_store(self._results, begin, only)
        return results

    def _as_it_stands(self, entry_id: int) -> dict[str, Any]:
        entry = self._store.entry(entry_id)
        if entry is None:
            raise StoreError(f"entry {entry_id} is not known any more: its file has long been gone")
        return shapes.of_file(self._store, entry)

    def _any_left(self, only: frozenset[int] | None) -> bool:
        """Tell whether one of these is due, or in work, and may go on."""
        if self._parts.pausing.is_on:
            return False
        in_work = (
            any(attempt.entry_id in only for attempt in self._store.attempts() if not attempt.interrupted)
            if only
            else self._loop.busy()
        )
        now_ms, roots = self._engine.now_ms(), self._parts.roots.active()
        return in_work or any(
            self._store.due(complete=complete, now_ms=now_ms, limit=1, root_ids=roots, only=only)
            for complete in (True, False)
        )

    def _results(self, begin: int, only: frozenset[int] | None) -> list[dict[str, Any]]:
        worked = reports.worked_on(self._store, begin)
        chosen = {entry_id: sec for entry_id, sec in worked.items() if only is None or entry_id in only}
        entries = ((self._store.entry(entry_id), sec) for entry_id, sec in chosen.items())
        return [shapes.of_file(self._store, entry, worked_sec=sec) for entry, sec in entries if entry is not None]
