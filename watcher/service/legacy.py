"""Coming from the old tools: what they have done is taken over, so that nothing is done twice.

They left `.audio_converter_state.json` beside the films (path -> {file, status, message, timestamp, converted_file}),
or lists of paths they were through with ({"files" or "processed_files": [...], ...}). Each file is handled by itself;
a path that cannot be made out spoils only itself. What this database already knows about a file is newer and stays. The
old tools never checked whether a film is whole: what they were through with rests, unchecked, until it changes.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from watcher.rules import names
from watcher.rules.statuses import IntegrityStatus, ProcessedStatus
from watcher.watch import scan

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from watcher.rules.signature import Signature
    from watcher.service.engine import Engine

STATE_FILE = ".audio_converter_state.json"
BATCH = 100
"""Files of one transaction."""

_MOVES: dict[str, tuple[str, str] | None] = {
    "has_stereo": ("has_stereo", "imported"),
    "converted": ("converted", "imported"),
    "conversion_failed": ("conversion_failed", "imported"),
    "error": ("conversion_failed", "imported"),
    "no_english": ("ignored", "no_english"),
    "no_audio": ("ignored", "no_audio"),
    "unknown": None,
}
"""The old tools' word -> the move it is here, and its reason."""


@dataclass(slots=True)
class Imported:
    """What came of an import."""

    imported: int = 0
    skipped_existing: int = 0
    """Already known here, or named twice."""
    skipped_missing: int = 0
    """Not there any more."""
    errors: list[str] = field(default_factory=list)
    """A sentence for each thing that could not be made out."""

    def to_dict(self) -> dict[str, Any]:
        """Give the answer's shape."""
        return {
            "imported": self.imported,
            "skipped_existing": self.skipped_existing,
            "skipped_missing": self.skipped_missing,
            "errors": self.errors,
        }


@dataclass(frozen=True, slots=True)
class Item:
    """One file of an old tool, found on disk."""

    path: bytes
    status: str
    seen: Signature


def find_files(directory: bytes) -> list[bytes]:
    """Give the state files in a folder and below it, by name. Blocking."""
    found = [
        os.path.join(at, STATE_FILE.encode()) for at, _, there in os.walk(directory) if STATE_FILE.encode() in there
    ]
    return sorted(found)


def read_file(path: bytes, outcome: Imported) -> list[Item]:
    """Read one state file. Blocking. What is wrong with it goes into `outcome`."""
    try:
        with open(path, "rb") as file:
            data = json.loads(file.read())
    except OSError as error:
        outcome.errors.append(f"{names.readable(path)}: it cannot be read: {error.strerror}")
        return []
    except ValueError as error:  # broken JSON, or bytes that are no UTF-8
        outcome.errors.append(f"{names.readable(path)}: it is no JSON: {error}")
        return []
    return read(data, os.path.dirname(path), outcome, names.readable(path))


def read(data: object, folder: bytes, outcome: Imported, source: str = "the data") -> list[Item]:
    """Make out what an old tool's data says; relative paths are relative to `folder`. Blocking: looks at each file."""
    items = []
    for text, status, wrong in _entries(data):
        if wrong:
            outcome.errors.append(f"{source}: {wrong}")
            continue
        path = _on_disk(text, folder)
        try:
            seen = scan.observe(path) if path is not None else None
        except OSError as error:
            outcome.errors.append(
                f"{source}: {names.readable(os.fsencode(text))} cannot be looked at: {error.strerror}"
            )
            continue
        if path is None or seen is None:
            outcome.skipped_missing += 1
        else:
            items.append(Item(path, status, seen))
    return items


def _entries(data: object) -> Iterator[tuple[str, str, str]]:
    """Give (path, status, what is wrong) for each file named."""
    if not isinstance(data, dict):
        yield "", "", f"an object is wanted, not a {type(data).__name__}"
        return
    listed = next((data[key] for key in ("files", "processed_files") if isinstance(data.get(key), list)), None)
    if listed is not None:
        for path in listed:
            yield (path, "converted", "") if _is_path(path) else ("", "", f"{path!r:.80} is no path")
        return
    for path, entry in data.items():
        status = entry.get("status") if isinstance(entry, dict) else None
        if not isinstance(entry, dict) or not _is_path(path):
            yield "", "", f"{path!r:.80}: there is nothing to be made of it"
        elif status not in _MOVES or not isinstance(status, str):
            yield "", "", f"{path!r:.80}: its status {status!r:.40} is none of {', '.join(_MOVES)}"
        else:
            yield path, status, ""
            made = str(entry.get("converted_file") or "")
            if status == "converted" and _is_path(made) and made != path:
                yield made, "has_stereo", ""


def _is_path(value: object) -> bool:
    return isinstance(value, str) and bool(value) and "\0" not in value


def _on_disk(text: str, folder: bytes) -> bytes | None:
    r"""Give the absolute path that an old path stands for.

    A path of Windows is looked for by its end: `D:\Films\New\a.mkv` is `New/a.mkv` in the state file's folder, when
    that is there. The longest end that is there counts; None when none is.
    """
    if not re.match(r"[A-Za-z]:[\\/]|\\\\", text) and not ("\\" in text and "/" not in text):
        path = os.path.normpath(os.path.join(folder, os.fsencode(text)))
        if os.path.lexists(path) or "\\" not in text:
            return path
    parts = [
        os.fsencode(part) for part in re.split(r"[\\/]+", re.sub(r"^[A-Za-z]:", "", text)) if part not in ("", ".")
    ]
    if b".." in parts:
        return None
    candidates = (os.path.join(folder, *parts[start:]) for start in range(len(parts)))
    return next((path for path in candidates if os.path.lexists(path)), None)


class Importer:
    """Writes what was read into the database. In the store's thread."""

    def __init__(self, engine: Engine, roots: Sequence[bytes]) -> None:
        self._engine = engine
        self._store = engine.store
        self._roots = [*roots, *(row.path for row in engine.store.roots())]

    def take(self, items: Sequence[Item], fallback: bytes, outcome: Imported) -> None:
        """Write one batch, one transaction. `fallback` becomes the root of files that lie in no known one."""
        with self._engine.turn():
            for item in items:
                self._take_one(item, fallback, outcome)

    def _take_one(self, item: Item, fallback: bytes, outcome: Imported) -> None:
        entry = self._store.entry_at(item.path)
        known = entry is not None and (
            entry.integrity_status is not IntegrityStatus.UNKNOWN
            or entry.processed_status is not ProcessedStatus.NEW
            or _MOVES[item.status] is None
            or bool(self._store.journal(entry.id))
        )
        if known:
            outcome.skipped_existing += 1
            return
        if entry is None:
            self._insert(item, fallback)
            entry = self._store.entry_at(item.path)
            assert entry is not None  # noqa: S101 - just inserted
        if (found := _MOVES[item.status]) is not None:
            move, reason = found
            again = self._engine.clock() if move == "conversion_failed" else None
            self._engine.move(entry, move, reason=reason, next_at=again)
        outcome.imported += 1

    def _insert(self, item: Item, fallback: bytes) -> None:
        folder, _, name = item.path.rpartition(b"/")
        inside = [root for root in self._roots if (folder + b"/").startswith(root.rstrip(b"/") + b"/")]
        if not inside:
            top = fallback if (folder + b"/").startswith(fallback.rstrip(b"/") + b"/") else folder
            self._roots.append(top)
            inside = [top]
        root = max(inside, key=len)
        folder_id = self._store.folder_id(self._store.root_at(root).id, folder[len(root.rstrip(b"/")) + 1 :])
        seen = item.seen
        raw = (seen.device, seen.inode, seen.size_bytes, seen.mtime_ns, seen.blocks)
        look_at = int(self._engine.first_look(self._engine.clock(), "") * 1000)
        self._store.insert_entries([(folder_id, name, raw, "")], self._engine.now_ms(), {"": look_at})


# --- what the manager asks for


async def migrate(engine: Engine, in_store: Callable[..., Awaitable[Any]], folder: bytes) -> dict[str, Any]:
    """Take over the state files in a folder and below it. See `StateManager.migrate_legacy_state_files`."""
    outcome = Imported()
    if not await asyncio.to_thread(os.path.isdir, folder):
        outcome.errors.append(f"{names.readable(folder)}: the folder does not exist")
    for file in await asyncio.to_thread(find_files, folder):
        items = await asyncio.to_thread(read_file, file, outcome)
        await _import(engine, in_store, items, folder, outcome)
    return outcome.to_dict()


async def take_over(
    engine: Engine, in_store: Callable[..., Awaitable[Any]], data: dict[str, Any], folder: bytes
) -> dict[str, Any]:
    """Take over what was read already. See `StateManager.import_legacy_results`."""
    outcome = Imported()
    items = await asyncio.to_thread(read, data, folder, outcome)
    await _import(engine, in_store, items, folder, outcome)
    return outcome.to_dict()


async def _import(
    engine: Engine, in_store: Callable[..., Awaitable[Any]], items: list[Item], folder: bytes, outcome: Imported
) -> None:
    watched = [os.fsencode(item.path) for item in engine.config.watch]
    importer = await in_store(Importer, engine, watched)
    for start in range(0, len(items), BATCH):
        await in_store(importer.take, items[start : start + BATCH], folder, outcome)
