"""Dispatch: due rows become jobs, no more of them than there are free slots.

Only rows for which there is a slot are taken from the database, so a full pool holds up no other kind of work, nothing
is queued in memory, and what was dropped a moment ago can still be next. A due row that needs no job gets its next time at once and makes room for the next one.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

import structlog

from watcher.errors import WatcherError
from watcher.rules import names, planner
from watcher.rules.stability import Observation
from watcher.service import observing
from watcher.service.judging import still_stands

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from watcher.service.checks import Checks
    from watcher.service.conversions import Conversions
    from watcher.service.engine import Engine
    from watcher.service.executor import Executor
    from watcher.service.jobs import JobSpec, Kind
    from watcher.service.judging import WatchedRoot
    from watcher.service.roots import Roots
    from watcher.store.models import FileEntry

log = structlog.get_logger("watcher")

EXCLUDED = "excluded by the settings"
CLEARING = "what an interrupted conversion has left is cleared away first"
_OF_ONE_ROW = (WatcherError, LookupError, TypeError, ValueError)
"""What a row's own content can cause. Trouble of the database itself is none of it."""
_KINDS: tuple[tuple[Kind, bool], ...] = (("check", False), ("convert", True))


class Dispatch:
    """Takes due entries of the active roots, plans each, and submits what is long work."""

    def __init__(
        self,
        engine: Engine,
        checks: Checks,
        conversions: Conversions,
        pool: Executor,
        roots: Roots,
        in_store: Callable[..., Awaitable[Any]],
    ) -> None:
        self._engine = engine
        self._checks = checks
        self._conversions = conversions
        self._pool = pool
        self._roots = roots
        self._in_store = in_store
        self.only: frozenset[int] | None = None
        """The entries that may be worked on; None for all."""
        self._taken: Counter[Kind] = Counter()
        """How many jobs of each kind there have been: whose turn it is."""

    async def turn(self) -> float:
        """Work off what is due as far as slots allow; gives the time of the next due row that has a slot."""
        return min([await self._work_off(kind, complete) for kind, complete in _KINDS])

    async def _work_off(self, kind: Kind, complete: bool) -> float:
        # One look a free slot; more at once only while the looks lead to no jobs, as with files that still settle.
        limit = 1
        while (free := self._pool.free(kind)) > 0:
            limit = min(max(limit, free), self._engine.config.batch_size)
            active = self._roots.active()
            due = await self._in_store(self._due, kind, complete, limit, active)
            if not due:
                return float(await self._in_store(self._next, complete, active))
            specs = await self._in_store(self._plan, await self._look_at(due), free)
            for spec in specs:
                self._pool.submit(spec)
            self._taken[kind] += len(specs)
            limit = 1 if specs else 2 * limit
        return float("inf")  # the end of a job brings the next turn

    async def _look_at(self, due: Sequence[FileEntry]) -> list[tuple[int, Observation]]:
        """Look at the files of due entries, each root by itself; of one whose disk is silent nothing is said."""
        by_root: dict[int, list[FileEntry]] = {}
        for entry in due:
            by_root.setdefault(entry.folder.root_id, []).append(entry)
        asked = (
            self._roots.ask(root_id, _look_at, self._roots.root(root_id), entries)
            for root_id, entries in by_root.items()
        )
        seen: dict[int, Observation] = {}
        for answer in await asyncio.gather(*asked):
            seen.update(answer or {})
        return [(entry.id, seen[entry.id]) for entry in due if entry.id in seen]

    def _plan(self, seen: Sequence[tuple[int, Observation]], free: int) -> list[JobSpec]:
        """Plan for a batch of due entries in one transaction, until the free slots are taken."""
        specs: list[JobSpec] = []
        with self._engine.turn():
            for entry_id, observation in seen:
                if len(specs) == free:
                    break  # the rest stays due
                try:
                    with self._engine.turn():
                        spec = self._decide(entry_id, observation)
                except _OF_ONE_ROW as error:
                    # One bad row stops only itself: nothing of it was written, and it makes room for the others.
                    log.exception("not planned", entry=entry_id, reason=str(error))
                    if (entry := self._engine.store.entry(entry_id)) is not None:
                        self._postpone(entry, self._engine.config.backoff_max_sec, "another try after an error")
                else:
                    specs += [spec] if spec is not None else []
        return specs

    def _postpone(self, entry: FileEntry, seconds: float, why: str) -> None:
        until = self._engine.now_ms() + int(seconds * 1000)
        self._engine.store.update_entry(entry, next_check_at_ms=until, waits_for=why)

    def _due(self, kind: Kind, complete: bool, limit: int, root_ids: Sequence[int]) -> list[FileEntry]:
        return self._engine.store.due(
            complete=complete,
            now_ms=self._engine.now_ms(),
            limit=limit,
            root_ids=root_ids,
            only=self.only,
            turn=self._taken[kind],
        )

    def _next(self, complete: bool, root_ids: Sequence[int]) -> float:
        found = self._engine.store.next_due_ms(complete=complete, root_ids=root_ids, only=self.only)
        return float("inf") if found is None else found / 1000

    def _decide(self, entry_id: int, seen: Observation) -> JobSpec | None:
        store = self._engine.store
        entry = store.entry(entry_id)
        if entry is None or entry.next_check_at_ms is None:
            return None
        if (attempt := store.attempt_of(entry.id)) is not None:
            if not attempt.interrupted:
                return None
            if not self._conversions.interrupted.may_go_on(entry, attempt):
                self._postpone(entry, self._engine.config.loop_interval_sec, CLEARING)
                return None
        if self._set_aside(entry, seen):
            return None
        action = self._engine.settle(entry, seen)
        if isinstance(action, planner.Check):
            return self._checks.begin(entry, action.why)
        if isinstance(action, planner.Convert):
            return self._conversions.begin(entry)
        return None

    def _set_aside(self, entry: FileEntry, seen: Observation) -> bool:
        """Leave alone what today's settings do not want: it is looked at again when the settings change."""
        relative = entry.folder.path + b"/" + entry.name if entry.folder.path else entry.name
        unwanted = not names.is_film(relative, self._engine.name_rules) or (
            seen.signature is not None and names.too_small(seen.signature.size_bytes, self._engine.name_rules)
        )
        if unwanted and seen.signature is not None:
            self._engine.store.update_entry(entry, next_check_at_ms=None, waits_for=EXCLUDED)
        return unwanted and seen.signature is not None


def _look_at(root: WatchedRoot, due: Sequence[FileEntry]) -> dict[int, Observation]:
    """Look at the files of a root's due entries. Blocking.

    One that is missing is gone only when the root has been compared since the start, whose scan would have doubted a
    root that misses most of its files, and is itself at this moment.
    """
    seen = {entry.id: observing.look(entry.path, entry.integrity_status, entry.evidence) for entry in due}
    missing = [entry_id for entry_id, each in seen.items() if each.signature is None and not each.trouble]
    if missing and not (root.compared and still_stands(root)):
        trouble = Observation(None, trouble="it is not there, and its folder is yet to be compared")
        seen.update(dict.fromkeys(missing, trouble))
    return seen
