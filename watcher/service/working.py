"""Work on demand: one folder taken in, what is due worked off, one file now. The manager's loop does the same by itself."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from watcher.errors import RootError, StoreError
from watcher.rules import names
from watcher.rules.statuses import IntegrityStatus
from watcher.service import shapes, wishes
from watcher.service.intake import Sighting
from watcher.service.parts import Parts, absolute
from watcher.store import reports
from watcher.watch import scan

if TYPE_CHECKING:
    from collections.abc import Callable

    from watcher.service.parts import AnyPath


class Working(Parts):
    """The questions that are answered by work."""

    async def discover_directory(
        self, directory: AnyPath, on_progress: Callable[[int], None] | None = None
    ) -> dict[str, Any]:
        """Take in the films of a folder and all below it, down to `max_scan_depth`. Several calls at once are safe.

        Gives `directory`, `discovered_files`, `files_added`, `files_updated`, `files_moved`, `files_gone`,
        `scan_time_sec` and `status`: "success", or "error" with `error`, a sentence, when the folder is not there or
        not itself. Raises StoreError. `on_progress` is called now and then with the number of films seen so far.
        """
        await self.ready()
        path = absolute(directory)
        began = time.monotonic()
        try:
            return {**await self._roots.discover(path, on_progress), "status": "success"}
        except RootError as error:
            nothing = dict.fromkeys(
                ("discovered_files", "files_added", "files_updated", "files_moved", "files_gone"), 0
            )
            taken = round(time.monotonic() - began, 3)
            shown = names.to_json(path)[0]
            return {"directory": shown, **nothing, "scan_time_sec": taken, "status": "error", "error": str(error)}

    async def process_pending(self, limit: int | None = None) -> list[dict[str, Any]]:
        """Work off what is due now, `batch_size` at a time, and give one result a file worked on.

        Files that wait (for quiet, for another try) stay waiting. `limit`: at most so many files, the longest due first.
        A result has `file_path`, `file_id`, `group_id`, `is_stereo`, `integrity_status`, `processed_status`,
        `size_bytes`, `processing_time_sec`, `integrity_score` (0 to 1, None before the first verdict), `has_en2` (None
        before it is known), `last_error` (a sentence or None) and `status`: "success", "error" or "waiting".
        """
        await self.ready()
        async with self._one_caller:
            await self._roots.adopt()
            only = None if limit is None else await self.in_store(self._longest_due, limit)
            return await self._work(only)

    async def process_file(self, path: AnyPath) -> dict[str, Any]:
        """Work on one file now, whatever its time, and give its result in the shape of `process_pending`.

        A file nobody knows is taken in; one that failed or was given up is tried again; with one that rests, nothing
        is done. Only a file that is being written stays waiting. Raises FileNotFoundError, or RootError for a file
        whose folder is not itself.
        """
        await self.ready()
        async with self._one_caller:
            await self._roots.adopt()
            entry_id = await self._hurry(absolute(path))
            done = await self._work(frozenset({entry_id}))
            as_it_stands: dict[str, Any] = done[0] if done else await self.in_store(self._as_it_stands, entry_id)
            return as_it_stands

    async def _hurry(self, path: bytes) -> int:
        """Have one file looked at now; gives its entry."""
        if await asyncio.to_thread(scan.observe, path) is None:
            raise FileNotFoundError(f"{names.readable(path)} is no file that is there")
        folder, _, name = path.rpartition(b"/")
        root = await self._roots.around(folder or b"/")
        if root.suspended is not None:
            raise RootError(f"{names.readable(path)}: its folder is suspended: {root.suspended}")
        seen = await asyncio.to_thread(scan.observe, path)
        below = folder[len(root.path.rstrip(b"/")) + 1 :]
        if seen is not None:
            raw = (seen.device, seen.inode, seen.size_bytes, seen.mtime_ns, seen.blocks)
            await self._roots.take(root.id, [Sighting(below, [(name, raw)])])
        return int(await self.in_store(self._make_due, path))

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

    def _longest_due(self, limit: int) -> frozenset[int]:
        now_ms, roots = self._engine.now_ms(), self._roots.active()
        due = [
            entry
            for complete in (True, False)
            for entry in self._store.due(complete=complete, now_ms=now_ms, limit=limit, root_ids=roots)
        ]
        due.sort(key=lambda entry: (entry.next_check_at_ms, entry.id))
        return frozenset(entry.id for entry in due[:limit])

    async def _work(self, only: frozenset[int] | None) -> list[dict[str, Any]]:
        """Turn until nothing of these is due or in work any more; gives the results of all that moved."""
        begin = await self.in_store(reports.last_line, self._store)
        # While somebody monitors, that loop turns for all; only its results are waited for.
        self._restrict(None if self._watching else only)
        try:
            while not self._stop.is_set():
                deadline = await self.turn()
                if not await self.in_store(self._any_left, only):
                    break
                await self._sleep(deadline)
        finally:
            self._restrict(None)
        results: list[dict[str, Any]] = await self.in_store(self._results, begin, only)
        return results

    def _restrict(self, only: frozenset[int] | None) -> None:
        self._dispatch.only = only
        self._next_due = 0.0  # what was computed for others says nothing

    def _as_it_stands(self, entry_id: int) -> dict[str, Any]:
        entry = self._store.entry(entry_id)
        if entry is None:
            raise StoreError(f"entry {entry_id} is not known any more: its file has long been gone")
        return shapes.of_file(self._store, entry)

    def _any_left(self, only: frozenset[int] | None) -> bool:
        """Tell whether one of these is due, or in work."""
        in_work = any(attempt.entry_id in only for attempt in self._store.attempts()) if only else self._busy()
        now_ms, roots = self._engine.now_ms(), self._roots.active()
        return in_work or any(
            self._store.due(complete=complete, now_ms=now_ms, limit=1, root_ids=roots, only=only)
            for complete in (True, False)
        )

    def _results(self, begin: int, only: frozenset[int] | None) -> list[dict[str, Any]]:
        worked = reports.worked_on(self._store, begin)
        chosen = {entry_id: sec for entry_id, sec in worked.items() if only is None or entry_id in only}
        entries = ((self._store.entry(entry_id), sec) for entry_id, sec in chosen.items())
        return [shapes.of_file(self._store, entry, worked_sec=sec) for entry, sec in entries if entry is not None]

    async def work_off(self) -> None:
        """Work until nothing is due, running or waiting to settle among the folders that were taken on."""
        while not self._stop.is_set():
            deadline = await self.turn()
            if (
                not self._busy()
                and not self._roots.scanning()
                and not await self.in_store(self._store.unsettled, self._roots.active())
            ):
                return
            await self._sleep(deadline)
