"""Intake: what was seen on disk meets what the database knows. New, changed, moved, gone and back become rows here.

Scans and events meet in this one place. A batch is one transaction; a file nobody knows costs a few microseconds,
one that is known and unchanged next to nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, get_args

import structlog

from watcher.rules import stability
from watcher.rules.signature import Signature
from watcher.rules.statuses import IntegrityStatus
from watcher.service import patience
from watcher.store.store import signature_columns
from watcher.watch import scan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from watcher.rules.stability import Evidence
    from watcher.service.engine import Engine
    from watcher.store.models import FileEntry
    from watcher.store.store import RawSignature

log = structlog.get_logger("watcher")

_SETTLING = (IntegrityStatus.UNKNOWN, IntegrityStatus.INCOMPLETE)


@dataclass(slots=True)
class Sighting:
    """What was seen in one folder at one time."""

    folder: bytes
    """Relative to the root; b"" is the root."""
    files: list[tuple[bytes, RawSignature]] = field(default_factory=list)
    """Names that stand for films, and their signatures."""
    gone: list[bytes] = field(default_factory=list)
    """Names under which nothing stands any more."""
    evidence: Evidence = ""
    """The strongest thing the hints said about `files`."""
    hinted: bool = False
    """Events brought us here, so that a quiet time begins anew."""


@dataclass(slots=True)
class Taken:
    """How many files one batch brought news of."""

    added: int = 0
    changed: int = 0
    moved: int = 0
    gone: int = 0
    back: int = 0
    new_names: list[tuple[bytes, bytes]] = field(default_factory=list)

    def add(self, other: Taken) -> None:
        """Count another batch in."""
        self.added += other.added
        self.changed += other.changed
        self.moved += other.moved
        self.gone += other.gone
        self.back += other.back

    def any(self) -> bool:
        """Tell whether there was any news."""
        return bool(self.added or self.changed or self.moved or self.gone or self.back)


_Look = Signature | OSError | None
"""What stands under a path: nothing, or why it cannot be said."""
_LOOKS_AT_ONCE = 1000
"""In one question to a disk: an answer in time is expected of the disk, and not of however many files there are."""


@dataclass(slots=True)
class _News:
    """What of a batch is not known already."""

    strangers: list[tuple[Sighting, bytes, RawSignature]] = field(default_factory=list)
    known: list[tuple[int, Sighting, RawSignature]] = field(default_factory=list)
    """Entries by id, that are another content than known, were gone, or were hinted at."""
    lost: list[int] = field(default_factory=list)
    paths: list[bytes] = field(default_factory=list)
    """Where to look once more: a long scan hands over what it saw minutes ago."""


class Intake:
    """Takes sightings of one root after another into the store. In the store's thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._store = engine.store
        self._landing: dict[int, Signature] = {}
        self._looks: dict[bytes, _Look] = {}
        """At the paths of a batch's news."""

    def take(self, root_id: int, sightings: Sequence[Sighting]) -> Taken:
        """Bring the rows of a root up to what was seen; one transaction.

        Raises TimeoutError, and changes nothing, when the root's disk does not answer.
        """
        taken = Taken()
        with self._engine.turn():
            self._landing = self._results_landing()
            news = self._sort(root_id, sightings)
            self._looks = self._look(news.paths)
            for entry_id, sighting, raw in news.known:
                self._meet(entry_id, Signature(*raw), sighting, taken)
            if news.strangers:
                self._welcome(root_id, news.strangers, taken)
            for entry_id in news.lost:  # last, since what is lost here may just have been found there
                self._lose(entry_id, taken)
        return taken

    def _sort(self, root_id: int, sightings: Sequence[Sighting]) -> _News:
        """Leave out what is known already."""
        news = _News()
        base = self._store.root_row(root_id).path.rstrip(b"/")
        for sighting in sightings:
            rows = self._store.entries_of_folder(root_id, sighting.folder)
            folder = b"/".join(filter(None, (base, sighting.folder))) + b"/"
            for name, raw in sighting.files:
                if (row := rows.get(name)) is None:
                    news.strangers.append((sighting, name, raw))
                elif row[1] != raw or row[2] is not None:
                    news.known.append((row[0], sighting, raw))
                    news.paths.append(folder + name)
                elif sighting.hinted:
                    news.known.append((row[0], sighting, raw))
            for name in sighting.gone:
                if name in rows and rows[name][2] is None:
                    news.lost.append(rows[name][0])
                    news.paths.append(folder + name)
        return news

    def _meet(self, entry_id: int, seen: Signature, sighting: Sighting, taken: Taken) -> None:
        entry = self._store.entry(entry_id)
        if entry is None:
            return
        if seen != entry.signature or entry.missing_since_ms is not None:
            now = self._now(entry.path)
            if now is None:
                return
            seen = now
        if any(result.same_file(seen) for result in self._landing.values()):
            return
        if not seen.same_content(entry.signature):
            self._engine.content_changed(entry, seen, sighting.evidence)
            taken.changed += 1
        elif entry.missing_since_ms is not None:
            self._engine.back(entry, sighting.evidence)
            taken.back += 1
        elif seen != entry.signature and entry.integrity_status in _SETTLING and seen.blocks != entry.blocks:
            # A pre-allocated file that is being filled through a mapping: the blocks are all that moves.
            self._engine.content_changed(entry, seen, sighting.evidence)
        else:
            if seen != entry.signature:
                self._store.update_entry(entry, **signature_columns(seen))
            if sighting.hinted:
                self._engine.hinted(entry, sighting.evidence)

    def _results_landing(self) -> dict[int, Signature]:
        """Give entry id -> our own result that has, or may have, its name already while the row does not say so yet."""
        return {each.entry_id: Signature(**each.result) for each in self._store.attempts() if each.result is not None}

    def _lose(self, entry_id: int, taken: Taken) -> None:
        entry = self._store.entry(entry_id)
        # A look at the disk, since what was seen may be older than the file's return.
        if entry is not None and not self._stands(entry.path):
            self._engine.gone(entry)
            taken.gone += 1

    def _welcome(self, root_id: int, strangers: list[tuple[Sighting, bytes, RawSignature]], taken: Taken) -> None:
        movers = self._movers([raw for _, _, raw in strangers])
        self._looks |= self._look([entry.path for entries in movers.values() for entry in entries])
        now = self._engine.clock()
        rows = []
        for sighting, name, raw in strangers:
            folder = self._store.folder_id(root_id, sighting.folder)
            seen = Signature(*raw)
            landing = next((each for each, result in self._landing.items() if result.same_file(seen)), None)
            if landing is not None:
                taken.moved += self._renamed_while_landing(landing, folder, name)
                continue
            if movers and self._moved(movers.get(raw[1], []), folder, name, seen, sighting):
                taken.moved += 1
                continue
            rows.append((folder, name, raw, sighting.evidence))
            if sighting.hinted:
                taken.new_names.append((sighting.folder, name))
        first_looks = {
            evidence: int(self._engine.first_look(now, evidence) * 1000) for evidence in get_args(stability.Evidence)
        }
        self._store.insert_entries(rows, int(now * 1000), first_looks)
        taken.added += len(rows)

    def _renamed_while_landing(self, entry_id: int, folder: int, name: bytes) -> bool:
        """Let a row follow its film when somebody renamed our result before the row knew of it; its landing goes on."""
        entry, attempt = self._store.entry(entry_id), self._store.attempt_of(entry_id)
        assert entry is not None and attempt is not None  # noqa: S101, PT018 - read in this transaction
        before = entry.path
        in_place = attempt.target == attempt.film
        if not in_place or self._stands(before):
            return False  # it has just got its name, or is a sidecar: the landing will say so
        self._engine.leaves_group(entry)
        moved = self._store.move_entry(entry, folder, name)
        self._engine.note_path(moved, "moved", before, moved.path)
        return True

    def _movers(self, raws: Sequence[RawSignature]) -> dict[int, list[FileEntry]]:
        inodes = json.dumps([raw[1] for raw in raws])
        found = self._store.sql(
            "SELECT DISTINCT inode FROM file_entry WHERE inode IN (SELECT value FROM json_each(?))", (inodes,)
        ).fetchall()
        movers: dict[int, list[FileEntry]] = {}
        for entry in self._store.entries_with_inodes([row[0] for row in found]):
            movers.setdefault(entry.inode, []).append(entry)
        return movers

    def _moved(
        self, candidates: list[FileEntry], folder: int, name: bytes, seen: Signature, sighting: Sighting
    ) -> bool:
        """Let a row follow its file to another name, when it is the same file and the old name is free."""
        for entry in candidates:
            before = entry.path
            if not seen.same_file(entry.signature) or self._stands(before):
                continue
            candidates.remove(entry)  # each row follows one name: there may be another link to the same file
            self._engine.cancel_attempt(entry)
            self._engine.leaves_group(entry)
            moved = self._store.move_entry(entry, folder, name)
            self._engine.note_path(moved, "moved", before, moved.path)
            self._engine.hinted(moved, sighting.evidence or "moved_in")
            self._engine.settled_elsewhere(moved)
            return True
        return False

    def _now(self, path: bytes) -> Signature | None:
        seen = self._looked_at(path)
        return None if isinstance(seen, OSError) else seen

    def _stands(self, path: bytes) -> bool:
        return self._looked_at(path) is not None  # where it cannot be said nothing is concluded

    def _looked_at(self, path: bytes) -> _Look:
        if path not in self._looks:
            self._looks |= self._look([path])
        return self._looks[path]

    def _look(self, paths: Sequence[bytes]) -> dict[bytes, _Look]:
        # The disk may have fallen silent since it was seen, and all roots share the store's thread.
        looks: dict[bytes, _Look] = {}
        for begin in range(0, len(paths), _LOOKS_AT_ONCE):
            some = paths[begin : begin + _LOOKS_AT_ONCE]
            looks |= patience.answer(self._engine.config.answer_within_sec, _observed, some)
        return looks


def _observed(paths: Sequence[bytes]) -> dict[bytes, _Look]:
    seen: dict[bytes, _Look] = {}
    for path in paths:
        try:
            seen[path] = scan.observe(path)
        except OSError as error:
            seen[path] = error
    return seen
