"""Pairs: where films are given stereo siblings, the members of a group are moved together. In the store's thread.

At the end of each turn the groups of the entries it touched are asked what is to be done, so that a film and its
sibling are never seen half finished. What a group does is decided in `rules/groups`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from watcher.errors import WatcherError
from watcher.rules import groups
from watcher.rules.groups import Member

if TYPE_CHECKING:
    from collections.abc import Iterable

    from watcher.service.engine import Engine
    from watcher.store.models import FileEntry
    from watcher.store.store import StateStore

log = structlog.get_logger("watcher")

_ROUNDS = 10
"""More than any group needs: a film reopened, given up and its sibling with it are three."""


def member(entry: FileEntry) -> Member:
    """Give what the rules of groups need to know of an entry."""
    return Member(
        entry.id,
        entry.name,
        missing=entry.missing_since_ms is not None,
        made_from=entry.made_from_id,
        integrity=entry.integrity_status,
        processed=entry.processed_status,
        due=entry.next_check_at_ms is not None,
    )


def entries_of(store: StateStore, entry: FileEntry) -> list[FileEntry]:
    """Give the entries of a file's group, its own among them, missing ones too, in the order first seen."""
    stem = groups.stem_of(entry.name)
    return [other for other in store.siblings(entry, stem) if groups.stem_of(other.name) == stem]


def join(store: StateStore, entries: Iterable[FileEntry]) -> None:
    """Write down that these entries are one group."""
    for entry in entries:
        group = store.group_of(entry.folder_id, groups.stem_of(entry.name))
        if entry.group_id != group:
            store.update_entry(entry, group=group)


class Pairs:
    """Carries out what the rules say about the groups that a turn has touched."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._touched: set[int] = set()

    def touch(self, entry: FileEntry) -> None:
        """Have the group of a file looked at when the turn ends."""
        self._touched.add(entry.id)

    def left(self, entry: FileEntry) -> None:
        """Have the group that a file is about to leave looked at."""
        self._touched.update(other.id for other in entries_of(self._engine.store, entry))

    def settle(self) -> None:
        """Bring the touched groups to rest. One that cannot be stops only itself."""
        touched, self._touched = self._touched, set()
        for entry_id in touched:
            entry = self._engine.store.entry(entry_id)
            if entry is not None:
                try:
                    with self._engine.store.transaction():
                        self._settle_group(entry)
                except WatcherError:
                    log.exception("group not settled", path=entry.path)
        self._touched = set()  # what was moved here was looked at here

    def _settle_group(self, entry: FileEntry) -> None:
        engine = self._engine
        for _ in range(_ROUNDS):
            entries = {each.id: each for each in entries_of(engine.store, entry)}
            steps = groups.pair_steps([member(each) for each in entries.values()])
            if not steps:
                return
            join(engine.store, entries.values())
            for step in steps:
                self._carry_out(entries[step.entry_id], step)

    def _carry_out(self, entry: FileEntry, step: groups.Step) -> None:
        engine = self._engine
        now = engine.clock()
        look_at = {"never": None, "now": now, "later": engine.first_look(now, "")}[step.look]
        if step.move == "look_later":
            engine.store.update_entry(
                entry,
                next_check_at_ms=int((look_at or now) * 1000),
                waits_for="its stereo sibling, should it come back",
            )
        else:
            waits_for = f"its pair: {step.reason}" if step.move in ("group_reopened", "waits_for_pair") else ""
            engine.move(entry, step.move, reason=step.reason, next_at=look_at, waits_for=waits_for)
